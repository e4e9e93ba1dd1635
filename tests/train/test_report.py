"""A line per epoch, and a table of the held-out cases on their labels' own grid."""

import csv
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from pipeline.io import write_nifti
from pipeline.train.average import Average
from pipeline.train.report import EpochLog, ScoreTable, plan_line
from pipeline.train.schedule import Clock, WarmCosine
from pipeline.train.validation import BestWeights

FACTS = {"classes": ["organ", "lesion"], "values": [[1], [4]], "head": "softmax"}
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def test_each_epoch_logs_mean_loss_rate_validation_and_updates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer = nn.Linear(1, 1)
    clock = Clock(WarmCosine(torch.optim.SGD(layer.parameters(), 0.25)), None, 2, None)
    best = BestWeights(Average(layer))
    best.history = [[2, 0.75]]
    losses = iter([1.0, 2.0, 4.0, 8.0])
    engine = Engine(lambda engine, batch: {"loss": next(losses)})
    EpochLog(clock, best).attach(engine)
    with caplog.at_level(logging.INFO, logger="unetworks"):
        engine.run(range(2), max_epochs=2)
    assert [record.getMessage() for record in caplog.records if record.name == "unetworks"] == [
        "epoch 1: loss 1.500, lr 0.25 (0 s, 2 updates)",
        "epoch 2: loss 6.000, lr 0.25, val Dice 0.750 (0 s, 4 updates)",
    ]


def test_what_was_planned_stands_on_one_line() -> None:
    plan = {
        "patch": [96, 96, 64], "spacing": [1.5, 1.5, 2.0], "normalisation": "window",
        "window": [[-160.0, 240.0]], "batch_size": 2, "epoch_length": 50, "learning_rate": 0.004,
        "norm": "instance",
    }  # fmt: skip
    assert plan_line(plan) == (
        "plan: patch 96 x 96 x 64, spacing 1.5 x 1.5 x 2, normalisation window -160 to 240, "
        "batch 2, updates per epoch 50, learning rate 0.004, norm instance"
    )
    assert "spacing as it is, normalisation zscore, batch" in plan_line(
        {**plan, "spacing": None, "window": None, "normalisation": "zscore"}
    )


@pytest.fixture
def case(tmp_path: Path) -> dict[str, Any]:
    """A case of which the organ fills half; the lesion is absent."""
    label = np.zeros((8, 8, 8), np.uint8)
    label[:4] = 1
    write_nifti(tmp_path / "image.nii.gz", label.astype(np.int16) * 100, AFFINE)
    write_nifti(tmp_path / "label.nii.gz", label, AFFINE)
    meta = {"filename_or_obj": str(tmp_path / "image.nii.gz"), "original_affine": AFFINE}
    image = SimpleNamespace(meta=meta)
    return {"case": "c0", "image": image, "label": str(tmp_path / "label.nii.gz")}


def run(table: ScoreTable, case: Any, classes: Any) -> None:
    engine = Engine(lambda engine, batch: [{"pred": torch.as_tensor(classes)[None]}])
    table.attach(engine)
    engine.run([[case]])


def predicted() -> np.ndarray[Any, Any]:
    classes = np.zeros((8, 8, 8), np.uint8)
    classes[:2] = 1  # half of the organ
    classes[7, 7, 7] = 2  # an invented lesion
    return classes


def test_classes_are_scored_as_the_files_integers(tmp_path: Path, case: Any) -> None:
    table = ScoreTable(tmp_path / "out" / "scores.csv", FACTS)
    run(table, case, predicted())
    dice = {row.name: row.dice for row in table.rows}
    assert dice["organ"] == pytest.approx(2 * 128 / (128 + 256))
    assert dice["lesion"] == 0
    assert table.summary is not None
    assert table.summary.mean.dice == pytest.approx(dice["organ"] / 2)
    with (tmp_path / "out" / "scores.csv").open() as stream:
        assert any(row[:2] == ["c0", "organ"] for row in csv.reader(stream))


def test_a_second_run_starts_a_new_table(tmp_path: Path, case: Any) -> None:
    table = ScoreTable(tmp_path / "scores.csv", FACTS)
    for _ in range(2):
        run(table, case, predicted())
        assert len(table.rows) == 2


def test_a_case_without_a_label_is_predicted_and_not_scored(tmp_path: Path, case: Any) -> None:
    del case["label"]
    table = ScoreTable(tmp_path / "scores.csv", FACTS, tmp_path / "pictures")
    run(table, case, predicted())
    assert table.summary is None
    assert not (tmp_path / "scores.csv").exists()


@pytest.mark.parametrize(("drawn", "count"), [(0, 0), (1, 1)])
def test_as_many_overlays_are_drawn_as_asked_for(
    drawn: int, count: int, tmp_path: Path, case: Any
) -> None:
    run(ScoreTable(tmp_path / "s.csv", FACTS, tmp_path / "p", drawn=drawn), case, predicted())
    assert len(list(tmp_path.glob("p/*.png"))) == count


def test_a_label_with_other_axes_over_the_same_box_is_scored_in_its_place(
    tmp_path: Path, case: Any
) -> None:
    straight = ScoreTable(tmp_path / "straight.csv", FACTS)
    run(straight, case, predicted())
    label = np.zeros((8, 8, 8), np.uint8)
    label[:4] = 1
    turned = np.zeros((4, 4))  # j, then i from the other end
    turned[1, 0], turned[0, 1], turned[0, 3], turned[2, 2], turned[3, 3] = 1, -1, 7, 2, 1
    write_nifti(tmp_path / "label.nii.gz", label[::-1].transpose(1, 0, 2), turned)
    table = ScoreTable(tmp_path / "scores.csv", FACTS, tmp_path / "pictures")
    run(table, case, predicted())
    assert [row.dice for row in table.rows] == [row.dice for row in straight.rows]
    assert len(list(tmp_path.glob("pictures/*.png"))) == 1


def test_a_label_somewhere_else_is_told_and_takes_no_other_case_along(
    tmp_path: Path, case: Any, caplog: pytest.LogCaptureFixture
) -> None:
    away = AFFINE.copy()
    away[0, 3] = 500
    write_nifti(tmp_path / "away.nii.gz", np.ones((8, 8, 8), np.uint8), away)
    other = {**case, "case": "c1", "label": str(tmp_path / "away.nii.gz")}
    table = ScoreTable(tmp_path / "scores.csv", FACTS)
    classes = torch.as_tensor(predicted())[None]
    engine = Engine(lambda engine, batch: [{"pred": classes}] * 2)
    table.attach(engine)
    engine.run([[other, case]])
    assert {row.case for row in table.rows} == {"c0"}
    assert "c1 is not scored" in caplog.text
