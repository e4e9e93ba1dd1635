import json
import math

import numpy as np
import pytest

from pipeline.tracking.names import (
    PARAM_LENGTH,
    clean_name,
    flat_params,
    flat_scores,
    shortened,
    without_folders,
)


def test_settings_are_flattened_with_dots_and_written_as_json() -> None:
    settings = {
        "seed": 0,
        "patch": [32, 32, 16],
        "window": None,
        "amp": True,
        "manifest": "phantom",
        "network_def": {"_target_": "pipeline.networks.unet:UNet", "options": {"norm": "batch"}},
        "empty": {},
    }
    assert flat_params(settings) == {
        "seed": "0",
        "patch": "[32, 32, 16]",
        "window": "null",
        "amp": "true",
        "manifest": "phantom",
        "network_def._target_": "pipeline.networks.unet:UNet",
        "network_def.options.norm": "batch",
        "empty": "{}",
    }


def test_no_setting_is_lost_where_two_names_become_equal() -> None:
    assert flat_params({"a.b": 1, "a": {"b": 2}, "a(b": 3, "a)b": 4}) == {
        "a.b": "1",
        "a.b_2": "2",
        "a_b": "3",
        "a_b_2": "4",
    }


def test_a_long_value_is_cut_to_the_limit_and_says_its_length() -> None:
    text = json.dumps(list(range(5000)))
    cut = shortened(text, PARAM_LENGTH)
    assert len(cut) == PARAM_LENGTH
    assert cut.endswith(f"... ({len(text)} characters)")
    assert shortened("short", PARAM_LENGTH) == "short"


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("val/dice_left kidney", "val/dice_left kidney"),
        ("val/Leberläsion (T2)", "val/Leberläsion _T2_"),
        ("/a//../b", "a/b"),
        ("..", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_a_name_keeps_what_mlflow_allows(name: str, clean: str) -> None:
    assert clean_name(name) == clean


def test_scores_are_one_number_a_name() -> None:
    scores = {
        "dice_mean": np.float32(0.5),
        "dice": np.array([0.25, math.nan]),
        "hd95": {"liver": 3, "spleen": [4.0]},
        "confusion": [1, 2, 3],
        "note": "text",
    }
    found = flat_scores(scores, ("liver", "spleen"))
    assert math.isnan(found.pop("dice_spleen"))
    assert found == {
        "dice_mean": 0.5,
        "dice_liver": 0.25,
        "hd95_liver": 3.0,
        "hd95_spleen": 4.0,
        "confusion_0": 1.0,
        "confusion_1": 2.0,
        "confusion_2": 3.0,
    }


def test_settings_are_kept_without_folders_and_addresses() -> None:
    settings = {
        "manifest": "/hospital/ward 7/set.json",
        "dataset_dir": "~/data/",
        "weights": "runs/a/models",
        "tracking_uri": "https://user:secret@server",
        "other": ["C:\\Users\\Ann\\x.nii", {"deep": "/a/b"}, 3, "1/2", "$@plan"],
    }
    assert without_folders(settings) == {
        "manifest": "set.json",
        "dataset_dir": "data",
        "weights": "runs/a/models",
        "tracking_uri": None,
        "other": ["x.nii", {"deep": "b"}, 3, "1/2", "$@plan"],
    }
