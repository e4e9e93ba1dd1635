from collections.abc import Callable
from math import exp

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import InvalidValueError
from pipeline.losses import BorderCrossEntropyLoss, border_weights

Sample = Callable[..., tuple[Tensor, Tensor]]


def test_a_gap_of_one_voxel_weighs_as_the_formula_says() -> None:
    objects = np.array([[1, 1, 0, 2, 2, 0, 0, 0]])
    expected = [
        1,
        1,
        1 + 10 * exp(-4 / 50),
        1,
        1,
        *(1 + 10 * exp(-((2 * n + 3) ** 2) / 50) for n in (1, 2, 3)),
    ]
    assert border_weights(objects)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(40, 45), (14, 15, 16)])
def test_weights_are_those_of_every_distance_measured(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    objects = np.zeros(shape, int)
    for number in range(1, 6):
        objects[tuple(generator.integers(0, n) for n in shape)] = number
    places = np.stack(list(np.indices(shape)), -1).astype(float)
    distances = np.stack(
        [np.linalg.norm(places - np.argwhere(objects == n)[0], axis=-1) for n in range(1, 6)]
    )
    first, second = np.sort(distances, 0)[:2]
    expected = 1 + 7.0 * np.exp(-((first + second) ** 2) / (2 * 2.0**2))
    expected[objects > 0] = 1
    assert border_weights(objects, w0=7.0, sigma=2.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("objects", [[[0, 0, 0]], [[0, 3, 0]], [[3, 3, 3]]])
def test_fewer_than_two_objects_weigh_nothing(objects: list[list[int]]) -> None:
    assert border_weights(np.array(objects)).tolist() == [[1, 1, 1]]


def test_the_loss_is_the_weighted_mean_with_connected_parts_as_objects(sample: Sample) -> None:
    logits, _ = sample((2, 2, 5, 7))
    label = torch.zeros(2, 1, 5, 7, dtype=torch.int64)
    label[0, 0, :, :2] = label[0, 0, :, 3:5] = 1
    objects = label[:, 0].numpy().copy()
    objects[0, :, 3:5] = 2
    weights = torch.from_numpy(np.stack([border_weights(one) for one in objects]))
    entropy = nn.CrossEntropyLoss(reduction="none")(logits, label[:, 0])
    expected = (entropy * weights).mean().item()
    assert BorderCrossEntropyLoss()(logits, label).item() == pytest.approx(expected)
    assert expected > 1.1 * entropy.mean().item()


def test_coarser_heads_take_the_weights_of_the_full_label(sample: Sample) -> None:
    logits, _ = sample((1, 1, 8, 8), regions=True)
    coarse = logits[:, :, ::2, ::2]
    label = torch.zeros(1, 1, 8, 8)
    label[..., :3] = label[..., 4:] = 1
    weights = border_weights(np.array([[1, 1, 1, 0, 2, 2, 2, 2]] * 8))
    small = torch.from_numpy(weights[1::2, 1::2].copy())
    entropy = nn.BCEWithLogitsLoss(reduction="none")
    truth = label[:, :, 1::2, 1::2].double()
    parts = [
        (entropy(logits, label.double()) * torch.from_numpy(weights)).mean().item(),
        (entropy(coarse, truth) * small).mean().item(),
    ]
    loss = BorderCrossEntropyLoss()([logits, coarse], label).item()
    assert loss == pytest.approx((parts[0] + parts[1] / 2) / 1.5)


def test_settings_that_make_no_weights_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="sigma is 0"):
        BorderCrossEntropyLoss(sigma=0)
