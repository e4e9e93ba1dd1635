"""One header a file: read in one pass, and told apart from junk, reports and stumps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.errors import DataError
from pipeline.io.dicom.elements import Elements, PixelPlace, texts
from pipeline.io.dicom.entries import Entry
from pipeline.io.dicom.fallback import DEFLATED, inflated, read_elements
from pipeline.io.dicom.scanner import ShortError, UnusualError, scan
from pipeline.io.kinds import looks_like_dicom

DAMAGED = "fetch or export the series again"
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_HEAD = 16 << 10
_META = 2048
_GZIP = b"\x1f\x8b"
_CONVERTED = ("SpecificCharacterSet", "SOPClassUID")
_MORE = (256 << 10, 4 << 20, 64 << 20)


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """A DICOM file's wanted attributes as text, by keyword; the pixels stay where they are."""

    entry: Entry
    attributes: dict[str, str]
    syntax: str
    big_endian: bool
    pixels: PixelPlace | None

    @property
    def sop_class(self) -> str:
        """SOPClassUID, of the data set or else of the file meta header."""
        return self.attributes.get("SOPClassUID", "")


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in an input: images, other DICOM objects, directories."""

    images: tuple[Header, ...]
    others: tuple[Header, ...]
    directories: tuple[Header, ...]


def scan_entries(entries: Sequence[Entry]) -> Scan:
    """Read the header of every DICOM file among `entries`; junk is passed over in silence.

    Raises:
        DataError: A header that breaks off, or a stump named like the DICOM files beside it.
    """
    images: list[Header] = []
    others: list[Header] = []
    directories: list[Header] = []
    junk: list[tuple[Entry, bytes]] = []
    for entry in entries:
        head = entry.read(0, _HEAD)
        if not looks_like_dicom(head, entry.size):
            junk.append((entry, head))
            continue
        header = _header(entry, head)
        if header.sop_class == DIRECTORY_CLASS:
            directories.append(header)
        else:
            (images if header.attributes.get("Rows") else others).append(header)
    if junk:
        _refuse_lost(junk, [header.entry for header in (*images, *others)])
    return Scan(tuple(images), tuple(others), tuple(directories))


def _header(entry: Entry, head: bytes) -> Header:
    try:
        entry, elements = _elements(entry, head)
    except DataError:
        raise
    except Exception as error:  # pydicom raises whatever its parser trips over
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{entry.name}: unreadable DICOM header ({reason})", hint=DAMAGED
        ) from error
    attributes = texts(elements)
    if not attributes.get("SOPClassUID"):
        attributes["SOPClassUID"] = elements.media_class
    header = Header(entry, attributes, elements.syntax, elements.big_endian, elements.pixels)
    _refuse_broken(header, elements)
    return header


def _elements(entry: Entry, head: bytes) -> tuple[Entry, Elements]:
    if DEFLATED.encode() in head[:_META]:
        entry = inflated(entry, head)
        head = entry.read(0, _HEAD)
    for more in (0, *_MORE):
        if more:
            head = entry.read(0, more)
        try:
            return entry, scan(head, entry.size)
        except ShortError:
            continue
        except UnusualError:
            break
    return entry, read_elements(entry)


def cross_check(header: Header) -> None:
    """Hold one header against pydicom's view of it: the scanner must never be alone.

    Raises:
        DataError: They disagree, so neither is believed.
    """
    try:
        theirs = texts(read_elements(header.entry))
    except Exception as error:  # pydicom raises whatever its parser trips over
        reason = " ".join(str(error).split())[:120]
        raise DataError(
            f"{header.entry.name}: unreadable DICOM header ({reason})", hint=DAMAGED
        ) from error
    for keyword, text in header.attributes.items():
        if theirs.get(keyword, text) != text and keyword not in _CONVERTED:
            raise DataError(f"{header.entry.name}: {keyword} is ambiguous", hint=DAMAGED)


def _refuse_broken(header: Header, elements: Elements) -> None:
    """Refuse a header that ends too early; without a pixel matrix, if it is that of an image.

    A report has a class that the standard names. A private object without pixels is believed if
    its header goes on at least to the series; a class cut in the middle looks private, too.
    """
    name, attributes = header.entry.name, header.attributes
    if elements.breaks_off:
        raise DataError(f"{name}: the DICOM header breaks off", hint=DAMAGED)
    if attributes.get("Rows") and attributes.get("Columns"):
        if header.pixels is None:
            raise DataError(f"{name}: the file ends before its pixels", hint=DAMAGED)
        return
    if header.pixels is not None:
        raise DataError(f"{name}: pixels without Rows and Columns", hint=DAMAGED)
    if _is_image_class(header):
        raise DataError(f"{name}: the DICOM header breaks off before the pixels", hint=DAMAGED)


def _is_image_class(header: Header) -> bool:
    from pydicom.uid import UID

    name = UID(header.sop_class).name
    if name == header.sop_class:
        return not header.attributes.get("SeriesInstanceUID")
    return "Image Storage" in name


def _refuse_lost(junk: list[tuple[Entry, bytes]], members: list[Entry]) -> None:
    """Refuse stumps named like slices: a full disk or a broken copy leaves these.

    At an end of the stack no gap tells, and a file of zeros is as lost as an empty one.
    """
    suffixes = {PurePosixPath(entry.below).suffix.lower() for entry in members} - {""}
    patterns = {_pattern(entry) for entry in members}
    for entry, head in junk:
        alike = _pattern(entry) in patterns
        if head.startswith(_GZIP) and _pattern(entry).removesuffix(".gz") in patterns:
            raise DataError(f"{entry.name}: a slice packed by gzip", hint="unpack it first")
        kin = alike or PurePosixPath(entry.below).suffix.lower() in suffixes
        if kin and entry.size == 0:
            raise DataError(f"{entry.name}: named like a slice, but 0 bytes long", hint=DAMAGED)
        if kin and not head.strip(b"\0"):
            raise DataError(f"{entry.name}: named like a slice, but only zeros", hint=DAMAGED)
        if alike:
            raise DataError(
                f"{entry.name}: named like a slice, but no DICOM ({entry.size} bytes long)",
                hint=DAMAGED,
            )


def _pattern(entry: Entry) -> str:
    """Return the name with its digits struck out; a UID in it may be of any length."""
    return re.sub(r"\d+", "#", PurePosixPath(entry.below).name)
