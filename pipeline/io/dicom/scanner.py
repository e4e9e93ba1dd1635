"""A bounded scan over the top level of a header: fast for the usual file, silent about others.

pydicom parses everything and is several times slower; whatever this scanner does not know for
certain it leaves to pydicom (`headers.py`), and a property test compares the two.
"""

import struct
from collections.abc import Callable

from pipeline.io.dicom.elements import (
    NAMES,
    PIXELS,
    ROWS,
    SEQUENCES,
    UNDEFINED,
    WANTED,
    Elements,
    PixelPlace,
)

_SHORT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_PLAIN = struct.Struct("<HHI")
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ UC UN UR UT SV UV".split())
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_IMPLICIT, _EXPLICIT, _DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99"))
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 32

_AfterItem = Callable[[bytes, int, int, int], int]


class UnusualError(Exception):
    """Something that the scanner leaves to pydicom."""


class TwiceError(ValueError):
    """An element that a header gives twice, with two values."""


class ShortError(Exception):
    """The header goes on beyond the bytes given."""


def file_meta(head: bytes) -> tuple[str, str, int]:
    """Return transfer syntax, class and the end of the file meta group.

    Raises:
        UnusualError: No preamble, or a meta group that is not as prescribed.
        ShortError: It ends beyond `head`.
    """
    if head[128:132] != b"DICM":
        raise UnusualError
    position, syntax, media_class, end = 132, "", "", len(head)
    if head[132:140] == b"\x02\0\0\0UL\x04\0":
        position, end = 144, 144 + int.from_bytes(head[140:144], "little")
        if end > len(head):
            raise ShortError
    while position < end:
        if position + 8 > end:
            raise UnusualError
        group, element, vr, length = _SHORT.unpack_from(head, position)
        if group != 2 and end == len(head):
            return syntax, media_class, position  # no group length told where it ends
        position += 8
        if vr in _LONG_VRS:
            length = int.from_bytes(head[position : position + 4], "little")
            position += 4
        if group != 2 or position + length > end:
            raise UnusualError
        value = head[position : position + length]
        if element == 0x10:
            syntax = value.rstrip(b" \0").decode("latin-1")
        elif element == 0x02:
            media_class = value.rstrip(b" \0").decode("latin-1")
        position += length
    return syntax, media_class, end


def scan(head: bytes, size: int) -> Elements:
    """Return the wanted elements of a little-endian file with preamble.

    Args:
        head: The first bytes of the file.
        size: Bytes of the whole file.

    Raises:
        UnusualError: pydicom has to look.
        ShortError: More of the file is needed.
    """
    syntax, media_class, position = file_meta(head)
    if syntax in ("", _BIG_ENDIAN, _DEFLATED) or not syntax.startswith("1.2.840.10008.1.2"):
        raise UnusualError
    explicit = syntax != _IMPLICIT
    values, pixels = (_explicit if explicit else _implicit)(head, position, size)
    return Elements(values, syntax, False, pixels, media_class)


def _explicit(head: bytes, position: int, size: int) -> tuple[dict[int, bytes], PixelPlace | None]:
    values: dict[int, bytes] = {}
    last, limit, disorder = 0, len(head), False
    while position < size:
        if position + 12 > limit:
            raise ShortError if limit < size else UnusualError
        group, element, vr, length = _SHORT.unpack_from(head, position)
        position += 8
        if vr in _LONG_VRS:
            (length,) = _LENGTH.unpack_from(head, position)
            position += 4
        elif vr not in _SHORT_VRS:
            raise UnusualError
        tag = group << 16 | element
        if group < 8:
            raise UnusualError
        disorder |= tag <= last
        last = tag
        if group > 0x28 and ROWS not in values:
            break  # a report or structures: what follows may be very long
        if tag in PIXELS:
            if disorder:
                raise UnusualError
            return values, PixelPlace(
                PIXELS[tag], position, None if length == UNDEFINED else length
            )
        if length == UNDEFINED:
            if vr != b"SQ":
                raise UnusualError
            start = position
            position = _after_sequence(head, position, size, 0, _after_item)
            length = position - start
        else:
            position += length
        if position > size:
            raise UnusualError
        if tag in WANTED:
            _keep(values, tag, _value(head, tag, position - length, position))
    if disorder:
        raise UnusualError
    return values, None


def _value(head: bytes, tag: int, start: int, end: int) -> bytes:
    """Return the bytes of an element; of a sequence only whether it holds anything."""
    if tag in SEQUENCES:
        return b"\1" if end > start else b""
    if end > len(head):
        raise ShortError
    return head[start:end]


def _keep(values: dict[int, bytes], tag: int, value: bytes) -> None:
    """Add an element; one that is given twice must say the same, for readers take either.

    Raises:
        TwiceError: It does not.
    """
    if values.get(tag, value) != value:
        raise TwiceError(f"{NAMES[tag]} is given twice and differs")
    values[tag] = value


def _after_sequence(
    head: bytes, position: int, size: int, depth: int, after_item: "_AfterItem"
) -> int:
    """Return the place after a sequence of undefined length, its items counted through."""
    if depth > _DEEPEST:
        raise UnusualError
    while True:
        if position + 8 > len(head):
            raise ShortError if len(head) < size else UnusualError
        group, element, length = _PLAIN.unpack_from(head, position)
        position += 8
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            return position
        if tag != _ITEM:
            raise UnusualError
        position = (
            after_item(head, position, size, depth + 1)
            if length == UNDEFINED
            else position + length
        )


def _after_item(head: bytes, position: int, size: int, depth: int) -> int:
    while True:
        if position + 12 > len(head):
            raise ShortError if len(head) < size else UnusualError
        group, element, vr, length = _SHORT.unpack_from(head, position)
        position += 8
        if group << 16 | element == _ITEM_END:
            return position
        if vr in _LONG_VRS:
            (length,) = _LENGTH.unpack_from(head, position)
            position += 4
        elif vr not in _SHORT_VRS:
            raise UnusualError
        if length != UNDEFINED:
            position += length
        elif vr == b"SQ":
            position = _after_sequence(head, position, size, depth, _after_item)
        else:
            raise UnusualError


def _after_plain_item(head: bytes, position: int, size: int, depth: int) -> int:
    """Return the place after an item of undefined length in implicit encoding."""
    while True:
        if position + 8 > len(head):
            raise ShortError if len(head) < size else UnusualError
        group, element, length = _PLAIN.unpack_from(head, position)
        position += 8
        if group << 16 | element == _ITEM_END:
            return position
        if length == UNDEFINED:
            position = _after_sequence(head, position, size, depth, _after_plain_item)
        else:
            position += length


def _implicit(head: bytes, position: int, size: int) -> tuple[dict[int, bytes], PixelPlace | None]:
    values: dict[int, bytes] = {}
    last, limit, disorder = 0, len(head), False
    first = head[position + 4 : position + 6]
    if first in _LONG_VRS or first in _SHORT_VRS:
        raise UnusualError  # explicit after all
    while position < size:
        if position + 8 > limit:
            raise ShortError if limit < size else UnusualError
        group, element, length = _PLAIN.unpack_from(head, position)
        position += 8
        tag = group << 16 | element
        if group < 8:
            raise UnusualError
        disorder |= tag <= last
        last = tag
        if group > 0x28 and ROWS not in values:
            break  # a report or structures: what follows may be very long
        if tag in PIXELS:
            if disorder:
                raise UnusualError
            return values, PixelPlace(
                PIXELS[tag], position, None if length == UNDEFINED else length
            )
        if length == UNDEFINED:
            start = position
            position = _after_sequence(head, position, size, 0, _after_plain_item)
            length = position - start
        else:
            position += length
        if position > size:
            raise UnusualError
        if tag in WANTED:
            _keep(values, tag, _value(head, tag, position - length, position))
    if disorder:
        raise UnusualError
    return values, None
