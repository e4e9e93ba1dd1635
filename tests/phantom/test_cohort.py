import json
import re
from pathlib import Path

import pytest

from pipeline.manifests import load_manifest, manifests_dir
from pipeline.phantom import LABELS, cohort
from pipeline.phantom.cohort import manifest_document


def test_the_committed_manifest_is_what_the_generator_writes() -> None:
    path = manifests_dir() / "phantom.json"
    assert json.loads(path.read_text(encoding="utf-8")) == manifest_document()


def test_the_manifest_declares_the_labels_in_their_order() -> None:
    document = json.loads((manifests_dir() / "phantom.json").read_text(encoding="utf-8"))
    assert list(document["labels"].items()) == list(LABELS.items())
    assert list(LABELS.values()) == [1, 2, 3, 4, 5, 6]


def test_ids_are_numbered_and_seeds_are_all_different() -> None:
    members = cohort()
    assert all(re.fullmatch(r"phantom_\d{3}", member.id) for member in members)
    assert len({member.id for member in members}) == len({m.seed for m in members}) == len(members)


def test_only_test_patients_have_a_dicom_series() -> None:
    assert {m.part for m in cohort() if m.series} == {"test"}
    assert all(m.series == f"dicom/{m.id}" for m in cohort() if m.part == "test")


def test_loading_the_manifest_gives_the_same_members_with_all_of_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path))
    manifest = load_manifest("phantom")
    assert [(c.id, c.patient, c.part) for c in manifest.cases] == [
        (m.id, m.id, m.part) for m in cohort()
    ]
    assert manifest.labels == LABELS
    for case in manifest.cases:
        assert isinstance(case.image, Path)
        assert isinstance(case.label, Path)
        assert case.image.is_file()
        assert case.label.is_file()
