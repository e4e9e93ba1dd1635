"""`unetworks inspect`: what a scan, a label map or a picture holds, in the terminal or as PNG."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.reading import add_reading, reading_of

if TYPE_CHECKING:
    from pipeline.figures.inspection import Spread
    from pipeline.io import Reading, Volume

_BAR = 48
_NAMES = {"dicom": "DICOM", "nifti": "NIfTI", "picture": "picture"}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "Nothing that names a patient is shown or drawn."
    parser.add_argument(
        "path", metavar="PATH", type=Path,
        help="a DICOM folder, file, DICOMDIR or zip, a NIfTI file, or a picture",
    )  # fmt: skip
    parser.add_argument(
        "-o", metavar="FILE.png", type=Path, dest="output",
        help="also draw three planes and the histogram, or the mask",
    )  # fmt: skip
    parser.add_argument("--mask", metavar="FILE", type=Path, help="a mask to lay over the scan")
    parser.add_argument(
        "--reference", metavar="FILE", type=Path, help="another mask, to compare it with"
    )
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Read, print, draw; returns the exit code."""
    from pipeline.errors import InvalidValueError
    from pipeline.figures.inspection import inspection, spread_of
    from pipeline.figures.laid_over import lay_over
    from pipeline.io import is_same_file, read_image

    if args.output is not None:
        if args.output.suffix.lower() != ".png":
            raise InvalidValueError(f"{args.output} is no PNG name", hint="end it in .png")
        if is_same_file(args.output, args.path):
            raise InvalidValueError(f"{args.output} is the input itself", hint="name another file")
    if args.mask is None and args.reference is not None:
        raise InvalidValueError("--reference without a mask", hint="give --mask FILE too")
    if args.mask is not None and args.output is None:
        raise InvalidValueError("--mask is laid over a picture", hint="give -o FILE.png too")
    reading = reading_of(args)
    kind = _kind(args, reading)
    volume = read_image(args.path, reading=reading)
    # colours and the channels of a 4D file are no label map
    flat = volume.array.ndim == volume.spatial_dims
    spread = spread_of(volume.array, label=flat and kind != "dicom")
    rows = _rows(kind, volume, spread)
    if args.output is not None:  # first: a closed pipe ends the printing
        title = "   ".join(rows[name] for name in ("kind", "shape", "spacing") if name in rows)
        label = f"label, of {volume.array.size} voxels"
        unit = label if spread.labels is not None else _unit(volume) or "value"
        if args.mask is not None:
            lay_over(volume, args.mask, args.output, reference=args.reference, title=title)
        else:
            inspection(
                volume.array, spread, args.output, affine=volume.affine, unit=unit, title=title
            )
    for line in volume.warnings:
        print(f"warning: {line}", file=sys.stderr)
    print(args.path)
    for name, text in rows.items():
        print(f"  {name:<13} {text}")
    print()
    for line in _bars(spread) if spread.labels is None else _table(spread.labels, volume):
        print(f"  {line}")
    if args.output is not None:
        print(f"\n{args.output}")
    return 0


def _kind(args: argparse.Namespace, reading: "Reading") -> str:
    """Return what the path holds; refuse structures, and options for another kind of file."""
    from pipeline.errors import DataError
    from pipeline.io import is_dicom_label, kind_of

    kind = kind_of(args.path) or "dicom"  # what is none of the three, the reader refuses
    if is_dicom_label(args.path):
        raise DataError(
            f"{args.path}: structures (RTSTRUCT or SEG), which have no grid of their own",
            hint="bring them to one with unetworks convert PATH OUT.nii.gz --reference SERIES",
        )
    reading.refuse_unused([kind], args.path)
    return kind


def _rows(kind: str, volume: "Volume", spread: "Spread") -> dict[str, str]:
    """Return the facts by name, in the order shown."""
    unit = _unit(volume)
    what = _NAMES[kind] + (", a label map" if spread.labels is not None else "")
    rows = {"kind": what, "shape": " x ".join(map(str, volume.shape))}
    if volume.array.ndim > volume.spatial_dims:
        rows["channels"] = str(volume.array.shape[-1])
    if volume.affine is not None and volume.spacing is not None:
        from nibabel.orientations import aff2axcodes

        sizes = [size * n for size, n in zip(volume.spacing, volume.shape, strict=True)]
        rows["spacing"] = " x ".join(f"{size:.4g}" for size in volume.spacing) + " mm"
        codes_of: Any = aff2axcodes
        codes = "".join(code or "?" for code in codes_of(volume.affine))
        rows["orientation"] = f"{codes} (where i, j, k grow to)"
        rows["field of view"] = " x ".join(f"{size:.4g}" for size in sizes) + " mm"
    rows["dtype"] = volume.array.dtype.name
    rows["modality"] = volume.modality or "not told by the file"
    rows["range"] = f"{spread.low:.6g} to {spread.high:.6g} {unit}".rstrip()
    rows["percentiles"] = ", ".join(
        f"{share:g} %: {value:.6g}" for share, value in spread.percentiles.items()
    )
    if spread.odd:
        rows["not finite"] = f"{spread.odd} voxels are NaN or infinite"
    rows["warnings"] = str(len(volume.warnings) or "none")
    return rows


def _unit(volume: "Volume") -> str:
    """Return the unit of the values where the file tells it, else nothing."""
    return "HU" if volume.facts.get("hu") else str(volume.facts.get("units", ""))


def _bars(spread: "Spread") -> list[str]:
    """Return the histogram, a line a bin; the longest bar is the fullest bin."""
    most = spread.shares.max() or 1.0
    last = len(spread.shares) - 1
    lines = []
    for at, share in enumerate(spread.shares):
        low, high = f"{spread.edges[at]:.6g}", f"{spread.edges[at + 1]:.6g}"
        # the ends hold what lies beyond, and say so
        low, high = (low if at or spread.low >= spread.edges[0] else "less"), high
        high = high if at < last or spread.high < spread.edges[-1] else "more"
        bar = "#" * max(round(_BAR * share / most), int(share > 0))
        lines.append(f"{low:>9} to {high:<9} {100 * share:6.2f} %  {bar}".rstrip())
    return lines


def _table(labels: dict[int, int], volume: "Volume") -> list[str]:
    """Return the values of a label map with their voxels, in ml where it has a place."""
    import numpy as np

    lines = [f"{'value':>6} {'voxels':>12}" + ("" if volume.affine is None else f" {'ml':>12}")]
    for value, count in labels.items():
        line = f"{value:>6} {count:>12}"
        if volume.affine is not None:
            line += f" {count * abs(np.linalg.det(volume.affine[:3, :3])) / 1000:>12.3f}"
        lines.append(line)
    return lines
