"""PNG, JPEG, TIFF, GIF and BMP through Pillow, rows first, values as stored."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, InvalidValueError
from pipeline.io.atomic import atomic_path
from pipeline.io.values import Array, whole_numbers
from pipeline.io.volume import Header, Volume

if TYPE_CHECKING:
    from PIL.Image import Image

_GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_COLOUR = {"P": "RGB", "RGB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
_ALPHA = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "PA": "RGB", "La": "L", "RGBa": "RGB"}
_SINGLE = "save the mask as a PNG with one channel"


_SUFFIXES = {
    "PNG": (".png",), "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",), "BMP": (".bmp", ".dib"), "MPO": (".jpg", ".jpeg"),
}  # fmt: skip
_STRAY_LEVELS = 32
_STRAYS_AT_MOST = 0.05


@contextmanager
def _opened(path: str | Path, page: int | None = None) -> Iterator["Image"]:
    """Yield one frame of a picture; size, frames and depth are checked before decoding."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # between once and twice the limit Pillow only warns; above it refuses, and so do we
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _check(image, path, page)
                yield image
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: no picture that Pillow knows", hint="convert it to PNG"
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}", hint="cut it into tiles") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason})", hint="export it again") from error


def _check(image: "Image", path: str | Path, page: int | None) -> None:
    from PIL import Image

    pixels = image.width * image.height
    if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
        raise DataError(
            f"{path}: {pixels} pixels, over the limit of {Image.MAX_IMAGE_PIXELS}",
            hint="cut it into tiles",
        )
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and page is None:
        raise DataError(
            f"{path}: {frames} pages or frames", hint="name a page, or save one of them as PNG"
        )
    if page is not None and not 1 <= page <= frames:
        raise DataError(f"{path}: no page {page}, it has {frames}", hint="pages count from 1")
    if page is not None:
        image.seek(page - 1)
    depth, colour = _png_depth(path) if image.format == "PNG" else (8, 0)
    if depth == 16 and colour != 0:
        # Pillow would keep the upper eight bits and say nothing
        raise DataError(
            f"{path}: 16 bits a colour channel", hint="save 8-bit colour or 16-bit grey"
        )


def _png_depth(path: str | Path) -> tuple[int, int]:
    """Return bits a sample and the colour type of a PNG's header chunk."""
    with Path(path).open("rb") as file:
        head = file.read(26)
    return (head[24], head[25]) if len(head) == 26 else (8, 0)


def _upright(image: "Image") -> tuple["Image", list[str]]:
    from PIL import ImageOps

    turn = image.getexif().get(0x0112, 1)
    if turn in range(2, 9):
        return ImageOps.exif_transpose(image), [f"turned upright (EXIF orientation {turn})"]
    return image, []


def _name_note(image: "Image", path: str | Path) -> list[str]:
    """Return a note where the suffix says another format than the content."""
    suffix, kind = Path(path).suffix.lower(), str(image.format)
    known = {one for suffixes in _SUFFIXES.values() for one in suffixes}
    if suffix not in known or suffix in _SUFFIXES.get(kind, (suffix,)):
        return []
    return [f"named {suffix}, but its content is {kind}"]


def _values(image: "Image", path: str | Path) -> Array:
    """Return a grey picture as stored; low depths, which Pillow stretches to 255, put back."""
    array: Array = np.asarray(image)
    if image.mode == "1":
        return array.astype(np.uint8)
    if image.mode.startswith("I;16"):
        return array.astype(np.uint16)
    depth, colour = _png_depth(path) if image.format == "PNG" else (8, 0)
    if depth in (2, 4) and colour == 0:
        steps: npt.NDArray[np.uint8] = np.asarray(image, np.uint8) // (255 // (2**depth - 1))
        return steps
    if image.mode == "I" and array.size and 0 <= int(array.min()) <= int(array.max()) < 2**16:
        return array.astype(np.uint16)
    return array


def read_picture(path: str | Path, *, page: int | None = None) -> Volume:
    """Return a picture `(rows, columns)` or `(rows, columns, 3)`, upright, without alpha.

    Args:
        path: PNG, JPEG, TIFF, GIF or BMP.
        page: Of several, from 1.

    Raises:
        DataError: Missing, damaged, too large, of several pages, or of a kind we do not read.
    """
    with _opened(path, page) as opened:
        image, notes = _upright(opened)
        notes += _name_note(opened, path)
        mode = image.mode
        if mode in _GREY:
            return Volume(
                _values(opened if image is opened else image, path), None, None, tuple(notes)
            )
        if mode in _ALPHA or "transparency" in image.info:
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            if int(alpha.min()) < 255:
                notes.append("transparency dropped")
        if mode == "CMYK":
            notes.append("CMYK converted to RGB")
        target = (_COLOUR | _ALPHA).get(mode)
        if target is None:
            raise DataError(f"{path}: pixels of kind {mode}", hint="convert it to PNG")
        if mode == "PA":
            image = image.convert("RGBA")
        return Volume(np.asarray(image.convert(target)), None, None, tuple(notes))


def read_picture_label(path: str | Path, *, threshold: float | None = None) -> Volume:
    """Return a mask `(rows, columns)` of whole numbers; a palette's indices, not its colours.

    Args:
        path: The mask.
        threshold: Accept a JPEG of two levels, cut at this value.

    Raises:
        DataError: As `read_picture`; a JPEG; transparency; colours; a value between whole numbers.
    """
    with _opened(path) as opened:
        image, notes = _upright(opened)
        notes += _name_note(opened, path)
        if opened.format in ("JPEG", "MPO"):
            return _cut(np.asarray(image.convert("L")), threshold, notes, path)
        if image.mode == "P":
            array = _palette_values(image)
        elif image.mode in _GREY:
            array = _values(image, path)
        elif image.mode == "RGB":
            array = np.asarray(image)
            if not (array == array[..., :1]).all():
                raise DataError(f"{path}: a mask in colours", hint=_SINGLE)
            array = array[..., 0]
        else:
            raise DataError(f"{path}: a mask of kind {image.mode}", hint=_SINGLE)
    whole = whole_numbers(array)
    if isinstance(whole, float):
        raise DataError(f"{path}: mask value {whole:g} is no whole number in range", hint=_SINGLE)
    return Volume(whole, None, None, tuple(notes))


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


def read_picture_header(path: str | Path) -> Header:
    """Return size and kind of a picture without decoding it.

    Raises:
        DataError: As `read_picture`.
    """
    with _opened(path) as image:
        columns, rows = image.size
        if image.getexif().get(0x0112, 1) in range(5, 9):
            rows, columns = columns, rows
        grey = image.mode in _GREY or _ALPHA.get(image.mode) == "L"
        wide = image.mode.startswith("I")
        dtype = "float32" if image.mode == "F" else "uint16" if wide else "uint8"
    return Header((rows, columns), None, 1 if grey else 3, dtype)


def write_picture(path: str | Path, array: npt.ArrayLike) -> None:
    """Write a PNG of `(rows, columns)` uint8 or uint16, or `(rows, columns, 3)` uint8.

    The file appears whole or not at all. Bool becomes 0 and 1; wider integers are narrowed
    where they fit.

    Raises:
        InvalidValueError: Another suffix, shape or range.
    """
    from PIL import Image

    values = np.asarray(array)
    if Path(path).suffix.lower() != ".png":
        raise InvalidValueError(f"{path} is no PNG name", hint="end it in .png: it keeps values")
    whole = whole_numbers(values) if values.dtype.kind in "biu" else np.nan
    colour = values.ndim == 3 and values.shape[2] == 3
    allowed = ("uint8",) if colour else ("uint8", "uint16")
    if (
        isinstance(whole, float)
        or whole.dtype.name not in allowed
        or not (colour or whole.ndim == 2)
    ):
        raise InvalidValueError(
            f"{path}: {values.dtype.name} of shape {values.shape} is no PNG",
            hint="give (rows, columns) of 0 to 65535, or (rows, columns, 3) of 0 to 255",
        )
    if values.dtype == np.uint16 and not colour:
        whole = values  # a 16-bit picture stays one, however dark
    with atomic_path(path) as draft:
        Image.fromarray(np.ascontiguousarray(whole)).save(draft, format="PNG")
