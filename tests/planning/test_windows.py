import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning import WINDOWS, window_interval
from pipeline.planning.windows import window_intervals

# level and width in HU as radiopaedia.org, "Windowing (CT)", lists them
PUBLISHED = {
    "brain": (40, 80),
    "stroke": (40, 40),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "abdomen": (40, 400),
    "liver": (60, 160),
    "soft_tissue": (50, 400),
    "bone": (400, 1800),
}


def test_the_table_holds_the_published_windows() -> None:
    assert {name: tuple(window) for name, window in WINDOWS.items()} == PUBLISHED


@pytest.mark.parametrize(("name", "ends"), [("lung", (-1350, 150)), ("brain", (0, 80))])
def test_a_name_stands_for_its_ends_in_hu(name: str, ends: tuple[float, float]) -> None:
    assert window_interval(name) == ends


def test_level_and_width_stand_for_their_ends() -> None:
    assert window_interval([40, 400]) == (-160, 240)


def test_a_name_that_is_nearly_right_is_suggested_and_a_strange_one_gets_the_table() -> None:
    with pytest.raises(UnknownNameError) as caught:
        window_interval("abdoman")
    assert "abdomen" in caught.value.hint
    with pytest.raises(UnknownNameError) as caught:
        window_interval("xyz")
    assert all(name in caught.value.hint for name in WINDOWS)


@pytest.mark.parametrize("window", [[40], [40, 0], [40, -5], [1, 2, 3], [], [40, "wide"]])
def test_what_is_no_window_is_refused(window: list[float]) -> None:
    with pytest.raises(InvalidValueError, match="window is"):
        window_interval(window)
    with pytest.raises(InvalidValueError, match="window is"):
        window_intervals(window, 1)
