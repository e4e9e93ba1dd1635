"""A set of thick slices, trained by the stock command: strides reach network, record and masks."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.predict.model import open_model
from tests.tiny import base, tiny, train

__all__ = ["base", "tiny"]


@pytest.mark.slow
def test_strides_of_a_thick_set_are_trained_recorded_and_built_again(
    tiny: Path, tmp_path: Path
) -> None:
    outcome = train(tmp_path, tiny, spacing=[1.0, 1.0, 5.0], patch=[24, 24, 4], max_epochs=1)
    assert outcome.code == 0, outcome.err
    record = json.loads((outcome.run / "models" / "model.json").read_text())
    # 1 mm beside 5: z catches up after two steps, and of its 4 voxels two remain
    assert record["network"]["options"]["strides"] == [[2, 2, 1], [2, 2, 1], [2, 2, 2]]
    assert record["network"]["options"]["kernels"][0] == [3, 3, 1]
    model = open_model(outcome.run, torch.device("cpu"))
    assert model.network.divisor == (8, 8, 2)
    assert (outcome.run / "scores.csv").is_file()
