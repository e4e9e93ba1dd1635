from pathlib import Path

import pytest

from pipeline.check import CaseFacts, ImageFacts, LabelFacts
from pipeline.check.single import (
    check_channels,
    check_constant,
    check_finite,
    check_geometry,
    check_modality,
    check_readable,
    check_values,
)
from pipeline.manifests import Manifest

SET = Manifest("s", Path("s.json"), "CT", {"a": 1}, None, "softmax", ())


def _image(**changes: object) -> CaseFacts:
    values: dict[str, object] = {"shape": (4, 4, 4), "low": (-1000.0,), "high": (900.0,)}
    return CaseFacts("x", ImageFacts(**(values | changes)))  # type: ignore[arg-type]


def test_the_error_of_a_reader_is_divided_into_fact_and_remedy() -> None:
    (finding,) = check_readable(CaseFacts("x", problems=("f.nii is cut off; fetch it again",)))
    assert (finding.level, finding.measured) == ("error", "f.nii is cut off")
    assert finding.remedy == "fetch it again"


def test_a_note_of_a_reader_is_a_warning() -> None:
    (finding,) = check_readable(CaseFacts("x", notes=("lengths times 10",)))
    assert (finding.level, finding.measured) == ("warning", "lengths times 10")


@pytest.mark.parametrize(
    ("fits", "distance", "level"),
    [(True, 0.0, None), (True, 0.0005, None), (True, 0.05, "warning"), (False, 3.0, "error")],
)
def test_a_label_may_lie_off_its_image_by_a_tenth_of_a_voxel(
    fits: bool, distance: float, level: str | None
) -> None:
    label = LabelFacts((4, 4, 4), fits=fits, distance=distance)
    found = [f.level for f in check_geometry(CaseFacts("x", ImageFacts((4, 4, 4)), label))]
    assert found == ([] if level is None else [level])


def test_a_stray_value_is_named_with_its_voxels() -> None:
    (finding,) = check_values(
        CaseFacts("x", label=LabelFacts((4,), counts={0: 9, 1: 3, 4: 2})), SET
    )
    assert "4 (2 voxels)" in finding.measured


def test_a_mask_of_255_is_told_how_to_be_declared() -> None:
    volume = LabelFacts((4, 4, 4), counts={0: 9, 255: 3})
    (finding,) = check_values(CaseFacts("x", label=volume), SET)
    assert "declare 255" in finding.remedy


def test_i11_a_picture_of_0_and_255_is_no_error() -> None:
    assert not list(check_values(CaseFacts("x", label=LabelFacts((4, 4), counts={255: 3})), SET))
    mixed = LabelFacts((4, 4), counts={1: 2, 255: 3})
    assert [f.level for f in check_values(CaseFacts("x", label=mixed), SET)] == ["error"]


def test_voxels_that_are_no_number_are_counted() -> None:
    assert [f.measured for f in check_finite(_image(not_finite=3))] == ["3 voxels"]
    assert not list(check_finite(_image()))


def test_one_constant_channel_is_a_warning_and_all_an_error() -> None:
    two = {"channels": 2, "low": (0.0, 5.0)}
    assert [f.level for f in check_constant(_image(**two, high=(1.0, 5.0)))] == ["warning"]
    assert [f.level for f in check_constant(_image(**two, high=(0.0, 5.0)))] == ["error"]
    assert not list(check_constant(_image(**two, high=(1.0, 6.0))))


def test_a_header_that_says_another_modality_is_told() -> None:
    (finding,) = check_modality(_image(modality="MR"), SET)
    assert finding.measured == "the header says MR, the manifest CT"
    assert not list(check_modality(_image(modality="CT"), SET))


def test_the_number_of_channels_must_be_that_of_the_modalities() -> None:
    two = Manifest("s", Path("s.json"), ("CT", "PET"), {"a": 1}, None, "softmax", ())
    assert [f.level for f in check_channels(_image(channels=3), two)] == ["error"]
    assert not list(check_channels(_image(channels=2), two))
