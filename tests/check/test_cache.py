from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.check import CaseFacts, ImageFacts, LabelFacts, check_manifest
from pipeline.check.cache import stamp_of
from pipeline.errors import InvalidValueError
from pipeline.io import write_nifti
from pipeline.manifests import Case

if TYPE_CHECKING:
    from tests.check.conftest import Tiny


def test_facts_survive_the_way_through_json() -> None:
    affine = ((1.0, 0.0), (0.0, 1.0))
    label = LabelFacts((2, 2), counts={0: 3, 1: 1}, centres={1: 0.5}, ends=(1,))
    facts = CaseFacts("x", ImageFacts((2, 2), affine=affine, low=(1.0,)), label, notes=("a",))
    assert CaseFacts.from_json(facts.to_json()) == facts
    assert CaseFacts.from_json(CaseFacts("y").to_json()) == CaseFacts("y")


def test_a_second_check_reads_nothing_and_says_the_same(tiny: Tiny) -> None:
    tiny.labels["c0"][:] = 0
    manifest = tiny.load()
    first, second = (check_manifest(manifest, jobs=1) for _ in range(2))
    assert (first.read, second.read) == (6, 0)
    assert second.findings == first.findings != ()


def test_a_file_that_changed_is_read_again_alone(tiny: Tiny) -> None:
    manifest = tiny.load()
    check_manifest(manifest, jobs=1)
    label = np.zeros_like(tiny.labels["c1"])
    write_nifti(tiny.folder / "c1_seg.nii.gz", label, np.diag([2.0, 2, 3, 1]))
    report = check_manifest(manifest, jobs=1)
    assert report.read == 1
    assert {f.case for f in report.findings} == {"c1"}


def test_what_could_not_be_read_is_tried_again(tiny: Tiny) -> None:
    manifest = tiny.load()
    file = tiny.folder / "c1.nii.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:50])
    assert check_manifest(manifest, jobs=1).errors == 1
    assert check_manifest(manifest, jobs=1).read == 1
    file.write_bytes(whole)
    assert check_manifest(manifest, jobs=1).errors == 0


def test_a_damaged_cache_is_measured_anew(tiny: Tiny, tmp_path: Path) -> None:
    manifest = tiny.load()
    check_manifest(manifest, jobs=1)
    for file in (tmp_path / "cache" / "checks").iterdir():
        file.write_text("{")
    assert check_manifest(manifest, jobs=1).read == 6


def test_the_cache_names_neither_case_nor_path(tiny: Tiny, tmp_path: Path) -> None:
    check_manifest(tiny.load(), jobs=1)
    files = list((tmp_path / "cache" / "checks").iterdir())
    assert len(files) == 6
    for file in files:
        assert "c1" not in file.name.split(".")[0] or len(file.stem) == 32
        assert str(tiny.folder) not in file.read_text()
        assert '"id": ""' in file.read_text()


def test_a_slice_that_changed_in_a_folder_changes_the_stamp(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    file = tmp_path / "scan" / "1.dcm"
    file.write_bytes(b"a")
    case = Case("x", tmp_path / "scan", None, "x")
    before = stamp_of(case)
    assert stamp_of(case) == before
    os.utime(file, ns=(1, 1))
    assert stamp_of(case) != before


def test_two_processes_find_what_one_finds(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.labels["c3"][5, 5, 5] = 7
    manifest = tiny.load()
    two = check_manifest(manifest, jobs=2)
    monkeypatch.setenv("UNETWORKS_CACHE", str(tiny.folder / "other"))
    one = check_manifest(manifest, jobs=1)
    assert two.read == one.read == 6
    assert two.findings == one.findings != ()


def test_no_process_at_all_is_refused(tiny: Tiny) -> None:
    with pytest.raises(InvalidValueError, match="--jobs 0"):
        check_manifest(tiny.load(), jobs=0)
