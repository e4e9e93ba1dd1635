"""What networks, losses, training and prediction share, whatever the network."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from pipeline.errors import InvalidValueError

SPATIAL_DIMS: Final = (2, 3)


@dataclass(frozen=True, slots=True)
class GuidedOutput:
    """Training's result of a network with a classification-guided module.

    Attributes:
        heads: Ungated logits `(B, K, *S)`, best head first.
        class_logits: `(B, 2)`, index 0 for absent, 1 for present.
    """

    heads: list[Tensor]
    class_logits: Tensor


class Network(nn.Module):
    """`(B, C, *S)` to logits `(B, K, *S)`, no softmax inside; each of S a multiple of `divisor`.

    In training a network with several heads returns a list of logits, best head first; in
    evaluation every network returns one tensor.

    Args:
        spatial_dims: 2 or 3, the length of S.
        in_channels: C.
        out_channels: K.

    Attributes:
        built_with: The options that `build_network` was given; empty for one built by its class.

    Raises:
        InvalidValueError: `spatial_dims` is neither 2 nor 3, or a number of channels is below 1.
    """

    built_with: Mapping[str, Any] = MappingProxyType({})
    divisor: int | tuple[int, ...]
    heads: int = 1  # tensors that training returns
    paddable: bool = True  # whether padding an input to `next_size` and cropping back makes sense

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if spatial_dims not in SPATIAL_DIMS:
            raise InvalidValueError(f"spatial_dims is {spatial_dims}", hint="use 2 or 3")
        for name, number in (("in_channels", in_channels), ("out_channels", out_channels)):
            if number < 1:
                raise InvalidValueError(f"{name} is {number}", hint="use 1 or more")
        self.spatial_dims = spatial_dims
        self.in_channels = in_channels
        self.out_channels = out_channels

    @property
    def divisors(self) -> tuple[int, ...]:
        """One divisor per spatial axis."""
        if isinstance(self.divisor, tuple):
            return self.divisor
        return (self.divisor,) * self.spatial_dims

    def next_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the next size at or above `size` that this network takes, axis by axis.

        Instance norm needs two voxels at the bottleneck, so the first axis grows where that helps.
        """
        fitting = self.round_size(size)
        if self._has(_InstanceNorm) and prod(self.bottleneck_size(fitting)) == 1:
            return self._larger(fitting)
        return fitting

    def round_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Round each axis up to what the levels can divide; a subclass may have another rule."""
        return tuple(max(1, -(-n // d)) * d for n, d in zip(size, self.divisors, strict=True))

    def output_size(self, n: int) -> int:
        """Length of the logits along an axis of `n` voxels that the network takes."""
        return n

    @property
    def border(self) -> int:
        """Voxels that an axis loses from input to logits, half on each side."""
        n = max(self.next_size([1] * self.spatial_dims))
        return n - self.output_size(n)

    def bottleneck_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Size of the coarsest tensor that is normalised."""
        return tuple(n // d for n, d in zip(size, self.divisors, strict=True))

    def check_input(self, x: Tensor) -> None:
        """Refuse an input that the network can't take; silent while exporting or compiling.

        Raises:
            InvalidValueError: Axes, channels or size do not fit, or a single case leaves one
                value per channel at the bottleneck, on which batch norm can't train.
        """
        tracing = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if tracing or torch.compiler.is_compiling():
            return
        if x.ndim != self.spatial_dims + 2 or x.shape[1] != self.in_channels:
            raise InvalidValueError(
                f"the input's shape is {tuple(x.shape)}",
                hint=f"give (B, {self.in_channels}, and {self.spatial_dims} spatial axes)",
            )
        size = tuple(x.shape[2:])
        following = self.next_size(size)
        if following != size:
            hint = f"the next size that works is {_product(following)}"
            output = tuple(map(self.output_size, following))
            if output != following:
                hint += f", which gives {_product(output)}"
            raise InvalidValueError(f"size {_product(size)} does not fit the network", hint=hint)
        if x.shape[0] == 1 and prod(self.bottleneck_size(size)) == 1:
            self._check_norms(size)

    def _check_norms(self, size: tuple[int, ...]) -> None:
        """Refuse a single case that leaves a norm of the bottleneck one value per channel."""
        groups = [module for module in self.modules() if isinstance(module, nn.GroupNorm)]
        widest = max(groups, key=lambda norm: norm.num_channels, default=None)
        single = widest is not None and widest.num_groups == widest.num_channels
        if single or (self.training and self._has(_BatchNorm)):
            raise InvalidValueError(
                f"size {_product(size)} in a batch of 1 leaves one value per channel to a norm",
                hint=f"use a size of {_product(self._larger(size))}, or a batch of 2",
            )

    def _larger(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Lengthen the first axis until the bottleneck has two voxels."""
        while prod(self.bottleneck_size(size)) == 1:
            size = self.round_size((size[0] + 1, *size[1:]))
        return size

    def _has(self, kind: type[nn.Module]) -> bool:
        return any(isinstance(module, kind) for module in self.modules())


def _product(size: Sequence[int]) -> str:
    """Write a size as `32x48`."""
    return "x".join(map(str, size))


class Engine(ABC):
    """Runs windows through one network at one precision, at one window shape.

    An engine is opened for a fixed `(batch, C, *patch)` and may compute several windows at once,
    but hands results back in the order of its input, so that sums over them are deterministic.

    Attributes:
        name: As in `--engine`.
        precision: `fp32`, `bf16`, `fp16` or `int8`: what it computes in, read back, not hoped for.
        batch: Windows per forward.
        threads: CPU threads that it uses; 0 where it computes on a GPU.
    """

    name: str
    precision: str
    batch: int
    threads: int

    @abstractmethod
    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield logits `(b, K, *out)` fp32 for each of `batches`, `(b, C, *patch)` with b <= batch.

        A batch may be overwritten by the caller once its logits have been yielded, not before.
        Logits are valid until the next ones are asked for, and may be overwritten in place until
        then. A few batches are taken ahead.
        """

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back memory and threads; a second call does nothing."""
