"""A zip as a folder of DICOM files: bounded before anything is unpacked, and never on disk."""

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError

MEMBERS_AT_MOST = 500_000
BYTES_AT_MOST = 16 << 30
RATIO_AT_MOST = 100
"""Real scans shrink to a half or a fifth; a bomb shrinks a thousandfold."""

_SMALL = 256 << 20  # a ratio alone proves nothing for an archive of this size
_CHUNK = 1 << 20
_HINT = "unpack the archive with another tool and look inside"


@dataclass(slots=True, eq=False)
class MemberEntry:
    """A file inside a zip, inflated when and as far as it is asked for."""

    name: str
    below: str
    size: int
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo

    def read(self, offset: int = 0, count: int = -1) -> bytes:
        """Return up to `count` bytes from `offset` on."""
        end = self.size if count < 0 else min(self.size, offset + count)
        try:
            with self.archive.open(self.info) as stream:
                # a member that holds more than its directory says is never read any further
                data = stream.read(end)
                if end == self.size and stream.read(1):
                    raise zipfile.BadZipFile("longer than the archive says")
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,  # encrypted, or a compression that is not known
            ValueError,
        ) as error:
            raise DataError(f"{self.name}: damaged in the archive ({error})", hint=_HINT) from error
        return data[offset:]

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Copy bytes into `buffer`."""
        part = self.read(offset, len(buffer))
        buffer[: len(part)] = part
        return len(part)


def is_archive(path: Path) -> bool:
    """Whether a file is named and begins like a zip."""
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def archive_entries(path: Path) -> list[MemberEntry]:
    """Return the files inside a zip, sorted by name.

    Raises:
        DataError: Damaged, encrypted, names that climb out, or more than a scan could need.
    """
    try:
        archive = zipfile.ZipFile(path)
        infos = archive.infolist()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint=_HINT) from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, struct.error) as error:
        raise DataError(f"{path}: damaged zip ({error})", hint=_HINT) from error
    _check(path, infos)
    return [
        MemberEntry(f"{path}/{info.filename}", info.filename, info.file_size, archive, info)
        for info in sorted(infos, key=lambda info: info.filename)
        if not info.is_dir() and info.external_attr >> 28 != 0xA  # a link is no file
    ]


def _check(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MEMBERS_AT_MOST:
        raise DataError(f"{path}: {len(infos)} files in the archive", hint=_HINT)
    for info in infos:
        # backslashes are folders on the system that wrote them
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if ".." in parts or info.filename.startswith(("/", "\\")) or info.filename[1:2] == ":":
            raise DataError(f"{path}: the name {info.filename!r:.80} climbs out", hint=_HINT)
        if info.flag_bits & 1:
            raise DataError(f"{path}: the archive is encrypted", hint="unpack it first")
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos) or 1
    if total > BYTES_AT_MOST or (total > _SMALL and total > RATIO_AT_MOST * packed):
        raise DataError(
            f"{path}: {total} bytes unpacked from {packed}, over the limit of {BYTES_AT_MOST} "
            f"bytes and {RATIO_AT_MOST} times",
            hint=_HINT,
        )
