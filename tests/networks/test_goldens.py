"""Outputs at full widths equal the articles' and authors' own networks."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import GuidedOutput
from pipeline.networks import build_network

FILE = json.loads((Path(__file__).parents[1] / "data" / "goldens.json").read_text())
TOLERANCE = FILE["tolerance_std"]
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Outputs = tuple[Tensor, Tensor | list[Tensor] | GuidedOutput]
RECURRENT = ("r2unet", "r2attunet")  # their sums grow, so their gain is smaller


def uniform(n: int, salt: int) -> Numbers:
    """n numbers in [-1, 1), a hash of index, n and salt."""
    mask = 0xFFFFFFFF
    x = (np.arange(n, dtype=np.uint64) + np.uint64((7919 * n + 1000003 * salt) & mask)) & np.uint64(
        mask
    )
    for _ in range(2):
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(73244475)) & np.uint64(mask)
    x = x ^ (x >> np.uint64(16))
    return x.astype(np.float64) / 2**31 - 1


def value(name: str, tensor: Tensor, gain: float) -> Numbers | None:
    """What the recipe gives a parameter or buffer; None leaves it."""
    n, last = tensor.numel(), name.rpartition(".")[2]
    if last == "running_mean":
        return 0.1 * uniform(n, 5)
    if last == "running_var":
        return 1 + 0.5 * uniform(n, 6)
    if not tensor.is_floating_point():
        return None
    if tensor.ndim > 1:
        return uniform(n, 1) * gain * float(np.sqrt(3 / (n // tensor.shape[0])))
    return 0.1 * uniform(n, 3) if "bias" in last else 1 + 0.25 * uniform(n, 2)


@torch.no_grad()
def fill(network: nn.Module, name: str) -> None:
    """Give every parameter and running statistic its golden value."""
    gain = 0.8 if name in RECURRENT else 1.2
    for key, tensor in network.state_dict().items():
        numbers = value(key, tensor, gain)
        if numbers is not None:
            tensor.copy_(torch.from_numpy(numbers.astype(np.float32)).reshape(tensor.shape))


def image(shape: list[int]) -> Tensor:
    """The golden input."""
    numbers = uniform(int(np.prod(shape)), 7).astype(np.float32)
    return torch.from_numpy(numbers).reshape(shape)


@cache
def both_outputs(key: str) -> Outputs:
    """Evaluation's output, and training's with dropout off and running statistics used."""
    name, options, shape, classes = json.loads(key)
    network = build_network(name, len(shape) - 2, shape[1], classes, **options)
    fill(network, name)
    network.eval()
    with torch.no_grad():
        evaluation = network(image(shape))
        network.train()
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd):
                module.eval()
        training = network(image(shape)) if network.heads > 1 else evaluation
    return evaluation, training


def pick(outputs: Outputs, which: str) -> Tensor:
    """Choose the tensor that a row of the file is about."""
    evaluation, training = outputs
    if which == "evaluation":
        return evaluation
    if which == "class_logits":
        assert isinstance(training, GuidedOutput)
        return training.class_logits
    heads = training.heads if isinstance(training, GuidedOutput) else training
    return heads[int(which.removeprefix("head "))]


def rows() -> list[Any]:
    """The file's rows, in its order, each with a name."""
    found = []
    for row in FILE["rows"]:
        key = json.dumps([row["network"], row["options"], row["input"], row["out_channels"]])
        words = [row["network"], f"{len(row['input']) - 2}d", *map(str, row["options"].items())]
        found.append(pytest.param(key, row, id="-".join([*words, row["output"]])))
    return found


@pytest.mark.parametrize(("key", "row"), rows())
def test_the_output_equals_the_golden_values(key: str, row: dict[str, Any]) -> None:
    output = pick(both_outputs(key), row["output"]).double().numpy()
    flat, expected = output.ravel(), np.asarray(row["values"])
    if row["output"] == "class_logits":
        assert flat == pytest.approx(expected, abs=TOLERANCE * 0.1)
        return
    positions = [(2 * j + 1) * flat.size // 16 for j in range(8)]
    statistics = [flat.mean(), flat.std(), flat.min(), flat.max()]
    published = [row["mean"], row["std"], row["min"], row["max"]]
    assert flat[positions] == pytest.approx(expected, abs=TOLERANCE * row["std"])
    assert statistics == pytest.approx(published, abs=TOLERANCE * row["std"])


def test_the_recipe_begins_as_published() -> None:
    assert uniform(10, 1)[:3] == pytest.approx([-0.888398033, 0.757632961, -0.341018576], abs=1e-9)
    assert uniform(6, 7)[:3] == pytest.approx([0.719100813, -0.455488645, 0.760757896], abs=1e-9)
