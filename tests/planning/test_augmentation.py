from collections.abc import Callable

import pytest

from pipeline.planning import Fingerprint, make_plan
from pipeline.planning.augmentation import NO_AUGMENTATION

Make = Callable[..., Fingerprint]


def of(facts: Fingerprint, dims: int = 3) -> tuple[dict[str, object], str]:
    plan = make_plan(facts, spatial_dims=dims)
    return dict(plan.augment), plan.why["augment"]


@pytest.mark.parametrize(
    "names",
    [
        ("kidney_left", "kidney_right"),
        ("Anterior", "Posterior"),
        ("lung L", "lung R"),
        ("LeftLung", "RightLung"),
        ("LV", "RV"),
    ],
)
def test_labels_with_sides_are_never_mirrored(
    pictures: Fingerprint, make_picture_facts: Make, names: tuple[str, str]
) -> None:
    augment, why = of(make_picture_facts(classes=names, shares=(0.8, 0.1, 0.1)), 2)
    assert augment["flip"] == []
    assert names[0] in why
    assert of(pictures, 2)[0]["flip"] == [0, 1]


@pytest.mark.parametrize("name", ["brighter", "role", "cleft", "overlap"])
def test_a_side_is_a_word_not_a_part_of_one(make_picture_facts: Make, name: str) -> None:
    assert of(make_picture_facts(classes=(name,)), 2)[0]["flip"] == [0, 1]


def test_a_body_is_not_mirrored_even_where_labels_name_no_side(ct: Fingerprint) -> None:
    assert of(ct, 3)[0]["flip"] == []
    assert of(ct, 2)[0]["flip"] == []


def test_what_lies_under_a_microscope_is_turned_freely_and_mirrored(pictures: Fingerprint) -> None:
    augment, why = of(pictures, 2)
    assert augment["rotate"] == pytest.approx(3.14)
    assert "no side" in why


def test_photographs_are_upright_so_only_left_and_right_change_places(
    make_picture_facts: Make,
) -> None:
    augment, why = of(make_picture_facts(modality=("photograph",)), 2)
    assert augment["flip"] == [1]  # columns
    assert augment["rotate"] == 0.2
    assert "upright" in why


@pytest.mark.parametrize("modality", ["X-ray", "US", "OCT", "CT"])
def test_a_picture_of_a_body_is_not_mirrored(make_picture_facts: Make, modality: str) -> None:
    augment, why = of(make_picture_facts(modality=(modality,)), 2)
    assert augment["flip"] == []
    assert augment["rotate"] == 0.2
    assert "a body has sides" in why


def test_thick_slices_are_turned_within_themselves_for_else_they_would_be_sheared(
    make_facts: Make,
) -> None:
    thick = make_facts(shape=(200, 200, 24), spacing=(0.8, 0.8, 5.0))
    augment, why = of(thick)
    assert augment["rotate_axes"] == [2]
    assert "thick" in why
    sagittal = make_facts(shape=(24, 40, 40), spacing=(5.0, 1.0, 1.0))
    assert of(sagittal)[0]["rotate_axes"] == [0]
    assert of(make_facts(spacing=(1.0, 1.0, 1.9)))[0]["rotate_axes"] == [0, 1, 2]


def test_hu_change_little_and_other_values_also_in_contrast(
    ct: Fingerprint, mr: Fingerprint
) -> None:
    hu, free = make_plan(ct).augment, make_plan(mr).augment
    assert hu["gamma"] is None
    assert free["gamma"] is not None
    assert all(hu[name] < free[name] for name in ("gain", "offset", "noise"))


def test_no_augmentation_names_the_same_changes_and_makes_none(ct: Fingerprint) -> None:
    assert set(NO_AUGMENTATION) == set(make_plan(ct).augment)
    assert not any(NO_AUGMENTATION.values())
