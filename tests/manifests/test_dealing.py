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


def test_the_parts_follow_the_sha256_of_seed_and_patient() -> None:
    names = [f"p{n}" for n in range(10)]
    order = sorted(names, key=lambda name: hashlib.sha256(f"7:{name}".encode()).hexdigest())
    parts = deal_parts(cases(*names), seed=7)
    found = {part: {i.split("_")[0] for i in parts if parts[i] == part} for part in ("test", "val")}
    assert found == {"test": set(order[:2]), "val": set(order[2:3])}


def test_neither_the_order_of_cases_nor_other_cases_of_a_patient_matter() -> None:
    plain = deal_parts(cases("a", "b", "c", "d", "e"))
    again = deal_parts([*reversed(cases("a", "b", "c", "d", "e", "a"))])
    assert {i.split("_")[0]: p for i, p in plain.items()} == {
        i.split("_")[0]: p for i, p in again.items()
    }
    assert again["a_0"] == again["a_5"]


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
