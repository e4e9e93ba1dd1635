"""The bytes of a NIfTI file: one file or two, packed or not, checked to the last byte."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError

DAMAGED = "fetch or export the file again"
_GZIP = b"\x1f\x8b"
_HEAD = 1 << 16
_HEADER = 544
_SLACK = 1 << 20
_PIECE = 1 << 16


Bytes = npt.NDArray[np.uint8]


class _Unpacker(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


@dataclass(slots=True)
class Source:
    """A NIfTI's file or files, opened, and what is unusual about them."""

    header: Path
    voxels: Path
    warnings: list[str]


def sources(path: str | Path) -> Source:
    """Return the file of the header and that of the voxels, which are one for `.nii`.

    Raises:
        DataError: The other file of a pair is missing.
    """
    file = Path(path)
    name = file.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    stem = name.removesuffix(".gz")
    if not stem.endswith((".hdr", ".img")):
        return Source(file, file, [])
    base = file.name[: len(stem) - 4]
    found = []
    for suffix in (".hdr", ".img"):
        candidates = [
            file.with_name(base + form + end)
            for end in (packed, "", ".gz")
            for form in (suffix, suffix.upper())
        ]
        fits = [one for one in candidates if one.is_file()]
        if not fits:
            raise DataError(f"{path}: no {base}{suffix} beside it", hint="keep both files together")
        found.append(fits[0])
    return Source(found[0], found[1], [])


def _unpacker() -> tuple[_Unpacker, tuple[type[Exception], ...]]:
    try:
        from isal import isal_zlib
    except ImportError:  # no wheel for this processor
        return cast(_Unpacker, zlib.decompressobj(31)), (zlib.error,)
    module: Any = isal_zlib
    return module.decompressobj(wbits=31), (module.error, zlib.error)


def read_head(file: Path) -> bytes:
    """Return the first bytes of a file, unpacked if it is packed.

    Raises:
        DataError: It cannot be read, or its stream is damaged at the start.
    """
    data = _read(file, _HEAD)
    if not data.startswith(_GZIP):
        return data
    head = b""
    while data.startswith(_GZIP) and len(head) < _HEADER:
        unpacker, faults = _unpacker()
        try:
            head += unpacker.decompress(data, _HEADER)
        except faults as error:
            raise DataError(f"{file}: damaged gzip ({error})", hint=DAMAGED) from error
        data = unpacker.unused_data
    return head


def _read(file: Path, count: int = -1) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror or error})", hint="check the path"
        ) from error


def read_voxels(file: Path, end: int, shape: str, notes: list[str]) -> Bytes:
    """Return the first `end` bytes of a file, unpacked; whatever follows is told in `notes`.

    The check sums and lengths of all gzip members are compared, which takes reading on to the
    end; no more than a little beyond `end` is ever unpacked.

    Raises:
        DataError: Fewer bytes than the header declares, damaged, or cut off.
    """
    packed = _read(file, 2) == _GZIP
    size = file.stat().st_size
    # deflate expands by 1032 at most: a lie is seen before anything is allocated
    if end > (size * 1032 if packed else size):
        raise DataError(
            f"{file}: {shape} needs {end} bytes, the file holds {size}"
            f"{' packed' if packed else ''}",
            hint=DAMAGED,
        )
    if (file.suffix.lower() == ".gz") != packed:
        notes.append("packed with gzip against its name" if packed else "not packed as named")
    data: Bytes = np.empty(end, np.uint8)
    with file.open("rb") as raw:
        if packed:
            _unpack(file, raw, data, notes)
        else:
            _fill(data, raw)
            if size > end:
                notes.append(f"{size - end} bytes after the last voxel")
    return data


def _fill(data: Bytes, stream: IO[bytes]) -> int:
    """Read into `data` until it is full or the stream ends; return how many bytes came."""
    view, done = data.data, 0
    while done < len(data) and (got := cast(Any, stream).readinto(view[done:])):
        done += got
    return done


def _unpack(file: Path, raw: IO[bytes], data: Bytes, notes: list[str]) -> None:
    """Unpack all gzip members into `data`, a piece at a time while it is in the cache."""
    unpacker, faults = _unpacker()
    done = extra = 0
    piece = raw.read(_PIECE)
    while piece:
        try:
            part = unpacker.decompress(piece, len(data) - done + _SLACK + 1)
        except faults as error:
            raise DataError(f"{file}: damaged gzip ({error})", hint=DAMAGED) from error
        fits = min(len(part), len(data) - done)
        data[done : done + fits] = np.frombuffer(part, np.uint8, fits)
        done, extra = done + fits, extra + len(part) - fits
        if extra > _SLACK:
            raise DataError(f"{file}: over {_SLACK} bytes after the last voxel", hint=DAMAGED)
        piece = raw.read(_PIECE)
        if unpacker.eof:
            piece = unpacker.unused_data + piece
            if not piece.startswith(_GZIP):
                break
            unpacker, _ = _unpacker()
    if not unpacker.eof:
        raise DataError(
            f"{file}: cut off, its gzip stream ends after {done} of {len(data)} bytes",
            hint=DAMAGED,
        )
    if done < len(data):
        raise DataError(f"{file}: cut off, {len(data) - done} bytes missing", hint=DAMAGED)
    if piece.strip(b"\0"):
        notes.append("bytes of no gzip after the stream")
    if extra:
        notes.append(f"{extra} bytes after the last voxel")
