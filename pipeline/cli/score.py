"""`unetworks score`: compare masks with labels, whoever made them."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.metrics import Classes, Pair

EPILOG = (
    "Masks are paired by their names without extension; with a manifest, by the cases' ids. "
    "Classes come from --classes, the manifest, or the CASE.json beside the predictions; else "
    "every integer found is one. A prediction on another grid is brought onto the label's."
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument(
        "predictions", metavar="PREDICTIONS", type=Path, help="a mask, or a folder of masks"
    )
    parser.add_argument(
        "labels", metavar="LABELS|MANIFEST", help="a mask, a folder of masks, or a manifest"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.csv",
        type=Path,
        help="the table; default: scores.csv in the folder PREDICTIONS, none for a single mask",
    )
    parser.add_argument(
        "--tolerance",
        metavar="MM",
        type=float,
        default=2.0,
        help="of the surface Dice; pixels for pictures (default: 2)",
    )
    parser.add_argument(
        "--classes", metavar="NAME=INT", nargs="+", help="what to score: names and integers"
    )
    parser.add_argument(
        "--cases",
        choices=("train", "val", "test", "all"),
        default="test",
        help="which of a manifest (default: test)",
    )
    parser.add_argument("--fold", metavar="N", type=int, help="fold of a manifest, from 0")
    parser.add_argument(
        "--dataset_dir", metavar="DIR", type=Path, help="where a manifest's data lie"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Score, print the means of each class, write the table; returns the exit code."""
    from pipeline.metrics import format_table, score_pairs, summarise, write_table
    from pipeline.progress import progress

    pairs, classes, warnings = _pairs(args)
    for line in warnings:
        _warn(line)
    rows = score_pairs(
        progress(pairs, "scoring", total=len(pairs), quiet=args.quiet),
        classes,
        args.tolerance,
        warn=_warn,
    )
    summary = summarise(rows)
    print(format_table(summary, args.tolerance))
    output = args.output
    if output is None and args.predictions.is_dir():
        output = args.predictions / "scores.csv"
    if output is not None:
        write_table(rows, summary, output)
        print(f"{len(pairs)} cases, one row each and class: {output}")
    return 0


def _pairs(args: argparse.Namespace) -> "tuple[list[Pair], Classes, list[str]]":
    """What to compare, as which classes, and what to warn of."""
    from pipeline.manifests import load_manifest
    from pipeline.metrics import classes, pairs

    given = classes.parse_classes(args.classes) if args.classes else None
    if not pairs.is_manifest(args.labels):
        found, warnings = pairs.pair_files(args.predictions, Path(args.labels))
        return (
            found,
            given or classes.named_classes(found) or classes.classes_found(found),
            warnings,
        )
    manifest = load_manifest(args.labels, args.dataset_dir)
    cases = pairs.cases_of(manifest, args.cases, args.fold)
    found, warnings = pairs.pair_manifest(args.predictions, cases)
    if given:
        return found, given, warnings
    declared = manifest.regions or manifest.labels
    warnings += classes.compare_classes(declared, classes.named_classes(found))
    return found, declared, warnings


def _warn(line: str) -> None:
    """One line on stderr."""
    print(f"warning: {line}", file=sys.stderr)
