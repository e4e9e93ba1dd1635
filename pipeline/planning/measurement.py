"""What one training case adds to the fingerprint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.manifests import Case, Manifest, check_labels, without_white
from pipeline.planning.case import read_case
from pipeline.planning.intensities import light_ground

SAMPLES_PER_CASE = 20_000
SAMPLES = 4_000_000  # of all cases together, so that thousands of them fit in memory


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case, reduced.

    Attributes:
        shape: In RAS order for volumes.
        spacing: In that order; None for pictures.
        samples: Foreground values `(C, n)`, evenly spread; of all voxels where there is none.
        counts: Voxels of background and of each class.
        lowest: Smallest value per channel.
        zeros: Share of voxels that are 0, per channel.
        darker: Whether the foreground is darker than the background; None where that was not
            looked at.
        light_ground: Whether the image alone says so.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    samples: NDArray[np.float32]
    counts: NDArray[np.int64]
    lowest: NDArray[np.float64]
    zeros: NDArray[np.float64]
    darker: bool | None = None
    light_ground: bool | None = None


def measure_case(case: Case, manifest: Manifest, cases: int = 1) -> CaseFacts:
    """Read one of `cases` cases and reduce it.

    Raises:
        DataError: Missing, unreadable, or with integers that the manifest does not declare.
        GeometryError: Channels or label lie on another grid.
    """
    image, label = read_case(case)
    label = without_white(label, manifest.values)
    integers, voxels = np.unique(label, return_counts=True)
    check_labels(integers, manifest, case)
    channels = image.array.shape[-1] if image.array.ndim > label.ndim else 1
    flat = image.array.reshape(-1, channels).astype(np.float32, copy=False)
    mask = label.reshape(-1) > 0
    inside = np.flatnonzero(mask)
    if inside.size == 0:
        inside = np.arange(label.size)
    step = max(1, inside.size // min(SAMPLES_PER_CASE, max(1, SAMPLES // cases)))
    counts = [int(voxels[np.isin(integers, group)].sum()) for group in manifest.values]
    background = int(voxels[~np.isin(integers, sum(manifest.values, ()))].sum())
    spacing, shape = None, label.shape
    darker, light = None, None
    if image.affine is not None:
        axes = ras_axes(image.affine)
        lengths = np.linalg.norm(image.affine[:3, :3], axis=0)
        spacing, shape = tuple(float(lengths[a]) for a in axes), tuple(label.shape[a] for a in axes)
    elif 0 < np.count_nonzero(mask) < mask.size:
        grey = flat.mean(axis=1)
        darker, light = bool(grey[mask].mean() < grey[~mask].mean()), has_light_ground(flat)
    return CaseFacts(
        shape=shape,
        spacing=spacing,
        samples=flat[inside[::step]].T,
        counts=np.array([background, *counts]),
        lowest=flat.min(axis=0).astype(np.float64),
        zeros=(flat == 0).mean(axis=0),
        darker=darker,
        light_ground=light,
    )


def has_light_ground(values: NDArray[np.float32]) -> bool:
    """Whether a picture is mostly light: its median lies above the middle of its range."""
    return light_ground(values) is not None


def ras_axes(affine: NDArray[np.float64]) -> list[int]:
    """Return which array axis runs most along x, y and z; each axis is used once."""
    direction = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    axes: list[int] = [-1, -1, -1]
    for flat in np.argsort(-direction, axis=None):
        world, axis = divmod(int(flat), 3)
        if axes[world] < 0 and axis not in axes:
            axes[world] = axis
    return axes
