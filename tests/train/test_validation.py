"""Validation comes at its interval and at the end; the best weights are those of the best one."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events, State
from monai.engines import Evaluator, SupervisedEvaluator
from torch import nn

from pipeline.metrics.running import MeanDice
from pipeline.train.average import Average
from pipeline.train.schedule import Clock, WarmCosine
from pipeline.train.validation import BestWeights, Validation


class Validator(Evaluator):
    """Notes the epochs in which it was run."""

    def __init__(self, cases: int = 1) -> None:
        self.data_loader = range(cases)
        self.epochs: list[int] = []
        self.network = nn.Identity()
        self.state = State()

    def run(self, epoch: int = 1) -> None:  # type: ignore[override]
        self.epochs.append(epoch)
        self.state.batch = self.state.output = [torch.ones(1)]


def epochs_validated(interval: int, max_epochs: int, cases: int = 1) -> list[int]:
    layer = nn.Linear(1, 1)
    clock = Clock(WarmCosine(torch.optim.SGD(layer.parameters(), 1.0)), None, max_epochs, None)
    validator = Validator(cases)
    engine = Engine(lambda engine, batch: None)
    clock.attach(engine)
    Validation(interval, validator, clock).attach(engine)
    engine.run(range(2), max_epochs=100)
    assert engine.state.epoch == max_epochs
    assert not cases or validator.state.output is validator.state.batch is None
    return validator.epochs


@pytest.mark.parametrize(
    ("interval", "epochs", "expected"),
    [(1, 3, [1, 2, 3]), (2, 4, [2, 4]), (2, 5, [2, 4, 5]), (10, 3, [3])],
)
def test_every_so_many_epochs_and_always_after_the_last(
    interval: int, epochs: int, expected: list[int]
) -> None:
    assert epochs_validated(interval, epochs) == expected


def test_a_set_without_val_cases_is_not_validated() -> None:
    assert epochs_validated(1, 3, cases=0) == []


def validated(metrics: Sequence[float]) -> tuple[BestWeights, Average]:
    """Validate weights of 1, 2, 3, ... that reach `metrics`."""
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, decay=0.0)
    best = BestWeights(average)
    for number, metric in enumerate(metrics, start=1):
        with torch.no_grad():
            network.weight.fill_(number)
        average.update(network)
        engine: Any = Engine(lambda engine, batch: None)
        engine.state.metrics["dice"], engine.state.key_metric_name = metric, "dice"
        best.attach(engine)
        # as MONAI's evaluator: it runs as the epoch that the trainer is in
        engine.add_event_handler(
            Events.STARTED, lambda e, n=number: setattr(e.state, "epoch", n - 1)
        )
        engine.run([0], max_epochs=number)
    return best, average


def kept(best: BestWeights) -> float:
    assert best.state is not None
    return float(best.state["weight"])


def test_weights_of_the_best_validation_are_kept() -> None:
    best, average = validated([0.2, 0.9, 0.3])
    assert (best.metric, best.epoch, kept(best)) == (0.9, 2, 2.0)
    assert float(average.module.state_dict()["weight"]) == 3.0
    assert best.history == [[1, 0.2], [2, 0.9], [3, 0.3]]


def test_of_equal_validations_the_first_counts() -> None:
    assert validated([0.5, 0.5])[0].epoch == 1


def test_a_validation_that_is_no_number_never_beats_one_that_is() -> None:
    nan = float("nan")
    assert validated([nan, 0.1])[0].epoch == 2
    assert validated([0.1, nan])[0].epoch == 1


def test_nothing_is_kept_before_the_first_validation() -> None:
    best = validated([])[0]
    assert best.metric is None
    assert best.state is None


def test_a_resume_knows_the_best_so_far() -> None:
    first, average = validated([0.2, 0.9])
    second = BestWeights(average)
    second.load_state_dict(first.state_dict())
    assert (second.metric, second.epoch, kept(second)) == (0.9, 2, 2.0)
    assert second.history == first.history


def test_a_monai_evaluator_tells_epoch_and_metric() -> None:
    network = nn.Conv2d(1, 1, 1)
    best = BestWeights(Average(network))
    case = {"image": torch.ones(1, 1, 4, 4), "label": torch.ones(1, 1, 4, 4)}
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[case],
        network=network,
        key_val_metric={"dice_mean": MeanDice(["a"], lambda out: ([x["label"] for x in out],) * 2)},
        val_handlers=[best],
    )
    evaluator.run(7)
    assert best.history == [[7, 1.0]]
