"""`unetworks convert`: a scan or its drawn structures as NIfTI, right or refused with a reason."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.reading import add_reading, reading_of

if TYPE_CHECKING:
    from pipeline.io import LabelMap, Reading, Volume

EPILOG = (
    "Exit code 0: every voxel is at its world point with its own value (HU for CT); what was "
    "unusual stands in lines that begin with 'warning:'. Exit code 2: refused, one line says "
    "why and which option would accept it, and no file is written."
)
_LABELS_ONLY = ("roi", "priority", "threshold", "force_frame", "resample")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "input", metavar="INPUT", type=Path,
        help="a DICOM folder, file, DICOMDIR or zip, a NIfTI file, or an RTSTRUCT or SEG file",
    )  # fmt: skip
    parser.add_argument("output", metavar="OUT.nii.gz", type=Path, help="ends in .nii.gz or .nii")
    add_reading(parser)
    labels = parser.add_argument_group("an RTSTRUCT or SEG as labels")
    labels.add_argument(
        "--reference", metavar="SERIES", type=Path, help="the series it was drawn on"
    )
    labels.add_argument(
        "--roi", metavar="NAME|N", nargs="+", default=[],
        help="structures by name or number; they become 1, 2, ... (default: all)",
    )  # fmt: skip
    labels.add_argument(
        "--threshold", metavar="P", type=float,
        help="share from which on a fractional segment counts (default: 0.5)",
    )  # fmt: skip
    labels.add_argument(
        "--priority", metavar="NAME", nargs="+", default=[],
        help="which structure counts where some overlap, the strongest first",
    )  # fmt: skip
    labels.add_argument(
        "--force-frame", action="store_true", help="accept another frame of reference or series"
    )
    labels.add_argument(
        "--resample", action="store_true", help="bring a SEG from another grid (nearest)"
    )


def run(args: argparse.Namespace) -> int:
    """Read, write, say what was unusual; returns the exit code."""
    from pipeline.errors import InvalidValueError
    from pipeline.io import is_dicom_label, is_same_file

    if not str(args.output).lower().endswith((".nii", ".nii.gz")):
        raise InvalidValueError(f"{args.output} is no NIfTI name", hint="end it in .nii.gz")
    if is_same_file(args.output, args.input):
        raise InvalidValueError(f"{args.output} is the input itself", hint="write to another name")
    reading = reading_of(args, unplaced=False)
    if is_dicom_label(args.input):
        return _labels(args, reading)
    given = [name for name in _LABELS_ONLY if getattr(args, name)]
    if given or args.reference:
        raise InvalidValueError(
            f"{args.input} is no RTSTRUCT or SEG file, and --{(given or ['reference'])[0]} is "
            "for these",
            hint="leave the option out",
        )
    return _image(args, reading)


def _image(args: argparse.Namespace, reading: "Reading") -> int:
    from pipeline.errors import DataError
    from pipeline.io import kind_of, read_image

    reading.refuse_unused([kind_of(args.input) or "dicom"], args.input)
    volume = read_image(args.input, reading=reading)
    if volume.affine is None:
        raise DataError(
            f"{args.input}: a picture has no place in the world", hint="give a scan: DICOM or NIfTI"
        )
    if volume.array.ndim > 3:
        raise DataError(
            f"{args.input}: {volume.array.shape[3]} volumes in one file",
            hint="split it first; only one volume is converted at a time",
        )
    _write(args.output, volume, {"regularized": True} if reading.regularize else None)
    return 0


def _labels(args: argparse.Namespace, reading: "Reading") -> int:
    from pipeline.errors import DataError, InvalidValueError
    from pipeline.io import LabelChoice, read_dicom_label

    if args.regularize or args.affine:
        raise InvalidValueError(
            "structures are drawn on the grid of their series as it is",
            hint="leave --regularize and --affine out",
        )
    if args.reference is None:
        raise DataError(
            f"{args.input}: structures need the series they were drawn on",
            hint="give it with --reference SERIES",
        )
    choice = LabelChoice(
        rois=tuple(args.roi),
        threshold=0.5 if args.threshold is None else args.threshold,
        priority=tuple(args.priority),
        force_frame=args.force_frame,
        resample=args.resample,
    )
    found: LabelMap = read_dicom_label(args.input, args.reference, choice, reading)
    _write(args.output, found.volume, {"labels": found.names})
    for name, value in found.names.items():
        print(f"{value} {name}")
    return 0


def _write(path: Path, volume: "Volume", facts: dict[str, object] | None) -> None:
    """Write the volume, and what a later reader has to know as JSON beside it."""
    import json

    from pipeline.io import atomic_path, spacing_of, write_nifti

    assert volume.affine is not None
    write_nifti(path, volume.array, volume.affine)
    if facts is not None:
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        with atomic_path(path.with_name(f"{name}.json")) as draft:
            text = json.dumps({**facts, "warnings": volume.warnings}, indent=2, ensure_ascii=False)
            draft.write_text(text + "\n", encoding="utf-8")
    for line in volume.warnings:
        print(f"warning: {line}", file=sys.stderr)
    shape = "x".join(map(str, volume.array.shape))
    spacing = " x ".join(f"{size:.4g}" for size in spacing_of(volume.affine))
    print(f"{path}: {shape} {volume.array.dtype.name}, {spacing} mm")
