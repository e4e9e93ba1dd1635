"""What a network needs: multiply-adds, and the memory that its backward pass keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pipeline.contract import Network


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one forward pass in training.

    Attributes:
        multiply_adds: Of convolutions and matrix products.
        activation_bytes: Kept for the backward pass in single precision, without parameters.
    """

    multiply_adds: int
    activation_bytes: int


def measure_cost(network: Network, size: Sequence[int], batch: int = 1) -> Cost:
    """Run `network` once on `(batch, C, *size)` in training mode and count.

    Nothing is computed where the network was built under `torch.device("meta")`; elsewhere the
    running statistics move, so take a network built for the purpose.

    Raises:
        InvalidValueError: The network refuses the size.
    """
    parameter = next(network.parameters())
    own = {_storage(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    kept: dict[int, tuple[Any, int]] = {}  # the storage is held, so that no address comes twice

    def keep(tensor: Tensor) -> Tensor:
        storage = _storage(tensor)
        if storage not in own:
            whole = tensor.untyped_storage()
            kept[storage] = (whole, whole.nbytes())
        return tensor

    network.train()
    x = torch.zeros(batch, network.in_channels, *size, device=parameter.device)
    counter = FlopCounterMode(display=False)
    with saved_tensors_hooks(keep, lambda tensor: tensor), counter:
        network(x)
    return Cost(counter.get_total_flops() // 2, sum(number for _, number in kept.values()))


def _storage(tensor: Tensor) -> int:
    """Identify a tensor's memory, on the meta device too."""
    address: int = tensor.untyped_storage()._cdata
    return address
