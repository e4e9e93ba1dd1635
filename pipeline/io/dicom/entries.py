"""Where the bytes of DICOM files come from: a folder, a file, a zip, or memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import DataError

UNREADABLE = "check its owner and mode"
_FILES_AT_MOST = 2_000_000


class Entry(Protocol):
    """One file, wherever it lies; only asked for the bytes that are needed."""

    @property
    def name(self) -> str:
        """As the user gave it, for the screen."""

    @property
    def below(self) -> str:
        """The part below the input, for what is kept on disk."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int = 0, count: int = -1) -> bytes:
        """Return up to `count` bytes from `offset` on, all of them for -1."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from `offset` on; return how many bytes came."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file on disk."""

    name: str
    below: str
    size: int

    def read(self, offset: int = 0, count: int = -1) -> bytes:
        """Return up to `count` bytes from `offset` on."""
        want = self.size - offset if count < 0 else count
        with _opened(self.name) as handle:
            data = os.pread(handle, want, offset)
            while len(data) < want and (
                more := os.pread(handle, want - len(data), offset + len(data))
            ):
                data += more
            return data

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` without a second copy."""
        done = 0
        with _opened(self.name) as handle:
            while done < len(buffer) and (got := os.preadv(handle, [buffer[done:]], offset + done)):
                done += got
        return done


class _opened:  # noqa: N801 - read as a statement
    """An open file descriptor; half the cost of `contextmanager` over thousands of files."""

    __slots__ = ("handle", "name")

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> int:
        try:
            self.handle = os.open(self.name, os.O_RDONLY)
        except OSError as error:
            raise DataError(
                f"{self.name}: cannot be read ({error.strerror})", hint=UNREADABLE
            ) from error
        return self.handle

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """Bytes that had to be unpacked first: the inside of a deflated file."""

    name: str
    below: str
    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def read(self, offset: int = 0, count: int = -1) -> bytes:
        """Return up to `count` bytes from `offset` on."""
        return self.data[offset:] if count < 0 else self.data[offset : offset + count]

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Copy bytes into `buffer`."""
        part = self.data[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)


def folder_entries(folder: Path) -> list[FileEntry]:
    """Return all plain files of a folder and its subfolders, sorted; loops of links are cut.

    Raises:
        DataError: A folder that may not be read, or millions of files.
    """
    found = sorted(_walk(str(folder), "", set()), key=lambda entry: entry.name)
    if len(found) > _FILES_AT_MOST:
        raise DataError(f"{folder}: over {_FILES_AT_MOST} files", hint="give a folder further down")
    return found


def _walk(folder: str, below: str, seen: set[tuple[int, int]]) -> Iterator[FileEntry]:
    try:
        place = os.stat(folder)
        if (place.st_dev, place.st_ino) in seen:
            return
        seen.add((place.st_dev, place.st_ino))
        with os.scandir(folder) as items:
            listed = list(items)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})", hint=UNREADABLE) from error
    for item in listed:
        try:
            if item.is_file():
                yield FileEntry(item.path, below + item.name, item.stat().st_size)
            elif item.is_dir():
                yield from _walk(item.path, f"{below}{item.name}/", seen)
        except OSError:
            # a link that leads nowhere or to itself is no file
            continue


def file_entry(path: Path) -> FileEntry:
    """Return one file.

    Raises:
        DataError: It cannot be looked at.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint=UNREADABLE) from error
    return FileEntry(str(path), path.name, size)
