"""Which elements of a DICOM header are looked at, and what their bytes say as text."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

UNDEFINED = 0xFFFFFFFF

_TEXT = """
00080005 SpecificCharacterSet      00080008 ImageType               00080016 SOPClassUID
00080018 SOPInstanceUID            00080021 SeriesDate              00080022 AcquisitionDate
00080031 SeriesTime                00080032 AcquisitionTime         00080060 Modality
0008103E SeriesDescription         00100020 PatientID               00180050 SliceThickness
00180081 EchoTime                  00180086 EchoNumbers             00180060 KVP
00180082 InversionTime             00181060 TriggerTime             00181210 ConvolutionKernel
00181314 FlipAngle                 0019100C SiemensBValue           0020000D StudyInstanceUID
0020000E SeriesInstanceUID         00200012 AcquisitionNumber       00200013 InstanceNumber
00200032 ImagePositionPatient      00200037 ImageOrientationPatient 00200052 FrameOfReferenceUID
00200100 TemporalPositionIdentifier 00201002 ImagesInAcquisition
00209161 ConcatenationUID          00280004 PhotometricInterpretation 00280008 NumberOfFrames
00280030 PixelSpacing              00281052 RescaleIntercept        00281053 RescaleSlope
00281054 RescaleType               00541001 Units                   00200011 SeriesNumber
"""
_SHORT = """
00280002 SamplesPerPixel  00280010 Rows         00280011 Columns   00280100 BitsAllocated
00280101 BitsStored       00280102 HighBit      00280103 PixelRepresentation
00280120 PixelPaddingValue 00280121 PixelPaddingRangeLimit 00540081 NumberOfSlices
00209162 InConcatenationNumber 00209163 InConcatenationTotalNumber
"""
_DOUBLE = """
00189087 DiffusionBValue 00189241 NominalPercentageOfCardiacPhase 00189153 NominalCardiacTrigger
"""
_LONG = "00209228 ConcatenationFrameOffsetNumber"
_SEQUENCE = """
00283000 ModalityLUTSequence 00409096 RealWorldValueMappingSequence
52009229 SharedFunctionalGroupsSequence 52009230 PerFrameFunctionalGroupsSequence
"""


def _table(text: str) -> dict[int, str]:
    words = text.split()
    return {int(tag, 16): name for tag, name in zip(words[::2], words[1::2], strict=True)}


_NUMBERS = {
    **dict.fromkeys(_table(_SHORT), "H"),
    **dict.fromkeys(_table(_DOUBLE), "d"),
    **dict.fromkeys(_table(_LONG), "I"),
}
SEQUENCES = frozenset(_table(_SEQUENCE))
NAMES = _table(_TEXT) | _table(_SHORT) | _table(_DOUBLE) | _table(_LONG) | _table(_SEQUENCE)
WANTED = frozenset(NAMES)
ROWS = 0x00280010
PIXELS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where the value of the pixel element begins, and its length; None where undefined.

    `words` says that bytes of pixels lie in words (VR OW), which matters in big endian.
    """

    keyword: str
    offset: int
    length: int | None
    words: bool = False


@dataclass(frozen=True, slots=True)
class Elements:
    """Raw bytes of the wanted top-level elements, and where the pixels are."""

    values: Mapping[int, bytes]
    syntax: str
    big_endian: bool
    pixels: PixelPlace | None
    media_class: str = ""
    breaks_off: bool = False


def texts(elements: Elements) -> dict[str, str]:
    """Return the wanted elements by keyword as text; several values stand apart by backslashes."""
    order = ">" if elements.big_endian else "<"
    found = {}
    for tag, value in elements.values.items():
        name = NAMES.get(tag)
        if name is not None:
            found[name] = _text(tag, value, order)
    return found


@lru_cache(maxsize=4096)
def _text(tag: int, value: bytes, order: str) -> str:
    """Return one value; equal values come again in every slice."""
    if tag in SEQUENCES:
        return "present" if value else ""
    code = _NUMBERS.get(tag)
    if code is None:
        # no character set is asked: only descriptions hold more than ASCII, and only for a list
        return value.decode("latin-1").strip(" \0")
    size = struct.calcsize(code)
    count = len(value) // size
    numbers = struct.unpack(f"{order}{count}{code}", value[: count * size])
    return "\\".join(repr(number) for number in numbers)
