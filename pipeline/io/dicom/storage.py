"""How the bits of a pixel lie, and whether a file can hold what its header declares."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import DataError, ResourceError
from pipeline.io.dicom.headers import DAMAGED
from pipeline.io.dicom.slices import Slice
from pipeline.io.values import Array

FRAME_PIXELS_AT_MOST = 1 << 28
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_FLOATS = {"FloatPixelData": 4, "DoubleFloatPixelData": 8}
_SIZES = (8, 16, 32, 64)
_TRAILERS = (b"\xfc\xff\xfc\xff", b"\xfa\xff\xfa\xff", b"\xff\xfc\xff\xfc", b"\xff\xfa\xff\xfa")


@dataclass(frozen=True, slots=True)
class Storage:
    """The layout of a slice's pixels; `stored` bits up to `high` count, signed or not."""

    dtype: np.dtype[np.generic]
    stored: int
    high: int
    signed: bool
    native: bool

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest value that the stored bits can say."""
        half = 1 << (self.stored - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)

    @property
    def is_float(self) -> bool:
        """Whether the pixels are floats, which have no bits to mask."""
        return self.dtype.kind == "f"


def storage(one: Slice) -> Storage:
    """Return the checked layout of a slice.

    Raises:
        DataError: Bits that cannot be, no pixels, or more of them than one frame may have.
    """
    place = one.header.pixels
    if place is None:
        raise DataError(f"{one.name}: the file ends before its pixels", hint=DAMAGED)
    if min(one.rows, one.columns) < 1 or one.rows * one.columns > FRAME_PIXELS_AT_MOST:
        raise DataError(f"{one.name}: {one.columns}x{one.rows} pixels declared", hint=DAMAGED)
    native = one.header.syntax in _NATIVE
    order = ">" if one.header.big_endian else "<"
    if place.keyword in _FLOATS:
        size = _FLOATS[place.keyword]
        return Storage(np.dtype(f"{order}f{size}"), size * 8, size * 8 - 1, True, native)
    allocated = one.integer("BitsAllocated", 0)
    stored = one.integer("BitsStored", allocated)
    high = one.integer("HighBit", stored - 1)
    signed = one.integer("PixelRepresentation", -1)
    fits = allocated in _SIZES and 0 < stored <= allocated and stored - 1 <= high < allocated
    if not fits or signed not in (0, 1):
        sign = {-1: "no"}.get(signed, signed)
        raise DataError(
            f"{one.name}: {stored} bits of {allocated}, highest bit {high}, "
            f"{sign} pixel representation",
            hint=DAMAGED,
        )
    dtype: np.dtype[np.generic] = np.dtype(f"{order}{'i' if signed else 'u'}{allocated // 8}")
    return Storage(dtype, stored, high, bool(signed), native)


def check_sizes(slices: Sequence[Slice]) -> tuple[list[Storage], list[str]]:
    """Return every slice's layout, once all pixels declared are known to be there.

    Raises:
        DataError: Pixels that the file cannot hold.
        ResourceError: More than this computer's memory.
    """
    layouts, warnings, extra = [], [], 0
    for one in slices:
        layout = storage(one)
        layouts.append(layout)
        if layout.native:
            over = _check_native(one, layout)
            extra += over > one.columns * layout.dtype.itemsize
    if extra:
        warnings.append(f"{extra} slices with over a row of bytes after their pixels")
    needed = sum(
        one.rows * one.columns * max(2, layout.dtype.itemsize)
        for one, layout in zip(slices, layouts, strict=True)
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise ResourceError(
            f"{slices[0].header.entry.name}: {needed} bytes of pixels, {memory} of memory",
            hint="read it on a larger computer, or a part of it with --range N",
        )
    return layouts, warnings


def _check_native(one: Slice, layout: Storage) -> int:
    """Return how many bytes follow the pixels; refuse if some are missing."""
    place = one.header.pixels
    assert place is not None
    size = one.header.entry.size
    needed = one.rows * one.columns * layout.dtype.itemsize * one.frames
    if place.length is None:
        raise DataError(f"{one.name}: pixels of undefined length", hint=DAMAGED)
    held = min(place.length, size - place.offset)
    if held < needed or place.offset + place.length > size:
        raise DataError(
            f"{one.name}: {one.columns}x{one.rows} pixels need {needed} bytes, the file has "
            f"{held} of {place.length}",
            hint=DAMAGED,
        )
    end = place.offset + place.length
    rest = size - end
    follows = one.header.entry.read(end, 4) if rest > 8 else b""
    if follows in _TRAILERS:
        rest = 0  # padding or a signature, as the standard has it
    elif follows[:2] == (b"\x7f\xe0" if one.header.big_endian else b"\xe0\x7f"):
        raise DataError(f"{one.name}: two elements of pixels", hint=DAMAGED)
    return place.length - needed + rest


def meaningful(array: Array, layout: Storage, one: Slice) -> Array:
    """Return the values of stored pixels: bits above the highest are not theirs.

    Old overlays lie in these bits, and signed pixels come with and without their sign there.

    Raises:
        DataError: Bits below the lowest, where a header says that the upper ones count.
    """
    width = array.dtype.itemsize * 8
    if layout.is_float or is_clean(int(array.min()), int(array.max()), layout):
        return array
    kind = np.dtype(f"{'i' if layout.signed else 'u'}{width // 8}")
    bits = np.ascontiguousarray(array).view(kind)
    below = (1 << (layout.high + 1 - layout.stored)) - 1
    if below and (bits.view(f"u{width // 8}") & below).any():
        raise DataError(
            f"{one.name}: the highest bit is {layout.high} of {layout.stored} stored, and bits "
            "below them are set",
            hint=DAMAGED,
        )
    # up to the top, then down: the sign, if there is one, goes along
    moved: Array = (bits << (width - 1 - layout.high)) >> (width - layout.stored)
    return moved


def is_clean(low: int, high: int, layout: Storage) -> bool:
    """Whether stored values from `low` to `high` use no bit that is not theirs."""
    if layout.high != layout.stored - 1:
        return False
    if layout.signed:
        limit = 1 << (layout.stored - 1)
        return low >= -limit and high < limit
    return high < 1 << layout.stored
