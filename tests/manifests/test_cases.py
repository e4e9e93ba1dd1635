from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from pipeline.errors import DataError
from pipeline.manifests import load_manifest
from pipeline.manifests.cases import distinct_names, stem

Write = Callable[..., Path]
Touch = Callable[..., None]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *(("a.nii.gz", "a"), ("a.NII", "a"), ("a.b.png", "a.b"), ("1.2.840", "1.2.840")),
        *(("scan", "scan"), ("a.gz", "a.gz"), (".png", ".png")),
    ],
)
def test_the_stem_drops_the_extensions_of_images_only(name: str, found: str) -> None:
    assert stem(name) == found


def test_equal_names_get_their_parents_until_they_differ() -> None:
    paths = ["x/a/ct.nii.gz", "y/a/ct.nii.gz", "y/b/ct.nii.gz", "z/mr.nii.gz"]
    found = distinct_names([PurePosixPath(path) for path in paths])
    assert found == ["x__a__ct", "y__a__ct", "b__ct", "mr"]


def test_ids_come_from_the_images_names_where_none_are_given(write: Write) -> None:
    cases = [
        {"image": "imagesTr/liver_7_0000.nii.gz", "label": "l.nii.gz"},
        {"image": ["t/b_0000.nii.gz", "t/b_0001.nii.gz"], "label": "l.nii.gz"},
        {"image": {"dicom": "scans/P03", "series": 2}, "label": "l.nii.gz"},
        {"id": "own", "image": "c.nii.gz", "label": "l.nii.gz"},
    ]
    manifest = load_manifest(write(training=cases))
    assert [case.id for case in manifest.cases] == ["liver_7_0000", "b", "P03", "own"]
    assert [case.series for case in manifest.cases] == [None, None, 2, None]
    assert [case.patient for case in manifest.cases] == ["liver_7_0000", "b", "P03", "own"]


@pytest.mark.parametrize("image", ["../..", "..", ".nii.gz", "a\\b.nii.gz"])
def test_an_image_whose_name_makes_no_id_needs_one(write: Write, image: str) -> None:
    with pytest.raises(DataError, match="no id can be made"):
        load_manifest(write(training=[{"image": image, "label": "l.nii.gz"}]))


def test_an_id_given_twice_is_refused(write: Write) -> None:
    cases = [{"id": "a", "image": f"{n}.nii.gz", "label": "l.nii.gz"} for n in range(3)]
    with pytest.raises(DataError, match='the first is "a"'):
        load_manifest(write(training=cases))


def test_a_pattern_finds_cases_labels_and_patients(write: Write, touch: Touch) -> None:
    touch(*(f"images/p{n}_x.nii.gz" for n in (1, 2, 3, 4)), "images/._p1_x.nii.gz")
    rule = {"pattern": r"p(\d+)_", "group_size": 2}
    pattern = {"images": "images/*.nii.gz", "labels": "labels/{id}.nii.gz", "patient": rule}
    manifest = load_manifest(write(training=None, cases=pattern))
    assert [(c.id, c.patient) for c in manifest.cases] == [
        *(("p1_x", "1"), ("p2_x", "1"), ("p3_x", "2"), ("p4_x", "2")),
    ]
    assert manifest.cases[0].label == manifest.path.parent / "labels/p1_x.nii.gz"


def test_a_pattern_with_an_id_names_folders_and_channels(write: Write, touch: Touch) -> None:
    touch("test/A 1/dicom/1.dcm", "test/B/dicom/1.dcm")
    touch("tr/ü_0000.nii.gz", "tr/ü_0001.nii.gz", "tr/v_0000.nii.gz")
    patterns = [
        {"images": "test/{id}/dicom", "labels": "test/{id}/label.nii.gz", "split": "test"},
        {
            "images": ["tr/{id}_0000.nii.gz", "tr/{id}_0001.nii.gz"],
            **{"labels": "l/{id}.nii.gz", "split": "train"},
        },
    ]
    manifest = load_manifest(write(training=None, cases=patterns))
    assert [(c.id, c.part) for c in manifest.cases] == [
        *(("A 1", "test"), ("B", "test"), ("v", "train"), ("ü", "train")),
    ]
    assert [file.name for file in manifest.cases[3].images] == ["ü_0000.nii.gz", "ü_0001.nii.gz"]


def test_the_patient_may_be_the_group_of_an_expression(write: Write, touch: Touch) -> None:
    touch("images/sub-07_ses-1_T1w.nii.gz", "images/sub-07_ses-2_T1w.nii.gz")
    pattern = {"images": "images/*", "patient": "(sub-[0-9]+)_.*", "split": "test"}
    manifest = load_manifest(write(training=None, cases=pattern))
    assert [case.patient for case in manifest.cases] == ["sub-07", "sub-07"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("p(", "no regular expression"),
        ("p.*", "has 0 groups"),
        ("q(.*)", 'does not fit case "p1"'),
        ({"pattern": "(p).*", "group_size": 2}, 'does not fit case "p1"'),
    ],
)
def test_a_patient_rule_that_does_not_work_is_refused(
    write: Write, touch: Touch, rule: object, words: str
) -> None:
    touch("images/p1.nii.gz")
    with pytest.raises(DataError, match=words.replace("(", r"\(")):
        load_manifest(write(training=None, cases={"images": "images/*", "patient": rule}))


def test_a_pattern_that_matches_nothing_names_the_folders(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches images/\*\.nii\.gz in .*data/set"):
        load_manifest(write(training=None, cases={"images": "images/*.nii.gz"}))
