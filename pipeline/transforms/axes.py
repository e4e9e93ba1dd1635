"""Which grid a network sees of a scan: MONAI's own, with the arithmetic that leads to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import nibabel
import numpy as np
from monai.data.utils import compute_shape_offset, zoom_affine
from numpy.typing import NDArray

from pipeline.io import spacing_of
from pipeline.transforms.resample import Line

Affine = NDArray[np.float64]
SPACING_TOLERANCE: Final = 1e-3  # relative; a finer difference is not worth an interpolation


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A grid along the source's own axes, which are flipped, permuted and rescaled.

    Attributes:
        affine: Index to RAS mm.
        shape: Its size.
        axes: For each axis of the source, the axis of this grid.
        lines: For each axis of the source, where this grid's voxels lie on it.
    """

    affine: Affine
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    lines: tuple[Line, ...]

    @property
    def resampled(self) -> bool:
        """Whether values are interpolated."""
        return any(line.moves for line in self.lines)


def ras_grid(affine: Affine, shape: Sequence[int], spacing: Sequence[float] | None) -> Grid:
    """Return the grid along R, A and S that MONAI's `Orientation` and `Spacing` lead to.

    Voxel n along an axis lies at the source's n * spacing / own, from the first voxel on; the
    size is (n - 1) * own / spacing + 1, rounded half to even after the 1 is added.

    Args:
        affine: Of the source, index to RAS mm, without shear.
        shape: Of the source.
        spacing: mm along R, A and S; None, or one as the source's own, interpolates nothing.
    """
    axes, flips, oriented = to_ras(affine, shape)
    size = permuted(shape, axes)
    own = np.array(spacing_of(oriented))
    ratio = np.ones(3)
    if spacing is not None and not np.allclose(own, spacing, rtol=SPACING_TOLERANCE):
        ratio = np.array(spacing) / own
        found, _ = compute_shape_offset(size, oriented, zoom_affine(oriented, spacing, False))
        size = [int(count) for count in found]
        # the source's own axes, not the nearest orthogonal ones: so the grid is where it says
        oriented = oriented @ np.diag([*ratio, 1.0])
    lines = []
    for count, axis, flip in zip(shape, axes, flips, strict=True):
        line = Line.at(np.arange(size[axis]) * ratio[axis], int(count))
        lines.append(line.reversed(int(count)) if flip else line)
    return Grid(oriented, tuple(size), axes, tuple(lines))


def to_ras(
    affine: Affine, shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[bool, ...], Affine]:
    """Return how a grid's axes become R, A and S: their new places, which turn round, the affine.

    Args:
        affine: Index to RAS mm.
        shape: Of the grid.
    """
    turns = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]
    axes = tuple(int(axis) for axis in turns[:, 0])
    flips = tuple(bool(sign < 0) for sign in turns[:, 1])
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for source, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        back[source, axis] = -1 if flip else 1
        back[source, 3] = shape[source] - 1 if flip else 0
    return axes, flips, affine @ back


def permuted(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    """Return the sizes of a grid whose axis n goes to place `axes[n]`."""
    sizes = [0] * len(axes)
    for count, axis in zip(shape, axes, strict=True):
        sizes[axis] = int(count)
    return sizes


def upright_grid(
    affine: Affine, shape: Sequence[int], spacing: Sequence[float] | None, across: int
) -> tuple[Affine, tuple[int, ...]]:
    """Return affine and shape of the orthogonal grid over all of a sheared scan.

    The slices' own two axes stay, the third becomes their normal: the grid of
    `convert --regularize`, with `spacing` where it is given.

    Args:
        affine: Of a scan along R, A and S, such as one with a tilted gantry.
        shape: Of the scan.
        spacing: mm along the axes; None: the scan's own, across slices their distance.
        across: The axis that goes from slice to slice.
    """
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    first, second = (across + 1) % 3, (across + 2) % 3
    columns[:, second] -= columns[:, first] * (columns[:, first] @ columns[:, second])
    columns[:, second] /= np.linalg.norm(columns[:, second])
    columns[:, across] = np.cross(columns[:, first], columns[:, second])
    own = np.linalg.norm(affine[:3, :3], axis=0)
    own[across] = abs(float(columns[:, across] @ affine[:3, across]))
    upright = np.eye(4)
    upright[:3, :3] = columns * (own if spacing is None else np.array(spacing))
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1)
    places = np.linalg.inv(upright[:3, :3]) @ affine[:3, :3] @ corners
    upright[:3, 3] = affine[:3, 3] + upright[:3, :3] @ places.min(axis=1)
    size = np.round(np.ptp(places, axis=1) + 1).astype(int)
    return upright, tuple(int(n) for n in size)
