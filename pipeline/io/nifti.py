"""NIfTI in: nibabel knows the header, we move the bytes and check them."""

from pathlib import Path

import numpy as np

from pipeline.errors import DataError
from pipeline.io.nifti_bytes import read_head, read_voxels, sources
from pipeline.io.nifti_header import NiftiHeader, parse_header
from pipeline.io.options import Reading
from pipeline.io.tolerances import LABEL_TOLERANCE
from pipeline.io.values import Array, rescale, whole_numbers
from pipeline.io.volume import Header, Volume, spacing_of


def read_nifti_header(path: str | Path, *, reading: Reading | None = None) -> Header:
    """Return shape, spacing and type of a NIfTI file; no voxel is read.

    Raises:
        DataError: Missing, damaged, or not a NIfTI file that we read.
    """
    source = sources(path)
    pair = source.header != source.voxels
    header = parse_header(read_head(source.header), path, reading or Reading(), pair=pair)
    channels = header.shape[3] if len(header.shape) == 4 else 1
    spacing = spacing_of(header.affine)
    dtype = header.dtype.newbyteorder("=").name
    return Header(header.shape[:3], spacing, channels, dtype, header.affine)


def _stored(path: str | Path, reading: Reading) -> tuple[Array, NiftiHeader, tuple[str, ...]]:
    """Return the voxels as stored, `(i, j, k[, C])`, in the machine's byte order."""
    source = sources(path)
    pair = source.header != source.voxels
    header = parse_header(read_head(source.header), path, reading, pair=pair)
    shape = f"{'x'.join(map(str, header.shape))} {header.dtype.name}"
    notes = [*header.warnings]
    data = read_voxels(source.voxels, header.end, shape, notes)
    flat: Array = data[header.offset :].view(header.dtype)
    if not header.dtype.isnative:
        flat = flat.astype(header.dtype.newbyteorder("="))
    return flat.reshape(header.shape, order="F"), header, tuple(notes)


def read_nifti(path: str | Path, *, reading: Reading | None = None) -> Volume:
    """Return an image `(i, j, k[, C])`, rescaled, in the smallest type that holds its values.

    Raises:
        DataError: Missing, damaged, or not a NIfTI file that we read.
        GeometryError: Its affine is unusable, or sform and qform contradict each other.
    """
    stored, header, warnings = _stored(path, reading or Reading())
    array = rescale(stored, header.slope, header.intercept)
    if array.dtype.kind == "f" and (bad := array.size - int(np.isfinite(array).sum())):
        warnings = (*warnings, f"{bad} of {array.size} voxels are NaN or infinite")
    return Volume(array, header.affine, None, warnings)


def read_nifti_label(
    path: str | Path, *, channels: bool = False, reading: Reading | None = None
) -> Volume:
    """Return a label map `(i, j, k)` of whole numbers, or `(i, j, k, C)` where `channels` allows.

    Raises:
        DataError: As `read_nifti`; 4D without `channels`; a value between whole numbers.
    """
    stored, header, warnings = _stored(path, reading or Reading())
    if stored.ndim > 3 and not channels:
        raise DataError(
            f"{path}: a label map of {stored.shape[3]} channels",
            hint="give one 3D file of integers",
        )
    whole = whole_numbers(stored, header.slope, header.intercept)
    if isinstance(whole, float):
        raise DataError(
            f"{path}: label value {whole:g} is no whole number in range (to {LABEL_TOLERANCE:g})",
            hint="resample label maps with nearest neighbour, store them as integers",
        )
    return Volume(whole, header.affine, None, warnings)
