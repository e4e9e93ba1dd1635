"""Each fault is planted in a written set of six cases; exactly it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.check import Finding, check_manifest

if TYPE_CHECKING:
    from tests.check.conftest import Tiny

Said = Callable[[tuple[Finding, ...]], list[tuple[str, str, str]]]


def test_a_set_without_fault_says_nothing(tiny: Tiny) -> None:
    assert tiny.findings() == ()


def _nan(tiny: Tiny) -> None:
    tiny.images["c2"] = tiny.images["c2"].astype(np.float32)
    for name in tiny.images:
        tiny.images[name] = tiny.images[name].astype(np.float32)
    tiny.images["c2"][5, 5, 5] = np.nan


def _constant(tiny: Tiny) -> None:
    tiny.images["c1"][:] = -1000
    tiny.raw["labels"] = {"kidney": 1, "other": 2}


def _stray(tiny: Tiny) -> None:
    tiny.labels["c3"][5, 5, 5] = 7


def _empty(tiny: Tiny) -> None:
    tiny.labels["c0"][:] = 0


def _copy_in_part(tiny: Tiny) -> None:
    tiny.images["c1"] = tiny.images["c0"].copy()


def _copy_across(tiny: Tiny) -> None:
    tiny.images["c5"] = tiny.images["c0"].copy()


def _other_shape(tiny: Tiny) -> None:
    tiny.labels["c2"] = tiny.labels["c2"][..., :-1]


def _shifted(tiny: Tiny) -> None:
    tiny.label_affines["c2"] = _moved(1.0)


def _slightly(tiny: Tiny) -> None:
    tiny.label_affines["c2"] = _moved(0.1)


def _moved(mm: float) -> np.ndarray[Any, Any]:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-11 + mm, -9, 0)
    return affine


def _spacing(tiny: Tiny) -> None:
    tiny.affines["c4"] = np.diag([2.0, 2.0, 9.0, 1.0])
    tiny.affines["c4"][:3, 3] = (-11, -9, 0)


def _orientation(tiny: Tiny) -> None:
    affine = np.diag([2.0, -2.0, 3.0, 1.0])
    affine[:3, 3] = (-11, 9, 0)
    tiny.affines["c4"] = affine


def _shape(tiny: Tiny) -> None:
    tiny.images["c4"] = np.concatenate([tiny.images["c4"]] * 3, axis=2)
    tiny.labels["c4"] = np.concatenate([tiny.labels["c4"]] * 3, axis=2)


def _no_air(tiny: Tiny) -> None:
    tiny.images["c3"] += 1024


def _sides(tiny: Tiny) -> None:
    label = tiny.labels["c3"]
    tiny.labels["c3"] = np.choose(label, np.array([0, 2, 1], np.uint8)).astype(np.uint8)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (_nan, [("c2", "error", "NaN or infinite")]),
        (_stray, [("c3", "error", "undeclared label value")]),
        (_empty, [("c0", "warning", "empty label")]),
        (_copy_in_part, [("c1", "warning", "duplicate")]),
        (_copy_across, [("c5", "error", "duplicate in two parts")]),
        (_other_shape, [("c2", "error", "label of another shape")]),
        (_shifted, [("c2", "error", "label on another grid")]),
        (_slightly, [("c2", "warning", "label slightly off")]),
        (_spacing, [("c4", "warning", "spacing unlike the rest")]),
        (_orientation, [("c4", "warning", "orientation unlike the rest")]),
        (_shape, [("c4", "warning", "shape unlike the rest")]),
        (_sides, [("c3", "warning", "sides swapped")] * 2),
    ],
)
def test_a_planted_fault_is_found_and_nothing_else(
    tiny: Tiny, said: Said, plant: Callable[[Tiny], None], expected: list[tuple[str, str, str]]
) -> None:
    plant(tiny)
    findings = tiny.findings()
    assert said(findings) == expected
    assert all(f.measured and f.remedy for f in findings)


def test_a_constant_image_is_an_error(tiny: Tiny, said: Said) -> None:
    _constant(tiny)
    assert ("c1", "error", "constant image") in said(tiny.findings())


def test_values_without_air_do_not_look_like_ct(tiny: Tiny, said: Said) -> None:
    _no_air(tiny)
    assert ("c3", "warning", "does not look like CT") in said(tiny.findings())


def test_hounsfield_values_do_not_look_like_mr(tiny: Tiny) -> None:
    tiny.raw["modality"] = "MR"
    assert {f.what for f in tiny.findings()} == {"does not look like MR"}


def test_exchanged_labels_are_named_as_those_of_another_scan(tiny: Tiny) -> None:
    tiny.affines["c1"] = _moved(40.0)
    tiny.label_affines |= {"c1": _moved(0.0), "c0": _moved(40.0)}
    found = {f.case: f.measured for f in tiny.findings() if f.what == "label of another scan"}
    assert found["c0"] == "its grid is that of the image of c1"
    assert found["c1"] == "its grid is that of the image of c0, c2, c3 and 2 more"


def test_a_label_with_mirrored_axes_over_the_same_box_is_no_error(tiny: Tiny, said: Said) -> None:
    mirrored = np.diag([2.0, -2.0, 3.0, 1.0])
    mirrored[:3, 3] = (-11, 9, 0)
    tiny.labels["c2"] = tiny.labels["c2"][:, ::-1]
    tiny.label_affines["c2"] = mirrored
    (finding,) = tiny.findings()
    assert said((finding,)) == [("c2", "warning", "label with other axes")]
    assert finding.measured == "label RPS, image RAS"


def test_a_declared_label_that_no_case_has_is_told_once(tiny: Tiny, said: Said) -> None:
    tiny.raw["labels"] = {"left kidney": 1, "right kidney": 2, "spleen": 3}
    assert said(tiny.findings()) == [("-", "warning", "label never present")]


def test_most_cases_swapped_is_told_of_the_set(tiny: Tiny, said: Said) -> None:
    tiny.raw["labels"] = {"left kidney": 2, "right kidney": 1}
    assert said(tiny.findings()) == [("-", "warning", "sides swapped")] * 2


def test_a_label_stored_as_float_is_told(tiny: Tiny, said: Said) -> None:
    tiny.labels["c2"] = tiny.labels["c2"].astype(np.float32)
    assert said(tiny.findings()) == [("c2", "warning", "label stored as float")]


@pytest.mark.parametrize("name", ["c2.nii.gz", "c2_seg.nii.gz"])
def test_a_file_cut_off_is_unreadable_and_the_others_are_checked(
    tiny: Tiny, said: Said, name: str
) -> None:
    manifest = tiny.load()
    file = tiny.folder / name
    file.write_bytes(file.read_bytes()[:-20])
    report = check_manifest(manifest, jobs=1)
    assert said(report.findings) == [("c2", "error", "unreadable")]
    assert report.cases == 6


def test_a_missing_image_is_unreadable(tiny: Tiny, said: Said) -> None:
    manifest = tiny.load()
    (tiny.folder / "c0.nii.gz").unlink()
    assert said(check_manifest(manifest, jobs=1).findings) == [("c0", "error", "unreadable")]
