"""A small network that tells blobs from background, and windows with both."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import Network


class Blobs(Network):
    """Three convolutions whose logits have a class for dark and one for bright blobs."""

    divisor = 1

    def __init__(self, dims: int = 3, classes: int = 3) -> None:
        super().__init__(dims, 1, classes)
        conv = nn.Conv3d if dims == 3 else nn.Conv2d
        self.first = conv(1, 8, 3, padding=1)
        self.middle = conv(8, 8, 3, padding=1)
        self.last = conv(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return self.last(torch.relu(self.middle(torch.relu(self.first(x)))))  # type: ignore[no-any-return]


def blobs(dims: int = 3, classes: int = 3) -> Blobs:
    """The network with weights that leave no class without voxels."""
    torch.manual_seed(5)
    network = Blobs(dims, classes).eval()
    with torch.no_grad():
        logits = torch.cat([network(w[None]) for w in windows_of(dims)])
        middle = logits.transpose(0, 1).flatten(1).median(dim=1).values
        network.get_parameter("last.bias").sub_(middle)
    return network


def windows_of(dims: int = 3, number: int = 6, size: int = 12) -> list[Tensor]:
    """Windows `(1, *S)` of smooth noise, no two alike."""
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(1, *(size,) * dims, generator=generator) for _ in range(number)]


@pytest.fixture
def network() -> Blobs:
    return blobs()


@pytest.fixture
def windows() -> list[Tensor]:
    return windows_of()


@pytest.fixture
def blobs_of() -> Callable[..., Blobs]:
    """Makes the network of other axes or classes."""
    return blobs


@pytest.fixture
def windows_like() -> Callable[..., list[Tensor]]:
    """Makes windows of other axes, number or size."""
    return windows_of


@pytest.fixture
def cache(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> object:
    """An empty cache of the test's own."""
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path))
    return tmp_path
