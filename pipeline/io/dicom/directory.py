"""The files of an input: a folder, a file, a zip, or what a DICOMDIR names."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import DataError
from pipeline.io.dicom.archive import archive_entries, is_archive
from pipeline.io.dicom.entries import Entry, file_entry, folder_entries
from pipeline.io.dicom.fallback import full_header, quiet_pydicom
from pipeline.io.dicom.headers import DAMAGED, DIRECTORY_CLASS, Header, Scan, scan_entries

_MISSING = "copy the whole medium, or give the folder of the slices without its DICOMDIR"


def scan_input(path: str | Path) -> Scan:
    """Return the headers of all DICOM files of an input; one pass over the files.

    Raises:
        DataError: Unreadable, no DICOM inside, damaged headers, or files that a DICOMDIR names
            and that are not there.
    """
    where = Path(path)
    entries: Sequence[Entry]
    if where.is_dir():
        entries = folder_entries(where)
    elif is_archive(where):
        entries = archive_entries(where)
    else:
        entries = [file_entry(where)]
    found = scan_entries(entries)
    if found.directories and not where.is_dir() and len(entries) == 1:
        named = _named(found.directories[0], where.parent)
        return scan_entries(named)
    for header in found.directories:
        _refuse_absent(header, {entry.below for entry in entries})
    if not found.images and not found.others:
        raise DataError(
            f"{path}: no DICOM file inside", hint="give the folder that holds the slices themselves"
        )
    return found


def _references(header: Header) -> list[list[str]]:
    """Return the parts of every file name that a DICOMDIR gives."""
    try:
        with quiet_pydicom():
            records = full_header(header.entry).get("DirectoryRecordSequence") or []
            ids = [record.get("ReferencedFileID") for record in records]
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(
            f"{header.entry.name}: unreadable DICOMDIR ({error})", hint=DAMAGED
        ) from error
    found = [[one] if isinstance(one, str) else [str(part) for part in one] for one in ids if one]
    for parts in found:
        if ".." in parts or any("/" in part or "\\" in part for part in parts):
            raise DataError(f"{header.entry.name}: a name that climbs out", hint=_MISSING)
    return found


def _named(header: Header, root: Path) -> list[Entry]:
    """Return the files that a DICOMDIR on disk names; their case may differ from its."""
    found: list[Entry] = []
    for parts in _references(header):
        file = root.joinpath(*parts)
        if not file.is_file():
            file = root.joinpath(*(part.lower() for part in parts))
        if not file.is_file():
            raise _absent(header, parts)
        found.append(file_entry(file))
    if not found:
        raise DataError(f"{header.entry.name}: a DICOMDIR that names no file", hint=_MISSING)
    return found


def _refuse_absent(header: Header, names: set[str]) -> None:
    """Refuse a DICOMDIR beside whose files some that it names are missing."""
    lower = {name.lower() for name in names}
    root = header.entry.below.rpartition("/")[0]
    for parts in _references(header):
        if "/".join([root, *parts] if root else parts).lower() not in lower:
            raise _absent(header, parts)


def _absent(header: Header, parts: list[str]) -> DataError:
    return DataError(
        f"{header.entry.name}: it names {'/'.join(parts)}, which is not there", hint=_MISSING
    )


def is_directory(header: Header) -> bool:
    """Whether a file is a DICOMDIR."""
    return header.sop_class == DIRECTORY_CLASS
