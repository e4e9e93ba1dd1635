import pytest
import torch
from monai.data.utils import compute_importance_map

from pipeline.inferers.importance import KEPT_BYTES, Importance

CPU = torch.device("cpu")


def test_the_map_is_monais() -> None:
    for blend in ("gaussian", "constant"):
        wanted = compute_importance_map((8, 6), mode=blend)
        assert torch.equal(Importance((8, 6), blend, CPU).map, wanted)


def test_sums_are_added_in_the_order_of_the_windows() -> None:
    importance = Importance((8, 6), "gaussian", CPU)
    weights = importance.map
    found = importance.sum([(4, 0), (3,)], (4, 3), (0, 1))
    assert torch.equal(found, weights[4:8, 3:6] + weights[0:4, 3:6])
    assert importance.sum([(4, 0), (3,)], (4, 3), (0, 1)) is found, "cells of one kind share it"


@pytest.mark.parametrize("size", [64, 200])
def test_what_is_kept_is_bounded(size: int) -> None:
    importance = Importance((size, size, size), "constant", CPU)
    for low in range(12):
        importance.sum([(low,), (0,), (0,)], (size - 12, size, size), (0, 1, 2))
    kept = sum(found.numel() * 4 for found in importance._sums.values())
    assert kept <= max(KEPT_BYTES, (size - 12) * size * size * 4)
