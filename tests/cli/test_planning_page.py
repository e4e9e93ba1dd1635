"""docs/planning.md: what stands below a command is what the command prints."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cli import main
from pipeline.planning.plan import Plan

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "planning.md"
SECTION = "<!-- unetworks data plan phantom --markdown -->\n"


@pytest.fixture(scope="module")
def plans() -> ModuleType:
    """The script that writes the sections."""
    spec = importlib.util.spec_from_file_location("plans", ROOT / "scripts" / "plans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow  # the phantom is written first
def test_the_phantoms_section_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "plan", "phantom", "--markdown"]) == 0
    printed = capsys.readouterr().out
    stands = PAGE.read_text().split(SECTION)[1].split("<!-- end -->")[0]
    assert stands.strip() == printed.strip(), "run: python scripts/plans.py"


def test_a_section_of_a_set_that_is_not_here_is_left_as_it_stands(
    plans: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "before\n<!-- unetworks data plan nosuch --markdown -->\nold\n<!-- end -->\nafter\n"
    assert plans.renewed(text) == text
    assert 'no manifest "nosuch"' in capsys.readouterr().err


def test_a_section_is_replaced_and_the_text_around_it_stays(
    plans: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "printed", lambda command: f"{command}\n")
    text = "a\n<!-- unetworks data plan x --fold 0 --markdown -->\nold\n<!-- end -->\nb\n"
    assert plans.renewed(text) == (
        "a\n<!-- unetworks data plan x --fold 0 --markdown -->\n\ndata plan x --fold 0 --markdown\n"
        "\n<!-- end -->\nb\n"
    )


def test_the_page_names_every_value_that_is_planned() -> None:
    rules = PAGE.read_text().split("## The rules")[1].split("## The plans")[0].lower()
    other = {
        "spatial_dims": "2d", "statistics": "normalisation dataset", "slice_axis": "slices",
        "batch_size": "batch", "epoch_length": "epoch", "learning_rate": "learning rate",
        "class_weights": "class weights", "augment": "augmentation", "val_interval": "validation",
        "why": "reason",
    }  # fmt: skip
    missing = [n for n in Plan.__dataclass_fields__ if other.get(n, n) not in rules]
    assert missing == []
    assert re.search(r"same\s+on every machine", PAGE.read_text())
