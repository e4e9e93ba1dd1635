"""A wrong name, option or value is one line that says what would work."""

import pytest

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks import NETWORKS, build_network, preset_options


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no network 'atunet'") as caught:
        build_network("atunet", 2, 1, 2)
    assert "attunet" in caught.value.hint


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unet has no option 'withs'") as caught:
        build_network("unet", 2, 1, 2, withs=(4, 8, 16))
    assert "widths" in caught.value.hint


def test_unknown_choices_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no norm 'bacth'") as caught:
        build_network("unet", 2, 1, 2, norm="bacth")
    assert "batch" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no activation 'leakyrelu'") as caught:
        build_network("unet", 2, 1, 2, activation="leakyrelu")
    assert "leaky_relu" in caught.value.hint
    with pytest.raises(UnknownNameError, match="no skip 'sum'"):
        build_network("unet", 2, 1, 2, skip="sum")


@pytest.mark.parametrize("name", NETWORKS)
def test_other_axes_than_two_or_three_are_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="spatial_dims is 4") as caught:
        build_network(name, 4, 1, 2)
    assert "2 or 3" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"widths": (4, 8)}, "3 to 6 widths"),
        ({"widths": (2,) * 7}, "3 to 6 widths"),
        ({"widths": (4, 0, 8)}, "above 0"),
        ({"widths": (4, 8, 16), "strides": (2, 2, 2)}, "2 entries"),
        ({"widths": (4, 8, 16), "strides": (2, (2, 2))}, "3 of them"),
        ({"widths": (4, 8, 16), "kernels": (3, 2, 3)}, "odd"),
        ({"dropout": 1.5}, "0 to below 1"),
    ],
)
@pytest.mark.parametrize("name", ["unet", "attunet"])
def test_a_value_outside_its_range_is_refused(
    name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        build_network(name, 3, 1, 2, **options)
    assert words in caught.value.hint


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_full_preset_is_the_default_and_the_compact_one_is_smaller(
    name: str, dims: int
) -> None:
    assert preset_options(name, "full", dims) == {}
    network = build_network(name, dims, 1, 2, **preset_options(name, "compact", dims))
    assert sum(p.numel() for p in network.parameters()) < 3_000_000


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no preset 'tiny'"):
        preset_options("unet", "tiny", 3)
