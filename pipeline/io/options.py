"""What a user may say about how an input is to be read."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import InvalidValueError

Form = Literal["sform", "qform", "pixdim"]

FORMS: tuple[Form, ...] = ("sform", "qform", "pixdim")

KINDS: Final = {
    "series": ("dicom", "picture"),  # of a picture: its page
    "phase": ("dicom",),
    "part": ("dicom",),
    "regularize": ("dicom",),
    "affine": ("nifti",),
}
"""Each choice, and the kinds of file (`kind_of`) that it is for."""

_WORDS: Final = {"dicom": "DICOM", "nifti": "NIfTI", "picture": "pictures"}


@dataclass(frozen=True, slots=True)
class Reading:
    """Choices that a refusal names, one field an option.

    Args:
        series: Number in the list that the error gives, or SeriesInstanceUID; of a picture the
            page, from 1.
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

    def refuse_unused(self, kinds: Collection[str | None], path: str | Path) -> None:
        """Refuse a choice that none of the files below `path`, of these kinds, could follow.

        Raises:
            InvalidValueError: There is one.
        """
        for name, wanted in KINDS.items():
            if getattr(self, name) and not set(wanted).intersection(kinds):
                words = " and ".join(_WORDS[kind] for kind in wanted)
                raise InvalidValueError(
                    f"--{'range' if name == 'part' else name} is for {words}, {path} holds none",
                    hint="leave it out",
                )
