"""The elementary layers of a network, in 2D or 3D by one switch and named as in the options."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import gcd
from typing import Final

from torch import nn

from pipeline.errors import InvalidValueError, UnknownNameError

Size = int | tuple[int, ...]
Table = dict[int, Callable[..., nn.Module]]  # by number of axes

CONV: Final[Table] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: Final[Table] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOL: Final[Table] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
DROPOUT: Final[Table] = {2: nn.Dropout2d, 3: nn.Dropout3d}
BATCH_NORM: Final[Table] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORM: Final[Table] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
LINEAR: Final = {2: "bilinear", 3: "trilinear"}

NORMS: Final = ("batch", "instance", "group", None)
MAX_GROUPS: Final = 8  # of group norm; fewer where the channels don't divide

ACTIVATIONS: Final[dict[str, Callable[[bool], nn.Module]]] = {
    "relu": lambda in_place: nn.ReLU(in_place),
    "leaky_relu": lambda in_place: nn.LeakyReLU(0.01, in_place),
    "elu": lambda in_place: nn.ELU(1.0, in_place),
    "gelu": lambda _: nn.GELU(),
    "silu": lambda in_place: nn.SiLU(in_place),
}


@dataclass(frozen=True, slots=True)
class Layers:
    """A factory of layers for `dims` axes, with one choice of norm, activation and dropout.

    Args:
        dims: Number of spatial axes, 2 or 3.
        norm: "batch", "instance", "group" or None.
        activation: A name of `ACTIVATIONS`.
        dropout: Probability that a channel is dropped at the end of a block; 0 for none.

    Raises:
        UnknownNameError: No such norm or activation.
        InvalidValueError: `dropout` is outside [0, 1).
    """

    dims: int
    norm: str | None = "batch"
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the names and the probability."""
        if self.norm not in NORMS:
            known = [name for name in NORMS if name]
            near = get_close_matches(str(self.norm), known) or [*known, "None"]
            hint = f"did you mean {', '.join(near)}?"
            raise UnknownNameError(f"there is no norm {self.norm!r}", hint=hint)
        if self.activation not in ACTIVATIONS:
            near = get_close_matches(str(self.activation), ACTIVATIONS) or sorted(ACTIVATIONS)
            hint = f"did you mean {', '.join(near)}?"
            raise UnknownNameError(f"there is no activation {self.activation!r}", hint=hint)
        if not 0 <= self.dropout < 1:
            hint = "use a probability from 0 to below 1"
            raise InvalidValueError(f"dropout is {self.dropout}", hint=hint)

    def without_dropout(self) -> "Layers":
        """The same layers, for a network that places its dropout itself."""
        return replace(self, dropout=0.0)

    def conv(
        self,
        channels: int,
        width: int,
        kernel: Size = 3,
        *,
        stride: Size = 1,
        padding: Size | None = None,
        dilation: int = 1,
        bias: bool = True,
    ) -> nn.Module:
        """Convolution; padding None keeps the size at stride 1."""
        if padding is None:
            padding = _half(kernel, dilation)
        return CONV[self.dims](
            channels, width, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias
        )

    def transposed(
        self, channels: int, width: int, factor: Size = 2, *, bias: bool = True
    ) -> nn.Module:
        """Transposed convolution whose kernel is its stride."""
        return TRANSPOSED[self.dims](channels, width, factor, stride=factor, bias=bias)

    def normalise(self, width: int) -> nn.Module | None:
        """The chosen norm over `width` channels, with scale and shift."""
        if self.norm == "batch":
            return BATCH_NORM[self.dims](width)
        if self.norm == "instance":
            return INSTANCE_NORM[self.dims](width, affine=True)
        return nn.GroupNorm(gcd(MAX_GROUPS, width), width) if self.norm else None

    def activate(self, *, in_place: bool = True) -> nn.Module:
        """The chosen activation; by default it overwrites its input where it can."""
        return ACTIVATIONS[self.activation](in_place)

    def drop(self) -> nn.Module | None:
        """The chosen dropout of whole channels; None without."""
        return DROPOUT[self.dims](self.dropout) if self.dropout else None

    def pool(self, factor: Size = 2) -> nn.Module:
        """Max-pool whose kernel is its stride."""
        return MAX_POOL[self.dims](factor)

    def nearest(self, factor: Size = 2) -> nn.Module:
        """Nearest-neighbour up-sampling."""
        return nn.Upsample(scale_factor=_floats(factor), mode="nearest")

    def linear(self, factor: Size = 2, *, align_corners: bool) -> nn.Module:
        """Bilinear or trilinear up-sampling."""
        return nn.Upsample(
            scale_factor=_floats(factor), mode=LINEAR[self.dims], align_corners=align_corners
        )

    def unit(
        self, channels: int, width: int, kernel: Size = 3, *, bias: bool = True
    ) -> nn.Sequential:
        """Convolution, norm, activation."""
        return chain(
            self.conv(channels, width, kernel, bias=bias), self.normalise(width), self.activate()
        )


def chain(*layers: nn.Module | None) -> nn.Sequential:
    """Put layers in a row; None is left out."""
    return nn.Sequential(*(layer for layer in layers if layer is not None))


def _half(kernel: Size, dilation: int) -> Size:
    """Padding that keeps the size."""
    if isinstance(kernel, tuple):
        return tuple(dilation * (k // 2) for k in kernel)
    return dilation * (kernel // 2)


def _floats(factor: Size) -> float | tuple[float, ...]:
    """`nn.Upsample` wants factors as floats."""
    return tuple(map(float, factor)) if isinstance(factor, tuple) else float(factor)


def up_conv(layers: Layers) -> Callable[[int, int, Size, Size], nn.Module]:
    """Return what makes article 004's up-sampling: nearest neighbour, convolution, norm, ReLU."""

    def up(coarse: int, fine: int, stride: Size, kernel: Size) -> nn.Module:
        return chain(layers.nearest(stride), layers.unit(coarse, fine, kernel))

    return up
