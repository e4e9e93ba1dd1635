"""Written volumes whose statistics are known by hand."""

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.io import write_nifti, write_picture
from pipeline.manifests import Case, load_manifest
from pipeline.planning import Fingerprint, fingerprint, read_case
from pipeline.planning.measurement import measure_case, ras_axes

AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
Write = Callable[..., Path]


def volume(shape: tuple[int, int, int], value: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of -100 with a slab of `value` at 1 and of `value` + 10 at 2, and its label."""
    image = np.full(shape, -100, np.int16)
    label = np.zeros(shape, np.uint8)
    label[0], label[1] = 1, 2
    image[0], image[1] = value, value + 10
    return image, label


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a manifest of three training cases and one each of val and test."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))

    def _write(affine: np.ndarray = AFFINE, **changes: Any) -> Path:
        cases = []
        for n, split in enumerate(("train", "train", "train", "val", "test")):
            # val and test are extreme: they must not count
            size, value = ((10, 8, 6 + n), 20 * n) if n < 3 else ((30, 30, 30), 3000)
            image, label = volume(size, value)
            write_nifti(tmp_path / f"i{n}.nii.gz", image, affine)
            write_nifti(tmp_path / f"l{n}.nii.gz", label, affine)
            cases.append(
                {
                    "id": f"c{n}",
                    "image": f"i{n}.nii.gz",
                    "label": f"l{n}.nii.gz",
                    "patient": f"p{min(n, 1)}" if n < 3 else f"p{n}",
                    "split": split,
                }
            )
        content = {"name": "set", "modality": "CT", "labels": {"a": 1, "b": 2}, "cases": cases}
        path = tmp_path / "set.json"
        path.write_text(json.dumps({k: v for k, v in (content | changes).items() if v is not None}))
        return path

    return _write


def test_the_facts_are_those_of_the_training_cases_alone(write: Write) -> None:
    found = fingerprint(load_manifest(write()))
    assert (found.cases, found.patients, found.validation_cases) == (3, 2, 1)
    assert found.shape == (10, 8, 7)
    assert found.spacing == (2.0, 3.0, 4.0)
    assert found.spacing_range == ((2.0, 3.0, 4.0), (2.0, 3.0, 4.0))
    assert found.shares == pytest.approx((0.8, 0.1, 0.1))
    assert found.intensity[0].high < 100
    assert (found.modality, found.classes, found.head) == (("CT",), ("a", "b"), "softmax")
    assert found.values == ((1,), (2,))


def test_intensities_are_those_of_the_foreground(write: Write) -> None:
    found = fingerprint(load_manifest(write())).intensity[0]
    sizes = np.array([8 * 6, 8 * 7, 8 * 8])
    values = np.concatenate([[20 * n, 20 * n + 10] for n in range(3)]).repeat(sizes.repeat(2))
    assert found.mean == pytest.approx(values.mean(), rel=1e-5)
    assert found.std == pytest.approx(values.std(), rel=1e-5)
    assert (found.low, found.high) == (0, 50)


def test_variety_is_the_spread_between_cases_over_the_spread_within(write: Write) -> None:
    # means 5, 25 and 45; within a case half of the values at either end of 10
    between = np.std([5.0, 25.0, 45.0])
    assert fingerprint(load_manifest(write())).variety == pytest.approx(between / 5, rel=1e-2)


def test_shape_and_spacing_are_in_ras_order_whatever_the_files_order(write: Write) -> None:
    # i runs along z, j along x to the left, k along y
    turned = np.array([[0, -3.0, 0, 0], [0, 0, 4.0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])
    found = fingerprint(load_manifest(write(turned)))
    assert found.shape == (8, 7, 10)
    assert found.spacing == (3.0, 4.0, 2.0)


def test_each_axis_of_an_oblique_scan_is_used_once() -> None:
    c, s = np.cos(0.8), np.sin(0.8)
    affine = np.eye(4)
    affine[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    assert sorted(ras_axes(affine)) == [0, 1, 2]


def test_regions_count_all_of_their_integers(write: Write) -> None:
    regions = {"whole": [1, 2], "core": [2]}
    found = fingerprint(load_manifest(write(labels=None, regions=regions)))
    assert found.head == "sigmoid"
    assert found.values == ((1, 2), (2,))
    assert found.shares == pytest.approx((0.8, 0.2, 0.1))
    assert found.out_channels == 2


def test_a_second_look_comes_from_the_cache(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_manifest(write())
    first = fingerprint(manifest)

    def never(case: Case) -> None:
        raise AssertionError(f"{case.id} was read again")

    module = import_module("pipeline.planning.measurement")
    monkeypatch.setattr(module, "read_case", never)
    assert fingerprint(manifest) == first


def test_a_changed_file_is_read_anew(write: Write) -> None:
    path = write()
    first = fingerprint(load_manifest(path))
    image, _ = volume((10, 8, 6), 900)
    write_nifti(path.parent / "i0.nii.gz", image, AFFINE)
    os.utime(path.parent / "i0.nii.gz", (1, 1))
    second = fingerprint(load_manifest(path))
    assert second.intensity[0].high > first.intensity[0].high


def test_folds_have_facts_of_their_own(write: Write) -> None:
    folds = [
        {"train": ["c0"], "val": ["c3", "c4"]},
        {"train": ["c1", "c2"], "val": ["c3", "c4"]},
    ]
    manifest = load_manifest(write(folds=folds))
    assert (fingerprint(manifest, 0).cases, fingerprint(manifest, 1).cases) == (1, 2)
    assert fingerprint(manifest, 0).intensity[0].high == 10


def test_facts_survive_json(write: Write) -> None:
    facts = fingerprint(load_manifest(write(window=[40, 400])))
    assert Fingerprint.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    assert facts.window == (40, 400)


def test_stray_integers_are_refused_with_the_cases_name(write: Write) -> None:
    with pytest.raises(DataError, match=r'case "c0".* 2 '):
        fingerprint(load_manifest(write(labels={"a": 1})))


def test_a_label_of_another_shape_is_refused(write: Write) -> None:
    path = write()
    write_nifti(path.parent / "l1.nii.gz", np.zeros((10, 8, 5), np.uint8), AFFINE)
    with pytest.raises(DataError, match=r"c1: l1.nii.gz: a label map of 10x8x5 voxels"):
        fingerprint(load_manifest(path))


def test_a_label_in_another_place_is_refused_with_the_distance(write: Write) -> None:
    path = write()
    moved = AFFINE.copy()
    moved[0, 3] = 7.5
    write_nifti(path.parent / "l1.nii.gz", volume((10, 8, 7), 0)[1], moved)
    with pytest.raises(DataError, match=r"c1: .* 3.75 voxels away at a corner"):
        fingerprint(load_manifest(path))


def test_a_label_with_values_between_integers_is_refused(write: Write) -> None:
    path = write()
    write_nifti(path.parent / "l2.nii.gz", np.full((10, 8, 8), 0.5, np.float32), AFFINE)
    with pytest.raises(DataError, match=r"l2\.nii\.gz"):
        fingerprint(load_manifest(path))


def test_channels_come_from_several_files_and_must_be_as_many_in_all_cases(
    write: Write, tmp_path: Path
) -> None:
    path = write(modality=["CT", "CT"])
    content = json.loads(path.read_text())
    for case in content["cases"]:
        case["image"] = [case["image"]] * 2
    path.write_text(json.dumps(content))
    found = fingerprint(load_manifest(path))
    assert found.channels == 2
    assert found.intensity[0] == found.intensity[1]
    content["cases"][1]["image"] = content["cases"][1]["image"][:1]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="c1"):
        fingerprint(load_manifest(path))


def test_pictures_and_volumes_do_not_mix(write: Write) -> None:
    path = write()
    content = json.loads(path.read_text())
    content["cases"][1] |= {"image": "a.png", "label": "b.png"}
    for name in ("a.png", "b.png"):
        write_picture(path.parent / name, np.eye(8, dtype=np.uint8))
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="c1 is 2D, c0 is 3D"):
        fingerprint(load_manifest(path))


def test_pictures_have_rows_and_columns_and_no_spacing(tmp_path: Path) -> None:
    label = np.zeros((12, 20), np.uint8)
    label[2:8, 5:15] = 1
    write_picture(tmp_path / "i.png", np.stack([label * 200] * 3, axis=-1))
    write_picture(tmp_path / "l.png", label)
    cases = [{"image": "i.png", "label": "l.png", "patient": "p", "split": "train"}]
    content = {"name": "p", "modality": "RGB", "labels": {"blob": 1}, "cases": cases}
    (tmp_path / "p.json").write_text(json.dumps(content))
    found = fingerprint(load_manifest(tmp_path / "p.json"))
    assert (found.dims, found.shape, found.spacing) == (2, (12, 20), None)
    assert found.shares == pytest.approx((0.75, 0.25))
    assert found.channels == 3


def test_a_set_without_training_cases_is_refused(write: Write) -> None:
    path = write()
    content = json.loads(path.read_text())
    for case in content["cases"]:
        case["split"] = "test"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="set has no training case"):
        fingerprint(load_manifest(path))


def test_a_case_without_label_cannot_be_read_for_training(write: Write) -> None:
    case = load_manifest(write()).cases[0]
    with pytest.raises(DataError, match="x has no label"):
        read_case(Case("x", case.image, None, "p"))


def test_volumes_have_no_polarity(write: Write) -> None:
    assert fingerprint(load_manifest(write())).polarity is None


def test_the_lowest_value_and_the_share_of_zeros_are_those_of_all_voxels(write: Write) -> None:
    found = fingerprint(load_manifest(write())).intensity[0]
    assert found.lowest == -100
    assert found.zeros == 0
    path = write()
    for n in range(3):
        image, _ = volume((10, 8, 6 + n), 50)
        image[image == -100] = 0
        write_nifti(path.parent / f"i{n}.nii.gz", image, AFFINE)
        os.utime(path.parent / f"i{n}.nii.gz", (n, n))
    found = fingerprint(load_manifest(path)).intensity[0]
    assert (found.lowest, found.zeros) == (0, 0.8)


def test_thousands_of_cases_share_the_memory_for_their_samples(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(write())
    case = manifest.part("train")[0]
    assert measure_case(case, manifest, 3).samples.shape[1] == 2 * 8 * 6
    monkeypatch.setattr("pipeline.planning.measurement.SAMPLES", 20 * 1000)
    few = measure_case(case, manifest, 1000).samples.shape[1]
    assert 20 <= few < 40
