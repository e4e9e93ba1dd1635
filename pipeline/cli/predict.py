"""`unetworks predict`: masks from trained bundles."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from pipeline.cli.reading import add_reading, reading_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.predict import Options, SegmentOptions

NAMED = 5  # cases in a line of warnings
TRUST = (
    "open a bundle of another origin: its configs are executed, so do this only with one whose "
    "origin you know"
)
EPILOG = (
    "OUTPUT, unless it is a file, gets CASE.nii.gz or CASE.png, CASE.json and ledger.jsonl. The "
    "same call again predicts only what is missing. A tilted series is predicted upright and its "
    "mask brought back to its slices; with --regularize the mask has the grid that `unetworks "
    "convert --regularize` gives."
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("bundles", nargs="+", metavar="BUNDLE", help="a run's folder; several are an ensemble")
    add("input", metavar="INPUT", help="scan, DICOM folder, picture, folder of cases or manifest")
    add("output", metavar="OUTPUT", help="a mask's file for one case, else a folder")
    add("--trust", action="store_true", help=TRUST)
    add("--quiet", action="store_true", help="no progress bar, no lines on engines and memory")
    _add_input(parser.add_argument_group("which cases, and how they are read"))
    _add_network(parser.add_argument_group("how a case goes through the network"))
    _add_mask(parser.add_argument_group("what is written"))
    _add_machine(parser.add_argument_group("on which machine"))


def _add_input(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--cases", default="test", help="of a manifest: train, val, test or all")
    add("--dataset_dir", help="folder of a manifest's data")
    add("--fold", type=int, help="of a manifest")
    add_reading(group)
    add("--force-modality", action="store_true", help="predict a scan of another modality")


def _add_network(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--overlap", type=float, help="of the windows, 0 to 0.9; default: the plan's")
    add(
        "--mirror",
        action="store_true",
        help="mean over all mirror images: 8 times the work, 4 in 2D",
    )
    add("--level", help="of a UNet++: 1 to 4, or accurate for the mean of all")
    add(
        "--body-box",
        choices=("even", "lattice", "off"),
        help="windows over the body only; CT: even",
    )
    add(
        "--engine",
        default="auto",
        metavar="E",
        help="auto (the default) measures; torch, compile, openvino, onnxruntime, tensorrt",
    )
    add(
        "--precision",
        choices=("fp32", "bf16", "fp16", "int8"),
        help="default: the fastest that agrees",
    )
    add(
        "--agreement",
        type=float,
        nargs=2,
        metavar=("ALL", "FOREGROUND"),
        help="shares of labels that have to equal fp32's for auto; default: 0.9995 0.995",
    )


def _add_mask(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--probabilities", nargs="*", metavar="NAME", help="write them too, for the named classes")
    add(
        "--resample",
        choices=("label", "logits"),
        default="label",
        help="what goes back to the scan's grid: the nearest label (default), or logits, "
        "interpolated before the decision",
    )
    add(
        "--postprocess",
        metavar="FILE",
        help='JSON as {"liver": {"minimum_mm3": 500, "largest": true, "fill_holes": true}}; "*" '
        "stands for the other classes; default: what the model's plan says",
    )
    add("--again", action="store_true", help="predict what is done, too")


def _add_machine(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
    add("--device", help="cpu, cuda or cuda:0; default: a GPU where there is one")
    add(
        "--max-ram",
        type=float,
        metavar="GIB",
        help="limit of the whole call; refused with the smallest that would do",
    )
    add(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="processes for several cases, 1 by default: one that runs out of memory takes no "
        "other case along; 0: none but this",
    )
    add(
        "--cluster",
        choices=("ray",),
        help="predict the cases on a Ray cluster with the same folders",
    )


def run(args: argparse.Namespace) -> int:
    """Predict, and print where the masks are; 2 if a case of several failed."""
    from pipeline.predict import predict

    chosen = predict
    if args.trust:
        from pipeline.predict.foreign import predict_foreign as chosen
    outcome = chosen(args.bundles, args.input, args.output, options_of(args))
    if outcome.kept and not args.quiet:
        print(f"{outcome.kept} done before; --again predicts them anew", file=sys.stderr)
    for line in _grouped(outcome.warnings):
        print(f"warning: {line}", file=sys.stderr)
    for case, reason in outcome.failed:
        print(f"error: {case}: {reason}", file=sys.stderr)
    for mask in outcome.masks[:10]:
        print(mask)
    if len(outcome.masks) > 10:
        print(f"... {len(outcome.masks)} masks in {args.output}")
    return 2 if outcome.failed else 0


def _grouped(warnings: "Sequence[tuple[str, str]]") -> list[str]:
    """A line for each thing that was unusual, with the cases: those of a cohort are much alike."""
    cases: dict[str, list[str]] = {}
    for case, text in warnings:
        cases.setdefault(text, []).append(case)
    return [
        f"{', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' * (len(names) > NAMED)}: "
        f"{text}"
        for text, names in cases.items()
    ]


def options_of(args: argparse.Namespace) -> "Options":
    """What the words of the command say."""
    from pipeline.predict import Options

    told: dict[str, None] = {}

    def tell(line: str) -> None:
        """Print a line, once: cases of a cohort are much alike."""
        if line not in told:
            told[line] = None
            print(line, file=sys.stderr)

    return Options(
        device=args.device,
        how=_how(args),
        reading=reading_of(args),
        cases=args.cases,
        dataset_dir=args.dataset_dir,
        fold=args.fold,
        postprocess=args.postprocess,
        jobs=args.jobs,
        cluster=args.cluster,
        again=args.again,
        tell=None if args.quiet else tell,
        quiet=args.quiet,
    )


def _how(args: argparse.Namespace) -> "SegmentOptions":
    from pipeline.predict import SegmentOptions

    given: dict[str, Any] = {}
    if args.agreement is not None:
        given["agreement"] = tuple(args.agreement)
    return SegmentOptions(
        overlap=args.overlap,
        mirror=args.mirror,
        level=args.level,
        probabilities=None if args.probabilities is None else tuple(args.probabilities),
        resample=args.resample,
        body_box=args.body_box,
        max_ram_gib=args.max_ram,
        engine=args.engine,
        precision=args.precision,
        force_modality=args.force_modality,
        **given,
    )
