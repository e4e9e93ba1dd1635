import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.errors import DataError
from pipeline.interrupt import Terminated
from pipeline.io import write_nifti
from pipeline.predict import MaskWriter, datalist, infer
from tests.threshold import facts_of, plan_of, write_run


def test_the_data_list_is_that_of_the_input(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 2), np.int16), np.eye(4))
    (row,) = datalist(str(tmp_path), "phantom")
    assert row == {"case": "a", "image": [str(tmp_path / "a.nii.gz")], "shown": "a.nii.gz"}


def test_a_missing_input_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        datalist(str(tmp_path / "none"), "phantom")
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.fixture
def writer(tmp_path: Path) -> MaskWriter:
    run = write_run(tmp_path / "run")
    return MaskWriter(str(tmp_path / "out"), facts_of(), str(run), plan_of())


def test_masks_and_records_are_written_as_predict_does(
    writer: MaskWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = np.diag([-2.0, 1, 1, 1])
    meta = {"original_affine": affine, "warnings": "4 slices are missing; lossy"}
    image = MetaTensor(torch.zeros(1, 2, 3, 4), meta=meta)
    pred = torch.zeros(1, 2, 3, 4, dtype=torch.uint8)
    pred[0, 0], pred[0, 1, 0] = 1, 2
    state = SimpleNamespace(
        device="cpu",
        batch=[{"case": "c7", "shown": "c7.nii.gz", "image": image}],
        output=[{"pred": pred}],
    )
    writer(SimpleNamespace(state=state, network=torch.nn.Identity()))
    file: Any = nibabel.load(tmp_path / "out" / "c7.nii.gz")
    assert np.unique(np.asanyarray(file.dataobj)).tolist() == [0, 1, 4]
    assert file.affine == pytest.approx(affine)
    text = (tmp_path / "out" / "c7.json").read_text()
    assert '"threshold"' in text
    record = json.loads(text)
    assert record["warnings"] == ["4 slices are missing", "lossy"]
    told = capsys.readouterr().err.splitlines()
    assert told == ["warning: c7: 4 slices are missing", "warning: c7: lossy"]
    assert writer.masks == [tmp_path / "out" / "c7.nii.gz"]


class Evaluator:
    """Has one batch and ends as told."""

    def __init__(self, error: BaseException | None, batches: int = 1) -> None:
        self.error, self.data_loader = error, [None] * batches

    def run(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("bad", hint="mend it"), 2, "error: bad; mend it"),
        (KeyboardInterrupt(), 130, "interrupted: 0 masks are written"),
        (Terminated(), 143, "interrupted: 0 masks are written"),
    ],
)
def test_inference_ends_with_one_line_and_its_code(
    writer: MaskWriter,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    with pytest.raises(SystemExit) as caught:
        infer(Evaluator(error), writer)
    assert caught.value.code == code
    assert capsys.readouterr().err == f"{said}\n"


def test_nothing_to_predict_is_refused(
    writer: MaskWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        infer(Evaluator(None, batches=0), writer)
    assert "--input" in capsys.readouterr().err


def test_the_last_line_says_where_the_masks_are(
    writer: MaskWriter, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    infer(Evaluator(None), writer)
    assert capsys.readouterr().out == f"0 masks in {tmp_path / 'out'}\n"


def test_a_bug_keeps_its_exception(writer: MaskWriter) -> None:
    with pytest.raises(ZeroDivisionError):
        infer(Evaluator(ZeroDivisionError()), writer)
