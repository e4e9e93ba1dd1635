"""A patient's identity for splits: a salted hash that says who is the same, and not who it is."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from pipeline.io.atomic import atomic_path
from pipeline.io.locked import locked
from pipeline.settings import cache_dir

SALT_VARIABLE = "UNETWORKS_SALT"
_SALT_BYTES = 32


def patient_of(path: str | Path) -> str | None:
    """Return the hash of the patient of a DICOM input, or None where none is named.

    HMAC-SHA256 of the PatientID with a salt that never leaves this computer: without it the
    few millions of numbers that a hospital gives could all be tried.

    Raises:
        DataError: Unreadable, or no DICOM inside.
    """
    from pipeline.io.dicom.directory import scan_input

    scan = scan_input(path)
    names = {header.attributes.get("PatientID", "") for header in (*scan.images, *scan.others)}
    names.discard("")
    if not names:
        return None
    return patient_hash("\\".join(sorted(names)))


def patient_hash(patient: str) -> str:
    """Return the salted hash of a patient's id, 32 hexadecimal digits."""
    return hmac.new(_salt(), patient.encode(), hashlib.sha256).hexdigest()[:32]


def _salt() -> bytes:
    """Return the salt of this computer, made on first use, readable by its user alone."""
    given = os.environ.get(SALT_VARIABLE)
    file = Path(given) if given else cache_dir() / "patient-salt"
    if not file.is_file():
        with locked(file):
            if not file.is_file():  # another process may have been first
                with atomic_path(file) as draft:
                    draft.touch(mode=0o600)
                    draft.write_bytes(secrets.token_bytes(_SALT_BYTES))
    return file.read_bytes()


def below_input(line: str, path: str | Path) -> str:
    """Return a line as it may be kept on disk: what lies above the input is cut off."""
    root = str(path).rstrip("/")
    return line.replace(f"{root}/", "").replace(root, "INPUT") if root else line
