import hashlib
from collections import Counter
from pathlib import Path

import pytest

from pipeline.errors import InvalidValueError
from pipeline.manifests import Case
from pipeline.manifests.dealing import deal_folds, deal_parts


def cases(*patients: str) -> list[Case]:
    file = Path("x.nii.gz")
    return [Case(f"{patient}_{n}", file, file, patient) for n, patient in enumerate(patients)]


def test_a_hundred_patients_are_dealt_70_10_20() -> None:
    parts = deal_parts(cases(*(f"p{n}" for n in range(100))))
    assert Counter(parts.values()) == {"train": 70, "val": 10, "test": 20}


def test_the_seed_alone_decides_between_equal_patients() -> None:
    some = cases(*(f"p{n}" for n in range(30)))
    dealt = [tuple(deal_parts(some, seed).values()) for seed in (0, 0, 1)]
    assert dealt[0] == dealt[1]
    assert dealt[0] != dealt[2]


def test_every_part_has_its_share_of_a_label_that_a_third_of_the_patients_have() -> None:
    some = cases(*(f"p{n:03}" for n in range(60)))
    present = {
        case.id: {"organ", *(["tumour"] if n % 3 == 0 else [])} for n, case in enumerate(some)
    }
    for seed in range(5):
        parts = deal_parts(some, seed, present)
        assert Counter(parts.values()) == {"train": 42, "val": 6, "test": 12}
        with_tumour = Counter(parts[name] for name, labels in present.items() if "tumour" in labels)
        assert with_tumour == {"train": 14, "val": 2, "test": 4}


def test_what_one_patient_alone_has_is_trained_on() -> None:
    some = cases(*(f"p{n}" for n in range(10)))
    for rare in some:
        parts = deal_parts(some, 0, {case.id: ["rare"] if case is rare else [] for case in some})
        assert parts[rare.id] == "train"


def test_the_order_of_cases_does_not_matter_and_a_patient_is_never_divided() -> None:
    some = cases(*"aabcdeffg")
    plain, again = deal_parts(some), deal_parts([*reversed(some)])
    assert plain == again
    assert len({plain[case.id] for case in some if case.patient == "a"}) == 1
    assert len({plain[case.id] for case in some if case.patient == "f"}) == 1


@pytest.mark.parametrize(
    ("patients", "counts"),
    [
        ("a", {"train": 1}),
        ("ab", {"train": 1, "test": 1}),
        ("abc", {"train": 1, "val": 1, "test": 1}),
    ],
)
def test_few_patients_still_hold_some_out(patients: str, counts: dict[str, int]) -> None:
    assert Counter(deal_parts(cases(*patients)).values()) == counts


def test_folds_hold_out_every_case_once_and_whole_patients() -> None:
    some = cases(*"aaabbccdefgh")
    folds = deal_folds(some, 3)
    assert sorted(name for fold in folds for name in fold) == sorted(case.id for case in some)
    assert [len(fold) for fold in folds] == [4, 4, 4]
    patients = [{name[0] for name in fold} for fold in folds]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]


@pytest.mark.parametrize("seed", range(8))
def test_a_patient_with_many_cases_does_not_unbalance_the_folds(seed: int) -> None:
    folds = deal_folds(cases(*"abcdefzzzz"), 2, seed)
    assert [len(fold) for fold in folds] == [5, 5]


def test_another_seed_deals_otherwise() -> None:
    some = cases(*"abcdefghij")
    assert deal_folds(some, 2, seed=0) == deal_folds(some, 2, seed=0)
    assert deal_folds(some, 2, seed=0) != deal_folds(some, 2, seed=1)


@pytest.mark.parametrize(("folds", "words"), [(1, "1 folds"), (0, "0 folds"), (4, "labels: 3")])
def test_folds_that_cannot_be_are_refused(folds: int, words: str) -> None:
    with pytest.raises(InvalidValueError, match=words):
        deal_folds(cases("a", "b", "c"), folds)


def test_folds_share_each_label_as_evenly_as_patients_allow() -> None:
    some = cases(*(f"p{n:02d}" for n in range(20)))
    rare = {case.id for case in some[:5]}
    common = {case.id for case in some[3:15]}
    present = {
        case.id: {*(["rare"] if case.id in rare else []), *(["c"] if case.id in common else [])}
        for case in some
    }
    for seed in range(5):
        folds = deal_folds(some, 5, seed, present)
        assert [len(fold) for fold in folds] == [4] * 5
        assert [len(rare.intersection(fold)) for fold in folds] == [1] * 5
        assert sorted(len(common.intersection(fold)) for fold in folds) == [2, 2, 2, 3, 3]


def test_labels_follow_whole_patients() -> None:
    some = cases(*"aaabbbccddeeff")
    present = {case.id: {"x"} for case in some if case.patient in "ab"}
    folds = deal_folds(some, 2, 0, present)
    patients = [{name[0] for name in fold} for fold in folds]
    assert not patients[0] & patients[1]
    assert sorted(len({"a", "b"} & fold) for fold in patients) == [1, 1]
    assert [len(fold) for fold in folds] == [7, 7]


def test_neither_the_order_of_cases_nor_of_labels_changes_the_folds() -> None:
    some = cases(*"abcdefghij")
    present = {case.id: {"x", "y"} if n % 3 else {"z"} for n, case in enumerate(some)}
    backward = {key: sorted(present[key], reverse=True) for key in reversed(present)}
    first = deal_folds(some, 3, 1, present)
    again = deal_folds([*reversed(some)], 3, 1, backward)
    assert [set(fold) for fold in first] == [set(fold) for fold in again]


def test_a_known_division_stays_what_it_is() -> None:
    some = [Case(n, Path("x.nii"), Path("x.nii"), n) for n in "abcdefgh"]
    present = {n: {"lesion"} for n in "adh"}
    order = sorted("abcdefgh", key=lambda n: hashlib.sha256(f"0:{n}".encode()).hexdigest())
    first = [n for n in order if n in present]
    folds = deal_folds(some, 3, 0, present)
    assert [next(n for n in fold if n in present) for fold in folds] == first
