"""Brings a published data set to its folder: loaded, compared with its checksum, then extracted.

All work is done in the hidden folder `.NAME.fetch` beside the set's own, which appears whole or
not at all; what an interrupted run has done is found there and not done again.
"""

import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from filelock import FileLock

from pipeline import settings
from pipeline.errors import DataError, PipelineError, ResourceError
from pipeline.manifests.archive import list_members
from pipeline.manifests.archive_extract import extract
from pipeline.manifests.catalog import load_manifest
from pipeline.manifests.checks import check_files
from pipeline.manifests.fetch_http import download
from pipeline.manifests.layout import read_layout
from pipeline.manifests.place import SCHEMA, find_manifest, manifests_dir
from pipeline.manifests.schema import check_schema
from pipeline.progress import progress

CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Archive:
    """One published file of a set, as its manifest has it.

    Args:
        file: Its name.
        url: Where it is loaded from; None: behind a login.
        checksum: The publisher's, as `md5:HEX` or `sha256:HEX`.
        size: The publisher's number of bytes.
        root: Folder inside the archive that is the set's folder; None: its top.
        into: Folder below the set's own which gets the content; None: itself.
    """

    file: str
    url: str | None = None
    checksum: str | None = None
    size: int | None = None
    root: str | None = None
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch has brought.

    Args:
        folder: Where the set lies.
        cases: Their number.
        seen: Name of each archive, its checksum, and whether the publisher's is the same (None:
            there is none). Empty where the set was there already.
        licence: The licence of the data.
        citation: What to cite.
    """

    folder: Path
    cases: int
    seen: tuple[tuple[str, str, bool | None], ...]
    licence: str
    citation: str


def fetch(
    name: str, archives: Sequence[Path] = (), *, quiet: bool = False, pause_s: float = 2.0
) -> Fetched:
    """Load and extract a set into `UNETWORKS_DATA/NAME`; what is there already is left alone.

    Args:
        name: A manifest's name or path.
        archives: Files that were downloaded by hand, instead of the manifest's addresses.
        quiet: No progress bar.
        pause_s: Seconds before a dropped connection is tried again.

    Raises:
        DataError: The set cannot be loaded without a login, an archive is not the published
            one, is damaged or would write elsewhere, or the folder holds something else.
        ResourceError: Not enough space, or no permission to write.
        UnknownNameError: No manifest of that name.
    """
    path = find_manifest(name)
    raw = read_layout(path)
    check_schema(raw, path, manifests_dir() / SCHEMA)
    title = raw.get("name", path.stem)
    folder = settings.data_dir() / title
    if "generator" in raw:
        raise DataError(f"{title} is generated on first use", hint="there is nothing to fetch")
    if folder.is_dir() and any(folder.iterdir()):
        return _fetched(path, folder, ())
    listed = archives_of(raw)
    if not listed or (not archives and any(archive.url is None for archive in listed)):
        raise DataError(
            f"{title} cannot be fetched by a command alone",
            hint=_instructions(raw, title, folder, listed),
        )
    files = _match_given(listed, archives, title) if archives else [None] * len(listed)
    work = folder.with_name(f".{title}.fetch")
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{work}.lock"):
            if folder.is_dir() and any(folder.iterdir()):  # another process was first
                return _fetched(path, folder, ())
            content, seen = _bring(listed, files, work, quiet=quiet, pause_s=pause_s)
            if folder.is_dir():
                folder.rmdir()
            content.replace(folder)
            shutil.rmtree(work)
    except OSError as error:
        raise ResourceError(
            f"{error.filename or work}: cannot be written ({error.strerror or error})",
            hint=f"free some space, or set {settings.DATA_VARIABLE} to a folder that is writable",
        ) from error
    return _fetched(path, folder, tuple(seen))


def archives_of(raw: dict[str, Any]) -> list[Archive]:
    """The published files of a manifest that fits the schema.

    Raises:
        DataError: An address that ends in no name.
    """
    found = []
    for entry in raw.get("archives", ()):
        url = entry.get("url")
        file = entry.get("file") or urlsplit(url).path.rpartition("/")[2]
        if not file or file.startswith("."):
            raise DataError(f"the address {url} ends in no file's name", hint='give "file" too')
        found.append(
            Archive(
                file,
                url,
                entry.get("checksum"),
                entry.get("bytes"),
                entry.get("root"),
                entry.get("into"),
            )
        )
    return found


def checksum_of(file: Path, algorithm: str = "sha256", *, quiet: bool = False) -> str:
    """The checksum of a file, as `sha256:HEX`."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    steps = math.ceil(file.stat().st_size / CHUNK)
    for chunk in progress(_chunks(file), f"checking {file.name} (MiB)", total=steps, quiet=quiet):
        digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _bring(
    listed: Sequence[Archive],
    files: Sequence[Path | None],
    work: Path,
    *,
    quiet: bool,
    pause_s: float,
) -> tuple[Path, list[tuple[str, str, bool | None]]]:
    """Load, compare and extract all archives; return the folder and what was seen.

    The folder is called after the archives, so that none goes on with files of other ones.
    """
    seen = []
    pairs = []
    for archive, given in zip(listed, files, strict=True):
        file = given
        if file is None and archive.url is not None:
            file = download(
                archive.url, work / archive.file, size=archive.size, quiet=quiet, pause_s=pause_s
            )
        if file is None:
            continue
        seen.append(_compared(archive, file, ours=given is None, quiet=quiet))
        pairs.append((archive, file))
    looked = [(file, list_members(file, archive.root, archive.into)) for archive, file in pairs]
    facts = repr(
        [(one, archive.root, archive.into) for one, (archive, _) in zip(seen, pairs, strict=True)]
    )
    content = work / f"content-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    for file, members in looked:
        extract(file, members, content, quiet=quiet)
    return content, seen


def _compared(
    archive: Archive, file: Path, *, ours: bool, quiet: bool
) -> tuple[str, str, bool | None]:
    """Compare a file with its publisher's checksum; a loaded one that differs is deleted."""
    algorithm = archive.checksum.partition(":")[0] if archive.checksum else "sha256"
    found = checksum_of(file, algorithm, quiet=quiet)
    if archive.checksum is None or archive.checksum == found:
        return archive.file, found, None if archive.checksum is None else True
    size = file.stat().st_size
    if ours:
        file.unlink()
    raise DataError(
        f"{archive.url if ours else file}: {size} bytes with {found}, "
        f"the publisher states {archive.checksum}",
        hint="it was deleted; run it again, or look at the set's page for a new version"
        if ours
        else "download it again",
    )


def _instructions(raw: dict[str, Any], title: str, folder: Path, listed: Sequence[Archive]) -> str:
    """What to do by hand, and what the command can do then."""
    given = raw.get("instructions") or f"get it from {raw.get('url')}"
    if not listed:
        return f"{given}; it belongs into {folder}"
    files = " ".join(f"--archive {archive.file}" for archive in listed)
    return f"{given}; then: unetworks data fetch {title} {files}"


def _match_given(listed: Sequence[Archive], given: Sequence[Path], title: str) -> list[Path | None]:
    """The given file of each archive: by name, or the only one of an only one."""
    for file in given:
        if not file.is_file():
            raise DataError(f"{file}: no such file", hint="check the path")
    if len(listed) == len(given) == 1:
        return [given[0]]
    names = {archive.file for archive in listed}
    by_name = {file.name: file for file in given}
    unknown = [name for name in by_name if name not in names]
    if unknown:
        raise DataError(
            f"{title} has no archive {unknown[0]}", hint=f"it has {', '.join(sorted(names))}"
        )
    missing = [a.file for a in listed if a.url is None and a.file not in by_name]
    if missing:
        raise DataError(
            f"{title}: the archive {missing[0]} is not given", hint="give it with --archive too"
        )
    return [by_name.get(archive.file) for archive in listed]


def _fetched(path: Path, folder: Path, seen: tuple[tuple[str, str, bool | None], ...]) -> Fetched:
    """Look whether the folder holds what the manifest says."""
    try:
        manifest = load_manifest(path)
        check_files(manifest)
    except PipelineError as error:
        raise DataError(
            f"{folder} is there, but does not hold what the manifest says: {error}",
            hint="move the folder away and fetch it again, or report the manifest",
        ) from None
    return Fetched(folder, len(manifest.cases), seen, manifest.licence, manifest.citation)


def _chunks(file: Path) -> Iterator[bytes]:
    """The content of a file, piece by piece."""
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk
