"""CT windows by name: level and width in HU, and who uses them so."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple

from pipeline.errors import InvalidValueError, UnknownNameError


class Window(NamedTuple):
    """A display window: its centre and its full width, both in HU."""

    level: float
    width: float

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end in HU."""
        return self.level - self.width / 2, self.level + self.width / 2


# The presets of radiology workstations, as collected on radiopaedia.org ("Windowing (CT)").
WINDOWS: Final = {
    "abdomen": Window(40, 400),
    "bone": Window(400, 1800),
    "brain": Window(40, 80),
    "liver": Window(60, 160),
    "lung": Window(-600, 1500),
    "mediastinum": Window(50, 350),
    "soft_tissue": Window(50, 400),
    "stroke": Window(40, 40),
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
    window: str | Sequence[float] | Sequence[Sequence[float]], channels: int
) -> tuple[tuple[float, float], ...]:
    """Return lower and upper end of each channel, from one window for all or from one for each.

    Raises:
        UnknownNameError: No window has this name.
        InvalidValueError: Another number of windows than channels, or one that is no window.
    """
    if isinstance(window, str) or not all(isinstance(w, Sequence) for w in window) or not window:
        return (window_interval(window),) * channels  # type: ignore[arg-type]
    if len(window) != channels:
        raise InvalidValueError(
            f"{len(window)} windows for {channels} channels", hint="give one, or one for each"
        )
    return tuple(window_interval(w) for w in window)  # type: ignore[arg-type]
