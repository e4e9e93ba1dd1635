"""What a user may say about how an input is to be read."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import InvalidValueError

Form = Literal["sform", "qform", "pixdim"]

FORMS: tuple[Form, ...] = ("sform", "qform", "pixdim")


@dataclass(frozen=True, slots=True)
class Reading:
    """Choices that a refusal names, one field an option.

    Args:
        series: Number in the list that the error gives, or SeriesInstanceUID.
        phase: `ATTRIBUTE=VALUE`, which picks one of several images a place.
        part: Number of one range of slices, from 1.
        regularize: Resample uneven or tilted slices on an even, orthogonal grid.
        affine: Which of a NIfTI's places counts.
        unplaced: Accept a NIfTI that says nothing of its place: centred, with a warning.
    """

    series: str | int | None = None
    phase: str | None = None
    part: int | None = None
    regularize: bool = False
    affine: Form | None = None
    unplaced: bool = True

    def __post_init__(self) -> None:
        """Refuse values that no file could fulfil."""
        if self.phase is not None and not all(self.phase.partition("=")):
            raise InvalidValueError(
                f"phase {self.phase!r} is no ATTRIBUTE=VALUE",
                hint="copy it from the refusal, as in EchoTime=4.6",
            )
        if self.part is not None and self.part < 1:
            raise InvalidValueError(f"range {self.part}", hint="ranges are counted from 1")
        if self.affine is not None and self.affine not in FORMS:
            raise InvalidValueError(f"affine {self.affine!r}", hint=f"one of {', '.join(FORMS)}")
