"""NIfTI in and out, gzip and all; nibabel knows the header, we move the bytes and check them."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.io.nifti_header import NiftiHeader, header_size, parse_header
from pipeline.io.tolerances import LABEL_TOLERANCE
from pipeline.io.values import Array, rescale, whole_numbers
from pipeline.io.volume import Header, Volume, spacing_of

_CHUNK = 1 << 22
_DEFLATE_RATIO = 1032  # no deflate stream expands by more
_DAMAGED = "fetch or export the file again"
_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile)


def _inflate(file: IO[bytes]) -> IO[bytes]:
    """Return a reader of the gzip stream; both kinds check length and CRC at the end."""
    try:
        from isal import igzip
    except ImportError:  # no wheel for this processor
        return cast(IO[bytes], gzip.GzipFile(fileobj=file, mode="rb"))
    reader: Any = igzip.IGzipFile
    return cast(IO[bytes], reader(fileobj=file, mode="rb"))


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[IO[bytes], int]]:
    """Yield the uncompressed bytes and the most there can be of them; name the file in errors."""
    try:
        with Path(path).open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            size = file.seek(0, 2)
            file.seek(0)
            if packed:
                with _inflate(file) as stream:
                    yield stream, size * _DEFLATE_RATIO
            else:
                yield file, size
    except (*_FAULTS, _igzip_error()) as error:
        raise DataError(f"{path}: damaged gzip ({error})", hint=_DAMAGED) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error})", hint="check the path"
        ) from error


def _igzip_error() -> type[Exception]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.error
    return cast(type[Exception], isal_zlib.error)


def _header(stream: IO[bytes], path: str | Path) -> tuple[NiftiHeader, int]:
    head = stream.read(348)
    if header_size(head, path) > 348:
        head += stream.read(540 - 348)
    return parse_header(head, path), len(head)


def read_nifti_header(path: str | Path) -> Header:
    """Return shape, spacing and type of a NIfTI file; no voxel is read.

    Raises:
        DataError: Missing, damaged, or not a NIfTI file that we read.
    """
    with _opened(path) as (stream, _):
        header, _ = _header(stream, path)
    channels = header.shape[3] if len(header.shape) == 4 else 1
    spacing = spacing_of(header.affine)
    dtype = header.dtype.newbyteorder("=").name
    return Header(header.shape[:3], spacing, channels, dtype, header.affine)


def _fill(flat: npt.NDArray[np.uint8], stream: IO[bytes]) -> int:
    """Read bytes into `flat` until it is full or the stream ends; return how many came."""
    count = 0
    while part := stream.read(min(_CHUNK, len(flat) - count)):
        flat[count : count + len(part)] = np.frombuffer(part, np.uint8)
        count += len(part)
    return count


def _stored(path: str | Path) -> tuple[Array, NiftiHeader, tuple[str, ...]]:
    """Return the voxels as stored, `(i, j, k[, C])`, in the machine's byte order."""
    with _opened(path) as (stream, limit):
        header, done = _header(stream, path)
        if header.end > limit:
            shape = "x".join(map(str, header.shape))
            raise DataError(
                f"{path}: {shape} {header.dtype.name} needs {header.end} bytes, the file "
                f"holds {limit} at most",
                hint=_DAMAGED,
            )
        stream.read(header.offset - done)
        flat: Array = np.empty(math.prod(header.shape), header.dtype)
        missing = flat.nbytes - _fill(flat.view(np.uint8), stream)
        if missing:
            raise DataError(f"{path}: cut off, {missing} bytes missing", hint=_DAMAGED)
        # reading on to the end is what makes gzip check the sum over all bytes
        extra = len(stream.read(1 << 20))
    warnings = header.warnings + (("bytes after the last voxel",) if extra else ())
    flat = flat.astype(header.dtype.newbyteorder("="), copy=False)
    return flat.reshape(header.shape, order="F"), header, warnings


def read_nifti(path: str | Path) -> Volume:
    """Return an image `(i, j, k[, C])`, rescaled, in the smallest type that holds its values.

    Raises:
        DataError: Missing, damaged, or not a NIfTI file that we read.
        GeometryError: Its affine is unusable, or sform and qform contradict each other.
    """
    stored, header, warnings = _stored(path)
    array = rescale(stored, header.slope, header.intercept)
    if array.dtype.kind == "f" and (bad := array.size - int(np.isfinite(array).sum())):
        warnings = (*warnings, f"{bad} of {array.size} voxels are NaN or infinite")
    return Volume(array, header.affine, None, warnings)


def read_nifti_label(path: str | Path, *, channels: bool = False) -> Volume:
    """Return a label map `(i, j, k)` of whole numbers, or `(i, j, k, C)` where `channels` allows.

    Raises:
        DataError: As `read_nifti`; 4D without `channels`; a value between whole numbers.
    """
    stored, header, warnings = _stored(path)
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
