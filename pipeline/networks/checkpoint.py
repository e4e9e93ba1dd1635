"""Gradient checkpointing: a block's activations are computed again instead of kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run(block: nn.Module, *inputs: Tensor, checkpointed: bool) -> Tensor:
    """Apply `block`; where `checkpointed` and a gradient is wanted, keep only its inputs."""
    if not checkpointed or not torch.is_grad_enabled() or not block.training:
        result: Tensor = block(*inputs)
        return result

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), frozen_statistics(block)

    again: Tensor = checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)
    return again


@contextmanager
def frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Keep batch norm's running statistics as they are, so that no batch counts twice."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:  # a synchronised norm wants one to count on
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
