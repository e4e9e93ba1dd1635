"""The header of a NIfTI file: shape, type, scale and affine, each checked or refused."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, GeometryError
from pipeline.io.grid import corner_distance
from pipeline.io.options import Form, Reading
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS, SHEAR_TOLERANCE
from pipeline.io.volume import Affine

_TO_MM = {1: 1000.0, 3: 0.001}  # metre, micrometre; 0 (unknown) and 2 are taken as mm
_UNITS = (0, 1, 2, 3)
_COLOURS = (128, 2304)  # RGB, RGBA
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


def parse_header(
    head: bytes, path: str | Path, reading: Reading, *, pair: bool = False
) -> NiftiHeader:
    """Return the checked header from the first bytes of a NIfTI.

    Args:
        head: At least 348 bytes, 540 for NIfTI-2.
        path: As the user gave it.
        reading: Which of its places counts, and whether it needs one.
        pair: The voxels lie in a file of their own.

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
    magic = bytes(raw["magic"])
    if not magic.startswith((b"ni1", b"ni2") if pair else (b"n+1", b"n+2")):
        raise DataError(
            f"{path}: magic {magic!r} is that of no {'pair' if pair else 'single-file NIfTI'}",
            hint="give the .hdr of a pair with its .img beside, or a .nii" if pair else _DAMAGED,
        )
    shape = _shape(raw, path)
    slope, intercept, notes = _scale(raw, path)
    affine, more = _affine(raw, shape[:3], path, reading)
    offset = _offset(raw, 0 if pair else size, path)
    return NiftiHeader(shape, _dtype(raw, path), offset, slope, intercept, affine, notes + more)


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
        code = int(raw["datatype"])
        coloured = dtype.kind == "c" or code in _COLOURS
        raise DataError(
            f"{path}: {'colour or complex' if coloured else 'unread'} voxels (datatype {code})",
            hint="only one real number a voxel is read, of up to 64 bits",
        )
    return dtype


def _offset(raw: Any, size: int, path: str | Path) -> int:
    offset = float(raw["vox_offset"])
    if not math.isfinite(offset) or offset < size:
        raise DataError(f"{path}: voxels would begin at byte {offset:g}", hint=_DAMAGED)
    return int(offset)


def _scale(raw: Any, path: str | Path) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0:
        return 1.0, 0.0, ()
    if math.isnan(slope):
        return 1.0, 0.0, ("scl_slope is NaN: taken as none",)
    if math.isinf(slope) or not math.isfinite(intercept):
        raise DataError(f"{path}: scl_slope {slope:g} with scl_inter {intercept:g}", hint=_DAMAGED)
    return slope, intercept, ()


def _usable(affine: npt.NDArray[np.floating], name: str, path: str | Path) -> Affine:
    matrix: Affine = np.asarray(affine, np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or lengths.min() == 0:
        raise GeometryError(f"{path}: {name} has no inverse", hint=_DAMAGED)
    if abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-6:
        raise GeometryError(f"{path}: {name} is flat, its axes are dependent", hint=_DAMAGED)
    return matrix


def _qform(raw: Any, path: str | Path) -> Affine:
    from nibabel.spatialimages import HeaderDataError

    form = raw.copy()
    if form["pixdim"][0] == 0:
        form["pixdim"][0] = 1  # as the standard has it
    try:
        return _usable(form.get_qform(), "qform", path)
    except (ValueError, HeaderDataError) as error:
        raise GeometryError(f"{path}: qform is unusable ({error})", hint=_DAMAGED) from error


def _affine(
    raw: Any, shape: tuple[int, ...], path: str | Path, reading: Reading
) -> tuple[Affine, tuple[str, ...]]:
    """Return the place that counts: sform, else qform, unless the user chose another."""
    has_sform, has_qform = int(raw["sform_code"]) > 0, int(raw["qform_code"]) > 0
    warnings: list[str] = []
    if reading.affine is not None:
        affine = _chosen(raw, shape, path, reading.affine)
        warnings.append(f"place taken from {reading.affine}, as asked for")
    elif has_sform:
        affine = _usable(raw.get_sform(), "sform", path)
        if has_qform:
            _refuse_contradiction(affine, _qform(raw, path), shape, path)
    elif has_qform:
        affine = _qform(raw, path)
    elif reading.unplaced:
        affine = _centred(raw, shape, path)
        warnings.append("no sform and no qform: spacing from pixdim, origin at the centre")
    else:
        raise GeometryError(
            f"{path}: no sform and no qform, so no place in the world",
            hint="--affine pixdim accepts its spacing, with the origin at the centre",
        )
    unit = int(raw["xyzt_units"]) & 7
    if unit not in _UNITS:
        warnings.append(f"unit code {unit} is unknown: lengths taken as mm")
    factor = _TO_MM.get(unit)
    if factor is not None:
        affine[:3] *= factor
        warnings.append(f"lengths times {factor:g}: the header's unit is not mm")
    return affine, tuple(warnings)


def _chosen(raw: Any, shape: tuple[int, ...], path: str | Path, form: Form) -> Affine:
    if form == "pixdim":
        return _centred(raw, shape, path)
    if int(raw[f"{form}_code"]) <= 0:
        raise GeometryError(f"{path}: no {form} in the header", hint="choose another --affine")
    return _usable(raw.get_sform(), "sform", path) if form == "sform" else _qform(raw, path)


def _centred(raw: Any, shape: tuple[int, ...], path: str | Path) -> Affine:
    """Return the affine of a volume that says nothing but its spacing."""
    spacing = np.abs(np.asarray(raw["pixdim"][1:4], np.float64))
    spacing[min(3, int(raw["dim"][0])) :] = 1.0
    affine = _usable(np.diag([*spacing, 1.0]), "pixdim", path)
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return affine


def _refuse_contradiction(
    sform: Affine, qform: Affine, shape: tuple[int, ...], path: str | Path
) -> None:
    apart = corner_distance(sform, qform, shape)
    if apart > GRID_TOLERANCE_VOXELS:
        raise GeometryError(
            f"{path}: sform and qform are {apart:.2f} voxels apart at a corner",
            hint="choose with --affine sform or --affine qform",
        )


def is_sheared(affine: Affine) -> bool:
    """Whether the axes are not at right angles, which a qform cannot say."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE)
