"""A network as OpenVINO's model: converted once for a window shape, then read from the cache."""

from pathlib import Path
from typing import Any, Final

from pipeline.engines.artifacts import cached
from pipeline.engines.exported import ConversionError, converting, exported_program
from pipeline.engines.quantize import calibration_hash, quantized
from pipeline.engines.subject import Subject
from pipeline.engines.telemetry import silence

FILE: Final = "model.xml"


def write_fp32(subject: Subject, folder: Path) -> None:
    """Write `model.xml` and `model.bin` with fp32 weights and a static input.

    Raises:
        ConversionError: OpenVINO can't take the network.
    """
    silence()
    import openvino

    program = exported_program(subject)
    with converting("OpenVINO's conversion"):
        model = openvino.convert_model(program)
        model.reshape(list(subject.shape))
        model.input(0).get_tensor().set_names({"image"})
        model.output(0).get_tensor().set_names({"logits"})
        save(model, folder)


def write_int8(subject: Subject, folder: Path) -> None:
    """Write the model quantised on the subject's calibration windows.

    Raises:
        ConversionError: There are no windows, or NNCF can't quantise the network.
        ResourceError: NNCF is not installed.
    """
    windows = subject.calibration
    if not windows:
        raise ConversionError(
            "int8 needs calibration windows, the run keeps none",
            hint="train again with --calibration 8, or unetworks export BUNDLE OUT "
            "--format openvino --precision int8 --calibrate MANIFEST",
        )
    if tuple(windows[0].shape) != subject.shape[1:]:
        raise ConversionError(
            f"int8 needs windows of {list(subject.shape[1:])}, the run keeps "
            f"{list(windows[0].shape)}",
            hint="leave --precision int8 out",
        )
    source = read(fp32_folder(subject))
    with converting("NNCF's quantisation"):
        save(quantized(source, windows, subject.batch), folder)


def fp32_folder(subject: Subject) -> Path:
    """The fp32 model in the cache."""
    return cached(
        "openvino-fp32", subject, ("openvino",), lambda folder: write_fp32(subject, folder)
    )


def int8_folder(subject: Subject) -> Path:
    """The int8 model in the cache."""
    return cached(
        "openvino-int8",
        subject,
        ("openvino", "nncf"),
        lambda folder: write_int8(subject, folder),
        calibration=calibration_hash(subject.calibration or ()),
    )


def read(folder: Path) -> Any:
    """OpenVINO's model in a folder."""
    silence()
    import openvino

    return openvino.Core().read_model(folder / FILE)


def save(model: Any, folder: Path) -> None:
    """Write a model; OpenVINO would halve the weights' precision by itself."""
    import openvino

    openvino.save_model(model, folder / FILE, compress_to_fp16=False)
