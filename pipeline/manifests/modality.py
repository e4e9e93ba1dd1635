"""The modalities that the planner tells apart, how others spell them, and a guess."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import UnknownNameError
from pipeline.io import kind_of, read_header, read_image
from pipeline.manifests.cases import stem

CT_BELOW_HU = -500  # air is -1000 in CT; no other modality that is read here goes as low
LOOKED_AT = 5  # images that a guess opens
MODALITIES = ("CT", "MR", "PET", "SPECT", "US", "X-ray", "OCT", "photograph", "microscopy")
_SPELLINGS = {
    **{name.lower(): name for name in MODALITIES},
    **dict.fromkeys(
        ("mri", "t1", "t1w", "t1gd", "t1ce", "t1c", "t2", "t2w", "flair", "adc", "dwi", "mp-mri"),
        "MR",
    ),
    **{"pt": "PET", "nm": "SPECT", "ultrasound": "US", "xray": "X-ray", "cr": "X-ray"},
    **{"dx": "X-ray", "rgb": "photograph", "photo": "photograph", "picture": "photograph"},
}
_IN_NAMES = ("ct", "pet", "mr", "mri", "t1", "t1w", "t1gd", "t1ce", "t1c", "t2", "t2w", "flair")


def canonical_modality(name: str, path: Path) -> str:
    """The one spelling of a modality that the planner knows (`MRI` and `T1w` are `MR`).

    Raises:
        UnknownNameError: The word means nothing to us.
    """
    key = name.strip().lower()
    if key not in _SPELLINGS:
        raise UnknownNameError(
            f'manifest {path}: unknown modality "{name}"',
            hint=f"choose from {', '.join(MODALITIES)}",
        )
    return _SPELLINGS[key]


def usual_spelling(name: str) -> str:
    """The planner's spelling of what a file says of its modality; a strange word stays."""
    return _SPELLINGS.get(name.strip().lower(), name)


def guess_modality(images: Sequence[tuple[Path, str | None]], notes: list[str]) -> str:
    """The modality of images of one channel: from headers, else names, else values.

    Args:
        images: Files or DICOM folders with the UID of the series, where it is chosen; the first
            few are opened.
        notes: Gets a line that says what was guessed and from what.

    Raises:
        DataError: An image cannot be read.
    """
    if kind_of(images[0][0]) == "picture":
        notes.append("guessed the modality photograph, for the images are pictures; --modality")
        return "photograph"
    for path, series in images[:LOOKED_AT]:
        if (said := read_header(path, series=series).modality) is not None:
            notes.append(f"the headers say modality {said}")
            return canonical_modality(said, path)
    if (word := _named([path for path, _ in images])) is not None:
        found = _SPELLINGS[word]
        notes.append(f'guessed the modality {found}, for the names say "{word}"; --modality')
        return found
    lowest = np.inf
    for path, series in images[:LOOKED_AT]:
        lowest = min(lowest, float(np.nanmin(read_image(path, series=series).array)))
    found = "CT" if lowest < CT_BELOW_HU else "MR"
    looked = min(len(images), LOOKED_AT)
    notes.append(
        f"guessed the modality {found}: the lowest value of {looked} images is {lowest:g} "
        f"(CT goes below {CT_BELOW_HU}); --modality says otherwise"
    )
    return found


def _named(files: Sequence[Path]) -> str | None:
    """The one word for a modality that the names of all files have, if there is one."""
    words = [
        {word for word in re.split(r"[_\-. ]+", stem(path.name).lower()) if word in _IN_NAMES}
        for path in files
    ]
    common = set.intersection(*words)
    return next(iter(common)) if len(common) == 1 else None
