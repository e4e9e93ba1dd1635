"""How a scan is to be read: the options that `convert`, `inspect` and `predict` share."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.io import Reading


def add_reading(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options to a command or to a group of its options."""
    add = parser.add_argument
    add("--series", metavar="N|UID", help="which series, as the refusal lists them")
    add(
        "--phase",
        metavar="ATTR=VALUE",
        help="which of several images a place; several with commas: EchoTime=4.6,StackID=1",
    )
    add("--range", metavar="N", type=int, dest="part", help="which range of slices")
    add(
        "--regularize",
        action="store_true",
        help="resample gaps, uneven steps and tilt on an even, orthogonal grid (linear)",
    )
    add("--affine", choices=("sform", "qform", "pixdim"), help="which place of a NIfTI counts")


def reading_of(args: argparse.Namespace, *, unplaced: bool = True) -> "Reading":
    """What the options ask for.

    Args:
        args: With the options of `add_reading`.
        unplaced: Whether a NIfTI that says nothing of its place is read, with a warning.
    """
    from pipeline.io import Reading

    return Reading(
        series=int(args.series) if args.series and args.series.isdecimal() else args.series,
        phase=args.phase,
        part=args.part,
        regularize=args.regularize,
        affine=args.affine,
        unplaced=unplaced,
    )
