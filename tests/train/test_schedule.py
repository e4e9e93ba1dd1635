"""The learning rate follows what is nearer to its end: time or epochs."""

import math
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from pipeline.train import schedule
from pipeline.train.schedule import Clock, WarmCosine


def optimizer(*rates: float) -> torch.optim.Optimizer:
    groups = [{"params": nn.Linear(1, 1).parameters(), "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


class Time:
    """A clock that moves by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(schedule, "time", fake)
    return fake


def run(
    clock: Clock, time: Time, seconds: float, max_epochs: int = 50, length: int = 4
) -> tuple[Engine, list[float]]:
    """Train with updates of `seconds` each; return the engine and the progress at each update."""
    told: list[float] = []

    def update(engine: Engine, batch: Any) -> dict[str, float]:
        told.append(clock.loss.progress)
        time.now += seconds
        return {"loss": 0.0}

    engine = Engine(update)
    clock.attach(engine)
    engine.run(range(length), max_epochs=max_epochs, epoch_length=length)
    return engine, told


class Loss:
    progress = -1.0


def new(max_epochs: int | None, max_minutes: float | None) -> Clock:
    return Clock(WarmCosine(optimizer(1.0)), Loss(), max_epochs, max_minutes)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [
        (0.0, 0.02),
        (0.05, 0.5),
        (0.1, 1.0),
        (0.55, 0.5),
        (0.325, 0.5 * (1 + math.sqrt(0.5))),
        (1.0, 0.0),
        (1.5, 0.0),
    ],
)
def test_rate_rises_linearly_then_falls_by_half_a_cosine(progress: float, factor: float) -> None:
    assert WarmCosine(optimizer(1.0), warmup=0.1).factor(progress) == pytest.approx(factor)


def test_each_group_keeps_its_own_peak() -> None:
    groups = optimizer(0.4, 0.1)
    line = WarmCosine(groups, warmup=0.1)
    for progress in (0.9, 0.1):
        line.set(progress)
    assert [g["lr"] for g in groups.param_groups] == pytest.approx([0.4, 0.1])


def test_epochs_drive_the_progress_where_only_epochs_are_given(time: Time) -> None:
    clock = new(max_epochs=2, max_minutes=None)
    engine, told = run(clock, time, seconds=1000, max_epochs=2)
    assert told == pytest.approx([i / 8 for i in range(8)])
    assert (engine.state.epoch, clock.ended_by) == (2, "max_epochs")


def test_time_drives_the_progress_where_only_time_is_given(time: Time) -> None:
    clock = new(max_epochs=None, max_minutes=1)
    _, told = run(clock, time, seconds=6)
    assert told == pytest.approx([i / 10 for i in range(10)])
    assert clock.ended_by == "max_minutes"


def test_with_both_what_is_nearer_to_its_end_counts_and_ends_the_training(time: Time) -> None:
    slow = new(max_epochs=5, max_minutes=1)
    _, told = run(slow, time, seconds=12, max_epochs=5)
    assert told == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    assert slow.ended_by == "max_minutes"
    quick = new(max_epochs=2, max_minutes=100)
    _, told = run(quick, time, seconds=12, max_epochs=2)
    assert told == pytest.approx([i / 8 for i in range(8)])
    assert quick.ended_by == "max_epochs"


def test_time_that_is_up_ends_the_epoch_within_and_the_epoch_counts(time: Time) -> None:
    clock = new(max_epochs=None, max_minutes=0.5)
    engine, told = run(clock, time, seconds=5)
    assert len(told) == 6
    assert engine.state.iteration == 6
    assert engine.state.epoch == 2


def test_rate_is_set_before_each_update(time: Time) -> None:
    clock = new(max_epochs=1, max_minutes=None)
    rates: list[float] = []

    def update(engine: Engine, batch: Any) -> None:
        rates.append(clock.schedule.optimizer.param_groups[0]["lr"])

    engine = Engine(update)
    clock.attach(engine)
    engine.run(range(4), max_epochs=1, epoch_length=4)
    line = clock.schedule
    assert rates == pytest.approx([line.factor(i / 4) for i in range(4)])


def test_a_loss_without_a_progress_is_left_alone(time: Time) -> None:
    clock = Clock(WarmCosine(optimizer(1.0)), nn.MSELoss(), 1, None)
    engine = Engine(lambda engine, batch: None)
    clock.attach(engine)
    engine.run(range(2), max_epochs=1)
    assert not hasattr(clock.loss, "progress")


def test_a_resumed_clock_goes_on_from_the_seconds_before(time: Time) -> None:
    first = new(max_epochs=1, max_minutes=None)
    run(first, time, seconds=6, max_epochs=1)
    second = new(max_epochs=None, max_minutes=1)
    second.load_state_dict(first.state_dict())
    assert second.before_s == 24
    _, told = run(second, time, seconds=6)
    assert told == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_last_epoch_is_known_when_it_has_ended(time: Time) -> None:
    clock = new(max_epochs=2, max_minutes=None)
    told: list[bool] = []
    engine = Engine(lambda engine, batch: None)
    clock.attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: told.append(clock.is_last(e)))
    engine.run(range(2), max_epochs=2)
    assert told == [False, True]
