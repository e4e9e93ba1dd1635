"""The phantom on disk: made on first use, whole or not at all, once for all processes."""

import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from pipeline.errors import ResourceError
from pipeline.io import write_nifti
from pipeline.phantom.anatomy import draw_patient
from pipeline.phantom.cohort import NAME, VERSION, Member, cohort
from pipeline.phantom.dicomseries import write_series
from pipeline.phantom.render import render
from pipeline.progress import progress
from pipeline.settings import CACHE_VARIABLE, cache_dir


def ensure() -> Path:
    """Return the phantom's folder in the cache, written now if it is not there yet.

    It holds `images/ID.nii.gz` (HU, int16), `labels/ID.nii.gz` (uint8) and, for the test patients,
    `dicom/ID/`. Processes that ask at once wait for the first one. One process writes it all: the
    set takes little longer than starting a second interpreter would.

    Raises:
        ResourceError: The cache cannot be written.
    """
    folder = cache_dir() / f"{NAME}-{VERSION}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():  # another process was first
                _write(folder)
    except OSError as error:
        raise ResourceError(
            f"{folder}: the phantom cannot be written ({error.strerror})",
            hint=f"free some space or set {CACHE_VARIABLE} to a folder that can be written",
        ) from error
    return folder


def write_member(member: Member, folder: Path) -> None:
    """Render one member on the default grid and write all of its files."""
    rendering = render(draw_patient(member.seed))
    write_nifti(folder / member.image, rendering.image, rendering.affine)
    write_nifti(folder / member.label, rendering.label, rendering.affine)
    if member.series:
        number = member.id.rpartition("_")[2]
        write_series(
            rendering.image,
            rendering.affine,
            folder / member.series,
            patient_id=member.id,
            patient_name=f"Phantom^{number}",
        )


def _write(folder: Path) -> None:
    """Write all members beside `folder`, then give the finished set its name."""
    members = cohort()
    print(f"writing the phantom ({len(members)} patients) to {folder} ...", file=sys.stderr)
    draft = folder.with_suffix(".partial")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    try:
        for member in progress(members, NAME):
            write_member(member, draft)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
