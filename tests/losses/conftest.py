from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Sample = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def sample() -> Sample:
    """Makes logits `(B, K, *S)` and their label, a map or regions."""

    def make(
        shape: tuple[int, ...], *, regions: bool = False, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
        if regions:
            return logits, torch.randint(0, 2, shape, generator=generator)
        return logits, torch.randint(0, shape[1], (shape[0], 1, *shape[2:]), generator=generator)

    return make
