"""The facts of a data set that a plan rests on, as plain values that a run's folder can carry."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Intensity:
    """Values of one channel over the foreground of all training cases, in the image's unit.

    Attributes:
        mean: Of the foreground.
        std: Of the foreground.
        low: Percentile 0.5 of the foreground.
        high: Percentile 99.5 of the foreground.
        lowest: Of all voxels, background too; None where it was not looked at.
        zeros: Share of all voxels that are exactly 0.
    """

    mean: float
    std: float
    low: float
    high: float
    lowest: float | None = None
    zeros: float = 0.0


@dataclass(frozen=True, slots=True)
class Polarity:
    """Whether what is looked for is darker or lighter than its surroundings.

    Attributes:
        darker: Share of the cases whose foreground is darker than their background.
        told: Share of the cases in which the image alone tells which it is, by its ground.
    """

    darker: float
    told: float


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Facts of a data set, from its training cases alone.

    Attributes:
        name: The manifest's name.
        hash: The manifest's hash.
        modality: One per channel.
        dims: 3 for volumes, 2 for pictures.
        classes: Foreground names in order.
        values: For each class its integers in the label files.
        head: `softmax` (exclusive classes) or `sigmoid` (regions that may overlap).
        cases: Number of training cases.
        patients: Number of training patients.
        validation_cases: Number of `val` cases.
        shape: Median shape in voxels, RAS order for volumes, rows and columns for pictures.
        spacing: Median spacing in mm in that order; None for pictures.
        spacing_range: Smallest and largest spacing per axis.
        intensity: Per channel.
        variety: Spread of the cases' foreground means, in units of the spread within a case.
        shares: Share of all voxels of background and of each class.
        window: The manifest's window, a name or `[level, width]`.
        polarity: Of pictures; None for volumes and where it was not looked at.
        mixed: Whether some pictures are grey and some coloured; the facts are of three channels.
        integers: All that a label file may hold; those that no class has are background.
    """

    name: str
    hash: str
    modality: tuple[str, ...]
    dims: int
    classes: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    head: str
    cases: int
    patients: int
    validation_cases: int
    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    spacing_range: tuple[tuple[float, ...], tuple[float, ...]] | None
    intensity: tuple[Intensity, ...]
    variety: float
    shares: tuple[float, ...]
    window: str | tuple[float, ...] | None = None
    polarity: Polarity | None = None
    mixed: bool = False
    integers: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """C of the image files."""
        return len(self.modality)

    @property
    def out_channels(self) -> int:
        """K of the logits: background and classes for softmax, the regions for sigmoid."""
        return len(self.classes) + (self.head == "softmax")

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Fingerprint":
        """Undo `to_dict`."""
        fields = {key: frozen(value) for key, value in plain.items()}
        fields["intensity"] = tuple(Intensity(**entry) for entry in plain["intensity"])
        if fields.get("polarity") is not None:
            fields["polarity"] = Polarity(**plain["polarity"])
        return cls(**fields)


def frozen(value: Any) -> Any:
    """Lists to tuples, all the way down."""
    return tuple(frozen(v) for v in value) if isinstance(value, list | tuple) else value
