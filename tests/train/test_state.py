"""The state of the last whole epoch is on disk, whatever happens while one is written."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import DataError, ResourceError
from pipeline.train import state as module
from pipeline.train.state import FREE, StateSaver, load_state, restore

SETTINGS = {"patch": [8, 8], "seed": 0, "max_epochs": 3}


def engine(epoch: int = 2, iteration: int = 8) -> Any:
    return SimpleNamespace(state=SimpleNamespace(epoch=epoch, iteration=iteration))


def network(value: float = 0.0) -> nn.Linear:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.fill_(value)
    return layer


class Part:
    """Something with a state."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


def saver(folder: Path, value: float = 1.0, part: Any = None) -> StateSaver:
    return StateSaver(folder, network(value), {"part": Part(part)}, SETTINGS)


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    writer = saver(tmp_path, 5.0, part=[1, {"a": torch.ones(2)}])
    writer.extra["choice"] = {"amp": True}
    writer(engine())
    found = load_state(tmp_path)
    assert found["choice"] == {"amp": True}
    trainer, model, part = engine(0, 0), network(), Part()
    restore(found, trainer, model, {"part": part}, SETTINGS)
    assert (trainer.state.epoch, trainer.state.iteration) == (2, 8)
    assert torch.equal(model.weight.detach(), torch.full((1, 2), 5.0))
    assert part.value[0] == 1
    assert torch.equal(part.value[1]["a"], torch.ones(2))


def test_each_epoch_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    writer = saver(tmp_path)
    for epoch in (1, 2, 3):
        writer(engine(epoch))
    assert load_state(tmp_path)["epoch"] == 3
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed"),
    ],
)
def test_a_full_disk_is_one_line_and_the_state_before_stands(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = saver(tmp_path)
    writer(engine(1))

    def full(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("pipeline.train.state.torch.save", full)
    with pytest.raises(ResourceError, match="the state of epoch 2 can't be written") as caught:
        writer(engine(2))
    assert "--resume" in caught.value.hint
    assert load_state(tmp_path)["epoch"] == 1
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["last.pt"]


def test_a_rank_that_does_not_lead_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "leads", lambda: False)
    saver(tmp_path)(engine())
    assert not list(tmp_path.iterdir())


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    saver(tmp_path)(engine())
    file = tmp_path / "state" / "last.pt"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"last\.pt can't be read"):
        load_state(tmp_path)


def test_a_state_of_another_format_is_refused(tmp_path: Path) -> None:
    writer = saver(tmp_path)
    writer.extra["format"] = 99
    writer(engine())
    with pytest.raises(DataError, match="has another format"):
        load_state(tmp_path)


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    torch.save({"format": 1, "part": Path("x")}, tmp_path / "state" / "last.pt")
    with pytest.raises(DataError, match="can't be read"):
        load_state(tmp_path)


def test_another_setting_is_refused_with_both_values(tmp_path: Path) -> None:
    saver(tmp_path)(engine())
    with pytest.raises(DataError, match=r"has patch \[8, 8\], this one \[16, 8\]") as caught:
        restore(
            load_state(tmp_path),
            engine(),
            network(),
            {"part": Part()},
            {**SETTINGS, "patch": [16, 8]},
        )
    assert "--patch [8, 8]" in caught.value.hint


def test_limits_and_what_changes_no_result_may_differ(tmp_path: Path) -> None:
    writer = StateSaver(tmp_path, network(), {}, dict.fromkeys(FREE, 1))
    writer(engine())
    trainer = engine(0, 0)
    restore(load_state(tmp_path), trainer, network(), {}, dict.fromkeys(FREE, 2))
    assert trainer.state.epoch == 2
