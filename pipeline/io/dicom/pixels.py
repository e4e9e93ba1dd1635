"""All pixels of a series in one array: read into place, rescaled there, checked on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.io.dicom.codecs import is_lossy
from pipeline.io.dicom.decode import Decoder
from pipeline.io.dicom.entries import Entry, FileEntry, MemoryEntry
from pipeline.io.dicom.fragments import code_streams
from pipeline.io.dicom.headers import DAMAGED, Header
from pipeline.io.dicom.rescales import Pair
from pipeline.io.dicom.slices import Slice
from pipeline.io.dicom.storage import Storage, is_clean, meaningful, storage
from pipeline.io.values import Array, rescale, widest

PADDING_SHARE = 1e-3
"""Share of padding voxels from which on a warning tells of them."""

_INT16 = np.iinfo(np.int16)
_SHORTS = (np.dtype("<i2"), np.dtype("<u2"))


class Frames:
    """Stored pixels of slices, from native and compressed files alike.

    A file of many frames is unpacked, or cut into its code streams, once for all of them.
    """

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._unpacked: tuple[Header | None, Entry | None] = (None, None)
        self._streams: tuple[Header | None, list[bytes]] = (None, [])

    def close(self) -> None:
        """End the decoding process, if one was needed."""
        if self._decoder is not None:
            self._decoder.stop()

    def stored(self, one: Slice, layout: Storage) -> Array:
        """Return `(rows, columns)` as stored, in the machine's byte order.

        Raises:
            DataError: Cut, damaged, or compressed in a way that is not read.
        """
        if layout.native:
            return self._native(one, layout)
        if self._streams[0] is not one.header:
            self._streams = (one.header, code_streams(one))
        if self._decoder is None:
            self._decoder = Decoder(one.rows * one.columns)
        array = self._decoder.frame(one, layout, self._streams[1][one.frame])
        return array.astype(layout.dtype.newbyteorder("="), copy=False)

    def read_into(self, view: npt.NDArray[np.int16], one: Slice, layout: Storage) -> None:
        """Fill `(rows, columns)` with 16-bit pixels as stored, without a copy where possible."""
        if not layout.native:
            view.view(layout.dtype)[...] = self.stored(one, layout)
            return
        got = self._entry(one).read_into(view.data.cast("B"), self._offset(one, layout))
        if got < view.nbytes:
            raise DataError(f"{one.name}: cut off in the pixels", hint=DAMAGED)

    def _offset(self, one: Slice, layout: Storage) -> int:
        place = one.header.pixels
        assert place is not None
        return place.offset + one.frame * one.rows * one.columns * layout.dtype.itemsize

    def _entry(self, one: Slice) -> Entry:
        entry = one.header.entry
        if one.frames == 1 or isinstance(entry, FileEntry | MemoryEntry):
            return entry
        if self._unpacked[0] is not one.header:
            self._unpacked = (one.header, MemoryEntry(entry.name, entry.below, entry.read()))
        unpacked = self._unpacked[1]
        assert unpacked is not None
        return unpacked

    def _native(self, one: Slice, layout: Storage) -> Array:
        count = one.rows * one.columns * layout.dtype.itemsize
        place = one.header.pixels
        assert place is not None
        # in big-endian words two pixels of a byte each lie swapped; whole words are read then
        swapped = one.header.big_endian and layout.dtype.itemsize == 1 and place.words
        start = self._offset(one, layout)
        odd = start - place.offset & 1 if swapped else 0
        data = self._entry(one).read(start - odd, count + (odd + count & 1 if swapped else 0) + odd)
        if swapped:
            data = np.frombuffer(data, "u2").byteswap().tobytes()[odd:]
        if len(data) < count:
            raise DataError(f"{one.name}: cut off in the pixels", hint=DAMAGED)
        array = np.frombuffer(data[:count], layout.dtype).reshape(one.rows, one.columns)
        return array.astype(layout.dtype.newbyteorder("="), copy=False)

    def same(self, one: Slice, other: Slice, pair: Pair, other_pair: Pair) -> bool:
        """Whether two slices hold equal pixels under equal scales."""
        if pair != other_pair:
            return False
        arrays = [meaningful(self.stored(each, layout), layout, each)
                  for each in (one, other) for layout in (storage(each),)]  # fmt: skip
        return bool(np.array_equal(arrays[0], arrays[1]))


@dataclass(slots=True)
class Padding:
    """How many voxels hold padding, and the lowest and highest such value after rescale."""

    voxels: int = 0
    value: float | None = None
    limit: float | None = None

    def count(self, one: Slice, layout: Storage, stored: Array, pair: Pair) -> None:
        """Add the padding of one slice."""
        bounds = _padding(one, layout)
        if bounds is None:
            return
        low, high = bounds
        hit: npt.NDArray[np.bool_] = np.equal(stored, low)
        if low != high:
            hit = np.greater_equal(stored, low) & np.less_equal(stored, high)
        found = int(np.count_nonzero(hit))
        if found:
            ends = sorted((low * pair[0] + pair[1], high * pair[0] + pair[1]))
            self.voxels += found
            self.value = ends[0] if self.value is None else min(self.value, ends[0])
            self.limit = ends[1] if self.limit is None else max(self.limit, ends[1])


def _padding(one: Slice, layout: Storage) -> tuple[int, int] | None:
    """Return the padding range as stored values; its own VR is not believed, the pixels' is."""
    if layout.is_float or not one.attributes.get("PixelPaddingValue"):
        return None
    ends: list[int] = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = one.integer(keyword, ends[0] if ends else 0)
        ends.append(value - (1 << 16) if layout.signed and value > _INT16.max else value)
    return min(ends), max(ends)


def read_pixels(
    frames: Frames, slices: Sequence[Slice], layouts: Sequence[Storage], pairs: Sequence[Pair]
) -> tuple[Array, Padding]:
    """Return `(columns, rows, slices)` after rescale in the smallest type, and its padding.

    Raises:
        DataError: Pixels missing, cut, damaged, or of another size than the header says.
    """
    padding = Padding()
    array = _shorts(frames, slices, layouts, pairs, padding)
    if array is not None:
        return array.transpose(2, 1, 0), padding
    padding = Padding()
    parts: list[Array] = []
    for one, layout, pair in zip(slices, layouts, pairs, strict=True):
        stored = meaningful(frames.stored(one, layout), layout, one)
        padding.count(one, layout, stored, pair)
        parts.append(rescale(stored, *pair))
    out: Array = np.empty((len(parts), *parts[0].shape), widest({part.dtype for part in parts}))
    for index, part in enumerate(parts):
        out[index] = part
    return out.transpose(2, 1, 0), padding


def _shorts(
    frames: Frames,
    slices: Sequence[Slice],
    layouts: Sequence[Storage],
    pairs: Sequence[Pair],
    padding: Padding,
) -> npt.NDArray[np.int16] | None:
    """Return int16 `(slices, rows, columns)` made in place, or None where values do not fit.

    Sums and products of 16-bit words are right modulo 2^16, so they are right altogether where
    the result is known to lie within int16.
    """
    whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in pairs)
    if not whole or any(layout.dtype not in _SHORTS for layout in layouts):
        return None
    out = np.empty((len(slices), slices[0].rows, slices[0].columns), np.int16)
    for view, one, layout, pair in zip(out, slices, layouts, pairs, strict=True):
        frames.read_into(view, one, layout)
        stored: Array = view.view(layout.dtype)
        low, high = _range(stored, layout)
        if not is_clean(low, high, layout):
            stored[...] = meaningful(stored, layout, one)
        padding.count(one, layout, stored, pair)
        slope, intercept = int(pair[0]), int(pair[1])
        if not _fits(layout.limits, slope, intercept):
            low, high = int(stored.min()), int(stored.max())
            if not _fits((low, high), slope, intercept):
                return None
        words = view.view(np.uint16)
        if slope != 1:
            np.multiply(words, np.uint16(slope % 65536), out=words)
        if intercept:
            np.add(words, np.uint16(intercept % 65536), out=words)
    return out


def _range(stored: Array, layout: Storage) -> tuple[int, int]:
    """Return bounds of the stored values, only as exact as a look for strange bits needs."""
    if layout.stored == 16:
        return layout.limits
    return int(stored.min()) if layout.signed else 0, int(stored.max())


def _fits(limits: tuple[int, int], slope: int, intercept: int) -> bool:
    """Whether all values from one limit to the other lie in int16 after rescale."""
    ends = limits[0] * slope + intercept, limits[1] * slope + intercept
    return min(ends) >= _INT16.min and max(ends) <= _INT16.max


def lossy_note(slices: Sequence[Slice]) -> list[str]:
    """Return a warning where some slices are compressed in a way that changes values."""
    lossy = {one.header.syntax for one in slices if is_lossy(one.header.syntax)}
    if not lossy:
        return []
    return [f"lossy compression ({', '.join(sorted(lossy))}): values are the decoder's"]
