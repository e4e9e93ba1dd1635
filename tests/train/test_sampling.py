"""Which case comes when depends on the seed and on the epoch alone."""

import itertools
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from pipeline.train import sampling
from pipeline.train.sampling import EpochSampler, EpochSeed
from tests.tiny import kept_state


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(rank: int, world: int) -> None:
        monkeypatch.setattr(sampling, "rank_and_world", lambda: (rank, world))

    return use


def order(epoch: int, seed: int = 0, cases: int = 7, samples: int = 10) -> list[int]:
    sampler = EpochSampler(cases, samples, seed)
    sampler.epoch = epoch
    return list(sampler)


def test_an_epoch_has_its_length_whatever_the_number_of_cases() -> None:
    for samples in (1, 6, 7, 8, 30):
        assert len(order(1, samples=samples)) == samples == len(EpochSampler(7, samples))


def test_all_cases_come_before_one_comes_again() -> None:
    drawn = order(3, samples=16)
    assert set(drawn[:7]) == set(drawn[7:14]) == set(range(7))
    assert max(Counter(drawn).values()) == 3


def test_the_order_is_that_of_seed_and_epoch_whatever_came_before() -> None:
    sampler = EpochSampler(7, 10, 4)
    for epoch in (1, 2, 5):
        sampler.epoch = epoch
        assert list(sampler) == order(epoch, 4)
    assert len({tuple(order(epoch, seed)) for epoch in (1, 2) for seed in (0, 1)}) == 4


def test_ranks_share_an_epoch_without_overlap(ranks: Any) -> None:
    ranks(0, 1)
    whole = order(2, cases=20, samples=12)
    parts = []
    for rank in range(3):
        ranks(rank, 3)
        parts.append(order(2, cases=20, samples=4))
    assert [len(part) for part in parts] == [4, 4, 4]
    assert sorted(itertools.chain(*parts)) == sorted(whole)
    assert len(set(whole)) == 12


class Dataset:
    seeds: list[int]

    def __init__(self) -> None:
        self.seeds = []

    def set_random_state(self, seed: int) -> None:
        self.seeds.append(seed)


def drawn(epoch: int, seed: int = 0) -> tuple[list[float], int]:
    """Numbers of all generators after an epoch was seeded, and the data set's seed."""
    sampler, dataset = EpochSampler(3, 3), Dataset()
    with kept_state():
        EpochSeed(sampler, dataset, seed)(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))  # type: ignore[arg-type]
        numbers = [float(torch.rand(1)), float(np.random.rand()), random.random()]
    assert sampler.epoch == epoch
    return numbers, dataset.seeds[0]


def test_every_generator_is_seeded_from_seed_and_epoch() -> None:
    assert drawn(3, 1) == drawn(3, 1)
    found = [drawn(epoch, seed) for epoch in (1, 2) for seed in (0, 1)]
    assert len({seed for _, seed in found}) == 4
    for column in zip(*(numbers for numbers, _ in found), strict=True):
        assert len(set(column)) == 4


def test_ranks_draw_their_own_random_changes(ranks: Any) -> None:
    found = []
    for epoch, rank in ((1, 0), (1, 1), (2, 0), (2, 1)):
        ranks(rank, 2)
        found.append(drawn(epoch)[1])
    assert len(set(found)) == 4


def test_each_epoch_of_a_trainer_is_seeded_before_its_first_batch() -> None:
    sampler = EpochSampler(5, 4, seed=2)
    told: list[list[int]] = []
    engine = Engine(lambda engine, batch: told[-1].append(int(batch)))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: told.append([]))
    EpochSeed(sampler, Dataset(), 2).attach(engine)
    cases: Any = list(range(5))
    loader: Any = torch.utils.data.DataLoader(cases, sampler=sampler)
    with kept_state():
        engine.run(loader, max_epochs=3)
    assert told == [order(epoch, 2, 5, 4) for epoch in (1, 2, 3)]


@pytest.mark.parametrize("cuda", [True, False])
def test_a_gpu_takes_its_fastest_kernels(cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    engine: Any = SimpleNamespace(state=SimpleNamespace(epoch=1))
    with kept_state():
        EpochSeed(EpochSampler(3, 3), Dataset())(engine)
        found = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    assert found == (not cuda, cuda)
