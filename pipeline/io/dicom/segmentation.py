"""DICOM SEG: frames of segments, placed by position on the grid of their image."""

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, GeometryError
from pipeline.io.dicom.entries import file_entry
from pipeline.io.dicom.fallback import full_header, quiet_pydicom
from pipeline.io.dicom.frames import frame_slices
from pipeline.io.dicom.geometry import Vector, usual_step
from pipeline.io.dicom.headers import DAMAGED, Header, scan_entries
from pipeline.io.dicom.painting import LabelChoice, LabelMap, Mask, Structure, paint, select
from pipeline.io.dicom.pixels import Frames
from pipeline.io.dicom.reference import Reference, check_frame
from pipeline.io.dicom.slices import Slice, plain
from pipeline.io.dicom.storage import check_sizes, storage
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.io.volume import Affine, Volume

SEGMENTATION_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a SEG says of itself: its segments, its kind, and its frames."""

    names: dict[int, str]
    kind: str
    maximum: float
    frame_uid: str
    slices: list[Slice]


def read_segmentation(path: str | Path, reference: Reference, choice: LabelChoice) -> LabelMap:
    """Return the segments of a SEG on the grid of their image; what no frame covers is 0.

    Raises:
        DataError: Damaged, an unknown segment, or overlapping segments without a priority.
        GeometryError: Another frame of reference, or another grid and no resampling asked for.
    """
    header, found = _described(path)
    numbers = select(found.names, choice.rois, path)
    notes = check_frame(found.frame_uid, reference, path, force=choice.force_frame)
    if found.kind == "FRACTIONAL":
        notes.append(f"fractional segments: a voxel counts from a share of {choice.threshold:g} on")
    masks = _masks(header, found, numbers, choice.threshold)
    structures, more = _placed(masks, found, numbers, reference, choice, path)
    array, names = paint(structures, reference.affine, reference.shape, choice, path)
    warnings = tuple(dict.fromkeys((*reference.warnings, *notes, *more)))
    return LabelMap(Volume(array, reference.affine, None, warnings), names)


def _described(path: str | Path) -> tuple[Header, Segmentation]:
    scan = scan_entries([file_entry(Path(path))])
    if not scan.images:
        raise DataError(f"{path}: no segmentation with pixels", hint=DAMAGED)
    header = scan.images[0]
    try:
        with quiet_pydicom():
            dataset = full_header(header.entry)
            names = {
                int(item.SegmentNumber): plain(str(item.get("SegmentLabel") or ""))
                for item in dataset.SegmentSequence
            }
            kind = str(dataset.get("SegmentationType") or "BINARY").upper()
            maximum = float(dataset.get("MaximumFractionalValue") or 1)
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{path}: unreadable segmentation ({error})", hint=DAMAGED) from error
    if header.sop_class == SEGMENTATION_CLASSES[1]:
        kind = "LABELMAP"
        names.pop(0, None)  # the background
    uid = header.attributes.get("FrameOfReferenceUID", "")
    return header, Segmentation(names, kind, maximum, uid, list(frame_slices(header)))


def _masks(
    header: Header, found: Segmentation, numbers: list[int], threshold: float
) -> list[tuple[Slice, int, Mask]]:
    """Return (frame, segment, mask `(columns, rows)`) of the segments asked for."""
    first = found.slices[0]
    if first.integer("BitsAllocated", 0) == 1:
        return _bits(header, found, numbers)
    out = []
    check_sizes(found.slices)
    with closing(Frames()) as frames:
        for one in found.slices:
            stored = np.asarray(frames.stored(one, storage(one))).T
            if found.kind == "LABELMAP":
                present = set(np.unique(stored).tolist()) & set(numbers)
                out += [(one, number, np.equal(stored, number)) for number in sorted(present)]
                continue
            number = one.integer("ReferencedSegmentNumber", 0)
            if number in numbers:
                share = stored.astype(np.float64) / found.maximum
                full = found.kind == "FRACTIONAL"
                out.append((one, number, share >= threshold if full else stored != 0))
    return out


def _bits(header: Header, found: Segmentation, numbers: list[int]) -> list[tuple[Slice, int, Mask]]:
    """Return the masks of a binary segmentation, eight pixels a byte, frames back to back."""
    place, first = header.pixels, found.slices[0]
    size = first.rows * first.columns
    needed = (size * len(found.slices) + 7) // 8
    if place is None or place.length is None:
        raise DataError(f"{header.entry.name}: compressed bits are not read", hint=DAMAGED)
    data = header.entry.read(place.offset, min(place.length, needed))
    if len(data) < needed:
        raise DataError(
            f"{header.entry.name}: {needed} bytes of bits needed, {len(data)} there", hint=DAMAGED
        )
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    out = []
    for index, one in enumerate(found.slices):
        number = one.integer("ReferencedSegmentNumber", 0)
        if number in numbers:
            flat = bits[index * size : (index + 1) * size]
            out.append((one, number, flat.reshape(one.rows, one.columns).T.astype(bool)))
    return out


def _frame_affine(one: Slice, step: Vector) -> Affine:
    """Return (column, row, slice) of a frame to LPS mm."""
    cosines = np.array(one.numbers("ImageOrientationPatient", 6))
    spacing = one.numbers("PixelSpacing", 2)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = cosines[:3] * spacing[1], cosines[3:] * spacing[0]
    matrix[:3, 2], matrix[:3, 3] = step, one.numbers("ImagePositionPatient", 3)
    return matrix


def _placed(
    masks: list[tuple[Slice, int, Mask]],
    found: Segmentation,
    numbers: list[int],
    reference: Reference,
    choice: LabelChoice,
    path: str | Path,
) -> tuple[list[Structure], list[str]]:
    """Return structures on the reference's slices, and warnings."""
    planes: dict[int, dict[int, Mask]] = defaultdict(dict)
    outside, fits = 0, True
    for one, number, mask in masks:
        spot = _spot(one, mask, reference)
        if spot is None:
            fits = False
            break
        k, placed = spot
        if placed is None:
            outside += bool(mask.any())
            continue
        before = planes[number].get(k)
        planes[number][k] = placed if before is None else before | placed
    notes = [f"{outside} frames outside the series left out"] if outside else []
    if not fits:
        if not choice.resample:
            raise GeometryError(
                f"{path}: drawn on another grid than {reference.path}",
                hint="--resample brings it there by nearest neighbour",
            )
        planes = _resampled(masks, numbers, reference)
        notes = ["resampled by nearest neighbour from another grid"]
    elif outside and not any(planes.values()):
        raise GeometryError(
            f"{path}: all {outside} frames lie outside the series", hint="give its own series"
        )
    return [Structure(number, found.names[number], planes[number]) for number in numbers], notes


def _spot(one: Slice, mask: Mask, reference: Reference) -> tuple[int, Mask | None] | None:
    """Return slice and mask on the reference's grid; no mask outside; None on another grid."""
    normal = reference.affine[:3, 2] * [-1, -1, 1]
    between = reference.from_lps @ _frame_affine(one, normal)
    signs = np.sign(np.diag(between)[:2])
    expected = np.diag([*signs, 1.0])
    size = np.array([*mask.shape, 1])
    # what the axes are off, seen at the far end of the frame
    if (np.abs(between[:3, :3] - expected) * size).max() > GRID_TOLERANCE_VOXELS:
        return None
    corner = between[:3, 3]
    whole = np.rint(corner)
    if np.abs(corner - whole).max() > GRID_TOLERANCE_VOXELS:
        return None
    i, j, k = whole.astype(int).tolist()
    if signs[0] < 0:
        mask, i = mask[::-1], i - mask.shape[0] + 1
    if signs[1] < 0:
        mask, j = mask[:, ::-1], j - mask.shape[1] + 1
    return k, _pasted(mask, i, j, reference.shape[:2]) if 0 <= k < reference.shape[2] else None


def _pasted(mask: Mask, i: int, j: int, shape: tuple[int, int]) -> Mask:
    """Return a mask of `shape` with `mask` at (i, j), cut at the borders."""
    if (i, j) == (0, 0) and mask.shape == shape:
        return mask
    out = np.zeros(shape, bool)
    part = mask[max(0, -i) : max(0, shape[0] - i), max(0, -j) : max(0, shape[1] - j)]
    i, j = max(0, i), max(0, j)
    out[i : i + part.shape[0], j : j + part.shape[1]] = part
    return out


def _resampled(
    masks: list[tuple[Slice, int, Mask]], numbers: list[int], reference: Reference
) -> dict[int, dict[int, Mask]]:
    """Return masks by segment and slice, each voxel as the nearest one of the segmentation's."""
    first = masks[0][0]
    cosines = np.array(first.numbers("ImageOrientationPatient", 6))
    normal = np.cross(cosines[:3], cosines[3:])
    places = [float(np.array(one.numbers("ImagePositionPatient", 3)) @ normal)
              for one, _, _ in masks]  # fmt: skip
    levels = np.unique(np.round(places, 3))
    step = usual_step(np.diff(levels)) if len(levels) > 1 else _thickness(first)
    count = round((levels[-1] - levels[0]) / step) + 1
    lowest = masks[int(np.argmin(places))][0]
    from_ras = np.linalg.inv(_frame_affine(lowest, normal * step)) @ np.diag([-1, -1, 1, 1])
    between = from_ras @ reference.affine
    planes: dict[int, dict[int, Mask]] = defaultdict(dict)
    for number in numbers:
        own: Mask = np.zeros((*masks[0][2].shape, count), bool)
        for (_, segment, mask), place in zip(masks, places, strict=True):
            if segment == number:
                own[:, :, round((place - levels[0]) / step)] |= mask
        for k in range(reference.shape[2]):
            plane = _nearest(own, between, reference.shape[:2], k)
            if plane.any():
                planes[number][k] = plane
    return planes


def _thickness(one: Slice) -> float:
    return max(1e-3, one.numbers("SliceThickness", 1)[0])


def _nearest(own: Mask, between: Affine, shape: tuple[int, int], k: int) -> Mask:
    """Return slice `k` of the reference as the nearest voxels of `own`, 0 outside of it."""
    i, j = np.meshgrid(range(shape[0]), range(shape[1]), indexing="ij")
    index = np.stack([i, j, np.full_like(i, k)], axis=-1) @ between[:3, :3].T + between[:3, 3]
    nearest = np.rint(index).astype(int)
    inside = ((nearest >= 0) & (nearest < own.shape)).all(axis=-1)
    out: npt.NDArray[np.bool_] = np.zeros(shape, bool)
    out[inside] = own[tuple(nearest[inside].T)]
    return out
