"""Writes the members of an archive into a folder; those that are there already are left alone."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from pipeline.errors import DataError, ResourceError
from pipeline.io import atomic_path
from pipeline.manifests.archive import Member, opened_members
from pipeline.progress import progress

CHUNK: Final = 1 << 20


def extract(archive: Path, members: Sequence[Member], folder: Path, *, quiet: bool = False) -> None:
    """Write `members` below `folder`, each whole or not at all.

    A member that is there with its size is not written again, so that an interrupted extraction
    goes on where it stopped.

    Raises:
        ResourceError: Not enough space for what is missing.
        DataError: The archive is damaged, or a member is not as long as it says.
    """
    missing = {member.index: member for member in members if not _is_there(member, folder)}
    folder.mkdir(parents=True, exist_ok=True)
    _require_space(folder, sum(member.size for member in missing.values()))
    if not missing:
        return
    with opened_members(archive) as contents:
        last = max(missing) + 1
        for index, open_content in progress(contents, "extracting", total=last, quiet=quiet):
            member = missing.pop(index, None)
            if member is not None:
                with open_content() as content:
                    _write(archive, member, content, folder)
            if not missing:
                break


def _write(archive: Path, member: Member, content: IO[bytes], folder: Path) -> None:
    """Write one member, never more than its size."""
    with atomic_path(folder / member.path) as draft, draft.open("wb") as file:
        left = member.size
        while left and (chunk := content.read(min(CHUNK, left))):
            file.write(chunk)
            left -= len(chunk)
        if left or content.read(1):
            raise DataError(
                f"{archive}: member {str(member.path)!r} is not the {member.size} bytes it says",
                hint="delete the archive and fetch it again",
            )


def _is_there(member: Member, folder: Path) -> bool:
    """Whether a member has been written: its name appears only when it is whole."""
    path = folder / member.path
    return path.is_file() and path.stat().st_size == member.size


def _require_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"{folder}: {needed / 1e9:.1f} GB to extract, {free / 1e9:.1f} GB are free",
            hint="free some space, or set UNETWORKS_DATA to a larger disk; then run it again",
        )
