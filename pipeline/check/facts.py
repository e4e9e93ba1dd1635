"""The few numbers of a case that all checks rest on: small, JSON-able, naming no patient."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

Matrix = tuple[tuple[float, ...], ...]
_AXES = ("LR", "PA", "IS")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What was measured on an image; of a header alone, only what stands in it.

    Args:
        shape: Voxels along the axes as stored; rows and columns of a picture.
        dtype: Stored type.
        digest: Hash of shape and voxels, all channels.
        modality: As the file says it.
        affine: Index to RAS mm, 4 x 4; None for a picture.
        channels: Number of channels.
        grey: Whether all of several channels are equal.
        not_finite: Voxels that are NaN or infinite.
        low: Lowest finite value of each channel.
        high: Highest finite value of each channel.
        mean: Mean of the finite values of each channel.
        hounsfield_air: Share of the first channel's voxels between -1100 and -900.
        middle: World x in mm, to the right, of the middle of what is not background.
        hu: Whether the values of a CT are HU as far as its file says; None: it says nothing.
    """

    shape: tuple[int, ...]
    dtype: str = "int16"
    digest: str = ""
    modality: str | None = None
    affine: Matrix | None = None
    channels: int = 1
    grey: bool = False
    not_finite: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    hounsfield_air: float = 0.0
    middle: float | None = None
    hu: bool | None = None


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What was measured on a label map.

    Args:
        shape: Voxels along the axes as stored.
        dtype: Stored type; the values are whole numbers in any case.
        affine: As of the image.
        counts: Voxels of each integer that occurs, 0 included.
        centres: Mean world x in mm, to the right, of each integer but 0.
        insides: Mean of the image's first channel within each integer but 0.
        fits: Whether mirrors and swaps of axes bring the label onto its image's grid.
        distance: Voxels between both grids at the worst corner, after those mirrors and swaps.
        ends: Integers that occur in the first or last slice along z.
    """

    shape: tuple[int, ...]
    dtype: str = "uint8"
    affine: Matrix | None = None
    counts: dict[int, int] = field(default_factory=dict)
    centres: dict[int, float] = field(default_factory=dict)
    insides: dict[int, float] = field(default_factory=dict)
    fits: bool = True
    distance: float | None = None
    ends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case as its files are.

    Args:
        id: The case.
        image: None where it cannot be read.
        label: None where there is none, or it cannot be read.
        problems: Errors of reading, one line each.
        notes: Warnings of the readers, one line each.
        patient: Salted hash of the patient of a DICOM image.
    """

    id: str
    image: ImageFacts | None = None
    label: LabelFacts | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    patient: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "CaseFacts":
        """Undo `to_json`."""
        image, label = plain["image"], plain["label"]
        if label is not None:
            for key in ("counts", "centres", "insides"):
                label = label | {key: {int(n): value for n, value in label[key].items()}}
        return cls(
            id=plain["id"],
            image=None if image is None else ImageFacts(**_frozen(image)),
            label=None if label is None else LabelFacts(**_frozen(label)),
            problems=tuple(plain["problems"]),
            notes=tuple(plain["notes"]),
            patient=plain["patient"],
        )


def orientation(affine: Matrix | None) -> str | None:
    """Return the axis codes of a volume, as `RAS`; None of a picture."""
    if affine is None:
        return None
    codes = ""
    for column in list(zip(*affine[:3], strict=True))[:3]:
        world = max(range(3), key=[abs(x) for x in column].__getitem__)
        codes += _AXES[world][column[world] > 0]
    return codes


def _frozen(plain: dict[str, Any]) -> dict[str, Any]:
    """Lists to tuples, two levels deep, as an affine needs."""
    return {key: _tuple(value) for key, value in plain.items()}


def _tuple(value: Any) -> Any:
    """A list and the lists in it as tuples."""
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
