"""Headers through pydicom: whatever is too unusual for the scanner, and the cross-check of it."""

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pipeline.io.dicom.elements import (
    PIXELS,
    SEQUENCES,
    UNDEFINED,
    WANTED,
    Elements,
    PixelPlace,
)
from pipeline.io.dicom.entries import Entry, MemoryEntry
from pipeline.io.dicom.scanner import ShortError, UnusualError, file_meta

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

DEFLATED = "1.2.840.10008.1.2.1.99"
_INFLATED_AT_MOST = 2 << 30
_HEADER_AT_MOST = 64 << 20
_SEQUENCES_AT_MOST = 1 << 30
_EXPLICIT = b"1.2.840.10008.1.2.1\0"


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's remarks on odd but readable headers; our own checks decide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(data: bytes, *, force: bool = True) -> "FileDataset":
    """Return pydicom's view of a file up to its pixels."""
    import pydicom

    with quiet_pydicom():
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=force)


def inflated(entry: Entry, head: bytes) -> Entry:
    """Return a deflated file as an explicit little-endian one in memory, any other as it is.

    Raises:
        ValueError: The stream is damaged, or unpacks to more than any scan needs.
    """
    try:
        syntax, _, end = file_meta(head)
    except (UnusualError, ShortError):
        return entry
    if syntax != DEFLATED:
        return entry
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        body = unpacker.decompress(entry.read(end), _INFLATED_AT_MOST)
    except zlib.error as error:
        raise ValueError(f"damaged deflate stream: {error}") from error
    if not unpacker.eof:
        raise ValueError("the deflate stream is cut off, or larger than 2 GiB")
    place = head.index(DEFLATED.encode())
    # the same length, so that the group length of the meta header stays right
    meta = head[:place] + _EXPLICIT.ljust(len(DEFLATED), b"\0") + head[place + len(DEFLATED) : end]
    return MemoryEntry(entry.name, entry.below, meta + body)


def read_elements(entry: Entry) -> Elements:
    """Return the wanted elements of any DICOM file.

    Raises:
        Exception: Whatever pydicom trips over.
    """
    import pydicom

    stream = io.BytesIO(entry.read(0, _HEADER_AT_MOST))
    with quiet_pydicom():
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True)
    meta = dataset.file_meta
    implicit, little = dataset.original_encoding
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if not syntax:
        syntax = f"1.2.840.10008.1.2{'' if implicit else '.1' if little else '.2'}"
    values: dict[int, bytes] = {}
    breaks_off = False
    tags = list(dataset.keys())  # iterating over the data set itself converts every value
    for tag in tags:
        raw: Any = dataset.get_item(tag)
        value = getattr(raw, "value", None)
        if isinstance(value, bytes) and raw.length not in (UNDEFINED, len(value)):
            breaks_off = True
        if int(tag) in SEQUENCES:
            values[int(tag)] = b"\1" if value else b""
        elif int(tag) in WANTED:
            values[int(tag)] = value if isinstance(value, bytes) else _bytes(value)
    place = _pixel_place(stream.getvalue(), stream.tell(), bool(implicit), bool(little))
    trailing = 0 < entry.size - stream.tell() < 8
    return Elements(
        values,
        syntax,
        not little,
        place,
        str(meta.get("MediaStorageSOPClassUID") or ""),
        breaks_off or (place is None and trailing),
    )


def _bytes(value: object) -> bytes:
    """Return what pydicom has converted already: the character sets, and empty values."""
    parts = [value] if isinstance(value, str) or value is None else list(cast(Any, value))
    return "\\".join(str(part or "") for part in parts).encode("latin-1", "replace")


def _pixel_place(data: bytes, position: int, implicit: bool, little: bool) -> PixelPlace | None:
    """Return the pixel element that pydicom stopped before, or None at the end of the file."""
    order: Any = "little" if little else "big"
    head = data[position : position + 12]
    if len(head) < 8:
        return None
    tag = int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
    if tag not in PIXELS:
        return None
    start = 4 if implicit else 8
    length = int.from_bytes(head[start : start + 4], order)
    offset = position + start + 4
    words = implicit or head[4:6] == b"OW"
    return PixelPlace(PIXELS[tag], offset, None if length == UNDEFINED else length, words)


def full_header(entry: Entry) -> "FileDataset":
    """Return pydicom's header with all sequences, up to the pixels."""
    return parse(entry.read(0, _SEQUENCES_AT_MOST))
