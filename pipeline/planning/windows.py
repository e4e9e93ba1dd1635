"""CT windows by name: level and width in HU, and who publishes them so."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from pipeline.errors import InvalidValueError, UnknownNameError

RADIOPAEDIA: Final = "radiopaedia.org, Windowing (CT)"
OHIF: Final = "OHIF viewer, default presets for CT"
RADIANT: Final = "RadiAnt DICOM viewer, default presets for CT"


class Window(NamedTuple):
    """A display window: its centre and its full width, both in HU, and where it is published."""

    level: float
    width: float
    source: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end in HU."""
        return self.level - self.width / 2, self.level + self.width / 2


# Where a source gives ranges (neck, subdural), this is their middle.
WINDOWS: Final = {
    "abdomen": Window(40, 400, OHIF),
    "angio": Window(300, 600, RADIANT),
    "bone": Window(400, 1800, RADIOPAEDIA),
    "brain": Window(40, 80, RADIOPAEDIA),
    "liver": Window(30, 150, RADIOPAEDIA),
    "liver_enhanced": Window(90, 150, OHIF),  # with contrast medium the liver has about 110 HU
    "lung": Window(-600, 1500, RADIOPAEDIA),
    "mediastinum": Window(50, 350, RADIOPAEDIA),
    "neck": Window(40, 375, RADIOPAEDIA),
    "soft_tissue": Window(50, 400, RADIOPAEDIA),
    "spine": Window(50, 250, RADIOPAEDIA),
    "stroke": Window(40, 40, RADIOPAEDIA),
    "stroke_narrow": Window(32, 8, RADIOPAEDIA),
    "subdural": Window(75, 215, RADIOPAEDIA),
    "temporal_bone": Window(600, 2800, RADIOPAEDIA),
}


def window_interval(window: str | Sequence[float]) -> tuple[float, float]:
    """Return the lower and upper HU of a window given by name or as `[level, width]`.

    Raises:
        UnknownNameError: No window has this name.
        InvalidValueError: Not two numbers, or a width that is not above 0.
    """
    if isinstance(window, str):
        if window not in WINDOWS:
            near = get_close_matches(window, WINDOWS) or sorted(WINDOWS)
            raise UnknownNameError(
                f"no CT window {window!r}", hint=f"use {', '.join(near)} or [level, width] in HU"
            )
        return WINDOWS[window].interval
    numbers = all(isinstance(v, int | float) for v in window)
    if len(window) != 2 or not numbers or not window[1] > 0:
        raise InvalidValueError(
            f"window is {list(window)}", hint="give [level, width] in HU with a width above 0"
        )
    return Window(float(window[0]), float(window[1])).interval


def window_intervals(
    window: str | Sequence[float] | Sequence[str | Sequence[float]], channels: int
) -> tuple[tuple[float, float], ...]:
    """Return lower and upper end of each channel of the network's input.

    One window holds for all channels of the file, a list has one for each. Of a file with one
    channel, a list of several windows makes as many channels.

    Args:
        window: A name, `[level, width]`, or a list of these.
        channels: Of the file.

    Raises:
        UnknownNameError: No window has this name.
        InvalidValueError: Another number of windows than channels, or one that is no window.
    """
    if isinstance(window, str) or not all(isinstance(w, Sequence) for w in window) or not window:
        return (window_interval(window),) * channels  # type: ignore[arg-type]
    if channels > 1 and len(window) != channels:
        raise InvalidValueError(
            f"{len(window)} windows for {channels} channels", hint="give one, or one for each"
        )
    return tuple(window_interval(w) for w in window)  # type: ignore[arg-type]


def refuse_ct_window(
    window: str | Sequence[float] | Sequence[str | Sequence[float]], modality: Sequence[str]
) -> None:
    """Refuse a window by name for images whose values are no HU.

    Raises:
        InvalidValueError: Names the window and the modality; `[level, width]` is no CT window.
    """
    given = [window] if isinstance(window, str) else window
    names = [w for w in given if isinstance(w, str)]
    other = [m for m in modality if m.upper() != "CT"]
    if names and other:
        raise InvalidValueError(
            f"the CT window {names[0]!r} for {other[0]}, whose values are no HU",
            hint="leave it out; to force it, add --normalisation window",
        )
