from pathlib import Path

import pytest

from pipeline.check import CaseFacts, ImageFacts
from pipeline.check.across import (
    check_duplicates,
    check_identities,
    check_patients,
    divisions_of,
)
from pipeline.manifests import Case, Manifest
from pipeline.manifests.manifest import Fold

PARTS = [{"a": "train", "b": "test", "c": "train"}]


def _case(name: str, patient: str) -> Case:
    return Case(name, Path(name), None, patient)


def test_a_patient_of_the_manifest_in_two_parts_is_an_error() -> None:
    cases = [_case("a", "p"), _case("b", "p"), _case("c", "p")]
    (finding,) = check_patients(cases, PARTS)
    assert (finding.case, finding.level) == ("b", "error")
    assert finding.measured == "a and b are in train and test"


def test_a_dicom_patient_in_two_parts_is_an_error_whatever_the_manifest_says() -> None:
    facts = [CaseFacts("a", patient="h"), CaseFacts("b", patient="h"), CaseFacts("c")]
    cases = [_case("a", "1"), _case("b", "2"), _case("c", "3")]
    (finding,) = check_identities(facts, cases, PARTS)
    assert (finding.case, finding.level, finding.what) == ("b", "error", "patient in two parts")


def test_a_dicom_patient_under_two_names_in_one_part_is_a_warning() -> None:
    facts = [CaseFacts("a", patient="h"), CaseFacts("c", patient="h")]
    (finding,) = check_identities(facts, [_case("a", "1"), _case("c", "2")], PARTS)
    assert (finding.case, finding.level) == ("c", "warning")
    assert not list(check_identities(facts, [_case("a", "1"), _case("c", "1")], PARTS))


def test_equal_voxels_are_an_error_across_and_a_warning_within() -> None:
    facts = [CaseFacts(name, ImageFacts((2,), digest="d")) for name in "abc"]
    found = {f.case: f.level for f in check_duplicates(facts, PARTS)}
    assert found == {"b": "error", "c": "warning"}


@pytest.mark.parametrize(("fold", "count"), [(None, 3), (1, 1)])
def test_all_folds_count_unless_one_is_asked_for(fold: int | None, count: int) -> None:
    cases = tuple(_case(name, name) for name in "ab")
    folds = (Fold(("a",), (), ("b",)), Fold(("b",), (), ("a",)))
    manifest = Manifest("s", Path("s"), "CT", {"x": 1}, None, "softmax", cases, folds)
    divisions = divisions_of(manifest, fold)
    assert len(divisions) == count
    assert divisions[-1] == {"b": "train of fold 1", "a": "test of fold 1"}
