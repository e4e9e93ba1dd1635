"""Compressed frames of a file: its fragments walked, their lengths checked, joined by frame."""

import itertools
import struct

from pipeline.errors import DataError
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.slices import Slice

_ITEM = b"\xfe\xff\x00\xe0"
_END = b"\xfe\xff\xdd\xe0"
_FRAGMENTS_AT_MOST = 1_000_000


def code_streams(one: Slice) -> list[bytes]:
    """Return the code stream of every frame of the file that holds `one`.

    Raises:
        DataError: Cut off, not encapsulated, or fragments that no frame can be told from.
    """
    place = one.header.pixels
    name = one.header.entry.name
    if place is None or place.length is not None:
        raise DataError(f"{name}: compressed pixels are not encapsulated", hint=DAMAGED)
    data = one.header.entry.read(place.offset)
    items = _items(data, name)
    if not items:
        raise DataError(f"{name}: no compressed pixels", hint=DAMAGED)
    table, fragments = items[0], items[1:]
    starts = [start - 8 for start, _ in fragments]
    parts = [data[start : start + length] for start, length in fragments]
    if one.frames == 1:
        return [b"".join(parts)]
    if len(parts) == one.frames:
        return parts
    offsets = struct.unpack(f"<{table[1] // 4}I", data[table[0] : table[0] + table[1] // 4 * 4])
    first = starts[0] if starts else 0
    firsts = [first + offset for offset in offsets]
    if len(firsts) != one.frames or not set(firsts) <= set(starts):
        raise DataError(
            f"{name}: {len(parts)} fragments for {one.frames} frames, and no table of them",
            hint=DAMAGED,
        )
    bounds = [*(starts.index(place) for place in firsts), len(parts)]
    return [b"".join(parts[a:b]) for a, b in itertools.pairwise(bounds)]


def _items(data: bytes, name: str) -> list[tuple[int, int]]:
    """Return (start, length) of all items up to the end of the sequence."""
    position = 0
    found: list[tuple[int, int]] = []
    while True:
        tag, length = data[position : position + 4], data[position + 4 : position + 8]
        if tag == _END and len(length) == 4:
            return found
        size = int.from_bytes(length, "little")
        position += 8
        cut = len(length) < 4 or position + size > len(data)
        if cut or tag != _ITEM or len(found) > _FRAGMENTS_AT_MOST:
            what = "cut off" if cut or not tag else "damaged"
            raise DataError(f"{name}: compressed pixels are {what}", hint=DAMAGED)
        found.append((position, size))
        position += size
