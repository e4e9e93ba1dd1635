"""Every kind of mistyped setting, through MONAI's own workflow on the committed configs."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from pipeline.bundles.keys import arguments, check_types, compare
from pipeline.errors import InvalidValueError, UnknownNameError

BUNDLE = Path(__file__).parents[2] / "bundles" / "attunet"
Initialise = Callable[..., str]


@pytest.fixture
def initialise(capsys: pytest.CaptureFixture[str]) -> Initialise:
    """Run `initialize` of a config with overrides; return the line of its refusal, or nothing."""

    def _initialise(kind: str = "train", **overrides: Any) -> str:
        workflow = ConfigWorkflow(
            str(BUNDLE / f"{kind}.json"),
            meta_file=str(BUNDLE / "metadata.json"),
            logging_file=False,
            workflow_type="train" if kind == "train" else "infer",
            **overrides,
        )
        with contextlib.suppress(SystemExit):
            workflow.initialize()
            return ""
        return capsys.readouterr().err

    return _initialise


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"max_epochs": 3, "spatial_dims": 2},
        {"train#trainer#max_epochs": 3},
        {"train::handlers::1::seed": 5},
        {"network_def#widths": [4, 8, 16]},
        {"network_def#initialisation": "xavier"},
        {"network_def#dropout": 0.1},
        {"optimizer#weight_decay": 0.1},
        {"window": "liver"},
        {"window": [40, 400]},
        {"augment": {"noise": 0.2}},
        {"augment": False},
        {"class_weights": "none"},
        {"max_minutes": 0.5},
        {"seed": "$40 + 2"},
        {"device": "$torch.device('cpu')"},
        {"tracking_uri": "sqlite:///runs.db", "experiment_name": "mine", "run_name": "one"},
    ],
)
def test_what_a_config_knows_passes(initialise: Initialise, overrides: dict[str, Any]) -> None:
    assert initialise(**overrides) == ""


@pytest.mark.parametrize(
    ("overrides", "unknown", "suggestion"),
    [
        ({"max_epoch": 3}, "setting 'max_epoch'", "max_epochs"),
        ({"spatial_dim": 2}, "setting 'spatial_dim'", "spatial_dims"),
        ({"Preset": "full"}, "setting 'Preset'", "preset"),
        ({"network_def#width": [8]}, "argument of network_def", "widths"),
        ({"network_def#channel": [8]}, "argument of network_def", "in_channels"),
        ({"optimizer#learning_rate": 1}, "argument of optimizer (torch.optim.AdamW)", None),
        ({"optimizer#weight_deca": 1}, "argument of optimizer (torch.optim.AdamW)", "weight_decay"),
        ({"train#trainer#max_epoch": 1}, "argument of train#trainer", "max_epochs"),
        ({"train#dataloader#batchsize": 1}, "argument of train#dataloader", "batch_size"),
        ({"train#handlers#1#sede": 1}, "argument of train#handlers#1", "seed"),
        ({"train#dataloder": None}, "key below train: 'dataloder'", "dataloader"),
        ({"validate#evaluater": None}, "key below validate: 'evaluater'", "evaluator"),
        ({"train#saver#parts#optimiser": None}, "key below train#saver#parts", "optimizer"),
        ({"validate#key_metric#dice_meen": 1}, "key below validate#key_metric", "dice_mean"),
    ],
)
def test_a_mistyped_key_is_one_line_with_the_right_one(
    initialise: Initialise, overrides: dict[str, Any], unknown: str, suggestion: str | None
) -> None:
    line = initialise(**overrides)
    assert line.count("\n") == 1
    assert line.startswith("error: unknown ")
    assert unknown in line
    if suggestion:
        assert line.endswith(f"did you mean '{suggestion}'?\n")


def test_a_wrong_parent_is_monais_own_key_error(initialise: Initialise) -> None:
    with pytest.raises(KeyError, match="trian"):
        initialise(**{"trian#trainer#max_epochs": 1})


@pytest.mark.parametrize(
    ("overrides", "said", "wanted"),
    [
        ({"spatial_dims": "2"}, "spatial_dims is '2'", "a whole number"),
        ({"spatial_dims": True}, "spatial_dims is True", "a whole number"),
        ({"max_epochs": 1.5}, "max_epochs is 1.5", "a whole number"),
        ({"max_epochs": 0}, "max_epochs is 0", "above 0"),
        ({"max_minutes": "long"}, "max_minutes is 'long'", "a number"),
        ({"max_minutes": -1}, "max_minutes is -1", "above 0"),
        ({"max_minutes": float("nan")}, "max_minutes is nan", "above 0"),
        ({"learning_rate": "1e-3x"}, "learning_rate is", "a number"),
        ({"amp": 1}, "amp is 1", "True or False"),
        ({"new_head": "yes"}, "new_head is 'yes'", "True or False"),
        ({"patch": 32}, "patch is 32", "numbers in brackets"),
        ({"patch": "32x32"}, "patch is '32x32'", "numbers in brackets"),
        ({"patch": [32, "a", 32]}, "patch holds 'a'", "numbers"),
        ({"spacing": 1.5}, "spacing is 1.5", "numbers in brackets"),
        ({"window": 40}, "window is 40", "a name, or numbers"),
        ({"class_weights": 2}, "class_weights is 2", "a name, or numbers"),
        ({"augment": "none"}, "augment is 'none'", "False, or names"),
        ({"preset": 3}, "preset is 3", "a text"),
        ({"manifest": ["a"]}, "manifest is ['a']", "a text"),
        ({"resume": True}, "resume is True", "a text"),
        ({"num_workers": -1}, "num_workers is -1", "0 or more"),
        ({"cache_gb": 0}, "cache_gb is 0", "above 0"),
    ],
)
def test_a_value_of_another_type_is_one_line_with_what_is_wanted(
    initialise: Initialise, overrides: dict[str, Any], said: str, wanted: str
) -> None:
    line = initialise(**overrides)
    assert line.count("\n") == 1
    assert said in line
    assert wanted in line


def test_an_unknown_network_is_refused_before_anything_is_built(initialise: Initialise) -> None:
    line = initialise(**{"network_def#name": "atunet"})
    assert line.startswith("error: no network 'atunet'")
    assert "attunet" in line


def test_a_component_that_does_not_exist_is_named(initialise: Initialise) -> None:
    line = initialise(**{"optimizer#_target_": "torch.optim.AdamX"})
    assert "nothing is called 'torch.optim.AdamX'" in line


@pytest.mark.parametrize("kind", ["evaluate", "inference"])
def test_evaluation_and_inference_ask_for_weights(initialise: Initialise, kind: str) -> None:
    line = initialise(kind)
    assert f"{kind}.json has no weights" in line
    assert "--weights RUN/models/model.safetensors" in line
    assert initialise(kind, weights="model.safetensors") == ""


@pytest.mark.parametrize(
    ("kind", "key", "suggestion"),
    [("inference", "imput", "input"), ("evaluate", "weigths", "weights")],
)
def test_the_other_configs_suggest_keys_of_their_own(
    initialise: Initialise, kind: str, key: str, suggestion: str
) -> None:
    assert f"did you mean '{suggestion}'?" in initialise(kind, **{key: "x", "weights": "w"})


def test_a_strange_key_points_to_the_config() -> None:
    with pytest.raises(UnknownNameError) as caught:
        compare({"zzz": 1}, {"max_epochs": None})
    assert "see the config" in caught.value.hint


def test_a_component_put_in_the_place_of_another_is_checked_by_its_own_arguments() -> None:
    committed = {"loss": {"_target_": "torch.nn.L1Loss"}}
    compare({"loss": {"_target_": "torch.nn.HuberLoss", "delta": 2.0}}, committed)
    with pytest.raises(UnknownNameError, match="delt"):
        compare({"loss": {"_target_": "torch.nn.HuberLoss", "delt": 2.0}}, committed)


def test_what_takes_any_argument_is_not_checked() -> None:
    assert arguments("builtins.dict", {}) is None
    assert arguments("pipeline.networks.build_network", {"name": "$@other"}) is None


def test_expressions_and_absent_settings_have_no_type() -> None:
    check_types({"spatial_dims": "$1 + 1", "patch": "@other", "amp": None})
    with pytest.raises(InvalidValueError):
        check_types({"spatial_dims": "1 + 1"})
