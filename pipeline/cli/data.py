"""`unetworks data`: which data sets there are, a manifest for one's own, folds, the plan."""

import argparse
import shlex
import sys
from pathlib import Path

NAMED = 10  # files that a line names
EPILOG = "A manifest is a name of `unetworks data list` or the path of a JSON file."


def register(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="data sets that come with a manifest, and where they lie")
    _register_new(actions.add_parser("new", help="write a manifest for a folder of images"))
    _register_split(actions.add_parser("split", help="add folds by patient to a manifest"))
    _register_plan(actions.add_parser("plan", help="print what a training would use, and why"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    return {"list": _list, "new": _new, "split": _split, "plan": _plan}[args.action](args)


def _register_new(parser: argparse.ArgumentParser) -> None:
    """Options of `new`."""
    parser.add_argument("images", metavar="IMAGES", type=Path, help="folder of the images")
    parser.add_argument(
        "labels", metavar="LABELS", type=Path, nargs="?", help="folder of the labels, if another"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.add_argument("--name", help="name of the set; default: FILE's name")
    parser.add_argument(
        "--modality", help="CT, MR, PET, photograph, microscopy, ...; with commas one a channel"
    )
    parser.add_argument(
        "--patient", metavar="EXPRESSION", help='regular expression with one group, as "(P\\d+)_"'
    )
    parser.add_argument("--folds", metavar="N", type=int, help="folds instead of train, val, test")
    parser.add_argument("--seed", metavar="S", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _register_split(parser: argparse.ArgumentParser) -> None:
    """Options of `split`."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the manifest; it is rewritten")
    parser.add_argument("--folds", metavar="N", type=int, default=5)
    parser.add_argument("--seed", metavar="S", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="replace folds that are there")


def _register_plan(parser: argparse.ArgumentParser) -> None:
    """Options of `plan`."""
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--dataset_dir", metavar="DIR", type=Path)
    parser.add_argument("--preset", default="compact")
    parser.add_argument(
        "--spatial_dims", type=int, choices=(2, 3), help="default: 2 for pictures, else 3"
    )
    parser.add_argument("--fold", metavar="K", type=int)


def _list(args: argparse.Namespace) -> int:
    """Print a table of the manifests."""
    from pipeline import settings
    from pipeline.manifests import list_manifests

    head = ("name", "modality", "dims", "cases", "labels", "licence", "where")
    table = [head]
    for row in list_manifests():
        labels = ", ".join(row.labels)
        place = row.place or f"missing; expected in {settings.data_dir() / row.name}"
        cases = "-" if row.cases is None else str(row.cases)
        table.append((row.name, row.modality, row.dims, cases, labels, row.licence, place))
        if row.problem:
            _say(f"warning: {row.problem}")
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(text.ljust(n) for text, n in zip(line, widths, strict=True)).rstrip())
    return 0


def _new(args: argparse.Namespace) -> int:
    """Write a manifest and say what stands in it and what does not."""
    from pipeline.manifests import load_manifest
    from pipeline.manifests.draft import draft_manifest, refuse_existing, write_manifest

    refuse_existing(args.output, force=args.force)
    draft = draft_manifest(
        args.images,
        args.labels,
        args.output,
        name=args.name,
        modality=args.modality,
        patient=args.patient,
        folds=args.folds,
        seed=args.seed,
        quiet=args.quiet,
    )
    for case in draft.cases[:NAMED]:
        images = " + ".join(path.name for path in case.images)
        _say(f"{case.id}: {images} with {case.label.name if case.label else None}")
    if len(draft.cases) > NAMED:
        _say(f"... and {len(draft.cases) - NAMED} more, in {args.output}")
    for reason in dict.fromkeys(reason for _, reason in draft.left):
        names = [str(path) for path, other in draft.left if other == reason]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        _say(f"warning: left alone: {', '.join(names[:NAMED])}{more}: {reason}")
    for note in draft.notes:
        _say(note)
    write_manifest(draft.content, args.output, force=args.force)
    manifest = load_manifest(args.output)
    print(f"{args.output}: {len(manifest.cases)} cases, {len(draft.left)} files left alone")
    print(f"next: unetworks data plan {shlex.quote(str(args.output))}")
    return 0


def _split(args: argparse.Namespace) -> int:
    """Add folds and say how large they are."""
    from pipeline.manifests.draft import add_folds

    sizes = add_folds(args.file, args.folds, args.seed, force=args.force)
    print(f"{args.file}: {len(sizes)} folds hold out {', '.join(map(str, sizes))} cases")
    _say("cases of test, and those without label, are in no fold")
    return 0


def _plan(args: argparse.Namespace) -> int:
    """Print the fingerprint and the plan."""
    from pipeline import planning
    from pipeline.manifests import check_files, load_manifest

    manifest = load_manifest(args.manifest, args.dataset_dir)
    check_files(manifest)
    dims = args.spatial_dims or manifest.spatial_dims
    for line in planning.report(manifest, args.preset, dims, fold=args.fold):
        print(line)
    return 0


def _say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr)
