from typing import Any

import numpy as np
import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning import WINDOWS, window_interval
from pipeline.planning.intensities import network_channels
from pipeline.planning.windows import refuse_ct_window, window_intervals

# level and width in HU, or the ends of the range that is published
RADIOPAEDIA: dict[str, tuple[Any, Any]] = {
    "brain": (40, 80),
    "stroke": (40, 40),
    "stroke_narrow": (32, 8),
    "subdural": ((50, 100), (130, 300)),
    "temporal_bone": (600, 2800),
    "neck": ((20, 60), (350, 400)),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "soft_tissue": (50, 400),
    "liver": (30, 150),
    "spine": (50, 250),
    "bone": (400, 1800),
}
OHIF = {"abdomen": (40, 400), "liver_enhanced": (90, 150)}
RADIANT = {"angio": (300, 600)}


def test_the_table_holds_the_published_windows_and_their_sources() -> None:
    for source, published in (("radiopaedia", RADIOPAEDIA), ("OHIF", OHIF), ("RadiAnt", RADIANT)):
        for name, numbers in published.items():
            window = WINDOWS[name]
            middle = tuple(float(np.mean(n)) for n in numbers)
            assert (window.level, window.width) == middle, name
            assert source in window.source
    assert set(WINDOWS) == {*RADIOPAEDIA, *OHIF, *RADIANT}


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


@pytest.mark.parametrize(
    ("window", "channels", "intervals"),
    [
        ("lung", 1, [(-1350, 150)]),
        ("lung", 2, [(-1350, 150), (-1350, 150)]),
        (["lung", [40, 400]], 2, [(-1350, 150), (-160, 240)]),
        (["lung", "abdomen", "bone"], 1, [(-1350, 150), (-160, 240), (-500, 1300)]),
    ],
)
def test_one_window_holds_for_all_channels_and_several_make_channels_of_one(
    window: list[str], channels: int, intervals: list[tuple[float, float]]
) -> None:
    assert list(window_intervals(window, channels)) == intervals


def test_another_number_of_windows_than_channels_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="2 windows for 3 channels"):
        window_intervals(["lung", "bone"], 3)


@pytest.mark.parametrize("window", ["liver", ["lung", "liver"], [[40, 400], "liver"]])
def test_a_ct_window_for_mr_is_refused_and_the_way_to_force_it_named(window: list[str]) -> None:
    with pytest.raises(InvalidValueError, match="for MR, whose values are no HU") as caught:
        refuse_ct_window(window, ("CT", "MR"))
    assert "--normalisation window" in caught.value.hint


def test_numbers_are_no_ct_window_and_ct_takes_names() -> None:
    refuse_ct_window([40, 400], ("MR",))
    refuse_ct_window([[40, 400], [100, 20]], ("MR", "MR"))
    refuse_ct_window("liver", ("CT",))


def test_the_networks_channels_are_the_files_or_the_windows_of_one() -> None:
    windows = [[-1350, 150], [-160, 240]]
    assert network_channels(("MR", "MR"), {"window": None}) == ("MR", "MR")
    assert network_channels(("CT",), {"window": windows[1:]}) == ("CT",)
    assert network_channels(("CT", "PET"), {"window": windows}) == ("CT", "PET")
    named = ("CT -1350 to 150", "CT -160 to 240")
    assert network_channels(("CT",), {"window": windows}) == named


def test_adjacent_slices_are_channels_of_their_own() -> None:
    plan = {"window": None, "slices": 3}
    beside = ("MR, slice -1", "MR", "MR, slice +1")
    assert network_channels(("MR",), plan) == beside
    assert network_channels(("MR", "PET"), plan)[:4] == (*beside, "PET, slice -1")
