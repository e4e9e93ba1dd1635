"""What networks with a decoder of several levels share: their heads, sizes and options."""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.errors import InvalidValueError
from pipeline.networks.layers import CONV, Size

Sizes = Sequence[int | Sequence[int]]


class LevelNetwork(Network):
    """A network that decodes in levels; a subclass says how, and has a `head` for the finest.

    With deep supervision each coarser level gets a 1x1 convolution, and training returns the
    heads' logits at their own resolution, finest first.
    """

    head: nn.Module

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__(spatial_dims, in_channels, out_channels)
        self.deep_heads = nn.ModuleList()

    def add_heads(self, widths: Sequence[int]) -> None:
        """Supervise the coarser levels too, whose `widths` are given from the second finest on."""
        conv = CONV[self.spatial_dims]
        self.deep_heads.extend(conv(width, self.out_channels, 1) for width in widths)
        self.heads = 1 + len(widths)

    def decode(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's tensors, finest first, without the bottleneck."""
        raise NotImplementedError

    def classify(self, levels: list[Tensor]) -> Tensor:
        """Return the network's own logits from the decoder's tensors."""
        logits: Tensor = self.head(levels[0])
        return logits

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map `(B, C, *S)` to logits `(B, K, *S)`; in training with deep supervision to a list."""
        self.check_input(x)
        levels = self.decode(x)
        logits = self.classify(levels)
        if not self.training or not self.deep_heads:
            return logits
        return [logits, *self.supervise(levels, x.shape[2:])]

    def supervise(self, levels: list[Tensor], size: Sequence[int]) -> list[Tensor]:
        """Return the coarser heads' logits at their own resolution; `size` is the input's."""
        return [head(level) for head, level in zip(self.deep_heads, levels[1:], strict=True)]


def check_widths(widths: Sequence[int], fewest: int, most: int | None = None) -> tuple[int, ...]:
    """Return `widths` as a tuple after checking their number and values.

    Args:
        widths: Channels of each level, finest first.
        fewest: Smallest number of levels.
        most: Largest number of levels; None for exactly `fewest`.

    Raises:
        InvalidValueError: Another number of widths, or one that is no whole number above 0.
    """
    most = fewest if most is None else most
    if not fewest <= len(widths) <= most:
        number = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        raise InvalidValueError(
            f"widths has {len(widths)} numbers: {list(widths)}",
            hint=f"give {number} widths, one per level, finest first",
        )
    if not all(isinstance(width, int) and width > 0 for width in widths):
        hint = "each width is a whole number above 0"
        raise InvalidValueError(f"widths is {list(widths)}", hint=hint)
    return tuple(widths)


def check_sizes(
    name: str, sizes: Sizes | None, number: int, spatial_dims: int, default: int
) -> tuple[tuple[int, ...], ...]:
    """Return one tuple per level with one number per axis, from an option like `strides`.

    Args:
        name: The option's name, for the error.
        sizes: One entry per level, a number or one per axis; None for `default` everywhere.
        number: How many entries there must be.
        spatial_dims: Length of an entry that has one number per axis.
        default: The entry where nothing is given.

    Raises:
        InvalidValueError: Another number of entries or axes, or a number below 1.
    """
    sizes = (default,) * number if sizes is None else sizes
    full = tuple((s,) * spatial_dims if isinstance(s, int) else tuple(s) for s in sizes)
    if len(full) != number or any(len(s) != spatial_dims or min(s) < 1 for s in full):
        raise InvalidValueError(
            f"{name} is {list(sizes)}",
            hint=f"give {number} entries, each a number or {spatial_dims} of them, from 1 on",
        )
    return full


def check_kernels(sizes: Sizes | None, number: int, spatial_dims: int) -> tuple[Size, ...]:
    """Return one odd kernel size per level, 3 on each axis by default.

    Raises:
        InvalidValueError: Another number of entries or axes, or an even number.
    """
    full = check_sizes("kernels", sizes, number, spatial_dims, 3)
    if any(k % 2 == 0 for kernel in full for k in kernel):
        hint = "kernels are odd on every axis, such as 3 or (3, 3, 1)"
        raise InvalidValueError(f"kernels has an even number: {list(full)}", hint=hint)
    return full


def divisor_of(strides: Sequence[Sequence[int]]) -> int | tuple[int, ...]:
    """Multiply the strides of all levels: one number where every axis has the same."""
    product = tuple(prod(axis) for axis in zip(*strides, strict=True))
    return product[0] if len(set(product)) == 1 else product
