"""The modalities that the planner tells apart, how others spell them, and a guess."""

from pathlib import Path

import numpy as np

from pipeline.errors import UnknownNameError
from pipeline.io import kind_of, read_image

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


def guess_modality(files: list[Path], notes: list[str]) -> str:
    """The modality of images of one channel, from their headers, else from their values.

    Args:
        files: The images; the first few are opened.
        notes: Gets a line that says what was guessed and from what.

    Raises:
        DataError: An image cannot be read.
    """
    if kind_of(files[0]) == "picture":
        notes.append("guessed the modality photograph, for the images are pictures; --modality")
        return "photograph"
    lowest = np.inf
    for path in files[:LOOKED_AT]:
        volume = read_image(path)
        if volume.modality:
            notes.append(f"the headers say modality {volume.modality}")
            return canonical_modality(volume.modality, path)
        lowest = min(lowest, float(volume.array.min()))
    found = "CT" if lowest < CT_BELOW_HU else "MR"
    looked = min(len(files), LOOKED_AT)
    notes.append(
        f"guessed the modality {found}: the lowest value of {looked} images is {lowest:g} "
        f"(CT goes below {CT_BELOW_HU}); --modality says otherwise"
    )
    return found
