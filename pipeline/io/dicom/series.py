"""Choosing the one series that is meant, or saying which there are."""

from collections import defaultdict
from dataclasses import dataclass

from pipeline.errors import DataError
from pipeline.io.dicom.frames import is_multi_frame, refuse_partial
from pipeline.io.dicom.headers import Header, Scan
from pipeline.io.dicom.slices import MODALITIES, Slice, known, plain

_NAMED_AT_MOST = 10
_NO_SCANS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "dose",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
}
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_COLOUR = "choose a grey series"


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one series, unsorted, with what was left out on the way."""

    headers: tuple[Header, ...]
    modality: str | None
    warnings: tuple[str, ...]


def choose_series(scan: Scan, path: object, series: str | int | None) -> Series:
    """Return the series asked for, or the only one that can be a volume.

    Args:
        scan: All headers of the input.
        path: As the user gave it, for messages.
        series: Number in the list of the error, or the UID; None: there must be one.

    Raises:
        DataError: Nothing inside, several and none chosen, an unknown choice, several patients
            or studies, colour, a mosaic, or a part of a concatenation.
    """
    if not scan.images:
        raise DataError(
            f"{path}: no DICOM image inside ({len(scan.others)} DICOM files of other kinds)",
            hint="give the folder that holds the slices themselves",
        )
    groups, warnings = _groups(scan)
    if series is None:
        _refuse_strangers(groups, path)
    index = _index(groups, path, series)
    chosen, scouts = _without_scouts(groups[index])
    _refuse_mixtures(chosen, path)
    refuse_partial(list(chosen))
    if scan.others:
        warnings.append(f"{len(scan.others)} DICOM files without pixels left out")
    if len(groups) > 1:
        rest = sum(len(group) for group in groups) - len(groups[index])
        warnings.append(f"{rest} images of {len(groups) - 1} other series left out")
    if scouts:
        warnings.append(f"{scouts} localizers left out")
    modality = known(_text(chosen[0], "Modality").upper(), MODALITIES)
    return Series(chosen, modality or None, tuple(warnings))


def _text(header: Header, keyword: str) -> str:
    return plain(header.attributes.get(keyword, ""))


def _uid(header: Header) -> str:
    return header.attributes.get("SeriesInstanceUID", "")


def _groups(scan: Scan) -> tuple[list[tuple[Header, ...]], list[str]]:
    """Return the images by series, in an order that does not change: by time, then UID.

    Files without a series UID belong to the only series there is; geometry has the last word.
    """
    groups: dict[str, list[Header]] = defaultdict(list)
    for header in scan.images:
        groups[_uid(header)].append(header)
    warnings = _missing_uids(scan.images)
    if "" in groups and len(groups) == 2:
        nameless = groups.pop("")
        next(iter(groups.values())).extend(nameless)

    def when(uid: str) -> tuple[str, str]:
        names = ("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime")
        return min("".join(_text(one, name) for name in names) for one in groups[uid]), uid

    return [tuple(groups[uid]) for uid in sorted(groups, key=when)], warnings


def _missing_uids(headers: tuple[Header, ...]) -> list[str]:
    missing = [
        keyword
        for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID")
        if any(not header.attributes.get(keyword) for header in headers)
    ]
    if not missing:
        return []
    return [f"no {', '.join(missing)}: taken as one series because the geometry fits"]


def _refuse_strangers(groups: list[tuple[Header, ...]], path: object) -> None:
    for keyword, plural in (("PatientID", "patients"), ("StudyInstanceUID", "studies")):
        values = {_text(one, keyword) for group in groups for one in group} - {""}
        if len(values) > 1 and len(groups) > 1:
            raise DataError(
                f"{path}: {len(values)} {plural} in one folder, {listing(groups)}",
                hint="choose with --series N",
            )


def _is_scout(header: Header) -> bool:
    return "LOCALIZER" in header.attributes.get("ImageType", "").upper().split("\\")


def _is_grey(header: Header) -> bool:
    one = Slice(header, header.attributes)
    return one.integer("SamplesPerPixel", 1) == 1 and (
        one.text("PhotometricInterpretation") != "PALETTE COLOR"
    )


def _without_scouts(group: tuple[Header, ...]) -> tuple[tuple[Header, ...], int]:
    kept = tuple(one for one in group if not _is_scout(one)) or group
    return kept, len(group) - len(kept)


def _frames(group: tuple[Header, ...]) -> int:
    return sum(Slice(one, one.attributes).integer("NumberOfFrames", 1) for one in group)


def _may_be_volume(group: tuple[Header, ...]) -> bool:
    kept, _ = _without_scouts(group)
    first = kept[0]
    return (
        _frames(kept) > 1
        and not _is_scout(first)
        and first.sop_class not in _NO_SCANS
        and not first.sop_class.startswith(_CAPTURES + ".")
        and first.sop_class != _CAPTURES
        and any(_is_grey(one) for one in kept)
    )


def _index(groups: list[tuple[Header, ...]], path: object, series: str | int | None) -> int:
    volumes = [index for index, group in enumerate(groups) if _may_be_volume(group)]
    if series is None:
        if len(groups) == 1:
            return 0
        if len(volumes) == 1:
            return volumes[0]
        raise DataError(f"{path}: {listing(groups)}", hint="choose with --series N")
    wanted = str(series).strip()
    for index, group in enumerate(groups):
        if wanted == str(index + 1) or (wanted and wanted == _uid(group[0])):
            return index
    # a UID is not repeated: this line may be kept in a ledger
    said = f"series {wanted}" if wanted.isdigit() else "such series"
    raise DataError(f"{path}: no {said}; {listing(groups)}", hint="choose with --series N")


def listing(groups: list[tuple[Header, ...]]) -> str:
    """Return the series on one line: number, modality, size and description, ten at most."""
    rows = []
    for number, group in enumerate(groups[:_NAMED_AT_MOST], 1):
        kept, _ = _without_scouts(group)
        first = Slice(kept[0], kept[0].attributes)
        size = f"{first.columns}x{first.rows}x{_frames(kept)}"
        modality = first.text("Modality") or "?"
        rows.append(f'[{number}] {modality} {size} "{_description(kept[0])}"')
    if len(groups) > _NAMED_AT_MOST:
        rows.append(f"and {len(groups) - _NAMED_AT_MOST} more")
    return f"{len(groups)} series: " + "; ".join(rows)


def _description(header: Header) -> str:
    """Return the description in the one character set that most use today, or as it comes."""
    raw = header.attributes.get("SeriesDescription", "").encode("latin-1", "replace")
    utf8 = "192" in header.attributes.get("SpecificCharacterSet", "")
    return plain(raw.decode("utf-8" if utf8 else "latin-1", "replace")).replace('"', "'")


def _refuse_mixtures(headers: tuple[Header, ...], path: object) -> None:
    named = [
        ("StudyInstanceUID", "studies"),
        ("PatientID", "patients"),
        ("FrameOfReferenceUID", "frames of reference"),
        ("Modality", "modalities"),
    ]
    for keyword, plural in named:
        count = len({_text(one, keyword) for one in headers} - {""})
        if count > 1:
            raise DataError(
                f"{path}: {count} {plural} under one series", hint="keep one in the folder"
            )
    for one in headers:
        name = one.entry.name
        if not _is_grey(one):
            raise DataError(f"{name}: colour, not intensities", hint=_COLOUR)
        if "MOSAIC" in one.attributes.get("ImageType", "").upper().split("\\"):
            raise DataError(
                f"{name}: a mosaic, many slices in one picture",
                hint="convert with a tool that unpacks it",
            )
        if one.sop_class in _NO_SCANS and not is_multi_frame(one):
            raise DataError(f"{name}: a {_NO_SCANS[one.sop_class]}, no scan", hint=_COLOUR)
        if one.sop_class in ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"):
            raise DataError(
                f"{name}: a {_NO_SCANS[one.sop_class]}, no scan",
                hint="read it as a label, with --reference SERIES",
            )
