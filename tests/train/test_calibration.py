"""A run keeps a few windows of its training cases for int8, and nothing of whose they are."""

from pathlib import Path

import torch
from safetensors import safe_open

from pipeline.engines.calibration import FILE, read_calibration
from pipeline.predict.model import open_model
from tests.tiny import Outcome, base, shared_run, shared_set, tiny, train, trained

__all__ = ["base", "tiny", "trained"]


def test_a_finished_run_keeps_windows_of_its_training_cases(trained: Outcome) -> None:
    windows = read_calibration(trained.run / "models" / FILE)
    assert {tuple(window.shape) for window in windows} == {(1, 24, 24, 16)}
    assert len(windows) == 3  # as many as cases: none is larger than the window
    assert not torch.equal(windows[0], windows[1])
    model = open_model(trained.run, torch.device("cpu"))
    assert len(model.calibration()) == 3


def test_the_file_holds_voxels_alone(trained: Outcome) -> None:
    with safe_open(trained.run / "models" / FILE, "pt") as file:
        assert list(file.keys()) == ["windows"]
        assert not file.metadata()
    content = (trained.run / "models" / FILE).read_bytes()
    assert b"c0" not in content[: content.index(b"}}") + 2]


def test_slices_are_kept_for_a_2d_network_on_volumes(base: Path) -> None:
    run = shared_run(base, dims=2).run
    windows = read_calibration(run / "models" / FILE)
    assert {tuple(window.shape) for window in windows} == {(1, 16, 16)}
    assert len(open_model(run, torch.device("cpu")).calibration()) == 8


def test_one_setting_turns_it_off(tmp_path: Path, base: Path) -> None:
    outcome = train(tmp_path, shared_set(base), calibration=0, max_epochs=1, epoch_length=1)
    assert outcome.code == 0, outcome.err
    assert not (outcome.run / "models" / FILE).exists()
    assert open_model(outcome.run, torch.device("cpu")).calibration() == []
