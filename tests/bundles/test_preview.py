"""The plan that is printed is the plan that a training uses."""

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from pipeline.bundles.preview import preview
from tests import tiny
from tests.tiny import base

__all__ = ["base"]

BUNDLES = tiny.ROOT / "bundles"
FAST_PLAN: dict[str, Any] = {
    name: value for name, value in tiny.FAST.items() if name != "max_epochs"
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(autouse=True)
def cache(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(manifest.parent / "cache"))


def parsed(name: str, **settings: Any) -> dict[str, Any]:
    """Facts and plan as the config of a training resolves them."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / name / "train.json"))
    parser.update(settings)
    return {key: parser.get_parsed_content(key) for key in ("facts", "plan")}


@pytest.mark.parametrize(
    ("name", "preset", "dims"),
    [
        ("attunet", "compact", 3),
        ("attunet", "full", 2),
        ("nnunet", "full", 3),
        ("unetr", "compact", 2),
    ],
)
def test_a_training_config_resolves_to_the_previewed_plan(
    manifest: Path, name: str, preset: str, dims: int
) -> None:
    settings: dict[str, Any] = {"preset": preset, "spatial_dims": dims}
    found = parsed(name, manifest=str(manifest), **settings)
    shown = preview(BUNDLES / name / "train.json", found["facts"], **settings)
    assert shown == found["plan"]
    json.dumps(shown)


def test_a_setting_of_the_users_changes_just_that_value_of_the_plan(manifest: Path) -> None:
    config = BUNDLES / "attunet" / "train.json"
    facts = parsed("attunet", manifest=str(manifest))["facts"]
    planned = preview(config, facts)
    found = preview(config, facts, learning_rate=0.5)
    assert {k for k in planned if planned[k] != found[k]} == {"learning_rate", "why"}


def test_a_run_records_the_plan_that_is_previewed_with_its_settings(base: Path) -> None:
    record = json.loads((tiny.shared_run(base).run / "models" / "model.json").read_text())
    shown = preview(BUNDLES / "attunet" / "train.json", record["facts"], **FAST_PLAN)
    assert record["plan"] == shown
