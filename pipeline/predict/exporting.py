"""A trained model as one file for other programs, with a JSON that says how to feed it."""

import errno
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.bundles.export import versions
from pipeline.bundles.record import INTENDED_USE
from pipeline.engines.exported import ConversionError, exported_program
from pipeline.engines.intermediate import FILE as IR_FILE
from pipeline.engines.intermediate import write_fp32, write_int8
from pipeline.engines.kind import require_packages
from pipeline.engines.onnx import write_onnx
from pipeline.engines.reading import reader_of
from pipeline.engines.subject import Subject
from pipeline.engines.trial import Agreement, Reference, agreement_of, labels_of
from pipeline.errors import InvalidValueError, ResourceError
from pipeline.io import atomic_path
from pipeline.predict.calibrating import calibration_of
from pipeline.predict.model import Model, open_model
from pipeline.predict.outputs import write_json

SUFFIXES: Final = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
TOLERANCES: Final = {"onnx": 1e-4, "openvino": 1e-3, "torch": 1e-4}
"""Largest difference of fp32 logits, in parts of the largest one; OpenVINO's own is about 5e-4."""
PREPARATION: Final = (
    "spacing", "channels", "polarity", "normalisation", "window", "statistics", "contrast",
    "slice_axis", "slices",
)  # fmt: skip
CHECKED: Final = 2  # windows
NEEDED: Final[dict[str, tuple[tuple[str, ...], str | None]]] = {
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "onnx"),
    "openvino": (("openvino",), "openvino"),
    "torch": ((), None),
}
"""Packages that a format is written and checked with, and the extra that brings them."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        files: The model first, its description last.
        difference: Largest difference of the logits from torch's in fp32, in parts of the largest.
        agreement: Of the labels.
    """

    files: tuple[Path, ...]
    difference: float
    agreement: Agreement


def export_bundle(
    bundle: str | Path,
    out: str | Path,
    form: str,
    precision: str = "fp32",
    calibrate: str | None = None,
    *,
    quiet: bool = False,
) -> Exported:
    """Write a model for its fixed window, and compare what was written with torch.

    Args:
        bundle: A run's folder.
        out: A file that ends as the format does, or a folder, for `model.*` in it.
        form: A key of `SUFFIXES`.
        precision: `fp32`, or `int8` for OpenVINO.
        calibrate: A manifest to quantise on; None: the windows that the run keeps.
        quiet: No progress bar.

    Raises:
        InvalidValueError: The format has not this precision, or OUT another ending.
        ConversionError: The network can't be converted, or the file computes something else.
        DataError: The bundle, the manifest or a case can't be read.
        ResourceError: A package is missing, or the disk is full.
    """
    target = target_of(out, form)
    description = target.with_suffix(".json")
    _refuse_others(description)
    refuse_precision(form, precision, calibrate)
    require_packages(form, *NEEDED[form])
    model = open_model(bundle, torch.device("cpu"))
    windows = (
        model.calibration() if calibrate is None else calibration_of(model, calibrate, quiet=quiet)
    )
    patch = model.network.next_size(model.plan["patch"])
    subject = Subject(model.network, model.digest, patch, calibration=windows)
    with tempfile.TemporaryDirectory(prefix="unetworks-") as folder:
        draft = Path(folder) / target.name
        try:
            write(subject, draft, form, precision)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise ResourceError(
                f"{folder}: no space left on the disk", hint="free some, or set TMPDIR"
            ) from error
        difference, agreement = compared(subject, draft, form, model.facts["head"])
        if precision == "fp32" and not difference <= TOLERANCES[form]:
            raise ConversionError(
                f"{form} computes other logits than torch: by {difference:.2g} of the largest",
                hint="use another format",
            )
        files = _moved(Path(folder), target)
    content = described(model, subject, target.name, precision)
    content["compared_with_torch"] = {
        "largest_difference": difference,
        "equal_voxels": agreement.voxels,
        "equal_foreground": agreement.foreground,
    }
    write_json(description, content)
    return Exported((*files, description), difference, agreement)


def _refuse_others(description: Path) -> None:
    """Refuse to replace a JSON that is no description, such as a run's own `model.json`."""
    if not description.exists():
        return
    try:
        described_before = "weights_sha256" in json.loads(description.read_text())
    except (OSError, ValueError, TypeError):
        described_before = False
    if not described_before:
        raise InvalidValueError(
            f"{description} is there already, and no export wrote it", hint="give another OUT"
        )


def refuse_precision(form: str, precision: str, calibrate: str | None) -> None:
    """Refuse a precision that a format is not written in, and windows that it does not need.

    Raises:
        InvalidValueError: One of these.
    """
    if precision not in ("fp32", "int8") or (precision == "int8" and form != "openvino"):
        raise InvalidValueError(
            f"{form} is not written in {precision}",
            hint="int8 goes with --format openvino, fp32 with all",
        )
    if calibrate is not None and precision != "int8":
        raise InvalidValueError("--calibrate is for int8", hint="give --precision int8")


def target_of(out: str | Path, form: str) -> Path:
    """The model's file.

    Raises:
        InvalidValueError: OUT ends like another kind of file.
    """
    path, suffix = Path(out), SUFFIXES[form]
    if path.suffix == suffix:
        return path
    if path.suffix and not path.is_dir():
        raise InvalidValueError(
            f"{path.name} does not end in {suffix}", hint=f"give OUT{suffix}, or a folder"
        )
    return path / f"model{suffix}"


def write(subject: Subject, draft: Path, form: str, precision: str) -> None:
    """Write a network's files into the folder of `draft`, the one to open under this name.

    Raises:
        ConversionError: It can't be converted.
    """
    if form == "torch":
        torch.export.save(exported_program(subject), draft)
    elif form == "onnx":
        write_onnx(subject, draft)
    else:
        (write_int8 if precision == "int8" else write_fp32)(subject, draft.parent)
        for suffix in (".xml", ".bin"):
            os.replace((draft.parent / IR_FILE).with_suffix(suffix), draft.with_suffix(suffix))


def _moved(folder: Path, target: Path) -> tuple[Path, ...]:
    """Bring what was written to its place, the file that names the others last."""
    places: list[Path] = []
    for source in sorted(folder.iterdir(), key=lambda path: path.suffix == target.suffix):
        place = target.with_name(source.name)
        with atomic_path(place) as temporary:
            shutil.copyfile(source, temporary)
        places.insert(0, place)
    return tuple(places)


def compared(subject: Subject, file: Path, form: str, head: str) -> tuple[float, Agreement]:
    """How far a written model is from torch: logits in parts of the largest, and labels."""
    windows = list((subject.calibration or ())[:CHECKED])
    if not windows:
        generator = torch.Generator().manual_seed(0)
        windows = [torch.randn(subject.shape[1:], generator=generator) for _ in range(CHECKED)]
    run = reader_of(form)(file)
    with torch.no_grad():
        wanted = [subject.network(window[None]).float() for window in windows]
    found = [run(window[None].contiguous()) for window in windows]
    largest = max(float(logits.abs().max()) for logits in wanted)
    apart = max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))
    labels = [labels_of(logits, head) for logits in wanted]
    reference = Reference([w[None] for w in windows], labels, 0)
    return apart / max(largest, 1e-12), agreement_of(found, reference, head)


def described(model: Model, subject: Subject, file: str, precision: str) -> dict[str, Any]:
    """What another program must know to use the file."""
    facts, plan = model.facts, model.plan
    output = (1, subject.network.out_channels, *map(subject.network.output_size, subject.patch))
    return {
        "file": file,
        "bundle": model.name,
        "intended_use": INTENDED_USE,
        "precision": precision,
        "input": {"name": "image", "shape": list(subject.shape), "type": "float32"},
        "output": {"name": "logits", "shape": list(output), "type": "float32"},
        "axes": None if plan["spacing"] is None else "RAS",
        "preprocessing": {name: plan.get(name) for name in PREPARATION},
        "overlap": plan["overlap"],
        "modality": list(facts["modality"]),
        "head": facts["head"],
        "labels": {name: list(values) for name, values in model.classes.items()},
        "weights_sha256": model.digest,
        "versions": versions(),
    }
