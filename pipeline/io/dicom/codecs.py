"""Which decoder reads which compression; the order is fixed, so a result never depends on luck."""

from pipeline.errors import DataError
from pipeline.io.dicom.slices import Slice

_JPEG = "1.2.840.10008.1.2.4."
PLUGINS: dict[str, tuple[str, str]] = {
    "1.2.840.10008.1.2.5": ("pylibjpeg", "pylibjpeg-rle"),
    f"{_JPEG}50": ("gdcm", "python-gdcm"),
    f"{_JPEG}51": ("gdcm", "python-gdcm"),
    f"{_JPEG}57": ("gdcm", "python-gdcm"),
    f"{_JPEG}70": ("gdcm", "python-gdcm"),
    f"{_JPEG}80": ("pyjpegls", "pyjpegls"),
    f"{_JPEG}81": ("pyjpegls", "pyjpegls"),
    f"{_JPEG}90": ("pylibjpeg", "pylibjpeg-openjpeg"),
    f"{_JPEG}91": ("pylibjpeg", "pylibjpeg-openjpeg"),
    f"{_JPEG}201": ("pylibjpeg", "pylibjpeg-openjpeg"),
    f"{_JPEG}202": ("pylibjpeg", "pylibjpeg-openjpeg"),
    f"{_JPEG}203": ("pylibjpeg", "pylibjpeg-openjpeg"),
}
"""Transfer syntax to pydicom's name of the plugin and the package that brings it."""

EXTENDED = f"{_JPEG}51"
_LOSSY = (f"{_JPEG}50", EXTENDED, f"{_JPEG}81", f"{_JPEG}91", f"{_JPEG}203")


def plugin(one: Slice) -> str:
    """Return the plugin for a compressed slice.

    Raises:
        DataError: A compression that is not read, or whose package is not installed.
    """
    syntax = one.header.syntax
    found = PLUGINS.get(syntax)
    if found is None:
        raise DataError(
            f"{one.name}: transfer syntax {syntax[:64]} is not read",
            hint="decompress the series first",
        )
    from pydicom.pixels.decoders.base import get_decoder

    name, package = found
    if syntax != EXTENDED and not any(
        line.startswith(f"{name} ") for line in _plugins(get_decoder(syntax))
    ):
        raise DataError(
            f"{one.name}: no decoder for transfer syntax {syntax}", hint=f"pip install {package}"
        )
    return name


def _plugins(decoder: object) -> list[str]:
    return [f"{name} " for name in getattr(decoder, "available_plugins", ())]


def is_lossy(syntax: str) -> bool:
    """Whether a compression may change values; two of them only may."""
    return syntax in _LOSSY
