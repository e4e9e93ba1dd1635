"""The unpadded networks return their documented smaller size and refuse others."""

import pytest
import torch

from pipeline.errors import InvalidValueError
from pipeline.networks import build_network
from pipeline.networks.padding import PaddedNetwork

VALID = {"name": "unet_valid", "widths": (2, 2, 2, 2, 2)}
CICEK = {"name": "unet3d", "widths": (2, 2, 2, 2)}


@pytest.mark.parametrize(
    ("row", "size", "expected"),
    [
        (VALID, 572, 388),
        (VALID, 188, 4),
        (VALID, 204, 20),
        (CICEK, 132, 44),
        (CICEK, 116, 28),
        (CICEK, 92, 4),
    ],
)
def test_the_output_has_the_published_size(row: dict[str, str], size: int, expected: int) -> None:
    network = build_network(spatial_dims=2, in_channels=1, out_channels=2, **row).eval()
    assert network.output_size(size) == expected
    assert network.next_size((size, size)) == (size, size)
    with torch.no_grad():
        assert network(torch.zeros(1, 1, size, size)).shape == (1, 2, expected, expected)


@pytest.mark.parametrize(
    ("row", "size", "following", "output"),
    [(VALID, 100, 188, 4), (VALID, 189, 204, 20), (CICEK, 10, 92, 4), (CICEK, 93, 100, 12)],
)
def test_another_size_is_refused_with_the_next_and_its_output(
    row: dict[str, str], size: int, following: int, output: int
) -> None:
    network = build_network(spatial_dims=2, in_channels=1, out_channels=2, **row).eval()
    good = network.next_size((1, 1))[0]
    for model in (network, PaddedNetwork(network)):
        with pytest.raises(InvalidValueError, match=f"size {good}x{size} ") as caught:
            model(torch.zeros(1, 1, good, size))
        assert f"{good}x{following}" in caught.value.hint
        assert f"{network.output_size(good)}x{output}" in caught.value.hint


def test_the_padded_3d_unet_keeps_the_size() -> None:
    network = build_network("unet3d", 3, 1, 2, widths=(2, 2, 2, 2), padded=True).eval()
    assert network.divisor == 8
    assert network(torch.zeros(1, 1, 8, 16, 24)).shape == (1, 2, 8, 16, 24)
