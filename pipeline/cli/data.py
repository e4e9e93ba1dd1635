"""`unetworks data`: which data sets there are, fetching one, a manifest for one's own, folds."""

import argparse
import shlex
import sys
from pathlib import Path

NAMED = 10  # files that a line names
PRESETS = ("compact", "full")
SHOWN = 4  # labels that the table names
EPILOG = "A manifest is a name of `unetworks data list` or the path of a JSON file."


def register(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="data sets that come with a manifest, and where they lie")
    _register_fetch(actions.add_parser("fetch", help="load a published data set"))
    _register_new(actions.add_parser("new", help="write a manifest for a folder of images"))
    _register_split(actions.add_parser("split", help="add folds by patient to a manifest"))
    _register_plan(actions.add_parser("plan", help="print what a training would use, and why"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    return {"list": _list, "fetch": _fetch, "new": _new, "split": _split, "plan": _plan}[
        args.action
    ](args)


def _register_fetch(parser: argparse.ArgumentParser) -> None:
    """Options of `fetch`."""
    parser.add_argument("name", metavar="NAME", help="a name of `unetworks data list`")
    parser.add_argument(
        "--archive",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a published archive that you loaded yourself; may be given several times",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


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
    parser.add_argument(
        "--only", metavar="PATTERN", help='take only images whose path matches, as "*_T1w*"'
    )
    parser.add_argument(
        "--structures",
        metavar="NAMES",
        help="of RTSTRUCT or SEG, with commas; where some overlap the first counts",
    )
    parser.add_argument(
        "--threshold", metavar="LEVEL", type=float, help="cut JPEG masks at this grey level"
    )
    parser.add_argument("--folds", metavar="N", type=int, help="folds instead of train, val, test")
    parser.add_argument("--seed", metavar="S", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _register_split(parser: argparse.ArgumentParser) -> None:
    """Options of `split`."""
    parser.add_argument("file", metavar="FILE", help="the manifest; it is rewritten without -o")
    parser.add_argument("-o", "--output", metavar="COPY", type=Path, help="write a copy instead")
    parser.add_argument("--folds", metavar="N", type=int, default=5)
    parser.add_argument("--seed", metavar="S", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="replace folds that are there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _register_plan(parser: argparse.ArgumentParser) -> None:
    """Options of `plan`."""
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--dataset_dir", metavar="DIR", type=Path)
    parser.add_argument("--fold", metavar="K", type=int)
    parser.add_argument(
        "--bundle", metavar="NAME", default="attunet", help="whose training; default: attunet"
    )
    parser.add_argument("--preset", help="compact or full; default: both")
    parser.add_argument(
        "--spatial_dims", type=int, choices=(2, 3), help="default: both, 2 for pictures"
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:0; default: a GPU if any")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="as tables, for a machine whose memory forces nothing; nothing is timed",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _list(args: argparse.Namespace) -> int:
    """Print a table of the manifests."""
    from pipeline import settings
    from pipeline.manifests import list_manifests

    head = ("name", "modality", "dims", "cases", "labels", "licence", "where")
    table = [head]
    for row in list_manifests():
        labels = ", ".join(row.labels[:SHOWN])
        if len(row.labels) > SHOWN:
            labels = f"{labels}, ... ({len(row.labels)})"
        place = row.place or f"missing; expected in {settings.data_dir() / row.name}"
        cases = "-" if row.cases is None else str(row.cases)
        table.append((row.name, row.modality, row.dims, cases, labels, row.licence, place))
        if row.problem:
            _say(f"warning: {row.problem}")
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(text.ljust(n) for text, n in zip(line, widths, strict=True)).rstrip())
    return 0


def _fetch(args: argparse.Namespace) -> int:
    """Load a set and say where it lies, what was compared and what its licence asks for."""
    from pipeline.manifests.fetch import fetch

    done = fetch(args.name, args.archive, quiet=args.quiet)
    for file, checksum, confirmed in done.seen:
        state = "the publisher's checksum" if confirmed else "the publisher states no checksum"
        _say(f"{file}: {checksum} ({state})")
    _say(f"licence: {done.licence}")
    _say(f"cite: {done.citation}")
    already = "" if done.seen else " (was there already)"
    print(f"{args.name}: {done.cases} cases in {done.folder}{already}")
    return 0


def _new(args: argparse.Namespace) -> int:
    """Write a manifest and say what stands in it and what does not."""
    from pipeline.manifests import load_manifest
    from pipeline.manifests.draft import Wishes, draft_manifest
    from pipeline.manifests.draft_entries import refuse_existing, write_manifest

    refuse_existing(args.output, force=args.force)
    wishes = Wishes(
        name=args.name,
        modality=args.modality,
        patient=args.patient,
        folds=args.folds,
        seed=args.seed,
        only=args.only,
        structures=args.structures.split(",") if args.structures else None,
        threshold=args.threshold,
    )
    draft = draft_manifest(args.images, args.labels, args.output, wishes, quiet=args.quiet)
    for case in draft.cases[:NAMED]:
        images = " + ".join(path.name for path in case.images)
        _say(f"{case.id}: {images} with {case.label_file.name if case.label_file else None}")
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
    """Add folds and say how large they are and which labels they have."""
    from pipeline.manifests.folding import add_folds

    dealt = add_folds(
        args.file, args.folds, args.seed, output=args.output, force=args.force, quiet=args.quiet
    )
    sizes = ", ".join(map(str, dealt.sizes))
    print(f"{dealt.path}: {len(dealt.sizes)} folds hold out {sizes} cases")
    for name, counts in dealt.counts.items():
        print(f"with {name}: {', '.join(map(str, counts))}")
    _say("cases of test, and those without label, are in no fold")
    return 0


def _plan(args: argparse.Namespace) -> int:
    """Print the fingerprint, the plans, and what they need on this machine."""
    from pipeline import planning
    from pipeline.bundles.preview import preview
    from pipeline.cli.bundles import bundle_folder
    from pipeline.manifests import check_files, load_manifest

    config = bundle_folder(args.bundle) / "train.json"
    manifest = load_manifest(args.manifest, args.dataset_dir)
    check_files(manifest)
    facts = planning.fingerprint(manifest, args.fold, quiet=args.quiet)
    plain = facts.to_dict()
    dims = [args.spatial_dims] if args.spatial_dims else [3, 2][3 - facts.dims :]
    wanted = [(p, d) for d in dims for p in ([args.preset] if args.preset else PRESETS)]
    settings = {"device": args.device}
    plans = {
        f"{preset} {d}D": preview(
            config, plain, anywhere=args.markdown, preset=preset, spatial_dims=d, **settings
        )
        for preset, d in wanted
    }
    if args.markdown:
        print("\n".join(planning.markdown_report(facts, plans)))
        return 0
    from pipeline.progress import progress
    from pipeline.train.expectation import expected

    needs = {
        f"{args.bundle}, {name}": expected(args.bundle, preset, plan, plain, args.device).rows()
        for (preset, _), (name, plan) in progress(
            list(zip(wanted, plans.items(), strict=True)),
            "timing a step of each plan",
            quiet=args.quiet,
        )
    }
    print("\n".join(planning.text_report(facts, plans, needs)))
    return 0


def _say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr)
