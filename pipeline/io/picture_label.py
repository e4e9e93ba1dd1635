"""Masks that are pictures: whole numbers, a palette's indices, or colours that are declared."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.io.picture import GREY, grey_values, name_note, opened_picture, upright
from pipeline.io.values import Array, whole_numbers
from pipeline.io.volume import Volume

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]

MOST_COLOURS = 64  # a mask with more has soft edges, or is a photograph
_SINGLE = "save the mask as a PNG with one channel"
_STRAY_LEVELS = 32
_STRAYS_AT_MOST = 0.05


def read_picture_label(
    path: str | Path,
    *,
    threshold: float | None = None,
    colours: Mapping[Colour, int] | None = None,
    page: int | None = None,
) -> Volume:
    """Return a mask `(rows, columns)` of whole numbers; a palette's indices, not its colours.

    Args:
        path: The mask.
        threshold: Accept a JPEG of two levels, cut at this value.
        colours: Integers of a mask in colours, by red, green and blue; black is 0 unless it is
            named.
        page: Of several, from 1.

    Raises:
        DataError: As `read_picture`; a JPEG; transparency; colours that are not declared; a
            value between whole numbers.
    """
    with opened_picture(path, page) as opened:
        image, notes = upright(opened)
        notes += name_note(opened, path)
        if opened.format in ("JPEG", "MPO"):
            if colours is not None:
                threshold = None  # no colour is exact in a JPEG
            return _cut(np.asarray(image.convert("L")), threshold, notes, path)
        if colours is not None:
            return Volume(_by_colour(_coloured(image, path), colours, path), None, None, (*notes,))
        if image.mode == "P":
            array = _palette_values(image)
        elif image.mode in GREY:
            array = grey_values(image, path)
        elif image.mode == "RGB":
            coloured = np.asarray(image, np.uint8)
            if not (coloured == coloured[..., :1]).all():
                count = len(np.unique(_codes(coloured)))
                raise DataError(
                    f"{path}: a mask in colours ({count} of them)",
                    hint=f'say under "colours" in the manifest what each means, or {_SINGLE}',
                )
            array = coloured[..., 0]
        else:
            raise DataError(f"{path}: a mask of kind {image.mode}", hint=_SINGLE)
    whole = whole_numbers(array)
    if isinstance(whole, float):
        raise DataError(f"{path}: mask value {whole:g} is no whole number in range", hint=_SINGLE)
    return Volume(whole, None, None, tuple(notes))


def picture_colours(path: str | Path) -> list[tuple[Colour, int]]:
    """Return the colours of a mask and how many pixels have each, the most frequent first.

    Raises:
        DataError: As `read_picture`; a JPEG or transparency; more than 64 colours.
    """
    with opened_picture(path) as opened:
        image, _ = upright(opened)
        if opened.format in ("JPEG", "MPO"):
            raise DataError(f"{path}: JPEG does not keep colours", hint="save the mask as PNG")
        codes, counts = np.unique(_codes(_coloured(image, path)), return_counts=True)
    if len(codes) > MOST_COLOURS:
        raise DataError(
            f"{path}: {len(codes)} colours, too many for a mask",
            hint="save it without soft edges, as PNG",
        )
    order = np.argsort(-counts, kind="stable")
    return [(_colour(int(codes[n])), int(counts[n])) for n in order]


def _coloured(image: "Image", path: str | Path) -> npt.NDArray[np.uint8]:
    """Return `(rows, columns, 3)` of an opaque picture."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if int(alpha.min()) < 255:
            raise DataError(f"{path}: a mask that is transparent in places", hint=_SINGLE)
    elif image.mode not in ("RGB", "P", "L", "1"):
        raise DataError(f"{path}: a mask of kind {image.mode}", hint=_SINGLE)
    return np.asarray(image.convert("RGB"), np.uint8)


def _by_colour(
    array: npt.NDArray[np.uint8], colours: Mapping[Colour, int], path: str | Path
) -> Array:
    """Return the integers `(rows, columns)` that the colours mean."""
    table = {(0, 0, 0): 0, **colours}
    codes, inverse, counts = np.unique(_codes(array), return_inverse=True, return_counts=True)
    found = [_colour(int(code)) for code in codes]
    stray = [n for n, colour in enumerate(found) if colour not in table]
    if stray:
        worst = max(stray, key=lambda n: int(counts[n]))
        share = 100 * counts[stray].sum() / counts.sum()
        near = min(
            table, key=lambda colour: float(np.linalg.norm(np.subtract(colour, found[worst])))
        )
        raise DataError(
            f"{path}: {len(stray)} colours are not declared, on {share:.2g} % of the pixels, most "
            f"often {list(found[worst])}",
            hint=f'name it under "colours" in the manifest; the nearest there is {list(near)}',
        )
    integers = np.array([table[colour] for colour in found])[inverse].reshape(array.shape[:2])
    whole = whole_numbers(integers)
    assert not isinstance(whole, float)
    return whole


def _codes(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return one number for each colour of `(rows, columns, 3)`."""
    wide = array.astype(np.int32)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])


def _colour(code: int) -> Colour:
    """Undo `_codes`."""
    return code >> 16, code >> 8 & 255, code & 255


def _cut(
    grey: npt.NDArray[np.uint8], threshold: float | None, notes: list[str], path: str | Path
) -> Volume:
    """Return a JPEG mask as 0 and 1, where its values cluster at two levels around `threshold`."""
    if threshold is None:
        raise DataError(
            f"{path}: JPEG does not keep the values of a mask",
            hint="save the mask as PNG, or give the threshold between its two levels",
        )
    upper = grey >= threshold
    counts = np.bincount(grey.ravel(), minlength=256)
    cut = int(np.clip(np.ceil(threshold), 1, 255))
    levels = int(counts[:cut].argmax()), cut + int(counts[cut:].argmax())
    away = np.abs(grey.astype(int) - np.where(upper, levels[1], levels[0]))
    strays = int((away > 0).sum())
    if (away > _STRAY_LEVELS).mean() > _STRAYS_AT_MOST:
        raise DataError(
            f"{path}: the values of this JPEG mask do not cluster at two levels",
            hint="save the mask as PNG",
        )
    notes.append(f"JPEG mask cut at {threshold:g}: {strays} values are neither of its two levels")
    return Volume(upper.astype(np.uint8), None, None, tuple(notes))


def _palette_values(image: "Image") -> Array:
    """Return indices; a GIF whose palette is grey means its grey levels (it has no grey mode)."""
    indices: npt.NDArray[np.uint8] = np.asarray(image, np.uint8)
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = palette[np.unique(indices)] if len(palette) > int(indices.max()) else palette
    if image.format == "GIF" and (used == used[:, :1]).all():
        levels: npt.NDArray[np.uint8] = palette[indices, 0]
        return levels
    return indices
