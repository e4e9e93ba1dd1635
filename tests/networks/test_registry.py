"""A wrong name, option or value is one line that says what would work."""

from typing import Any

import pytest
import torch

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
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidValueError) as caught:
        build_network(name, 3, 1, 2, **options)
    assert words in caught.value.hint


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_full_preset_is_the_default_and_the_compact_one_is_smaller(
    name: str, dims: int
) -> None:
    row = NETWORKS[name]
    # swin_unetr, MONAI's, can't be built without memory
    with torch.device("cpu" if name == "swin_unetr" else "meta"):
        full = build_network(name, dims, *row.channels, **preset_options(name, "full", dims))
        compact = build_network(name, dims, 1, 2, **preset_options(name, "compact", dims))
    assert sum(p.numel() for p in full.parameters()) == row.parameters[dims - 2]
    assert sum(p.numel() for p in compact.parameters()) < 5_000_000


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no preset 'tiny'"):
        preset_options("unet", "tiny", 3)


def test_widths_read_from_json_build_the_same_network_as_a_tuple() -> None:
    assert build_network("unet", 2, 1, 2, widths=[4, 8, 16]).widths == (4, 8, 16)


FIXED_DEPTH = {
    "unet_valid": 5,
    "unet3d": 4,
    "unetpp": 5,
    "unetpp_zhou": 5,
    "unet3plus": 5,
    "attunet_grid": 5,
    "resunet": 4,
    "resunetpp": 5,
    "multiresunet": 5,
    "bionet": 5,
    "bcdunet": 4,
}
PLAIN = ("unet_plain", "unet_bilinear", "unet_compact", "unet_vgg", "r2unet", "r2attunet", "crunet")


@pytest.mark.parametrize("name", FIXED_DEPTH)
def test_a_network_of_fixed_depth_refuses_another_number_of_widths(name: str) -> None:
    levels = FIXED_DEPTH[name]
    for number in (levels - 1, levels + 1):
        with pytest.raises(InvalidValueError, match=f"widths has {number} numbers") as caught:
            build_network(name, 2, 1, 2, widths=(8,) * number)
        assert f"give {levels} widths" in caught.value.hint


@pytest.mark.parametrize("levels", [3, 4, 5, 6])
@pytest.mark.parametrize("name", ["unet", "attunet", *PLAIN])
def test_plain_networks_take_three_to_six_widths(name: str, levels: int) -> None:
    network = build_network(name, 2, 1, 2, widths=(4,) * levels).eval()
    expected = 1 if name == "unet_bilinear" else 2 ** (levels - 1)
    assert network.divisor == expected
    assert network.next_size((1, 1)) == (2 ** (levels - 1),) * 2
    assert network(torch.zeros(1, 1, 32, 32)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet_bilinear", {"up": "nearest"}),
        ("unetpp", {"mode": "slow"}),
        ("unet3plus", {"activation": "relu"}),
        ("mednext", {"size": "XL"}),
        ("unet", {"initialisation": "kaimin"}),
    ],
)
def test_an_unknown_choice_of_one_network_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        build_network(name, 2, 1, 2, **options)
    assert caught.value.hint.startswith(("use ", "did you mean "))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("r2unet", {"t": -1}),
        ("bionet", {"t": 0}),
        ("bcdunet", {"D": 0}),
        ("unetpp", {"level": 5}),
        ("unetpp", {"level": 2}),
        ("unetpp", {"mode": "accurate"}),
        ("unet3plus", {"cgm": True}),
        ("multiresunet", {"widths": (2, 4, 8, 16, 32)}),
        ("vnet", {"width": 3}),
        ("segresnet", {"filters": 12}),
        ("mednext", {"kernel": 2}),
        ("swin_unetr", {"feature_size": 20}),
        ("unetr", {"img_size": 90}),
        ("unetr", {"hidden_size": 100}),
        ("dynunet", {"widths": (4, 8)}),
        ("nnunet", {"widths": (4,)}),
        ("unet", {"in_channels": 0}),
    ],
)
def test_a_wrong_value_of_one_network_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError) as caught:
        build_network(name, **{"spatial_dims": 2, "in_channels": 1, "out_channels": 2, **options})
    assert caught.value.hint
