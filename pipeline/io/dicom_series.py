"""Choosing the one series that is meant, or saying which there are."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.io.dicom_files import Scan, Slice

_NAMED_AT_MOST = 10


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one series, unsorted, with what was left out on the way."""

    slices: tuple[Slice, ...]
    modality: str | None
    warnings: tuple[str, ...]


def choose_series(scan: Scan, path: str | Path, series: str | int | None) -> Series:
    """Return the series asked for, or the only one that can be a volume.

    Args:
        scan: All slices of the folder.
        path: As the user gave it, for messages.
        series: Number in the list of the error, or the UID; None: there must be one.

    Raises:
        DataError: Several and none chosen, an unknown choice, colour, several frames a file, or
            files of several patients or studies.
    """
    groups = _groups(scan)
    index = _index(groups, path, series)
    chosen, scouts = _without_scouts(groups[index])
    _refuse_mixtures(chosen, path)
    warnings = []
    if scan.others:
        warnings.append(f"{scan.others} DICOM files without pixels left out")
    if len(groups) > 1:
        rest = sum(len(group) for group in groups) - len(groups[index])
        warnings.append(f"{rest} images of {len(groups) - 1} other series left out")
    if scouts:
        warnings.append(f"{scouts} localizers left out")
    if not _uid(chosen[0]):
        warnings.append("no SeriesInstanceUID: taken as one series because the geometry fits")
    return Series(chosen, _text(chosen[0], "Modality") or None, tuple(warnings))


def _text(one: Slice, name: str) -> str:
    return " ".join(str(one.header.get(name) or "").replace('"', "'").split())


def _uid(one: Slice) -> str:
    return _text(one, "SeriesInstanceUID")


def _groups(scan: Scan) -> list[tuple[Slice, ...]]:
    """Return the slices by series, in an order that does not change: by time, then UID."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for one in scan.slices:
        groups[_uid(one)].append(one)

    def when(uid: str) -> tuple[str, str]:
        names = ("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime")
        return min("".join(_text(one, name) for name in names) for one in groups[uid]), uid

    return [tuple(groups[uid]) for uid in sorted(groups, key=when)]


def _is_scout(one: Slice) -> bool:
    kinds = one.header.get("ImageType") or ()
    return "LOCALIZER" in ([kinds] if isinstance(kinds, str) else list(kinds))


def _is_grey(one: Slice) -> bool:
    return int(one.header.get("SamplesPerPixel") or 1) == 1 and (
        _text(one, "PhotometricInterpretation") != "PALETTE COLOR"
    )


def _without_scouts(slices: tuple[Slice, ...]) -> tuple[tuple[Slice, ...], int]:
    kept = tuple(one for one in slices if not _is_scout(one)) or slices
    return kept, len(slices) - len(kept)


def _may_be_volume(slices: tuple[Slice, ...]) -> bool:
    kept, _ = _without_scouts(slices)
    return len(kept) > 1 and not _is_scout(kept[0]) and all(_is_grey(one) for one in kept)


def _index(groups: list[tuple[Slice, ...]], path: str | Path, series: str | int | None) -> int:
    volumes = [index for index, group in enumerate(groups) if _may_be_volume(group)]
    if series is None:
        if len(groups) == 1:
            return 0
        if len(volumes) == 1:
            return volumes[0]
        raise DataError(f"{path}: {_listing(groups)}", hint="choose with --series N")
    wanted = str(series).strip()
    for index, group in enumerate(groups):
        if wanted == str(index + 1) or (wanted and wanted == _uid(group[0])):
            return index
    raise DataError(
        f"{path}: no series {wanted}; {_listing(groups)}", hint="choose with --series N"
    )


def _listing(groups: list[tuple[Slice, ...]]) -> str:
    rows = []
    for number, slices in enumerate(groups[:_NAMED_AT_MOST], 1):
        kept, _ = _without_scouts(slices)
        first = kept[0]
        size = f"{first.columns}x{first.rows}x{len(kept)}"
        modality = _text(first, "Modality") or "?"
        rows.append(f'[{number}] {modality} {size} "{_text(first, "SeriesDescription")}"')
    if len(groups) > _NAMED_AT_MOST:
        rows.append(f"and {len(groups) - _NAMED_AT_MOST} more")
    return f"{len(groups)} series: " + "; ".join(rows)


def _refuse_mixtures(slices: tuple[Slice, ...], path: str | Path) -> None:
    named = [
        ("StudyInstanceUID", "studies"),
        ("PatientID", "patients"),
        ("FrameOfReferenceUID", "frames of reference"),
        ("Modality", "modalities"),
    ]
    for name, plural in named:
        count = len({_text(one, name) for one in slices})
        if count > 1:
            raise DataError(
                f"{path}: {count} {plural} under one series", hint="keep one in the folder"
            )
    for one in slices:
        if not _is_grey(one):
            raise DataError(f"{one.path}: colour, not intensities", hint="choose a grey series")
        if int(one.header.get("NumberOfFrames") or 1) > 1:
            raise DataError(
                f"{one.path}: several frames in one file are not read yet",
                hint="convert it to single-frame DICOM or to NIfTI first",
            )
