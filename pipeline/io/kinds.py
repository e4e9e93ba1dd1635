"""What a path holds, told by its first bytes rather than by its name."""

import os
from pathlib import Path
from typing import Literal

Kind = Literal["nifti", "dicom", "picture"]

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp")
_HEAD = 352


def first_bytes(path: Path, count: int = _HEAD) -> bytes:
    """Return the first bytes of a file, none of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError:
        return b""


def looks_like_dicom(head: bytes, size: int) -> bool:
    """Whether a file begins like DICOM: with a preamble, or bare with group 2 or 8 first."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 16:
        return False
    if head[:2] in (b"\x02\0", b"\x08\0") and head[3] == 0:
        explicit = head[4:6].isalpha() and head[4:6].isupper()
        return explicit or int.from_bytes(head[4:8], "little") < size
    return head[:2] in (b"\0\x08", b"\0\x02") and head[2] == 0 and head[4:6].isalpha()


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins like DICOM."""
    head = first_bytes(path)
    return bool(head) and looks_like_dicom(head, path.stat().st_size)


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds a DICOM file itself, its subfolders not counted."""
    try:
        with os.scandir(folder) as items:
            return any(is_dicom_file(Path(item.path)) for item in items if item.is_file())
    except OSError:
        return False


def kind_of(path: str | Path) -> Kind | None:
    """Return what `path` holds, or None: nothing we read, or nothing at all.

    A folder counts as "dicom" if it holds DICOM files (or a DICOMDIR) itself, and so does a zip.
    """
    path = Path(path)
    if os.path.isdir(path):  # of a name too long for any file it says no, `Path` raises
        return "dicom" if is_dicom_folder(path) else None
    if not os.path.isfile(path):
        return None
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return "nifti"
    head = first_bytes(path)
    if head[128:132] == b"DICM":
        return "dicom"  # whose preamble may be the start of a TIFF, for programs that want one
    if head.startswith(_PICTURES) or name.endswith(_PICTURE_SUFFIXES):
        return "picture"
    if name.endswith(".zip") and head.startswith(_ARCHIVES):
        return "dicom"
    return "dicom" if head and looks_like_dicom(head, path.stat().st_size) else None


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Whether both paths are there and lead to one file."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
