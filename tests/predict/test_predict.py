"""From scans and pictures to masks, with a network whose answer is known."""

import errno
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError, InvalidValueError, PipelineError, ResourceError
from pipeline.io import read_image, write_nifti, write_picture
from pipeline.phantom import write_series
from pipeline.predict import Options, SegmentOptions, predict
from pipeline.predict.inputs import InputCase
from pipeline.predict.preparing import refuse_other_input
from pipeline.predict.privacy import stored
from pipeline.predict.recipe import is_exhausted
from tests.threshold import facts_of, plan_of, write_run

Array = NDArray[Any]
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.array(
    [[0, -np.cos(0.2), np.sin(0.2)], [1, 0, 0], [0, np.sin(0.2), np.cos(0.2)]]
) * [0.8, 1.1, 2.0]
OBLIQUE[:3, 3] = [-20, 30.5, 7]


def truth(shape: tuple[int, ...] = (12, 10, 9)) -> NDArray[np.uint8]:
    """A box of 1 with a smaller one of 4 at one side: no axis is like another."""
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(1, 7) for _ in shape)] = 1
    label[tuple(slice(1, 4 + n) for n, _ in enumerate(shape))] = 4
    return label


def image_of(label: Array) -> NDArray[np.int16]:
    return np.asarray(np.select([label == 1, label == 4], [100, 200], 0), np.int16)


def load(path: Path) -> tuple[Array, Array]:
    file: Any = nibabel.load(path)
    return np.asanyarray(file.dataobj), file.affine


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "scan.nii.gz"
    write_nifti(path, image_of(truth()), OBLIQUE)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


def test_a_mask_lies_on_the_scans_own_oblique_grid_and_holds_the_manifests_integers(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    outcome = predict(run, scan, tmp_path / "out")
    assert outcome.masks == [tmp_path / "out" / "scan.nii.gz"]
    mask, affine = load(outcome.masks[0])
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, truth())
    assert affine == pytest.approx(OBLIQUE, abs=1e-5)


def test_a_resampled_scans_mask_returns_to_its_own_grid(scan: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", plan=plan_of(spacing=[0.7, 0.7, 0.7]))
    (path,) = predict(run, scan, tmp_path / "out").masks
    mask, affine = load(path)
    assert mask.shape == truth().shape
    assert affine == pytest.approx(OBLIQUE, abs=1e-5)
    assert (mask == truth()).mean() > 0.97
    assert set(np.unique(mask)) == {0, 1, 4}


def test_integers_above_255_are_kept(scan: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", facts_of(values=[[1], [400]]))
    mask, _ = load(predict(run, scan, tmp_path / "out").masks[0])
    assert mask.dtype == np.uint16
    assert np.array_equal(mask, np.where(truth() == 4, 400, truth().astype(int)))


def test_a_2d_network_walks_through_a_volume_slice_by_slice(scan: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", facts_of(), plan_of(2, slice_axis=1))
    mask, _ = load(predict(run, scan, tmp_path / "out").masks[0])
    assert np.array_equal(mask, truth())


def test_a_dicom_folder_is_one_case_on_its_slices_grid(run: Path, tmp_path: Path) -> None:
    write_series(image_of(truth()), OBLIQUE, tmp_path / "in" / "study")
    outcome = predict(run, tmp_path / "in" / "study", tmp_path / "out")
    assert outcome.masks == [tmp_path / "out" / "study.nii.gz"]
    mask, affine = load(outcome.masks[0])
    source = read_image(tmp_path / "in" / "study")
    assert np.array_equal(mask, truth())
    assert affine == pytest.approx(source.affine, abs=1e-4)


def test_a_picture_gives_a_png_of_integers_and_of_0_and_255_for_one_class(
    tmp_path: Path,
) -> None:
    label = truth((12, 10))
    write_picture(tmp_path / "p.png", image_of(label).astype(np.uint8))
    two = write_run(tmp_path / "two", facts_of(2, modality=["photograph"]), plan_of(2))
    (path,) = predict(two, tmp_path / "p.png", tmp_path / "out").masks
    assert path.name == "p.png"
    assert np.array_equal(np.asarray(Image.open(path)), label)
    facts = facts_of(2, modality=["photograph"], classes=["organ"], values=[[1]])
    one = write_run(tmp_path / "one", facts, plan_of(2))
    (path,) = predict(one, tmp_path / "p.png", tmp_path / "one.png").masks
    assert path == tmp_path / "one.png"
    assert np.array_equal(np.asarray(Image.open(path)), np.where(label > 0, 255, 0))


def test_regions_come_as_4d_in_the_order_of_the_record(scan: Path, tmp_path: Path) -> None:
    facts = facts_of(head="sigmoid", classes=["whole", "core"], values=[[1, 4], [4]])
    run = write_run(tmp_path / "run", facts)
    mask, _ = load(predict(run, scan, tmp_path / "out").masks[0])
    assert mask.dtype == np.uint8
    assert np.array_equal(mask[..., 0], truth() > 0)
    assert np.array_equal(mask[..., 1], truth() == 4)
    record = json.loads((tmp_path / "out" / "scan.json").read_text())
    assert record["regions"] == {"whole": [1, 4], "core": [4]}
    assert list(record["counts"]) == ["whole", "core"]


def test_a_single_region_is_a_mask_like_any_other(scan: Path, tmp_path: Path) -> None:
    facts = facts_of(head="sigmoid", classes=["whole"], values=[[9]])
    mask, _ = load(predict(write_run(tmp_path / "r", facts), scan, tmp_path / "out").masks[0])
    assert np.array_equal(mask, np.where(truth() > 0, 9, 0))


@pytest.mark.parametrize("names", [(), ("lesion",)])
def test_probabilities_are_bytes_with_a_slope_of_the_named_classes_only(
    run: Path, scan: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    predict(run, scan, tmp_path / "out", Options(how=SegmentOptions(probabilities=names)))
    file: Any = nibabel.load(tmp_path / "out" / "scan_prob.nii.gz")
    assert file.dataobj.slope == pytest.approx(1 / 255)
    assert file.get_data_dtype() == np.uint8
    assert file.shape == (*truth().shape, len(names) or 2)
    # by hand: logits 0, 6 and 8 at 200 HU
    lesion = np.exp(8) / (1 + np.exp(6) + np.exp(8))
    found = np.asanyarray(file.dataobj)[..., -1][truth() == 4]
    assert found == pytest.approx(np.full(found.shape, lesion), abs=1 / 255)


def test_the_record_names_the_classes_of_the_probabilities_and_none_are_left_of_another_call(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    for names, told in ((("lesion",), ["lesion"]), ((), ["organ", "lesion"])):
        how = SegmentOptions(probabilities=names)
        predict(run, scan, tmp_path / "out", Options(how=how))
        assert json.loads((tmp_path / "out" / "scan.json").read_text())["probabilities"] == told
    predict(run, scan, tmp_path / "out")
    assert not (tmp_path / "out" / "scan_prob.nii.gz").exists()


def test_a_class_that_the_model_lacks_is_refused_before_anything_is_predicted(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValueError, match="no class 'organs'") as caught:
        predict(run, scan, tmp_path / "out", Options(how=SegmentOptions(probabilities=("organs",))))
    assert "organ, lesion" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_an_ensemble_is_the_mean_of_the_probabilities(scan: Path, tmp_path: Path) -> None:
    first = write_run(tmp_path / "a")
    second = write_run(tmp_path / "b", plan=plan_of(window=[[0.0, 400.0]]))  # 200 HU is its middle
    outcome = predict(
        [first, second], scan, tmp_path / "out", Options(how=SegmentOptions(probabilities=()))
    )
    values, _ = load(tmp_path / "out" / "scan_prob.nii.gz")
    # logits at 200 HU: 0, 6, 8 of the one and 0, 2, -4 of the other
    both = [np.exp(x) / np.exp(x).sum() for x in (np.array([0.0, 6, 8]), np.array([0.0, 2, -4]))]
    wanted = np.mean(both, axis=0)[1:] * 255
    file: Any = nibabel.load(tmp_path / "out" / "scan_prob.nii.gz")
    raw = np.asarray(file.dataobj.get_unscaled())[truth() == 4]
    assert raw.mean(axis=0) == pytest.approx(wanted, abs=1)
    assert values.shape[-1] == 2
    mask, _ = load(outcome.masks[0])
    assert set(np.unique(mask[truth() == 4])) == {1}, "0.50 against 0.44"


def test_an_ensemble_of_different_grids_meets_on_the_scans(scan: Path, tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", plan=plan_of(spacing=[0.8, 0.8, 0.8]))
    second = write_run(tmp_path / "b")
    mask, affine = load(predict([first, second], scan, tmp_path / "out").masks[0])
    assert affine == pytest.approx(OBLIQUE, abs=1e-5)
    assert (mask == truth()).mean() > 0.97


@pytest.mark.parametrize(
    "facts",
    [
        facts_of(classes=["organ", "tumour"]),
        facts_of(values=[[1], [2]]),
        facts_of(head="sigmoid"),
        facts_of(classes=["lesion", "organ"], values=[[4], [1]]),  # the channels' order
    ],
)
def test_an_ensemble_of_different_labels_is_refused(
    run: Path, scan: Path, tmp_path: Path, facts: dict[str, Any]
) -> None:
    other = write_run(tmp_path / "other", facts)
    with pytest.raises(DataError, match="different labels"):
        predict([run, other], scan, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_scan_of_another_modality_is_refused_unless_forced(scan: Path, tmp_path: Path) -> None:
    write_series(image_of(truth()), OBLIQUE, tmp_path / "in" / "ct")
    run = write_run(tmp_path / "run", facts_of(modality=["MR"]))
    with pytest.raises(DataError, match="ct is CT, the model was trained on MR") as caught:
        predict(run, tmp_path / "in" / "ct", tmp_path / "out")
    assert "--force-modality" in caught.value.hint
    forced = Options(how=SegmentOptions(force_modality=True))
    assert predict(run, tmp_path / "in" / "ct", tmp_path / "out", forced).masks
    assert predict(run, scan, tmp_path / "out").masks, "a NIfTI file says nothing about it"


@pytest.mark.parametrize(("file", "model"), [("PT", "PET"), ("NM", "SPECT"), ("DX", "X-ray")])
def test_dicoms_word_for_a_modality_is_known(file: str, model: str) -> None:
    refuse_other_input("a", (1, 4, 4, 4), {"modality": file}, facts_of(modality=[model]))
    with pytest.raises(DataError, match=f"a is {model}, the model was trained on CT"):
        refuse_other_input("a", (1, 4, 4, 4), {"modality": file}, facts_of())


@pytest.mark.parametrize("plan", [plan_of(), plan_of(window=[[0, 1], [0, 1]])])
def test_another_number_of_channels_is_refused(
    scan: Path, tmp_path: Path, plan: dict[str, Any]
) -> None:
    run = write_run(tmp_path / "run", facts_of(modality=["CT", "CT"]), plan)
    with pytest.raises(DataError, match="scan has 1 channels, the model takes 2"):
        predict(run, scan, tmp_path / "out")


def test_a_picture_is_no_scan(run: Path, tmp_path: Path) -> None:
    write_picture(tmp_path / "p.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match="p is a picture, the model was trained on volumes"):
        predict(run, tmp_path / "p.png", tmp_path / "out")


def test_a_device_that_is_not_there_is_refused_as_an_exception(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidValueError, match="device is 'gpu'"):
        predict(run, scan, tmp_path / "out", Options(device="gpu"))


@pytest.mark.parametrize("overlap", [1.0, -0.1, 3])
def test_an_impossible_overlap_is_refused(
    run: Path, scan: Path, tmp_path: Path, overlap: float
) -> None:
    with pytest.raises(InvalidValueError, match="overlap is"):
        predict(run, scan, tmp_path / "out", Options(how=SegmentOptions(overlap=overlap)))


def test_the_record_says_what_was_done_and_nothing_of_where(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    predict(run, scan, tmp_path / "out")
    text = (tmp_path / "out" / "scan.json").read_text()
    record = json.loads(text)
    assert record["case"] == "scan"
    assert record["input"] == "scan.nii.gz"
    assert record["mask"] == "scan.nii.gz"
    assert record["labels"] == {"organ": 1, "lesion": 4}
    assert record["bundles"][0]["name"] == "threshold"
    assert len(record["bundles"][0]["sha256"]) == 64
    assert record["counts"]["organ"]["voxels"] == int((truth() == 1).sum())
    ml = (truth() == 4).sum() * 0.8 * 1.1 * 2.0 / 1000
    assert record["counts"]["lesion"]["ml"] == pytest.approx(ml, abs=1e-3)
    assert set(record["seconds"]) == {"read", "engine", "network", "restore", "write"}
    assert (record["engine"], record["precision"]) == ("torch", "fp32")
    assert record["why"], "how the engine was chosen"
    assert record["windows"] > 0
    assert record["memory"]["windows"] == record["windows"]
    assert record["peak_memory_gib"] > 0
    assert record["plan"]["patch"] == [8, 8, 8]
    assert "medical device" in record["intended_use"]
    assert {"engine", "precision", "device", "warnings", "versions"} <= set(record)
    ledger = (tmp_path / "out" / "ledger.jsonl").read_text()
    assert json.loads(ledger) | {"case": "scan", "state": "done"} == json.loads(ledger)
    for above in (str(tmp_path), tmp_path.name):
        assert above not in text + ledger


def test_one_case_and_a_files_name_writes_mask_and_record_and_no_ledger(
    run: Path, scan: Path, tmp_path: Path
) -> None:
    predict(run, scan, tmp_path / "out" / "mask.nii")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"mask.nii", "mask.json"}


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Two scans, and a broken one between them."""
    folder = tmp_path / "secret place" / "cohort"
    for name in ("a", "c"):
        write_nifti(folder / f"{name}.nii.gz", image_of(truth()), OBLIQUE)
    (folder / "b.nii.gz").write_bytes((folder / "a.nii.gz").read_bytes()[:200])
    return folder


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.json", "scan_prob.nii.gz"])
@pytest.mark.parametrize("again", [True, False])
def test_a_file_that_no_prediction_wrote_is_never_replaced(
    run: Path, scan: Path, tmp_path: Path, name: str, again: bool
) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / name).write_text('{"drawn": "by hand"}')
    with pytest.raises(InvalidValueError, match=f"{name} is there already"):
        predict(run, scan, tmp_path / "masks", Options(again=again))
    assert [p.name for p in (tmp_path / "masks").iterdir()] == [name]
    assert (tmp_path / "masks" / name).read_text() == '{"drawn": "by hand"}'


@pytest.mark.parametrize("ledger", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_a_mask_that_was_edited_by_hand_is_not_replaced(
    run: Path, scan: Path, tmp_path: Path, ledger: bool, again: bool
) -> None:
    (mask,) = predict(run, scan, tmp_path / "out").masks
    write_nifti(mask, truth(), OBLIQUE)  # corrected in a viewer
    edited = mask.read_bytes()
    if not ledger:
        (tmp_path / "out" / "ledger.jsonl").unlink()
    how = SegmentOptions(overlap=0.25)
    with pytest.raises(InvalidValueError, match=r"no prediction wrote it as it is"):
        predict(run, scan, tmp_path / "out", Options(how=how, again=again))
    assert mask.read_bytes() == edited


def test_scans_are_not_replaced_by_their_masks(run: Path, scan: Path) -> None:
    before = scan.read_bytes()
    for output in (scan.parent, scan):
        with pytest.raises(InvalidValueError, match=r"scan\.nii\.gz is there already"):
            predict(run, scan, output)
    assert scan.read_bytes() == before


def test_a_prediction_replaces_its_own_masks(run: Path, scan: Path, tmp_path: Path) -> None:
    """Also what was killed between record and mask, or before its line in the ledger."""
    predict(run, scan, tmp_path / "out")
    (tmp_path / "out" / "ledger.jsonl").unlink()
    assert predict(run, scan, tmp_path / "out").kept == 0
    (tmp_path / "out" / "scan.nii.gz").unlink()
    assert predict(run, scan, tmp_path / "out", Options(again=True)).failed == []
    predict(run, scan, tmp_path / "one.nii.gz")
    predict(run, scan, tmp_path / "one.nii.gz")


def test_a_case_that_fails_is_told_and_the_others_go_on(
    run: Path, cohort: Path, tmp_path: Path
) -> None:
    outcome = predict(run, cohort, tmp_path / "out")
    assert [p.name for p in outcome.masks] == ["a.nii.gz", "c.nii.gz"]
    ((case, reason),) = outcome.failed
    assert case == "b"
    assert "b.nii.gz" in reason
    text = (tmp_path / "out" / "ledger.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["case"], line["state"]) for line in lines] == [
        ("a", "done"), ("b", "failed"), ("c", "done"),
    ]  # fmt: skip
    assert "b.nii.gz" in lines[1]["error"]
    assert "secret place" not in text
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"a.nii.gz", "a.json", "c.nii.gz", "c.json", "ledger.jsonl"}


def test_a_manifests_failing_case_hides_where_its_data_lie(
    run: Path, cohort: Path, tmp_path: Path
) -> None:
    cases = [
        {"id": n, "image": f"{n}.nii.gz", "label": f"{n}.nii.gz", "split": "test"} for n in "abc"
    ]
    content = {"name": "set", "modality": "CT", "labels": {"organ": 1}, "cases": cases}
    (tmp_path / "set.json").write_text(json.dumps(content))
    options = Options(dataset_dir=str(cohort))
    outcome = predict(run, tmp_path / "set.json", tmp_path / "out", options)
    assert [case for case, _ in outcome.failed] == ["b"]
    for path in (tmp_path / "out").glob("*.json*"):
        assert "secret place" not in path.read_text(), path
        assert str(tmp_path) not in path.read_text(), path


@pytest.mark.parametrize("uid", ["1.2.840.113619.2.1", f"2.25.{10**38}"])
def test_a_uid_is_known_by_its_form(uid: str, tmp_path: Path) -> None:
    case = InputCase("a", (), "a")
    assert stored(f"{uid}.dcm is cut", tmp_path, case) == "[UID].dcm is cut"
    output = tmp_path / "secret" / "a.nii.gz"
    assert stored(f"{output}: full", "in", case, output) == "a.nii.gz: full"


def test_a_refusal_is_stored_without_uids() -> None:
    case = InputCase("a", (Path("/data/in/a"),), "a")
    reason = "/data/in/a: no series 1.2.840.10008.1; choose with --series N"
    assert stored(reason, "/data/in", case) == "a: no series [UID]; choose with --series N"


def test_a_listing_of_series_is_stored_without_their_descriptions() -> None:
    case = InputCase("a", (Path("/data/in/a"),), "a")
    listing = '2 series: [1] CT 512x512x80 "Abd Dr Smith"; [2] CT 512x512x9 "x"'
    assert stored(listing, "/data/in", case) == "2 series: [1] CT 512x512x80; [2] CT 512x512x9"


def test_the_only_case_raises_and_leaves_nothing(run: Path, cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"b\.nii\.gz"):
        predict(run, cohort / "b.nii.gz", tmp_path / "out" / "b.nii.gz")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize(
    "place", ["pipeline.io.nifti_write._pour", "pipeline.predict.outputs.sha256"]
)
def test_an_end_in_the_midst_leaves_no_half_written_file(
    run: Path,
    scan: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    place: str,
) -> None:
    def _end(*args: Any, **kwargs: Any) -> None:
        if hasattr(args[0], "write"):
            args[0].write(b"half")
        raise error

    how = SegmentOptions(engine="torch", precision="fp32")  # nothing is looked up or measured
    monkeypatch.setattr(place, _end)
    with pytest.raises(error):
        predict(run, scan, tmp_path / "out", Options(how=how))
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left in (set(), {"scan.nii.gz", "scan.json"}), "a mask has its record"
    if left:
        assert np.array_equal(load(tmp_path / "out" / "scan.nii.gz")[0], truth())


def test_too_little_memory_for_one_case_is_that_cases_failure(
    run: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _exhausted(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("pipeline.predict.recipe.segment", _exhausted)
    outcome = predict(run, cohort, tmp_path / "out")
    assert [case for case, _ in outcome.failed] == ["a", "b", "c"]
    for case, reason in outcome.failed:
        assert ("out of memory" in reason) is (case != "b"), "b can't be read"
    with pytest.raises(ResourceError, match="a: out of memory"):
        predict(run, cohort / "a.nii.gz", tmp_path / "out")


def test_memory_that_a_transform_lacked_is_that_cases_failure_too() -> None:
    """MONAI says only that the transform could not be applied."""
    error = RuntimeError("applying transform <Spacing>")
    error.__cause__ = MemoryError()
    assert is_exhausted(error)
    assert is_exhausted(OSError(errno.ENOMEM, "mmap"))
    assert not is_exhausted(RuntimeError("a bug"))


@pytest.mark.parametrize("output", ["file/masks", "file/one.nii.gz"])
def test_an_output_that_cannot_be_made_is_refused_before_any_work(
    run: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.setattr("pipeline.predict.recipe.segment", None)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match="file is no folder"):
        predict(run, scan, tmp_path / output)


def test_what_is_unusual_is_told(run: Path, scan: Path, tmp_path: Path) -> None:
    values = image_of(truth()).astype(np.float32)
    values[0, 0, 0] = np.nan
    write_nifti(scan, values, OBLIQUE)
    told = predict(run, scan, tmp_path / "out").warnings
    assert {case for case, _ in told} == {"scan"}
    first, second = (text for _, text in told)
    assert "NaN" in first
    assert second.startswith("the network gave values that are no numbers")
    record = json.loads((tmp_path / "out" / "scan.json").read_text())
    assert record["warnings"] == [first, second]
    assert "warnings" not in (tmp_path / "out" / "ledger.jsonl").read_text()


def test_a_models_plan_names_no_file_to_open(scan: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", plan=plan_of(postprocess="/dev/zero"))
    with pytest.raises(InvalidValueError, match="postprocess is no object"):
        predict(run, scan, tmp_path / "out")


def test_a_bug_is_not_taken_for_a_bad_case(
    run: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _bug(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("pipeline.predict.recipe.segment", _bug)
    with pytest.raises(RuntimeError, match="ours"):
        predict(run, cohort, tmp_path / "out")
