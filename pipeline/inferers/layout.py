"""Where the windows of a network lie on a grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Final

from pipeline.errors import InvalidValueError

Span = tuple[int, int]  # first voxel, and the one after the last
Box = tuple[Span, ...]  # one span per axis

GRAZE: Final = 1 / 3  # of a window: how much of the box the windows at its rim may leave out


@dataclass(frozen=True, slots=True)
class Layout:
    """Windows on a grid, evenly or not, but with the same starts along each axis everywhere.

    Attributes:
        shape: Of the grid, in voxels.
        patch: Voxels of which a window gives logits.
        starts: Per axis the first voxel of each window, rising; below 0 and beyond the end where
            the grid is smaller than the window.
        margin: Per axis, voxels that the network sees beyond the logits, on each side; along the
            flat axis, adjacent slices, which it sees as channels.
        border: How the grid goes on outside: "replicate" its last voxel, or "reflect" at it.
        blend: Weights of overlapping windows, "gaussian" or "constant".
        flat: The axis along which windows are one voxel thick, and which the network, a 2D one,
            does not know; None for a network with as many axes as the grid.
    """

    shape: tuple[int, ...]
    patch: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    margin: tuple[int, ...]
    border: str = "replicate"
    blend: str = "gaussian"
    flat: int | None = None

    @property
    def windows(self) -> int:
        """Number of windows."""
        return prod(map(len, self.starts))

    @property
    def region(self) -> Box:
        """The part of the grid that the windows cover."""
        return tuple(
            (max(0, starts[0]), min(n, starts[-1] + p))
            for n, p, starts in zip(self.shape, self.patch, self.starts, strict=True)
        )

    @property
    def seen(self) -> tuple[int, ...]:
        """Size of the network's input, without the flat axis."""
        sizes = [p + 2 * m for p, m in zip(self.patch, self.margin, strict=True)]
        return tuple(n for axis, n in enumerate(sizes) if axis != self.flat)

    def channels(self, images: int) -> int:
        """Channels of the network's input, for an image of so many."""
        return images if self.flat is None else images * (1 + 2 * self.margin[self.flat])


def lay_windows(
    shape: Sequence[int],
    patch: Sequence[int],
    overlap: float,
    flat: int | None = None,
    slices: int = 1,
) -> Layout:
    """Lay windows over a whole grid as MONAI's `sliding_window_inference` does.

    Args:
        shape: Of the grid.
        patch: The window; without the flat axis, if there is one.
        overlap: Share of a window that the next one covers again.
        flat: The axis that a 2D network does not know.
        slices: That it sees along this axis, its own in their middle.

    Raises:
        InvalidValueError: Another number of axes, or an overlap outside 0 to below 1.
    """
    window = _window(shape, patch, flat)
    starts = tuple(_starts(n, p, overlap) for n, p in zip(shape, window, strict=True))
    margin = tuple(slices // 2 if axis == flat else 0 for axis in range(len(window)))
    return Layout(tuple(shape), window, starts, margin, flat=flat)


def lay_evenly(
    shape: Sequence[int],
    patch: Sequence[int],
    overlap: float,
    box: Box,
    margin: Sequence[int] | None = None,
) -> Layout:
    """Lay windows over a box, evenly spread in it, at least as dense as `overlap` asks for.

    Where the box is smaller than a window, the window is centred on it as far as the grid goes.

    Args:
        shape: Of the grid.
        patch: The window.
        overlap: Share of a window that the next one covers again.
        box: What has to be covered.
        margin: Per axis, voxels around the box that are covered too where no window more is
            needed for them; None: none.

    Raises:
        InvalidValueError: As `lay_windows`.
    """
    window = _window(shape, patch, None)
    starts = tuple(
        _spread(n, p, _step(p, overlap), span, around)
        for n, p, span, around in zip(shape, window, box, margin or [0] * len(box), strict=True)
    )
    return Layout(tuple(shape), window, starts, (0,) * len(window))


def lay_on_lattice(shape: Sequence[int], patch: Sequence[int], overlap: float, box: Box) -> Layout:
    """Keep the windows of `lay_windows` that a box needs.

    A window is left out if it holds none of the box, or up to a third of a window of it that
    others cover.

    Raises:
        InvalidValueError: As `lay_windows`.
    """
    whole = lay_windows(shape, patch, overlap)
    starts = tuple(
        _needed(every, p, span)
        for every, p, span in zip(whole.starts, whole.patch, box, strict=True)
    )
    return Layout(whole.shape, whole.patch, starts, whole.margin)


def lay_tiles(
    shape: Sequence[int],
    seen: Sequence[int],
    given: Sequence[int],
    overlap: float = 0.0,
    flat: int | None = None,
    slices: int = 1,
) -> Layout:
    """Lay the tiles of a network that loses its border: they see more than they give.

    All voxels of a tile have their whole context, so that tiles need no overlap; beyond the
    grid it is mirrored.

    Args:
        shape: Of the grid.
        seen: Size of the network's input.
        given: Size of its logits.
        overlap: Share of a tile that the next one gives again.
        flat: The axis that a 2D network does not know.
        slices: That it sees along this axis, its own in their middle.

    Raises:
        InvalidValueError: As `lay_windows`, or an odd number of voxels is lost.

    Source: Ronneberger et al., arXiv 1505.04597, figure 2.
    """
    lost = [a - b for a, b in zip(seen, given, strict=True)]
    if any(n < 0 or n % 2 for n in lost):
        raise InvalidValueError(
            f"the network makes {list(given)} of {list(seen)}", hint="lose as much on each side"
        )
    margin = [n // 2 for n in lost]
    if flat is not None:
        margin.insert(flat, slices // 2)
    inner = lay_windows(shape, given, overlap, flat)
    return Layout(
        inner.shape, inner.patch, inner.starts, tuple(margin), "reflect", "constant", flat
    )


def places(layout: Layout, axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Indices into `starts` of all windows, the first of `axes` changing slowest."""
    found = []
    for ordered in product(*(range(len(layout.starts[axis])) for axis in axes)):
        index = dict(zip(axes, ordered, strict=True))
        found.append(tuple(index[axis] for axis in range(len(axes))))
    return found


def _window(shape: Sequence[int], patch: Sequence[int], flat: int | None) -> tuple[int, ...]:
    """The window on the grid's axes."""
    window = [int(p) for p in patch]
    if flat is not None:
        window.insert(flat, 1)
    if len(window) != len(shape) or min(window) < 1:
        raise InvalidValueError(
            f"a window of {list(patch)} for a grid of {list(shape)}", hint="one size per axis"
        )
    return tuple(window)


def _step(patch: int, overlap: float) -> int:
    """Voxels from one window to the next."""
    if not 0 <= overlap < 1:
        raise InvalidValueError(f"overlap is {overlap}", hint="give 0 to 0.9")
    return max(1, int(patch * (1 - overlap)))


def _starts(size: int, patch: int, overlap: float) -> tuple[int, ...]:
    """MONAI's starts: full steps, the last window moved back to end with the grid."""
    step = _step(patch, overlap)
    if size <= patch:
        return (-((patch - size) // 2),)
    count = ceil((size - patch) / step) + 1
    return tuple(min(i * step, size - patch) for i in range(count))


def _spread(size: int, patch: int, step: int, span: Span, margin: int) -> tuple[int, ...]:
    """Evenly spread starts of as few windows as cover a span in steps of at most `step`."""
    if size <= patch:
        return (-((patch - size) // 2),)
    low, high = span
    count = max(0, ceil((high - low - patch) / step)) + 1
    length = min(size, high - low + 2 * margin, patch + (count - 1) * step)
    length = max(length, patch)
    low = min(max(0, low - (length - (high - low)) // 2), size - length)
    if count == 1:
        return (low,)
    return tuple(low + round(i * (length - patch) / (count - 1)) for i in range(count))


def _needed(starts: tuple[int, ...], patch: int, span: Span) -> tuple[int, ...]:
    """Starts without those at both ends whose part of the span the next ones cover."""
    low, high = span
    kept = [s for s in starts if s < high and s + patch > low]
    graze = patch * GRAZE
    while len(kept) > 1 and kept[1] <= low and kept[0] + patch - low <= graze:
        kept.pop(0)
    while len(kept) > 1 and kept[-2] + patch >= high and high - kept[-1] <= graze:
        kept.pop()
    return tuple(kept)
