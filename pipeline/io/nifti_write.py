"""Writing NIfTI: both forms set, nothing of the source's header carried along."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import InvalidValueError
from pipeline.io.atomic import atomic_path
from pipeline.io.nifti_header import is_sheared
from pipeline.io.values import Array
from pipeline.io.volume import Affine

_ABSENT: dict[str, type[np.generic]] = {"bool": np.uint8, "float16": np.float32}
"""What takes the place of types that NIfTI does not have."""


def write_nifti(
    path: str | Path, array: npt.ArrayLike, affine: Affine, *, slope: float | None = None
) -> None:
    """Write `(i, j, k[, C])` in its own integer or float type with the affine to RAS mm.

    The file appears whole or not at all. Sform and qform both have code 1; a sheared affine
    goes into the sform only, as a qform cannot hold it.

    Args:
        path: Ends in `.nii` or `.nii.gz`.
        array: Stored as given; 64-bit integers as int32, bool as uint8.
        affine: Index to RAS mm, 4 x 4.
        slope: Written as scl_slope for readers to multiply with; None: 1.

    Raises:
        InvalidValueError: Another suffix, not 3D or 4D, or integers beyond 32 bits.
    """
    values = _storable(np.asarray(array), path)
    head = _header_bytes(values, np.asarray(affine, np.float64), slope)
    with atomic_path(path) as draft, draft.open("wb") as file:
        if str(path).endswith(".gz"):
            with _deflate(file) as stream:
                _pour(stream, head, values)
        else:
            _pour(file, head, values)


def _storable(array: Array, path: str | Path) -> Array:
    if not str(path).endswith((".nii", ".nii.gz")):
        raise InvalidValueError(f"{path} is no NIfTI name", hint="end it in .nii.gz or .nii")
    if array.ndim not in (3, 4):
        raise InvalidValueError(
            f"{path}: {array.ndim}D array", hint="give (i, j, k) or (i, j, k, C)"
        )
    if array.dtype in (np.int64, np.uint64):
        limits = np.iinfo(np.int32)
        if array.size and not (limits.min <= array.min() and array.max() <= limits.max):
            raise InvalidValueError(
                f"{path}: integers up to {array.max()} do not fit 32 bits", hint="store floats"
            )
        return array.astype(np.int32)
    return array.astype(_ABSENT.get(array.dtype.name, array.dtype), copy=False)


def _header_bytes(array: Array, affine: Affine, slope: float | None) -> bytes:
    import nibabel

    long = max(array.shape) > np.iinfo(np.int16).max
    kind: Any = nibabel.Nifti2Header if long else nibabel.Nifti1Header
    header = kind()
    header.set_data_dtype(array.dtype.newbyteorder("="))
    header.set_data_shape(array.shape)
    if is_sheared(affine):
        # set first: it also writes the voxel sizes into pixdim
        header.set_qform(affine, code=0, strip_shears=True)
    else:
        header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = (1.0 if slope is None else slope), 0.0
    header["magic"] = b"n+2" if long else b"n+1"
    header["vox_offset"] = 544 if long else 352
    return bytes(header.binaryblock) + b"\0\0\0\0"  # no extensions


def _deflate(file: IO[bytes]) -> IO[bytes]:
    """Return a gzip writer without name and time: equal arrays give equal files."""
    try:
        from isal import igzip
    except ImportError:  # no wheel for this processor
        return cast(IO[bytes], gzip.GzipFile("", "wb", 1, file, mtime=0))
    writer: Any = igzip.IGzipFile
    return cast(IO[bytes], writer("", "wb", 1, file, mtime=0))


def _slabs(array: Array) -> Iterator[Array]:
    for channel in np.moveaxis(array, -1, 0) if array.ndim == 4 else (array,):
        yield from np.moveaxis(channel, -1, 0)


def _pour(stream: IO[bytes], head: bytes, array: Array) -> None:
    """Write header and voxels, one slice at a time: no second volume in memory."""
    stream.write(head)
    for slab in _slabs(array):
        stream.write(slab.tobytes("F"))
