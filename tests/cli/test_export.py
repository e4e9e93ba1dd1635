"""`unetworks export`: what it writes, that it computes the same, and what it refuses."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch

from pipeline.cli import main
from pipeline.predict import exporting
from pipeline.predict.model import open_model
from tests.tiny import Outcome, base, moved, shared_run, shared_set, tiny, trained

__all__ = ["base", "tiny", "trained"]


def described(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def logits_of(run: Path, window: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = open_model(run, torch.device("cpu")).network(window)
    return logits


WINDOW = torch.randn(1, 1, 24, 24, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
def test_onnx_is_written_with_a_description_and_computes_the_same(
    trained: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "liver.onnx"
    assert main(["export", str(trained.run), str(out), "--format", "onnx"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [str(out), str(tmp_path / "liver.json")]
    assert printed[2].startswith("largest difference from torch: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["liver.json", "liver.onnx"]
    import onnxruntime

    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"image": WINDOW.numpy()})
    assert np.allclose(found, logits_of(trained.run, WINDOW), atol=1e-4)
    told = described(tmp_path / "liver.json")
    assert told["file"] == "liver.onnx"
    assert told["input"] == {"name": "image", "shape": [1, 1, 24, 24, 16], "type": "float32"}
    assert told["output"] == {"name": "logits", "shape": [1, 3, 24, 24, 16], "type": "float32"}
    assert told["labels"] == {"organ": [1], "lesion": [4]}
    assert (told["head"], told["modality"], told["axes"]) == ("softmax", ["CT"], "RAS")
    assert told["preprocessing"]["normalisation"] in ("window", "dataset", "percentile")
    assert told["weights_sha256"] == open_model(trained.run, torch.device("cpu")).digest
    assert told["compared_with_torch"]["largest_difference"] < 1e-4


def test_openvino_goes_into_a_folder(trained: Outcome, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main(["export", str(trained.run), str(out), "--format", "openvino"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["model.bin", "model.json", "model.xml"]
    compiled = openvino.Core().compile_model(
        out / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled({"image": WINDOW.numpy()})["logits"]
    assert np.allclose(found, logits_of(trained.run, WINDOW), atol=1e-3)


@pytest.mark.slow
def test_torch_loads_its_own_file_without_our_code(base: Path, tmp_path: Path) -> None:
    run = shared_run(base, dims=2).run
    out = tmp_path / "model.pt2"
    assert main(["export", str(run), str(out), "--format", "torch"]) == 0
    window = WINDOW[..., 0][:, :, :16, :16]
    with torch.no_grad():
        found = torch.export.load(out).module()(window)
    assert torch.allclose(found, logits_of(run, window), atol=1e-5)
    assert described(tmp_path / "model.json")["preprocessing"]["slice_axis"] == 2


def quantised(file: Path) -> bool:
    model = openvino.Core().read_model(file)
    return any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())


@pytest.mark.slow
def test_int8_is_quantised_on_the_windows_that_the_run_keeps(
    trained: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "q.xml"
    words = ["export", str(trained.run), str(out), "--format", "openvino", "--precision", "int8"]
    assert main(words) == 0
    assert quantised(out)
    assert described(tmp_path / "q.json")["precision"] == "int8"
    assert "of the foreground equal" in capsys.readouterr().out


@pytest.mark.slow
def test_int8_is_quantised_on_a_manifest_and_the_windows_serve_later_predictions(
    trained: Outcome, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    run = moved(trained.run, tmp_path / "run")
    (run / "models" / "calibration.safetensors").unlink()
    assert open_model(run, torch.device("cpu")).calibration() == []
    out = tmp_path / "q.xml"
    words = ["export", str(run), str(out), "--format", "openvino", "--precision", "int8", "--quiet"]
    assert main([*words, "--calibrate", str(shared_set(base))]) == 0
    assert quantised(out)
    windows = open_model(run, torch.device("cpu")).calibration()
    assert len(windows) == 3  # as many as cases: none is larger than the window
    assert all(float(window.std()) > 0 for window in windows)
    assert not (run / "models" / "calibration.safetensors").exists()


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["export", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_int8_without_windows_says_how_to_get_them(
    trained: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = moved(trained.run, tmp_path / "run")
    (run / "models" / "calibration.safetensors").unlink()
    out = tmp_path / "out"
    line = refusal([str(run), str(out), "--format", "openvino", "--precision", "int8"], capsys)
    assert "the run keeps none" in line
    assert "--calibrate MANIFEST" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["m.onnx", "--format", "onnx", "--precision", "int8"], "onnx is not written in int8"),
        (["m.onnx", "--format", "openvino"], "m.onnx does not end in .xml"),
        (["m", "--format", "torch", "--calibrate", "x.json"], "--calibrate is for int8"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str],
    fact: str,
    trained: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fact in refusal([str(trained.run), *words], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_and_a_missing_extra_are_refused(
    trained: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--format", "openvino"]
    assert "no bundle at" in refusal([str(tmp_path / "no"), str(tmp_path / "out"), *words], capsys)
    monkeypatch.setitem(sys.modules, "openvino", None)
    line = refusal([str(trained.run), str(tmp_path / "out"), *words], capsys)
    assert line == "error: openvino needs openvino; pip install 'unetworks[openvino]'"


def test_a_file_that_computes_something_else_is_not_left_behind(
    trained: Outcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(exporting.TOLERANCES, "torch", -1.0)
    line = refusal([str(trained.run), str(tmp_path / "out"), "--format", "torch"], capsys)
    assert "torch computes other logits than torch" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ['{"format": 1, "weights": {}}', "no JSON"])
def test_a_json_that_no_export_wrote_is_not_replaced(
    trained: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    """Into the folder of the weights, where `model.json` is the run's own."""
    (tmp_path / "model.json").write_text(there)
    line = refusal([str(trained.run), str(tmp_path), "--format", "onnx"], capsys)
    assert "model.json is there already, and no export wrote it" in line
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
