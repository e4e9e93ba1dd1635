from collections.abc import Callable

import pytest

from pipeline.planning import Fingerprint
from pipeline.planning.augmentation import NO_AUGMENTATION, planned_augmentation

Make = Callable[..., Fingerprint]


@pytest.mark.parametrize(
    "names", [("kidney_left", "kidney_right"), ("Anterior", "Posterior"), ("lung L", "lung R")]
)
def test_labels_with_sides_are_never_mirrored(
    pictures: Fingerprint, make_facts: Make, names: tuple[str, str]
) -> None:
    sided = make_facts(classes=names, dims=2, spacing=None, spacing_range=None, shape=(64, 64))
    augment, why = planned_augmentation(sided, 2)
    assert augment["flip"] == []
    assert "sides" in why
    assert planned_augmentation(pictures, 2)[0]["flip"] == [0, 1]


@pytest.mark.parametrize("name", ["brighter", "role", "cleft"])
def test_a_side_is_a_word_not_a_part_of_one(make_facts: Make, name: str) -> None:
    facts = make_facts(classes=(name,), dims=2, spacing=None, spacing_range=None, shares=(0.5, 0.5))
    assert planned_augmentation(facts, 2)[0]["flip"] == [0, 1]


def test_a_body_is_not_mirrored_even_where_labels_name_no_side(ct: Fingerprint) -> None:
    assert planned_augmentation(ct, 3)[0]["flip"] == []
    assert planned_augmentation(ct, 2)[0]["flip"] == []


def test_hu_change_little_and_other_values_also_in_contrast(
    ct: Fingerprint, mr: Fingerprint
) -> None:
    hu, free = planned_augmentation(ct, 3)[0], planned_augmentation(mr, 3)[0]
    assert hu["gamma"] is None
    assert free["gamma"] is not None
    assert all(hu[name] < free[name] for name in ("gain", "offset", "noise"))


def test_no_augmentation_names_the_same_changes_and_makes_none(ct: Fingerprint) -> None:
    assert set(NO_AUGMENTATION) == set(planned_augmentation(ct, 3)[0])
    assert not any(NO_AUGMENTATION.values())
