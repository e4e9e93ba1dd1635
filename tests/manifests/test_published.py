"""The manifests that come with the program; on real data only where these lie on the machine."""

import ast
import json
import os
import re
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import jsonschema
import nibabel as nib
import pytest

from pipeline.manifests import PARTS, Manifest, check_files, load_manifest, manifests_dir
from pipeline.settings import DATA_VARIABLE

Open = Callable[[str], Manifest]
FILES = sorted(manifests_dir().glob("*.json"))
SCHEMA = manifests_dir() / "schema.json"
# those whose cases are neither generated, nor listed one by one or in a file beside the data
PATTERNS = [
    path
    for path in FILES
    if path != SCHEMA
    and "cases" in (keys := json.loads(path.read_text()).keys())
    and not {"generator", "splits_file"} & keys
]
# names that a patient rule or a split asks for
SPECIAL = {
    "carvana": ("0cdf5b5d0ce1_01", "0cdf5b5d0ce1_02"),
    "CHASE_DB1": tuple(f"{number:02d}L" for number in range(1, 15)),
}


def test_the_schema_is_valid_and_describes_every_key() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, row in schema["properties"].items():
        target = schema["$defs"][row["$ref"].split("/")[-1]] if "$ref" in row else row
        assert target["description"], name


@pytest.mark.parametrize("path", [p for p in FILES if p != SCHEMA], ids=lambda p: p.stem)
def test_every_manifest_fits_the_schema_and_names_its_source(path: Path) -> None:
    content = json.loads(path.read_text())
    jsonschema.validate(content, json.loads(SCHEMA.read_text()), jsonschema.Draft202012Validator)
    assert content["name"] == path.stem
    assert content["licence"]
    assert content["description"]
    assert "generator" in content or (content["citation"] and content["url"])
    assert {"generator", "archives", "instructions"} & content.keys()
    for archive in content.get("archives", ()):
        assert "url" in archive or content["instructions"]


@pytest.mark.parametrize("path", PATTERNS, ids=lambda p: p.stem)
def test_every_manifest_finds_its_cases_in_the_layout_that_it_describes(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(path.read_text())
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    names = SPECIAL.get(path.stem, ("a_01", "a_02"))
    patterns = content["cases"] if isinstance(content["cases"], list) else [content["cases"]]
    for pattern in patterns:
        labels = pattern.get("labels", ())
        texts = [labels] if isinstance(labels, str) else list(dict(labels).values())
        texts = [text for text in texts if isinstance(text, str)]
        for text in (pattern["images"], *texts):
            for name in names:
                for label in content["labels"] if "{label}" in text else [""]:
                    filled = text.replace("{id}", name).replace("{label}", label)
                    file = tmp_path / path.stem / filled.replace("*", name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.touch()
        names = tuple(f"test_{name}" for name in names)
    manifest = load_manifest(path.stem)
    check_files(manifest)
    assert len(manifest.cases) == len(patterns) * len(names)
    assert sum(case.label is not None for case in manifest.cases) == len(names)


def test_addresses_and_checksums_of_msd_are_those_of_monai() -> None:
    (source,) = (f for f in files("monai") or () if f.as_posix() == "monai/apps/datasets.py")
    table = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("md5", "resource")
        and any("Task01_BrainTumour" in ast.dump(key) for key in getattr(node.value, "keys", ()))
    }
    assert len(table["md5"]) == 10
    for task, md5 in table["md5"].items():
        (archive,) = json.loads((manifests_dir() / f"{task}.json").read_text())["archives"]
        assert archive["url"] == table["resource"][task]
        assert archive["checksum"] == f"md5:{md5}"


def test_totalsegmentator_has_the_117_structures_of_its_own_label_maps() -> None:
    content = json.loads((manifests_dir() / "totalsegmentator.json").read_text())
    assert sorted(content["labels"].values()) == list(range(1, 118))
    root = os.environ.get(DATA_VARIABLE)
    file = Path(root or "") / "torso_ct" / "example_seg.nii.gz"
    if not root or not file.is_file():
        pytest.skip(f"{DATA_VARIABLE} has no torso_ct, whose header names them")
    (extension, *_) = nib.load(file).header.extensions  # type: ignore[attr-defined]
    text = str(extension.get_content())
    named = re.findall(r'Key="(\d+)".*?CDATA\[(.*?)\]', text)
    assert {name: int(key) for key, name in named} == content["labels"]


def test_the_children_of_chase_are_not_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    (tmp_path / "CHASE_DB1").mkdir()
    for number in range(1, 15):
        for eye in "LR":
            (tmp_path / "CHASE_DB1" / f"Image_{number:02d}{eye}.jpg").touch()
    manifest = load_manifest("CHASE_DB1")
    assert [len(manifest.part(part)) for part in PARTS] == [20, 0, 8]
    assert len({case.patient for case in manifest.cases}) == 14


@pytest.fixture
def real() -> Open:
    """Open a set of `UNETWORKS_DATA`, if it is there."""

    def _open(name: str) -> Manifest:
        if not os.environ.get(DATA_VARIABLE):
            pytest.skip(f"{DATA_VARIABLE} is not set")
        if not (Path(os.environ[DATA_VARIABLE]) / name).is_dir():
            pytest.skip(f"{DATA_VARIABLE} has no {name}")
        manifest = load_manifest(name)
        check_files(manifest)
        return manifest

    return _open


def test_the_hippocampus_has_170_patients_in_five_folds_of_52(real: Open) -> None:
    manifest = real("hippocampus")
    assert (len(manifest.cases), len({case.patient for case in manifest.cases})) == (260, 170)
    counts = [[len(manifest.part(part, fold)) for part in PARTS] for fold in range(5)]
    assert counts == [[208, 0, 52]] * 5
    held_out = [case.id for fold in range(5) for case in manifest.part("test", fold)]
    assert sorted(held_out) == sorted(case.id for case in manifest.cases)
    pair = [c.patient for c in manifest.cases if c.id in ("hippocampus_003", "hippocampus_004")]
    assert pair == ["2", "2"]


def test_the_nuclei_hold_out_44_of_220_pictures(real: Open) -> None:
    manifest = real("nuclei")
    assert [len(manifest.part(part)) for part in PARTS] == [176, 0, 44]
    assert (manifest.spatial_dims, manifest.integers) == (2, (0, 255))


def test_the_sarcomas_hold_out_four_dicom_series(real: Open) -> None:
    manifest = real("sts_ct")
    assert [len(manifest.part(part)) for part in PARTS] == [23, 0, 4]
    assert [len(manifest.part(part, 3)) for part in PARTS] == [19, 0, 4]
    assert all(case.images[0].is_dir() for case in manifest.part("test"))
    assert all(case.images[0].is_file() for case in manifest.part("test", 3))
