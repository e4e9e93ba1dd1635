"""Enhanced multi-frame objects as slices: every frame with its own place, scale and phase."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError
from pipeline.io.dicom.fallback import full_header, quiet_pydicom
from pipeline.io.dicom.headers import DAMAGED, Header
from pipeline.io.dicom.slices import Slice

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FRAMES_AT_MOST = 200_000

# group of a frame, attribute in it, our name for it
_GROUPS = (
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness", "SliceThickness"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("PixelValueTransformationSequence", "RescaleType", "RescaleType"),
    ("FrameContentSequence", "StackID", "StackID"),
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIndex"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("TemporalPositionSequence", "TemporalPositionTimeOffset", "TemporalPositionTimeOffset"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
    ("CTReconstructionSequence", "ConvolutionKernel", "ConvolutionKernel"),
    ("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase",
     "NominalPercentageOfCardiacPhase"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    ("SegmentIdentificationSequence", "ReferencedSegmentNumber", "ReferencedSegmentNumber"),
    ("CTImageFrameTypeSequence", "FrameType", "FrameType"),
    ("MRImageFrameTypeSequence", "FrameType", "FrameType"),
    ("PETFrameTypeSequence", "FrameType", "FrameType"),
)  # fmt: skip


def is_multi_frame(header: Header) -> bool:
    """Whether a file holds several frames, or says where its one frame lies in a group."""
    attributes = header.attributes
    return bool(
        attributes.get("PerFrameFunctionalGroupsSequence")
        or attributes.get("SharedFunctionalGroupsSequence")
        or attributes.get("NumberOfFrames", "1").strip() not in ("", "1")
    )


def frame_slices(header: Header) -> Iterator[Slice]:
    """Yield the frames of a multi-frame object, in the order of the file.

    Raises:
        DataError: No functional groups (so no geometry), or fewer groups than frames.
    """
    name = header.entry.name
    count = Slice(header, header.attributes).integer("NumberOfFrames", 0)
    if not header.attributes.get("PerFrameFunctionalGroupsSequence"):
        raise DataError(
            f"{name}: {count} frames without functional groups, so no geometry",
            hint="choose a series of slices or an enhanced multi-frame one",
        )
    if not 0 < count <= FRAMES_AT_MOST:
        raise DataError(f"{name}: {count} frames declared", hint=DAMAGED)
    try:
        with quiet_pydicom():
            dataset = full_header(header.entry)
            shared = dataset.get("SharedFunctionalGroupsSequence") or []
            common = header.attributes | (_attributes(shared[0]) if len(shared) else {})
            frames = [_attributes(item) for item in dataset.PerFrameFunctionalGroupsSequence]
    except Exception as error:  # pydicom raises whatever its parser trips over
        raise DataError(f"{name}: unreadable functional groups ({error})", hint=DAMAGED) from error
    if len(frames) != count:
        raise DataError(f"{name}: {count} frames, {len(frames)} of them described", hint=DAMAGED)
    for index, own in enumerate(frames):
        yield Slice(header, common | own, index, count)


def _attributes(item: "Dataset") -> dict[str, str]:
    """Return what the functional groups of a frame say, as text by keyword."""
    found = {}
    for group, keyword, name in _GROUPS:
        sequence = item.get(group)
        if sequence:
            value = sequence[0].get(keyword)
            if value is not None:
                found[name] = value_text(value)
    return found


def value_text(value: Any) -> str:
    """Return pydicom's value as the header would write it."""
    if isinstance(value, str | bytes | int | float) or not hasattr(value, "__iter__"):
        return str(getattr(value, "original_string", None) or value)
    return "\\".join(value_text(one) for one in value)


def refuse_partial(headers: list[Header]) -> None:
    """Refuse a concatenation of which parts are missing.

    Raises:
        DataError: Fewer files than it should have, or their number is not told.
    """
    parts: dict[str, list[Slice]] = {}
    for header in headers:
        uid = header.attributes.get("ConcatenationUID", "")
        if uid:
            parts.setdefault(uid, []).append(Slice(header, header.attributes))
    for members in parts.values():
        numbers = {one.integer("InConcatenationNumber", 0) for one in members}
        total = members[0].integer("InConcatenationTotalNumber", 0)
        if not total or len(numbers) != total:
            said = f"of {total}" if total else "of an untold number"
            raise DataError(
                f"{members[0].name}: {len(numbers)} {said} parts of a concatenation are here",
                hint="fetch all parts",
            )
