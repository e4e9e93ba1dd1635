"""The base of all engines: each says what it lacks and what it computes in before it is opened."""

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.contract import Engine
from pipeline.engines.subject import Subject
from pipeline.errors import ResourceError


class WindowEngine(Engine):
    """An engine of the table.

    Args:
        subject: What to compute.
        precision: One of `precisions`.

    Attributes:
        packages: Modules that must be importable.
        extra: The extra of ours that brings them; None: they are always there.
    """

    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None

    @abstractmethod
    def __init__(self, subject: Subject, precision: str) -> None:
        """Open the engine."""

    @classmethod
    def require(cls, device: torch.device) -> None:
        """Refuse to start without a package or on a device that the engine does not serve.

        Raises:
            ResourceError: A package is missing, or the device is none of the engine's.
        """
        require_packages(cls.name, cls.packages, cls.extra)

    @classmethod
    @abstractmethod
    def precisions(cls, device: torch.device) -> tuple[str, ...]:
        """What the engine computes in on this machine; fp32 first."""


def require_packages(name: str, packages: Sequence[str], extra: str | None) -> None:
    """Refuse where a module can't be imported; nothing is imported.

    Raises:
        ResourceError: One is missing.
    """
    missing = [package for package in packages if not importable(package)]
    if missing:
        wanted = f"'unetworks[{extra}]'" if extra else " ".join(missing)
        raise ResourceError(f"{name} needs {', '.join(missing)}", hint=f"pip install {wanted}")


def importable(package: str) -> bool:
    """Whether a module could be imported."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # a parent is missing, or an entry of sys.modules is None
        return False


def filled(batch: Tensor, size: int) -> Tensor:
    """A contiguous fp32 batch of `size` windows; missing ones are zeros."""
    batch = batch.to(torch.float32)
    if batch.shape[0] == size:
        return batch.contiguous()
    whole = batch.new_zeros((size, *batch.shape[1:]))
    whole[: batch.shape[0]] = batch
    return whole
