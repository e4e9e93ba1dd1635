"""A DICOM series as one volume, or a refusal that says why."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InvalidValueError
from pipeline.io.dicom.directory import scan_input
from pipeline.io.dicom.frames import frame_slices, is_multi_frame
from pipeline.io.dicom.geometry import Planes, planes, ranges, stacked
from pipeline.io.dicom.headers import Scan, cross_check
from pipeline.io.dicom.phases import pick_phase, refuse_hidden, without_copies
from pipeline.io.dicom.pixels import PADDING_SHARE, Frames, Padding, lossy_note, read_pixels
from pipeline.io.dicom.regular import regular_grid
from pipeline.io.dicom.rescales import is_hu, rescales
from pipeline.io.dicom.series import Series, choose_series
from pipeline.io.dicom.slices import UNITS, Slice, known
from pipeline.io.dicom.storage import check_sizes, storage
from pipeline.io.options import Reading
from pipeline.io.padding import unpadded
from pipeline.io.volume import Affine, Header, Volume, spacing_of


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """A series with its planes in order, before any grid is asked for."""

    series: Series
    found: Planes
    warnings: tuple[str, ...]


def locate(path: str | Path, reading: Reading, frames: Frames, scan: Scan | None = None) -> Located:
    """Return the planes of the series that is meant, sorted, one image a place.

    Raises:
        DataError: Several series, phases or ranges and none chosen, damaged files.
        GeometryError: Slices of several sizes, orientations or spacings.
    """
    chosen = choose_series(scan or scan_input(path), path, reading.series)
    cross_check(chosen.headers[0])
    slices = _slices(chosen)
    if reading.phase is not None:
        slices = pick_phase(slices, reading.phase)
    refuse_hidden(slices)

    def same(one: Slice, other: Slice) -> bool:
        pairs, _ = rescales([one, other], chosen.modality)
        return frames.same(one, other, *pairs)

    found, copies = without_copies(planes(slices), same)
    if reading.part is not None:
        found = _part(found, reading.part, path)
    return Located(chosen, found, (*chosen.warnings, *copies, *_told(found, slices)))


def _slices(chosen: Series) -> list[Slice]:
    found: list[Slice] = []
    for header in chosen.headers:
        if is_multi_frame(header):
            found += frame_slices(header)
        else:
            found.append(Slice(header, header.attributes))
    return found


def _part(found: Planes, number: int, path: str | Path) -> Planes:
    runs = ranges(found.along)
    if number > len(runs):
        raise InvalidValueError(
            f"{path}: no range {number}, the series has {len(runs)}", hint="choose one of them"
        )
    first, last = runs[number - 1]
    return found.pick(range(first, last + 1))


def _told(found: Planes, slices: list[Slice]) -> list[str]:
    """Return warnings of slices that the header counts and the folder lacks, and of one UID."""
    warnings = []
    uids = [one.attributes.get("SOPInstanceUID", "") for one in slices if one.frames == 1]
    if uids and all(uids) and len(set(uids)) < min(len(uids), len(found.slices)):
        warnings.append("several slices have one SOPInstanceUID")
    for keyword in ("ImagesInAcquisition", "NumberOfSlices"):
        said = max(one.integer(keyword, 0) for one in found.slices)
        if said > len(slices):
            warnings.append(f"{keyword} is {said}, {len(slices)} images are here")
            break
    return warnings


def read_dicom(path: str | Path, reading: Reading | None = None) -> Volume:
    """Return a series `(column, row, slice)` after rescale (HU for CT), slices by position.

    Args:
        path: A folder of slices, a file, a DICOMDIR or a zip.
        reading: What the user chose.

    Raises:
        DataError: No image, several series and none chosen, damaged or unreadable pixels.
        GeometryError: The slices do not form one even grid.
    """
    reading = reading or Reading()
    with closing(Frames()) as frames:
        located = locate(path, reading, frames)
        found, modality = located.found, located.series.modality
        affine: Affine | None = None
        notes: tuple[str, ...] = ()
        if not reading.regularize:
            affine, notes = stacked(found)
        layouts, extra = check_sizes(found.slices)
        pairs, scales = rescales(found.slices, modality)
        array, padding = read_pixels(frames, found.slices, layouts, pairs)
    facts = _facts(found, modality, padding)
    if affine is None:
        if padding.voxels:  # between padding and air lie values of neither
            array = unpadded(array, facts)
        array, affine, notes = regular_grid(array, found)
        facts = {key: fact for key, fact in facts.items() if not key.startswith("padding")}
    warnings = (
        *located.warnings, *notes, *extra, *scales, *lossy_note(found.slices),
        *_padding_note(padding, array.size, reading),
    )  # fmt: skip
    return Volume(array, affine, modality, warnings, facts)


def _padding_note(padding: Padding, size: int, reading: Reading) -> list[str]:
    if padding.voxels <= PADDING_SHARE * size:
        return []
    share = 100 * padding.voxels / size
    then = ": set to the lowest valid value before resampling" if reading.regularize else ""
    return [f"{share:.1f} % of the voxels are padding, value {padding.value:g}{then}"]


def _facts(
    found: Planes, modality: str | None, padding: Padding
) -> dict[str, str | int | float | bool]:
    """Return what transforms and readers of a report may ask; nothing that names a patient."""
    first = found.slices[0]
    facts: dict[str, str | int | float | bool] = {}
    if modality == "CT":
        facts["hu"] = is_hu(found.slices, modality)
    if padding.voxels and padding.value is not None:
        facts["padding_voxels"], facts["padding_value"] = padding.voxels, padding.value
        if padding.limit is not None and padding.limit != padding.value:
            facts["padding_limit"] = padding.limit
    for keyword, name in (("Units", "units"), ("RescaleType", "rescale_type")):
        if first.text(keyword):
            facts[name] = known(first.text(keyword), UNITS)
    if first.attributes.get("RealWorldValueMappingSequence"):
        facts["real_world_values"] = "not applied"
    return facts


def read_dicom_header(path: str | Path, reading: Reading | None = None) -> Header:
    """Return the grid of a series; no pixel is read, unless copies have to be compared.

    Raises:
        DataError: As `read_dicom`.
        GeometryError: As `read_dicom`.
    """
    with closing(Frames()) as frames:
        located = locate(path, reading or Reading(), frames)
    affine, _ = stacked(located.found)
    first = located.found.slices[0]
    shape = (first.columns, first.rows, len(located.found.slices))
    dtype = storage(first).dtype.newbyteorder("=").name
    modality = located.series.modality
    hu = is_hu(located.found.slices, modality) if modality == "CT" else None
    return Header(shape, spacing_of(affine), 1, dtype, affine, modality, hu)
