"""One wrapper takes any size: padded to what the network wants, cropped back."""

import pytest
import torch

from pipeline.contract import GuidedOutput
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks import build_network, preset_options
from pipeline.networks.padding import PaddedNetwork

WIDTHS = (2, 4, 6, 8, 10)


@pytest.mark.parametrize(("dims", "size"), [(2, (17, 40)), (3, (5, 17, 16))])
def test_logits_have_the_size_of_the_input(dims: int, size: tuple[int, ...]) -> None:
    network = PaddedNetwork(build_network("unet", dims, 1, 3, widths=WIDTHS)).eval()
    assert network(torch.zeros(2, 1, *size)).shape == (2, 3, *size)
    assert network.next_size(size) == size


def test_a_size_that_fits_gives_the_network_its_own_input() -> None:
    inner = build_network("unet", 2, 1, 3, widths=WIDTHS).eval()
    x = torch.randn(1, 1, 32, 16)
    assert torch.equal(PaddedNetwork(inner)(x), inner(x))


def test_padding_repeats_the_border_or_is_zero() -> None:
    inner = build_network("unet", 2, 1, 1, widths=(2, 4, 6)).eval()
    x = torch.randn(1, 1, 6, 8)
    repeated = torch.cat([x, x[:, :, -1:], x[:, :, -1:]], 2)
    zeros = torch.cat([x, torch.zeros(1, 1, 2, 8)], 2)
    assert torch.equal(PaddedNetwork(inner)(x), inner(repeated)[:, :, :6])
    assert torch.equal(PaddedNetwork(inner, mode="constant")(x), inner(zeros)[:, :, :6])
    with pytest.raises(UnknownNameError, match="no padding 'reflect'"):
        PaddedNetwork(inner, mode="reflect")


def test_heads_are_cropped_at_their_own_resolution() -> None:
    inner = build_network("unet", 2, 1, 3, widths=WIDTHS, deep_supervision=True)
    heads = PaddedNetwork(inner).train()(torch.randn(2, 1, 17, 40))
    assert isinstance(heads, list)
    assert [tuple(head.shape[2:]) for head in heads] == [(17, 40), (9, 20), (5, 10), (3, 5)]


def test_a_guided_result_is_cropped_too() -> None:
    inner = build_network("unet3plus", 2, 1, 1, widths=WIDTHS, deep_supervision=True, cgm=True)
    output = PaddedNetwork(inner).train()(torch.randn(2, 1, 17, 40))
    assert isinstance(output, GuidedOutput)
    assert [tuple(head.shape[2:]) for head in output.heads] == [(17, 40)] * 5


def test_the_bilinear_unet_pads_itself_and_the_wrapper_leaves_it_alone() -> None:
    inner = build_network("unet_bilinear", 2, 1, 1, widths=WIDTHS).eval()
    x = torch.randn(1, 1, 37, 50)
    assert inner.divisor == 1
    assert torch.equal(PaddedNetwork(inner)(x), inner(x))
    with pytest.raises(InvalidValueError, match="size 15x50") as caught:
        inner(torch.zeros(1, 1, 15, 50))
    assert "16x50" in caught.value.hint


def test_a_network_of_one_size_is_not_padded() -> None:
    inner = build_network("unetr", 2, 1, 2, **preset_options("unetr", "compact", 2)).eval()
    with pytest.raises(InvalidValueError, match="size 64x96") as caught:
        PaddedNetwork(inner)(torch.zeros(1, 1, 64, 96))
    assert "96x96" in caught.value.hint
