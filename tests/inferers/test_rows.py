"""Logits on the source's grid, row by row: as if all of them had been there."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.inferers.ensemble import mean_blocks
from pipeline.inferers.layout import Box, lay_windows
from pipeline.inferers.rows import SURE, SourceRows, needed_span
from pipeline.inferers.sweep import Sweep
from pipeline.inferers.target import Target
from tests.inferers.stub import Stub, conv, monai

SHAPE = (13, 11, 12)


def target_of(scales: tuple[float, ...], sizes: tuple[int, ...], flips: tuple[int, ...]) -> Target:
    """A source at `scales` of the network's voxels, some axes flipped."""
    lines: list[NDArray[Any]] = []
    for axis, (scale, size) in enumerate(zip(scales, sizes, strict=True)):
        line = np.arange(size) * float(scale)
        lines.append(line[::-1] if axis in flips else line)
    nearest = tuple(np.rint(line).astype(int) for line in lines)
    return Target((0, 1, 2), nearest, tuple(lines))


FINER = target_of((0.5, 0.7, 1.0), (25, 15, 12), (1, 0))
COARSER = target_of((2.1, 1.0, 1.6), (6, 11, 7), (2,))


def separable(logits: Tensor, target: Target) -> Tensor:
    """Linear interpolation of the whole, axis by axis."""
    for axis, line in enumerate(target.positions):
        place = torch.from_numpy(np.clip(line, 0, logits.shape[axis + 1] - 1))
        low = place.floor().long()
        high = (low + 1).clamp_max(logits.shape[axis + 1] - 1)
        share = (place - low).float().view(-1, *[1] * (2 - axis))
        below, above = logits.index_select(axis + 1, low), logits.index_select(axis + 1, high)
        logits = below + share * (above - below)
    return logits


def collect(rows: SourceRows, sweep: Sweep, region: Box, shape: tuple[int, ...]) -> Tensor:
    found = torch.full((3, *shape), torch.nan)
    for block in rows.blocks(sweep.blocks(region)):
        assert found[(slice(None), *block.where)].isnan().all()
        found[(slice(None), *block.where)] = block.logits
    return found


@pytest.mark.parametrize("target", [FINER, COARSER])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("linear", [True, False])
def test_rows_equal_the_whole_resampled_at_once(
    target: Target, axes: tuple[int, ...], linear: bool
) -> None:
    network, image = conv(3, 1, 3), torch.randn(1, *SHAPE)
    whole = monai(image, network, (6, 5, 6), 0.5)
    layout = lay_windows(SHAPE, (6, 5, 6), 0.5)
    rows = SourceRows(layout.region, target, axes[0], "softmax", linear=linear)
    sweep = Sweep(image, layout, Stub(network), axes)
    found = collect(rows, sweep, layout.region, target.turned)
    if linear:
        assert torch.allclose(found, separable(whole, target), atol=1e-5)
    else:
        there = np.ix_(np.arange(3), *target.nearest)
        assert torch.allclose(found, torch.from_numpy(whole.numpy()[there]), atol=1e-5)


def test_only_rows_that_are_still_needed_are_held() -> None:
    shape, layout = (60, 8, 8), lay_windows((60, 8, 8), (6, 6, 6), 0.5)
    target = target_of((0.5, 1, 1), (119, 8, 8), ())
    rows = SourceRows(layout.region, target, 0, "softmax", linear=True)
    sweep = Sweep(torch.zeros(1, *shape), layout, Stub(conv(3, 1, 3)))
    most = 0
    for _ in rows.blocks(sweep.blocks()):
        held = sum(slab.values.shape[1] for slab in rows._slabs.values())
        most = max(most, held)
    assert 0 < most <= 2 * 6


def test_tiles_that_share_a_border_give_the_same_as_the_whole() -> None:
    network, image = conv(3, 1, 3), torch.randn(1, *SHAPE)
    layout = lay_windows(SHAPE, (6, 5, 6), 0.5)
    whole = monai(image, network, (6, 5, 6), 0.5)
    sweep = Sweep(image, layout, Stub(network))
    found = torch.full((3, *FINER.turned), torch.nan)
    for tile in (((0, 13), (0, 5), (0, 12)), ((0, 13), (5, 11), (0, 12))):
        columns = [FINER.inside(axis, span) for axis, span in enumerate(tile)]
        region = tuple(
            needed_span(FINER, axis, part, span)
            for axis, (part, span) in enumerate(zip(columns, layout.region, strict=True))
        )
        rows = SourceRows(region, FINER, 0, "softmax", linear=True, columns=columns)
        for block in rows.blocks(sweep.blocks(region)):
            assert found[(slice(None), *block.where)].isnan().all()
            found[(slice(None), *block.where)] = block.logits
    assert torch.allclose(found, separable(whole, FINER), atol=1e-5)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_outside_of_the_region_is_background_if_asked_for_and_nothing_else(head: str) -> None:
    network, image = conv(3, 1, 3), torch.randn(1, *SHAPE)
    layout, region = lay_windows(SHAPE, (6, 5, 6), 0.5), ((3, 9), (0, 7), (2, 12))
    inside = tuple(FINER.inside(axis, span) for axis, span in enumerate(region))
    sweep = Sweep(image, layout, Stub(network))
    part = SourceRows(region, FINER, 0, head, linear=False)
    found = collect(part, sweep, region, FINER.turned)
    assert not found[(slice(None), *inside)].isnan().any()
    outside = torch.ones(FINER.turned, dtype=torch.bool)
    outside[inside] = False
    assert found[:, outside].isnan().all()
    full = SourceRows(region, FINER, 0, head, linear=False, whole=True)
    everything = collect(full, sweep, region, FINER.turned)
    assert torch.equal(everything[(slice(None), *inside)], found[(slice(None), *inside)])
    first = 0.0 if head == "softmax" else -SURE
    assert (torch.tensor([first, -SURE, -SURE]) == everything[:, outside].T).all()


def test_members_on_different_grids_meet_on_the_source() -> None:
    members, wanted = [], []
    for seed, shape in enumerate([(13, 11, 12), (7, 11, 6)]):
        network, image = conv(3, 1, 3, seed), torch.randn(1, *shape)
        target = target_of(((shape[0] - 1) / 24, 1, (shape[2] - 1) / 11), (25, 11, 12), (0,))
        layout = lay_windows(shape, (6, 5, 6), 0.5)
        rows = SourceRows(layout.region, target, 0, "softmax", linear=True, whole=True)
        members.append(rows.blocks(Sweep(image, layout, Stub(network)).blocks()))
        wanted.append(separable(monai(image, network, (6, 5, 6), 0.5), target).softmax(0))
    found = torch.zeros(3, 25, 11, 12)
    for block in mean_blocks(members, "softmax"):
        found[(slice(None), *block.where)] = block.logits.softmax(0)
    assert torch.allclose(found, torch.stack(wanted).mean(0), atol=1e-5)
