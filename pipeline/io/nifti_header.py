"""The header of a NIfTI file: shape, type, scale and affine, each checked or refused."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, GeometryError
from pipeline.io.volume import Affine

FORMS_TOLERANCE_VOXELS = 0.1
"""Sform and qform may disagree by this many voxels at a corner of the grid."""

_TO_MM = {1: 1000.0, 3: 0.001}  # metre, micrometre; 0 (unknown) and 2 are taken as mm
_DAMAGED = "fetch or export the file again"


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """Checked fields: full `shape` with channels last, stored `dtype`, `offset` in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    intercept: float
    affine: Affine
    warnings: tuple[str, ...]

    @property
    def end(self) -> int:
        """Bytes of the uncompressed file up to its last voxel."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def header_size(head: bytes, path: str | Path) -> int:
    """Return 348 (NIfTI-1) or 540 (NIfTI-2) by the first four bytes, else refuse."""
    for size in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        if size in (348, 540):
            return size
    raise DataError(f"{path}: no NIfTI header (it begins with {head[:4]!r})", hint=_DAMAGED)


def parse_header(head: bytes, path: str | Path) -> NiftiHeader:
    """Return the checked header from the first 348 or 540 bytes of a single-file NIfTI.

    Raises:
        DataError: Not NIfTI, or a field that no reader could follow.
        GeometryError: No usable affine.
    """
    import nibabel

    size = header_size(head, path)
    if len(head) < size:
        raise DataError(f"{path}: cut off in its header, {len(head)} bytes", hint=_DAMAGED)
    kind: Any = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    raw = kind(head[:size], check=False)
    if not bytes(raw["magic"]).startswith((b"n+1", b"n+2")):
        raise DataError(
            f"{path}: magic {bytes(raw['magic'])!r} is no single-file NIfTI",
            hint="convert pairs of .hdr and .img to .nii.gz first",
        )
    shape = _shape(raw, path)
    slope, intercept, notes = _scale(raw, path)
    affine, more = _affine(raw, shape[:3], path)
    return NiftiHeader(
        shape, _dtype(raw, path), _offset(raw, size, path), slope, intercept, affine, notes + more
    )


def _shape(raw: Any, path: str | Path) -> tuple[int, ...]:
    dims = [int(size) for size in raw["dim"]]
    sizes = dims[1 : dims[0] + 1]
    if not 1 <= dims[0] <= 7 or min(sizes) < 1:
        raise DataError(f"{path}: impossible dimensions {dims}", hint=_DAMAGED)
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) > 4:
        raise DataError(
            f"{path}: {len(sizes)} dimensions, {'x'.join(map(str, sizes))}",
            hint="3D is read, or 4D with the channels last",
        )
    return tuple(sizes + [1] * (3 - len(sizes)))


def _dtype(raw: Any, path: str | Path) -> np.dtype[np.generic]:
    try:
        dtype: np.dtype[np.generic] = raw.get_data_dtype()
    except Exception as error:  # nibabel raises its own HeaderDataError or a KeyError
        raise DataError(
            f"{path}: unknown datatype {int(raw['datatype'])}", hint=_DAMAGED
        ) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise DataError(
            f"{path}: colour or complex voxels (datatype {int(raw['datatype'])})",
            hint="only one real number a voxel is read",
        )
    return dtype


def _offset(raw: Any, size: int, path: str | Path) -> int:
    offset = float(raw["vox_offset"])
    if not math.isfinite(offset) or offset < size:
        raise DataError(f"{path}: voxels would begin at byte {offset:g}", hint=_DAMAGED)
    return int(offset)


def _scale(raw: Any, path: str | Path) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    # 0 and NaN both mean "none"; nibabel itself writes NaN, so that is no cause for a warning
    if slope == 0 or math.isnan(slope):
        return 1.0, 0.0, ()
    if math.isinf(slope) or not math.isfinite(intercept):
        raise DataError(f"{path}: scl_slope {slope:g} with scl_inter {intercept:g}", hint=_DAMAGED)
    return slope, intercept, ()


def _corner_shift(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return the largest distance in voxels of `one` between both images of the grid's corners."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    homogeneous = np.c_[corners, np.ones(8)]
    moved = (np.linalg.inv(one) @ other @ homogeneous.T).T[:, :3]
    return float(np.abs(moved - corners).max())


def _usable(affine: npt.NDArray[np.floating], name: str, path: str | Path) -> Affine:
    matrix: Affine = np.asarray(affine, np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or lengths.min() == 0:
        raise GeometryError(f"{path}: {name} has no inverse", hint=_DAMAGED)
    if abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
        raise GeometryError(f"{path}: {name} is flat, its axes are dependent", hint=_DAMAGED)
    return matrix


def _qform(raw: Any, path: str | Path) -> Affine:
    try:
        return _usable(raw.get_qform(), "qform", path)
    except ValueError as error:
        raise GeometryError(f"{path}: qform is unusable ({error})", hint=_DAMAGED) from error


def _affine(raw: Any, shape: tuple[int, ...], path: str | Path) -> tuple[Affine, tuple[str, ...]]:
    warnings: list[str] = []
    if int(raw["sform_code"]) > 0:
        affine = _usable(raw.get_sform(), "sform", path)
        if int(raw["qform_code"]) > 0:
            apart = _corner_shift(affine, _qform(raw, path), shape)
            if apart > FORMS_TOLERANCE_VOXELS and not is_sheared(affine):
                raise GeometryError(
                    f"{path}: sform and qform are {apart:.2f} voxels apart at a corner",
                    hint="rewrite the file with the one that is right",
                )
    elif int(raw["qform_code"]) > 0:
        affine = _qform(raw, path)
    else:
        spacing = np.abs(np.asarray(raw["pixdim"][1:4], np.float64))
        spacing[len(spacing) - (3 - min(3, int(raw["dim"][0]))) :] = 1.0
        affine = _usable(np.diag([*spacing, 1.0]), "pixdim", path)
        affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
        warnings.append("no sform and no qform: spacing from pixdim, origin at the centre")
    factor = _TO_MM.get(int(raw["xyzt_units"]) & 7)
    if factor is not None:
        affine[:3] *= factor
        warnings.append(f"lengths times {factor:g}: the header's unit is not mm")
    return affine, tuple(warnings)


def is_sheared(affine: Affine) -> bool:
    """Whether the axes are not at right angles, which a qform cannot say."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4)
