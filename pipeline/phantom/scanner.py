"""What a scanner adds: blur, noise that neighbours share, a brighter rim."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.phantom.patient import AIR_HU, Patient
from pipeline.phantom.shapes import Array

BLUR_VOXELS: Final = 0.45
GRAIN_VOXELS: Final = (0.5, 0.5, 0.4)  # of the noise, along i, j, k
HALO: Final = 2  # slices that both filters need beyond a slab
RANGE_HU: Final = (-1024, 3071)  # what 12 bits hold


def scan(
    clean: NDArray[np.float32], patient: Patient, axes: tuple[Array, Array, Array], depth: int
) -> NDArray[np.int16]:
    """Noise-free HU `(i, j, k)` to what a scanner would store, `depth` slices at a time."""
    image = np.empty(clean.shape, np.int16)
    count = clean.shape[2]
    x, y, _ = axes
    rim = (x[:, None] / 120.0) ** 2 + (y[None, :] / 90.0) ** 2 - 0.5
    for start in range(0, count, depth):
        stop = min(start + depth, count)
        low, high = max(start - HALO, 0), min(stop + HALO, count)
        inner = slice(start - low, stop - low)
        blurred = _filtered(clean[..., low:high].astype(float), (BLUR_VOXELS,) * 3)[..., inner]
        noise = _noise(patient, clean.shape, start, stop)
        solid = np.clip((blurred - AIR_HU) / -AIR_HU, 0.0, 1.0)
        hu = blurred + noise + patient.cupping_hu * rim[..., None] * solid
        image[..., start:stop] = np.rint(np.clip(hu, *RANGE_HU)).astype(np.int16)
    return image


def _noise(patient: Patient, shape: tuple[int, ...], start: int, stop: int) -> Array:
    """Correlated noise of some slices, each drawn from a seed of its own."""
    white = np.stack(
        [
            np.random.Generator(np.random.PCG64((patient.seed, k + HALO))).standard_normal(
                shape[:2]
            )
            for k in range(start - HALO, stop + HALO)
        ],
        axis=2,
    )
    grain = _filtered(white, GRAIN_VOXELS)[..., HALO:-HALO]
    return grain * (patient.noise_hu / _gain())


def _filtered(volume: Array, sigmas: tuple[float, ...]) -> Array:
    """Gaussian filter with a kernel of five taps an axis."""
    for axis, sigma in enumerate(sigmas):
        volume = ndimage.correlate1d(volume, _kernel(sigma), axis=axis, mode="nearest")
    return volume


def _kernel(sigma: float) -> Array:
    """Five weights that sum to one."""
    weights = np.exp(-0.5 * (np.arange(-HALO, HALO + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def _gain() -> float:
    """Standard deviation that the noise's filter leaves of unit white noise."""
    return float(np.prod([np.sqrt((_kernel(sigma) ** 2).sum()) for sigma in GRAIN_VOXELS]))
