"""Overlays of validation cases are drawn once, when the training has ended."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from pipeline.train.pictures import ValidationPictures

FACTS = {"classes": ["organ", "lesion"], "head": "softmax"}


def drawn(
    folder: Path, ended_by: str, cases: int = 3, number: int = 2, head: str = "softmax"
) -> Any:
    clock: Any = SimpleNamespace(ended_by=ended_by)
    pictures = ValidationPictures(
        folder, {**FACTS, "head": head}, (1.0, 1.0, 2.0), clock, drawn=number
    )
    channels = 1 if head == "softmax" else 2
    mask = torch.zeros(channels, 8, 8, 8, dtype=torch.uint8)
    mask[0, 2:5] = 1
    batches = [[{"case": f"c{n}", "image": torch.rand(1, 8, 8, 8)}] for n in range(cases)]
    engine = Engine(lambda engine, batch: [{**batch[0], "label": mask, "pred": mask}])
    pictures.attach(engine)
    engine.run(batches)
    return sorted(path.name for path in folder.glob("*"))


def test_nothing_is_drawn_while_the_training_goes_on(tmp_path: Path) -> None:
    assert drawn(tmp_path / "p", "") == []


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_the_first_cases_of_the_last_validation_are_drawn(head: str, tmp_path: Path) -> None:
    assert drawn(tmp_path / "p", "max_epochs", head=head) == ["val-c0.png", "val-c1.png"]
