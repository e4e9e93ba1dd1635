"""The average follows its formula, takes the norms' statistics along and can be resumed."""

import copy
from typing import TypeVar

import pytest
import torch
from torch import nn

from pipeline.train.average import Average

Module = TypeVar("Module", bound=nn.Module)


def set_to(network: Module, value: float) -> Module:
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.fill_(value)
    return network


def weight(average: Average) -> float:
    return float(next(average.module.parameters()).flatten()[0])


def test_first_update_copies_the_weights() -> None:
    network = set_to(nn.Linear(2, 2), 1.0)
    average = Average(network)
    average.update(set_to(network, 5.0))
    assert weight(average) == 5.0


def test_later_updates_keep_the_smaller_of_decay_and_warm_up() -> None:
    network = set_to(nn.Linear(1, 1), 0.0)
    average = Average(network, decay=0.25)
    expected = 0.0
    average.update(network)
    for count, value in enumerate([3.0, 7.0, -2.0, 4.0], start=1):
        average.update(set_to(network, value))
        keep = min(0.25, (1 + count) / (10 + count))
        expected = keep * expected + (1 - keep) * value
        assert weight(average) == pytest.approx(expected, rel=1e-6)


def test_statistics_of_a_norm_are_averaged_and_its_counter_is_copied() -> None:
    network = nn.BatchNorm1d(3)
    average = Average(network, decay=0.5)
    average.update(network)
    set_to(network, 8)
    average.update(network)
    keep = 2 / 11
    statistics = average.module.running_mean
    torch.testing.assert_close(statistics, torch.full((3,), 8 * (1 - keep)))
    assert average.module.num_batches_tracked == 8


def test_the_averaged_network_is_in_evaluation_mode_and_takes_no_gradient() -> None:
    average = Average(nn.BatchNorm1d(3).train())
    assert not average.module.training
    assert not any(p.requires_grad for p in average.module.parameters())


def test_updating_leaves_the_network_itself_alone() -> None:
    network = set_to(nn.Linear(2, 2), 3.0)
    average = Average(network)
    average.update(network)
    average.update(set_to(network, 4.0))
    assert float(network.weight.detach()[0, 0]) == 4.0


def test_a_restored_average_goes_on_as_the_first_would_have() -> None:
    network = set_to(nn.Linear(1, 1), 1.0)
    first = Average(network)
    for value in (2.0, 3.0):
        first.update(set_to(network, value))
    second = Average(nn.Linear(1, 1))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for average in (first, second):
        average.update(set_to(network, 9.0))
    assert weight(first) == weight(second)
