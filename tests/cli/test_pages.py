"""The pages on commands and manifests name all that there is."""

import argparse
import importlib
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("command", ["predict", "score"])
def test_every_option_of_a_command_stands_on_its_page(command: str) -> None:
    page = (DOCS / "prediction.md").read_text()
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"pipeline.cli.{command}").register(parser)
    names = [action.option_strings[0] for action in parser._actions if action.option_strings]
    assert len(names) > 5
    assert [name for name in names if name not in page] == []


def test_every_field_of_a_manifest_stands_on_its_page() -> None:
    page = (DOCS / "manifests.md").read_text()
    schema = json.loads((DOCS.parent / "data_manifests" / "schema.json").read_text())
    msd = {"training", "validation", "testing", "test", "reference", "release"}  # as it stands
    fields = {*schema["properties"], *schema["$defs"]["case"]["properties"]} - msd
    assert [name for name in sorted(fields) if f"`{name}`" not in page and name not in page] == []


def test_the_example_is_a_manifest(tmp_path: Path) -> None:
    from pipeline.manifests import load_manifest

    text = (DOCS / "manifests.md").read_text().split("```json\n")[1].split("```")[0]
    (tmp_path / "set.json").write_text(text)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
        for n in range(1, 5):
            (tmp_path / folder / f"P0{n}_a.nii.gz").touch()
    manifest = load_manifest(str(tmp_path / "set.json"), str(tmp_path))
    assert [len(manifest.part(part)) for part in ("train", "val", "test")] == [2, 1, 1]
