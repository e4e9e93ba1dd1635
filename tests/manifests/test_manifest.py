from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.manifests import Manifest, load_manifest

Write = Callable[..., Path]


def ids(manifest: Manifest, part: str, fold: int | None = None) -> list[str]:
    return [case.id for case in manifest.part(part, fold)]  # type: ignore[arg-type]


def entries(*names: str) -> list[dict[str, str]]:
    return [{"id": name, "image": f"{name}.nii.gz", "label": f"{name}_l.nii.gz"} for name in names]


def test_labels_get_a_softmax_channel_each_and_one_for_background(write: Write) -> None:
    manifest = load_manifest(write(labels={"background": 0, "tumour": 2, "liver": 1}))
    assert manifest.labels == {"tumour": 2, "liver": 1}
    assert manifest.foreground == ("tumour", "liver")
    assert (manifest.head, manifest.out_channels) == ("softmax", 3)
    assert (manifest.values, manifest.integers) == (((2,), (1,)), (0, 1, 2))


def test_regions_get_a_sigmoid_channel_each(write: Write) -> None:
    manifest = load_manifest(write(labels=None, regions={"whole": [1, 2, 4], "core": [1, 4]}))
    assert manifest.foreground == ("whole", "core")
    assert (manifest.head, manifest.out_channels) == ("sigmoid", 2)
    assert (manifest.values, manifest.integers) == (((1, 2, 4), (1, 4)), (0, 1, 2, 4))


def test_a_single_label_may_ask_for_a_sigmoid(write: Write) -> None:
    assert load_manifest(write(head="sigmoid")).out_channels == 1


def test_parts_follow_the_lists_of_a_monai_datalist(write: Write) -> None:
    manifest = load_manifest(
        write(training=entries("a", "b"), validation=entries("c"), testing=entries("d"))
    )
    assert [ids(manifest, p) for p in ("train", "val", "test")] == [["a", "b"], ["c"], ["d"]]


def test_what_a_fold_holds_out_is_reported_and_chooses_nothing(write: Write) -> None:
    folds = [{"train": ["b", "c"], "val": ["a"]}, {"val": ["b", "c"]}]
    manifest = load_manifest(write(training=None, cases=entries("a", "b", "c"), folds=folds))
    assert [ids(manifest, p, 0) for p in ("train", "val", "test")] == [["b", "c"], [], ["a"]]
    assert [ids(manifest, p, 1) for p in ("train", "val", "test")] == [["a"], [], ["b", "c"]]


def test_a_fold_with_val_and_test_chooses_on_the_one_and_reports_the_other(write: Write) -> None:
    folds = [{"val": ["a"], "test": ["b"]}]
    manifest = load_manifest(write(training=entries("a", "b", "c"), folds=folds))
    assert [ids(manifest, p, 0) for p in ("train", "val", "test")] == [["c"], ["a"], ["b"]]


def test_with_a_fold_the_test_cases_of_the_split_stay_out(write: Write) -> None:
    manifest = load_manifest(
        write(training=entries("a", "b"), testing=entries("d"), folds=[["a"], ["b"]])
    )
    assert [ids(manifest, p, 1) for p in ("train", "val", "test")] == [["a"], [], ["b"]]
    assert [ids(manifest, p) for p in ("train", "val", "test")] == [["a", "b"], [], ["d"]]


def test_with_a_fold_the_val_cases_of_the_split_still_choose(write: Write) -> None:
    manifest = load_manifest(
        write(training=entries("a", "b"), validation=entries("v"), folds=[["a"], ["b"]])
    )
    assert [ids(manifest, p, 0) for p in ("train", "val", "test")] == [["b"], ["v"], ["a"]]


def test_a_fold_may_name_patients(write: Write) -> None:
    cases = [{**entry, "patient": entry["id"][0]} for entry in entries("p1", "p2", "q1")]
    manifest = load_manifest(write(training=cases, folds=[{"val": ["p"]}, {"val": ["q"]}]))
    assert [ids(manifest, p, 0) for p in ("train", "test")] == [["q1"], ["p1", "p2"]]


def test_a_number_of_the_fold_in_each_case_makes_folds(write: Write) -> None:
    cases = [{**entry, "fold": n % 2} for n, entry in enumerate(entries("a", "b", "c"))]
    manifest = load_manifest(write(training=cases))
    assert [ids(manifest, "test", fold) for fold in (0, 1)] == [["a", "c"], ["b"]]


def test_a_fold_without_folds_is_refused(write: Write) -> None:
    with pytest.raises(InvalidValueError, match="has no folds") as caught:
        load_manifest(write()).part("train", 0)
    assert "unetworks data split" in caught.value.hint


def test_a_fold_beyond_the_last_is_refused_with_the_range(write: Write) -> None:
    manifest = load_manifest(write(folds=[["c0"], ["c1"]]))
    for fold in (2, -1):
        with pytest.raises(InvalidValueError, match=f"no fold {fold}") as caught:
            manifest.part("train", fold)
        assert caught.value.hint == "choose from 0 to 1"


def test_folds_without_a_split_ask_for_a_fold(write: Write) -> None:
    with pytest.raises(InvalidValueError, match="2 folds and no split") as caught:
        load_manifest(write(folds=[["c0"], ["c1"]])).part("train")
    assert "--fold 0" in caught.value.hint


def test_cases_without_any_division_ask_for_one(write: Write) -> None:
    manifest = load_manifest(write(training=None, cases=entries("a", "b")))
    with pytest.raises(InvalidValueError, match="train, val or test"):
        manifest.part("test")


def test_an_unknown_part_is_refused(write: Write) -> None:
    with pytest.raises(UnknownNameError, match='"valid"'):
        load_manifest(write()).part("valid")  # type: ignore[arg-type]


def test_the_hash_is_the_same_wherever_the_manifest_goes(write: Write) -> None:
    here, there = write("here/set.json"), write("there/deep/set.json")
    assert load_manifest(here).hash == load_manifest(there).hash


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"liver": 2}},
        {"labels": {"spleen": 1}},
        {"modality": "MR"},
        {"training": entries("c0", "c1", "c2")},
        {"training": entries("c0"), "testing": entries("c1")},
        {"training": [{**entry, "patient": "p"} for entry in entries("c0", "c1")]},
        {"folds": [["c0"], ["c1"]]},
    ],
)
def test_the_hash_changes_with_labels_cases_patients_and_folds(
    write: Write, change: dict[str, object]
) -> None:
    plain = load_manifest(write()).hash
    assert len(plain) == 64
    assert load_manifest(write(**change)).hash != plain


def test_the_hash_does_not_change_with_the_order_of_cases_or_a_note(write: Write) -> None:
    plain = load_manifest(write(training=entries("a", "b"))).hash
    other = write(training=entries("b", "a"), _note="x", description="y", licence="CC0 1.0")
    assert load_manifest(other).hash == plain
