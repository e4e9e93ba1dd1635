"""Which case comes when: drawn from seed and epoch alone, so that a resume draws the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import set_determinism
from torch.utils.data import Sampler

from pipeline.train.distributed import rank_and_world


class EpochSampler(Sampler[int]):
    """Indices of an epoch: whole shuffled passes over the cases, cut at the epoch's length.

    Args:
        cases: Number of cases.
        samples: Samples per epoch and process.
        seed: With the epoch, all that the order depends on.
    """

    def __init__(self, cases: int, samples: int, seed: int = 0) -> None:
        self.cases, self.samples, self.seed, self.epoch = cases, samples, seed, 0

    def __len__(self) -> int:
        """Samples per epoch in this process."""
        return self.samples

    def __iter__(self) -> Iterator[int]:
        """Yield this process's share of the epoch."""
        rank, world = rank_and_world()
        generator = np.random.default_rng([self.seed, self.epoch])
        passes = -(-self.samples * world // self.cases)
        order = np.concatenate([generator.permutation(self.cases) for _ in range(passes)])
        yield from (int(i) for i in order[rank : self.samples * world : world])


class EpochSeed:
    """Seeds everything random at the start of each epoch, from the run's seed and the epoch.

    So the state of no generator has to be kept: a resumed epoch is the epoch that it would have
    been.

    Args:
        sampler: Told the epoch.
        dataset: Has `set_random_state`.
        seed: The run's.
    """

    def __init__(self, sampler: EpochSampler, dataset: Any, seed: int = 0) -> None:
        self.sampler, self.dataset, self.seed = sampler, dataset, seed

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed the epoch that begins."""
        rank, world = rank_and_world()
        mixed = np.random.SeedSequence([self.seed, engine.state.epoch * world + rank])
        value = int(mixed.generate_state(1)[0])
        set_determinism(seed=value)
        fast_kernels()
        self.sampler.epoch = engine.state.epoch
        self.dataset.set_random_state(value)


def fast_kernels() -> None:
    """Let cuDNN take its fastest kernels, which MONAI's `set_determinism` forbids.

    Two runs are equal to the bit on a CPU alone: other kernels of a GPU add up as they come.
    """
    if torch.cuda.is_available():
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
