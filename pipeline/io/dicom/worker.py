"""The child process that decodes compressed frames: C code, fed by strangers, under limits.

It is started as `python -m pipeline.io.dicom.worker`; `decode.py` is the other end. A request
is a line of JSON and the code stream, an answer a line of JSON and the decoded bytes.
"""

import importlib
import json
import resource
import sys
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


def main() -> None:
    """Answer requests until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # decoders that print would spoil the answers
    sys.stdout = sys.stderr
    while line := source.readline():
        request = json.loads(line)
        if "memory" in request:
            limit = int(request["memory"])
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            continue
        _answer(request, source.read(request["length"]), sink)


def _answer(request: dict[str, Any], stream: bytes, sink: BinaryIO) -> None:
    reply: dict[str, Any]
    data = b""
    try:
        array = np.ascontiguousarray(_decode(request, stream))
        data = array.tobytes()
        reply = {"shape": array.shape, "dtype": array.dtype.str}
    except MemoryError:
        reply = {"error": "out of the decoder's memory"}
    except BaseException as error:  # a decoder in Rust panics past Exception
        reply = {"error": " ".join(str(error).split())[:200] or type(error).__name__}
    sink.write(json.dumps({**reply, "length": len(data)}).encode() + b"\n")
    sink.write(data)
    sink.flush()


def _decode(request: dict[str, Any], stream: bytes) -> Array:
    """Return one frame `(rows, columns)` as its code stream has it."""
    if request["syntax"].endswith(".4.51") and request["bits_stored"] > 8:
        return _extended(request, stream)
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    decoder: Any = get_decoder(request["syntax"])
    array: Array
    array, _ = decoder.as_array(
        encapsulate([stream], has_bot=False),
        raw=True,
        index=0,
        validate=False,
        decoding_plugin=request["plugin"],
        rows=request["rows"],
        columns=request["columns"],
        number_of_frames=1,
        samples_per_pixel=1,
        bits_allocated=request["bits_allocated"],
        bits_stored=request["bits_stored"],
        # the decoder's own view of the values: nothing is to be turned for display
        photometric_interpretation="MONOCHROME2",
        pixel_representation=request["pixel_representation"],
        pixel_keyword="PixelData",
    )
    return array


def _extended(request: dict[str, Any], stream: bytes) -> Array:
    """Return a frame of 12-bit JPEG, which pydicom does not pass on to gdcm, through gdcm."""
    gdcm: Any = importlib.import_module("gdcm")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(stream)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((request["columns"], request["rows"], 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(request["syntax"])))
    bits = request["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, request["pixel_representation"]))
    raw = image.GetBuffer()
    if raw is None:
        raise ValueError("gdcm cannot decode it")
    data = raw.encode("utf-8", "surrogateescape")
    kind = "<i2" if request["pixel_representation"] else "<u2"
    return np.frombuffer(data, kind).reshape(request["rows"], request["columns"])


if __name__ == "__main__":
    main()
