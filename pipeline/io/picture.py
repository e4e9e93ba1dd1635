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

GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_COLOUR = {"P": "RGB", "RGB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}
_ALPHA = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "PA": "RGB", "La": "L", "RGBa": "RGB"}
_SUFFIXES = {
    "PNG": (".png",), "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",), "BMP": (".bmp", ".dib"), "MPO": (".jpg", ".jpeg"),
}  # fmt: skip


@contextmanager
def opened_picture(path: str | Path, page: int | None = None) -> Iterator["Image"]:
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
            f"{path}: {frames} pages or frames",
            hint='name one with --series N, or {"picture": FILE, "page": N} in a manifest',
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


def upright(image: "Image") -> tuple["Image", list[str]]:
    """Return a picture turned as its EXIF data say, and a note where that changed it."""
    from PIL import ImageOps

    turn = image.getexif().get(0x0112, 1)
    if turn in range(2, 9):
        return ImageOps.exif_transpose(image), [f"turned upright (EXIF orientation {turn})"]
    return image, []


def name_note(image: "Image", path: str | Path) -> list[str]:
    """Return a note where the suffix says another format than the content."""
    suffix, kind = Path(path).suffix.lower(), str(image.format)
    known = {one for suffixes in _SUFFIXES.values() for one in suffixes}
    if suffix not in known or suffix in _SUFFIXES.get(kind, (suffix,)):
        return []
    return [f"named {suffix}, but its content is {kind}"]


def grey_values(image: "Image", path: str | Path) -> Array:
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
    with opened_picture(path, page) as opened:
        image, notes = upright(opened)
        notes += name_note(opened, path)
        mode = image.mode
        if mode in GREY:
            return Volume(
                grey_values(opened if image is opened else image, path), None, None, tuple(notes)
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


def read_picture_header(path: str | Path, *, page: int | None = None) -> Header:
    """Return size and kind of a picture without decoding it.

    Args:
        path: As in `read_picture`.
        page: Of several, from 1.

    Raises:
        DataError: As `read_picture`.
    """
    with opened_picture(path, page) as image:
        columns, rows = image.size
        if image.getexif().get(0x0112, 1) in range(5, 9):
            rows, columns = columns, rows
        grey = image.mode in GREY or _ALPHA.get(image.mode) == "L"
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
