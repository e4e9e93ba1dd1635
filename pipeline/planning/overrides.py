"""What a user may set instead of the planned value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values that the user set; None keeps the planned one."""

    window: str | Sequence[float] | Sequence[Sequence[float]] | None = None
    spacing: Sequence[float] | None = None
    normalisation: str | None = None
    patch: Sequence[int] | None = None
    batch_size: int | None = None
    epoch_length: int | None = None
    learning_rate: float | None = None
    norm: str | None = None
    class_weights: Sequence[float] | str | None = None
    augment: Mapping[str, Any] | bool | None = None
    val_interval: int | None = None
    polarity: bool | None = None
    contrast: str | None = None
    slices: int | None = None
