"""What a tar or zip archive would write, looked at and bounded before anything is written."""

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from pipeline.errors import DataError

MOST_MEMBERS: Final = 1_000_000
MOST_RATIO: Final = 1000  # bytes written for each byte of the archive
RATIO_FROM: Final = 1 << 30  # bytes; what is smaller may be as dense as it likes
Open = Callable[[], IO[bytes]]
_JUNK: Final = ("__MACOSX", ".DS_Store")
_OTHER = "this is no archive of a data set; report it to its publisher"
_DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Args:
        index: Its place in the archive.
        path: Where it goes, relative to the folder of extraction.
        size: Its bytes.
    """

    index: int
    path: PurePosixPath
    size: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """What an archive says of a member before it is believed."""

    name: str
    size: int
    kind: str  # "file", "folder", or what else it is


def list_members(archive: Path, root: str | None = None, into: str | None = None) -> list[Member]:
    """Return the files of an archive in its order, all of them safe to write.

    Args:
        archive: A tar, plain or compressed, or a zip.
        root: Folder inside the archive whose content is wanted; None: all.
        into: Folder below that of extraction which gets it; None: itself.

    Raises:
        DataError: No archive, damaged or encrypted, a link or device, a path that leaves the
            folder, one name twice, too many members or too large, or nothing below `root`.
    """
    members: list[Member] = []
    with _damage_told(archive):
        for index, entry in enumerate(_entries(archive)):
            if index >= MOST_MEMBERS:
                raise DataError(f"{archive}: over {MOST_MEMBERS} members", hint=_OTHER)
            path = _checked_path(archive, entry)
            if path is None or entry.kind == "folder" or not _wanted(path, root):
                continue
            if entry.kind != "file":
                raise DataError(f"{_shown(archive, entry)} is a {entry.kind}", hint=_OTHER)
            inside = path.relative_to(root) if root else path
            members.append(Member(index, PurePosixPath(into or "") / inside, entry.size))
    if not members:
        where = f" below {root}" if root else ""
        raise DataError(f"{archive}: no file{where}", hint="fetch the archive again")
    _refuse_clashes(archive, members)
    total = sum(member.size for member in members)
    if total > RATIO_FROM and total > MOST_RATIO * archive.stat().st_size:
        raise DataError(
            f"{archive}: {archive.stat().st_size} bytes would become {total}", hint=_OTHER
        )
    return members


@contextmanager
def opened_members(archive: Path) -> Iterator[Iterator[tuple[int, Open]]]:
    """Yield an iterator of each member's index and what opens it, in the archive's order.

    Raises:
        DataError: The archive is damaged; also while its content is read.
    """
    with _damage_told(archive):
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive, "r:*") as tar:
                yield ((n, partial(_open_tar, tar, info)) for n, info in enumerate(tar))
        else:
            with zipfile.ZipFile(archive) as packed:
                yield ((n, partial(packed.open, i)) for n, i in enumerate(packed.infolist()))


def _open_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    """The content of a file of a tar."""
    content = tar.extractfile(info)
    if content is None:
        raise tarfile.ReadError(f"{info.name} has no content")
    return content


@contextmanager
def _damage_told(archive: Path) -> Iterator[None]:
    """Turn what the libraries raise on a damaged archive into one line."""
    try:
        yield
    except _DAMAGED as error:
        raise DataError(
            f"{archive}: damaged, or of a kind that is not read ({error})",
            hint="delete it and fetch it again",
        ) from error


def _entries(archive: Path) -> Iterator[_Entry]:
    """What an archive says of its members."""
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive, "r:*") as tar:
            yield from (_Entry(info.name, info.size, _tar_kind(info)) for info in tar)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield from (_Entry(i.filename, i.file_size, _zip_kind(i)) for i in packed.infolist())
    else:
        raise DataError(f"{archive}: neither tar nor zip", hint="look at what was fetched")


def _tar_kind(info: tarfile.TarInfo) -> str:
    """What a member of a tar is; sparse files count as unknown."""
    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "special file"


def _zip_kind(info: zipfile.ZipInfo) -> str:
    """What a member of a zip is; Unix programs note its mode in the upper half."""
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "encrypted file"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "special file"
    return "folder" if info.is_dir() else "file"


def _shown(archive: Path, entry: _Entry) -> str:
    """A member, for an error."""
    return f"{archive}: member {entry.name[:100]!r}"


def _checked_path(archive: Path, entry: _Entry) -> PurePosixPath | None:
    """The path of a member, if it stays inside; None for what a Mac leaves behind."""
    path = PurePosixPath(entry.name)
    drive = len(entry.name) > 1 and entry.name[1] == ":"
    odd = "\\" in entry.name or any(ord(character) < 32 for character in entry.name)
    if path.is_absolute() or ".." in path.parts or drive or odd or entry.size < 0:
        raise DataError(f"{_shown(archive, entry)} would leave the folder", hint=_OTHER)
    parts = path.parts
    if not parts or any(part in _JUNK or part.startswith("._") for part in parts):
        return None
    return path


def _wanted(path: PurePosixPath, root: str | None) -> bool:
    """Whether a member lies below the wanted folder."""
    return root is None or (path.is_relative_to(root) and path != PurePosixPath(root))


def _refuse_clashes(archive: Path, members: list[Member]) -> None:
    """Refuse names that are one on some disks, and files that are folders elsewhere."""
    names: set[str] = set()
    for member in members:
        name = str(member.path).casefold()
        if name in names:
            raise DataError(f"{archive}: member {str(member.path)!r} is there twice", hint=_OTHER)
        names.add(name)
    for member in members:
        if any(str(parent).casefold() in names for parent in member.path.parents):
            raise DataError(
                f"{archive}: member {str(member.path)!r} lies below a file", hint=_OTHER
            )
