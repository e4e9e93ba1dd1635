"""Blocks on the network's grid become masks on the source's, whatever its axes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.inferers.layout import lay_windows
from pipeline.inferers.masks import Masks
from pipeline.inferers.sweep import Block, Sweep
from pipeline.inferers.target import Target
from tests.inferers.stub import Stub, conv


def cut(logits: Tensor, step: int = 4) -> Iterator[Block]:
    """Logits in blocks."""
    sizes = logits.shape[1:]
    for low in np.ndindex(*(-(-n // step) for n in sizes)):
        where = tuple(slice(i * step, min(n, i * step + step)) for i, n in zip(low, sizes))  # noqa: B905
        yield Block(where, logits[(slice(None), *where)].clone())


def turned() -> Target:
    """A source of 12 x 7 x 30: axes permuted, one flipped, finer, coarser, and partly outside."""
    first = np.repeat(np.arange(6), 2)  # 12 of the source along the network's axis 1
    second = np.arange(6, -1, -1)  # 7, flipped, along its axis 2
    third = np.concatenate([[-1, -1], np.clip(np.arange(28) // 3, 0, 8)])  # along its axis 0
    lines = (third, first, second)
    return Target((2, 0, 1), lines, tuple(line.astype(float) for line in lines))


def test_a_source_of_turned_and_scaled_axes_gets_the_nearest_voxels_class() -> None:
    logits, target = torch.randn(4, 9, 6, 7), turned()
    masks = Masks("softmax", 4, target)
    masks.fill(cut(logits))
    labels = logits.argmax(0).numpy()
    wanted = np.zeros((12, 7, 30), int)
    for i, j, k in np.ndindex(12, 7, 30):
        if target.nearest[0][k] >= 0:
            wanted[i, j, k] = labels[target.nearest[0][k], target.nearest[1][i], 6 - j]
    assert masks.classes.shape == target.shape == (12, 7, 30)
    assert (masks.classes == wanted).all()
    assert not masks.classes[..., :2].any(), "outside is background"


def test_masks_lie_as_files_store_them() -> None:
    masks = Masks("sigmoid", 2, Target.same((3, 4, 5)), named=[0, 1])
    assert masks.classes.shape == (3, 4, 5, 2)
    assert masks.classes.flags.f_contiguous
    assert masks.probabilities is not None
    assert masks.probabilities.flags.f_contiguous


@pytest.mark.parametrize(("integers", "kind"), [([0, 3, 9], np.uint8), ([0, 3, 900], np.uint16)])
def test_classes_become_the_files_integers(integers: list[int], kind: type) -> None:
    logits = torch.randn(3, 5, 6)
    masks = Masks("softmax", 3, Target.same((5, 6)), integers)
    masks.fill(cut(logits))
    assert masks.classes.dtype == kind
    assert (masks.classes == np.array(integers)[logits.argmax(0).numpy()]).all()


def test_a_single_region_is_a_mask_of_its_integer() -> None:
    logits = torch.randn(1, 5, 6)
    masks = Masks("sigmoid", 1, Target.same((5, 6)), [0, 7])
    masks.fill(cut(logits))
    assert (masks.classes == np.where(logits[0].numpy() > 0, 7, 0)).all()


def test_overlapping_regions_are_one_map_each() -> None:
    logits = torch.randn(3, 8, 9)
    masks = Masks("sigmoid", 3, Target.same((8, 9)))
    masks.fill(cut(logits))
    assert (np.moveaxis(masks.classes, -1, 0) == (logits > 0).numpy()).all()


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_named_probabilities_are_kept_as_bytes(head: str) -> None:
    logits = torch.randn(4, 8, 9)
    masks = Masks(head, 4, Target.same((8, 9)), named=[3, 1])
    masks.fill(cut(logits))
    shares = logits.softmax(0) if head == "softmax" else logits.sigmoid()
    assert masks.probabilities is not None
    assert masks.probabilities.shape == (8, 9, 2)
    wanted = shares[[3, 1]].numpy() * 255
    assert np.abs(np.moveaxis(masks.probabilities, -1, 0) - wanted).max() <= 0.5 + 1e-4


def test_logits_that_are_no_numbers_are_noticed() -> None:
    logits = torch.randn(2, 8, 8)
    masks = Masks("softmax", 2, Target.same((8, 8)))
    masks.fill(cut(logits))
    assert masks.finite
    logits[1, 5, 5] = torch.nan
    masks.fill(cut(logits))
    assert not masks.finite


def test_from_windows_to_a_mask() -> None:
    image, network = torch.randn(1, 13, 12, 11), conv(3, 1, 3)
    layout = lay_windows((13, 12, 11), (6, 6, 6), 0.5)
    masks = Masks("softmax", 3, Target.same((13, 12, 11)))
    masks.fill(Sweep(image, layout, Stub(network)).blocks())
    assert set(np.unique(masks.classes)) == {0, 1, 2}
