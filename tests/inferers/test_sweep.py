"""Equal to MONAI bit for bit, in the memory of what is unfinished."""

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.inferers.cells import peak_voxels
from pipeline.inferers.decision import classes_of
from pipeline.inferers.layout import Layout, lay_tiles, lay_windows
from pipeline.inferers.sweep import Sweep
from tests.inferers.stub import Stub, conv, monai


def whole(sweep: Sweep, shape: tuple[int, ...], classes: int) -> Tensor:
    """All blocks put together; each voxel must come exactly once."""
    found = torch.full((classes, *shape), torch.nan)
    for block in sweep.blocks():
        there = (slice(None), *block.where)
        assert found[there].isnan().all()
        found[there] = block.logits
    assert not found.isnan().any()
    return found


@st.composite
def problems(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], float, int, int, int]:
    """Shape, patch, overlap, classes, batch, channels."""
    dims = draw(st.sampled_from([2, 3]))
    sizes = st.integers(1, 40) if dims == 2 else st.integers(1, 17)
    patches = st.integers(2, 16) if dims == 2 else st.integers(2, 8)
    return (
        tuple(draw(st.lists(sizes, min_size=dims, max_size=dims))),
        tuple(draw(st.lists(patches, min_size=dims, max_size=dims))),
        draw(st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.625, 0.8])),
        draw(st.sampled_from([1, 2, 3, 7, 12])),
        draw(st.integers(1, 5)),
        draw(st.sampled_from([1, 2])),
    )


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from(["softmax", "sigmoid"]))
def test_logits_and_labels_equal_monais_bit_for_bit(
    problem: tuple[tuple[int, ...], tuple[int, ...], float, int, int, int], head: str
) -> None:
    shape, patch, overlap, classes, batch, channels = problem
    network = conv(len(shape), channels, classes)
    image = torch.randn(channels, *shape)
    wanted = monai(image, network, patch, overlap, batch)
    sweep = Sweep(image, lay_windows(shape, patch, overlap), Stub(network, batch))
    found = whole(sweep, shape, classes)
    assert torch.equal(found, wanted)
    labels = wanted.argmax(0, keepdim=True) if head == "softmax" else wanted > 0
    assert (torch.from_numpy(classes_of(found, head)) == labels).all()
    assert sweep.windows == lay_windows(shape, patch, overlap).windows


def test_a_hundred_classes_equal_monais() -> None:
    network, image = conv(3, 1, 105), torch.randn(1, 20, 13, 17)
    wanted = monai(image, network, (8, 8, 8), 0.5)
    sweep = Sweep(image, lay_windows((20, 13, 17), (8, 8, 8), 0.5), Stub(network))
    found = whole(sweep, (20, 13, 17), 105)
    assert torch.equal(found, wanted)
    assert (classes_of(found, "softmax") == wanted.argmax(0, keepdim=True).numpy()).all()


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_slices_of_a_volume_equal_monais_whatever_their_axis(flat: int) -> None:
    network, image = conv(2, 1, 4), torch.randn(1, 9, 11, 7)
    wanted = monai(image, network, (6, 5), 0.5, 3, flat)
    layout = lay_windows((9, 11, 7), (6, 5), 0.5, flat)
    order = (flat, *(a for a in range(3) if a != flat))
    assert torch.equal(whole(Sweep(image, layout, Stub(network, 3), order), (9, 11, 7), 4), wanted)


def test_another_order_of_windows_changes_the_last_bits_only() -> None:
    network, image = conv(3, 1, 5), torch.randn(1, 14, 17, 12)
    layout = lay_windows((14, 17, 12), (6, 6, 6), 0.5)
    wanted = monai(image, network, (6, 6, 6), 0.5)
    found = whole(Sweep(image, layout, Stub(network), (2, 0, 1)), (14, 17, 12), 5)
    assert not torch.equal(found, wanted), "the test would not see an order that is ignored"
    assert torch.allclose(found, wanted, atol=1e-5)


def test_regions_are_exact_and_compute_only_the_windows_that_touch_them() -> None:
    network, image = conv(3, 1, 3), torch.randn(1, 20, 21, 22)
    layout = lay_windows((20, 21, 22), (8, 8, 8), 0.5)
    wanted = monai(image, network, (8, 8, 8), 0.5)
    sweep = Sweep(image, layout, Stub(network))
    for region in (((0, 20), (0, 9), (0, 22)), ((0, 20), (9, 21), (3, 22))):
        cut = tuple(slice(*span) for span in region)
        found = torch.zeros_like(wanted)
        for block in sweep.blocks(region):
            found[(slice(None), *block.where)] = block.logits
        assert torch.equal(found[(slice(None), *cut)], wanted[(slice(None), *cut)])
        found[(slice(None), *cut)] = 0
        assert not found.any(), "nothing outside of the region"
    alone = Sweep(image, layout, Stub(network))
    list(alone.blocks(((0, 4), (0, 4), (0, 4))))
    assert alone.windows == 1


@pytest.mark.parametrize(
    ("shape", "overlap"), [((40, 22, 18), 0.5), ((41, 23, 19), 0.5), ((30, 30, 30), 0.25)]
)
def test_memory_is_that_of_unfinished_cells_and_never_more_than_planned(
    shape: tuple[int, ...], overlap: float
) -> None:
    classes, layout = 6, lay_windows(shape, (8, 8, 8), overlap)
    sweep = Sweep(torch.zeros(1, *shape), layout, Stub(conv(3, 1, classes)))
    for _ in sweep.blocks():
        assert sweep.pool.held_bytes <= sweep.pool.peak_bytes
    planned = peak_voxels(layout, layout.region, (0, 1, 2)) * classes * 4
    assert 0.8 * planned <= sweep.pool.peak_bytes <= planned
    assert sweep.pool.live_bytes == 0
    assert planned < 0.6 * prod(shape) * classes * 4


def test_memory_does_not_grow_with_the_length_of_a_scan() -> None:
    peaks = [
        peak_voxels(layout, layout.region, (2, 0, 1))
        for layout in (lay_windows((24, 24, n), (8, 8, 8), 0.5) for n in (64, 640))
    ]
    assert peaks[0] == peaks[1]


def test_half_precision_sums_take_half_and_stay_close() -> None:
    network, image = conv(3, 1, 4), torch.randn(1, 12, 12, 12)
    layout = lay_windows((12, 12, 12), (6, 6, 6), 0.5)
    full = Sweep(image, layout, Stub(network))
    half = Sweep(image, layout, Stub(network), dtype=torch.float16)
    wanted, found = whole(full, (12, 12, 12), 4), whole(half, (12, 12, 12), 4)
    assert torch.allclose(found, wanted, atol=1e-2)
    assert half.pool.peak_bytes * 2 == full.pool.peak_bytes


def test_windows_are_batched_and_every_batch_but_the_last_is_full() -> None:
    engine = Stub(conv(3, 1, 2), 4)
    layout = lay_windows((13, 9, 9), (6, 6, 6), 0.5)
    list(Sweep(torch.zeros(1, 13, 9, 9), layout, engine).blocks())
    sizes = [seen[0] for seen in engine.seen]
    assert sizes[:-1] == [4] * (len(sizes) - 1)
    assert sum(sizes) == layout.windows


def shrinking(dims: int, border: int, classes: int) -> torch.nn.Module:
    """Unpadded convolutions that lose `border` voxels at each side."""
    torch.manual_seed(3)
    kind = torch.nn.Conv2d if dims == 2 else torch.nn.Conv3d
    layers = [kind(1 if n == 0 else 4, 4, 3) for n in range(border - 1)]
    return torch.nn.Sequential(*layers, kind(4, classes, 3)).eval()


@pytest.mark.parametrize("shape", [(23, 17), (5, 30), (11, 13, 9)])
@torch.no_grad()
def test_tiles_of_an_unpadded_network_give_what_one_pass_over_the_mirrored_image_gives(
    shape: tuple[int, ...],
) -> None:
    dims, border = len(shape), 2
    network, image = shrinking(dims, border, 3), torch.randn(1, *shape)
    layout = lay_tiles(shape, (12,) * dims, (8,) * dims)
    found = whole(Sweep(image, layout, Stub(network, 2)), shape, 3)
    mirrored = torch.nn.functional.pad(image[None], (border,) * 2 * dims, mode="reflect")
    assert torch.allclose(found, network(mirrored)[0], atol=1e-6)


def test_a_mirrored_border_may_be_wider_than_the_image() -> None:
    seen: list[Tensor] = []

    def keep(batch: Tensor) -> Tensor:
        seen.append(batch[0, 0, :, 0].clone())
        return batch[:, :, 4:-4, :]

    image = torch.arange(3.0).reshape(1, 3, 1).expand(1, 3, 2)
    layout = Layout((3, 2), (3, 2), ((0,), (0,)), (4, 0), border="reflect", blend="constant")
    list(Sweep(image, layout, Stub(keep)).blocks())
    assert seen[0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_sums_on_a_gpu_and_on_the_host_agree() -> None:
    network, image = conv(3, 1, 5).cuda(), torch.randn(1, 20, 21, 22)
    layout = lay_windows((20, 21, 22), (8, 8, 8), 0.5)
    wanted = monai(image, network.cpu(), (8, 8, 8), 0.5)
    network.cuda()
    engine = Stub(lambda batch: network(batch.cuda()), 2)
    host = whole(Sweep(image, layout, engine, device=torch.device("cpu")), (20, 21, 22), 5)
    device = Sweep(image, layout, engine, device=torch.device("cuda"))
    there = torch.zeros_like(wanted)
    for block in device.blocks():
        there[(slice(None), *block.where)] = block.logits.cpu()
    assert torch.allclose(host, wanted, atol=1e-3)
    assert torch.allclose(there, wanted, atol=1e-3)
