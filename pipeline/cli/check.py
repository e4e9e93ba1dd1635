"""`unetworks check`: every case of a manifest verified before a second of training."""

import argparse
from pathlib import Path

EPILOG = (
    "Prints a table of errors and warnings: case, what, measured number, remedy. Exit code 0 "
    "without errors, 2 with some. What was measured is kept as long as the files stay."
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.add_argument("manifest", metavar="MANIFEST", help="name or path of a manifest")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--jobs", metavar="N", type=int, help="processes; default: one a core")
    parser.add_argument("--fold", metavar="K", type=int, help="the cases of this fold alone")
    parser.add_argument("--dataset_dir", metavar="DIR", type=Path, help="folder of the data")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Check and print; returns 2 where there is an error."""
    from pipeline.check import check_manifest
    from pipeline.manifests import load_manifest

    manifest = load_manifest(args.manifest, args.dataset_dir)
    report = check_manifest(manifest, fold=args.fold, jobs=args.jobs, quiet=args.quiet)
    if args.json:
        print(report.to_json())
    else:
        for line in report.lines():
            print(line)
    return 2 if report.errors else 0
