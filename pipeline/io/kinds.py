"""What a path holds, told by its first bytes rather than by its name."""

from pathlib import Path
from typing import Literal

Kind = Literal["nifti", "dicom", "picture"]

NIFTI_SUFFIXES = (".nii", ".nii.gz")
PREAMBLE_BYTES = 132
"""128 bytes of anything and the word DICM."""

_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp")


def _first_bytes(path: Path, count: int = PREAMBLE_BYTES) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins like DICOM, with the usual preamble or bare (group 2 or 8 first)."""
    head = _first_bytes(path)
    if head[128:132] == b"DICM":
        return True
    # without a preamble: a little-endian tag (0002,00xx) or (0008,00xx) at the very start
    return len(head) > 8 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds a DICOM file itself, its subfolders not counted."""
    try:
        return any(is_dicom_file(path) for path in folder.iterdir() if path.is_file())
    except OSError:
        return False


def kind_of(path: str | Path) -> Kind | None:
    """Return what `path` holds, or None: nothing we read, or nothing at all.

    A folder counts as "dicom" if it holds DICOM files (or a DICOMDIR) itself.
    """
    path = Path(path)
    if path.is_dir():
        return "dicom" if is_dicom_folder(path) else None
    if not path.is_file():
        return None
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return "nifti"
    if _first_bytes(path, 4).startswith(_PICTURES) or name.endswith(_PICTURE_SUFFIXES):
        return "picture"
    return "dicom" if is_dicom_file(path) else None
