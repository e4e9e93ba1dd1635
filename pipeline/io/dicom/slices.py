"""One plane of pixels: a file, or a frame of one, with the attributes that hold for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.errors import DataError, GeometryError
from pipeline.io.dicom.headers import DAMAGED, Header


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A frame of a file; `attributes` are those of the file and, above them, of the frame."""

    header: Header
    attributes: Mapping[str, str]
    frame: int = 0
    frames: int = 1

    @property
    def name(self) -> str:
        """The path as given, and the frame, for the screen."""
        return self.header.entry.name + self._suffix

    @property
    def below(self) -> str:
        """The same below the input."""
        return self.header.entry.below + self._suffix

    @property
    def _suffix(self) -> str:
        return f" frame {self.frame + 1}" if self.frames > 1 else ""

    @property
    def columns(self) -> int:
        """Columns of the pixel matrix."""
        return self.integer("Columns", 0)

    @property
    def rows(self) -> int:
        """Rows of the pixel matrix."""
        return self.integer("Rows", 0)

    def text(self, keyword: str) -> str:
        """Return an attribute as one line that a terminal can show, "" where it is absent."""
        return plain(self.attributes.get(keyword, ""))

    def integer(self, keyword: str, default: int) -> int:
        """Return the first value as a whole number, `default` where it is absent or none."""
        try:
            return int(self.attributes[keyword].split("\\")[0])
        except (KeyError, ValueError):
            return default

    def numbers(self, keyword: str, count: int) -> tuple[float, ...]:
        """Return `count` finite numbers of a geometric attribute.

        Raises:
            GeometryError: Absent, another count, or no numbers.
        """
        text = self.attributes.get(keyword, "")
        if not text:
            raise GeometryError(f"{self.name}: no {keyword}", hint=DAMAGED)
        values = decimals(text)
        if values is None or len(values) != count:
            raise GeometryError(f"{self.name}: {keyword} is {plain(text)[:80]!r}", hint=DAMAGED)
        return values


_MODALITIES = """
CT MR PT NM US CR DX MG XA RF IO PX OT SC ES GM SM OP OPT IVUS OCT SEG RTIMAGE RTDOSE
"""
_UNITS = """
HU US OD MGML MG/ML PCT Z_EFF ED EDW HU_MOD BQML CNTS PROPCNTS GML SUVBW CM2ML PROPCPS MLMINML
MLMING UNSPECIFIED 1CM MM2 CM2 PERCENT
"""
MODALITIES = frozenset(_MODALITIES.split())
UNITS = frozenset(_UNITS.split())


def known(text: str, words: frozenset[str]) -> str:
    """Return a defined term of the standard as it is, anything else as "other".

    What is told of values is kept on disk, and free text may name a patient.
    """
    return text if not text or text.upper() in words else "other"


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Return text without control characters, line breaks and double quotes."""
    words = " ".join(text.replace('"', "'").split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


@lru_cache(maxsize=4096)
def decimals(text: str) -> tuple[float, ...] | None:
    """Return the finite numbers of a decimal string, or None.

    A comma counts as the decimal point where it can be nothing else: `1,250` alone may mean
    a thousand, beside `0,75` it cannot.
    """
    parts = [part.strip(" \0") for part in text.split("\\")]
    if "," in text:
        if any(part.count(",") > 1 or {",", "."} <= set(part) for part in parts):
            return None
        if all(re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", part) for part in parts if "," in part):
            return None
        parts = [part.replace(",", ".") for part in parts]
    try:
        # python also reads 1_000, inf and nan
        values = tuple(float(part) for part in parts if "_" not in part)
    except ValueError:
        return None
    if len(values) != len(parts) or any(value - value != 0 for value in values):
        return None
    return values


def one_number(one: Slice, keyword: str) -> float | None:
    """Return a single finite number, None where the attribute is absent or empty.

    Raises:
        DataError: No number.
    """
    text = one.attributes.get(keyword, "").strip()
    if not text:
        return None
    values = decimals(text)
    if values is None or len(values) != 1:
        raise DataError(f"{one.name}: {keyword} is {plain(text)[:40]!r}", hint=DAMAGED)
    return values[0]
