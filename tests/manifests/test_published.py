"""The manifests that come with the program; on real data only where these lie on the machine."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from pipeline.manifests import PARTS, Manifest, check_files, load_manifest, manifests_dir
from pipeline.settings import DATA_VARIABLE

Open = Callable[[str], Manifest]
FILES = sorted(manifests_dir().glob("*.json"))
SCHEMA = manifests_dir() / "schema.json"


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
