"""`unetworks predict`: masks from trained bundles."""

import argparse

TRUST = (
    "open a bundle of another origin: its configs are executed, so do this only with one whose "
    "origin you know"
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("bundles", nargs="+", metavar="BUNDLE", help="a run's folder; several are an ensemble")
    add("input", metavar="INPUT", help="scan, DICOM folder, picture, folder of cases or manifest")
    add("output", metavar="OUTPUT", help="a mask's file for one case, else a folder")
    add("--device", help="cpu, cuda or cuda:0; default: a GPU where there is one")
    add("--overlap", type=float, help="of the windows, 0 to 0.9; default: the plan's")
    add("--probabilities", nargs="*", metavar="NAME", help="write them too, for the named classes")
    add("--cases", default="test", help="of a manifest: train, val, test or all")
    add("--dataset_dir", help="folder of a manifest's data")
    add("--fold", type=int, help="of a manifest")
    add("--series", help="number or UID, for a folder with several DICOM series")
    add("--force-modality", action="store_true", help="predict a scan of another modality")
    add("--trust", action="store_true", help=TRUST)
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Predict, and print where the masks are; 2 if a case of several failed."""
    import sys

    from pipeline.bundles.interrupt import interruptible
    from pipeline.predict import Options, predict

    if args.trust:
        from pipeline.predict.foreign import predict_foreign as chosen
    else:
        chosen = predict
    options = Options(
        device=args.device,
        overlap=args.overlap,
        probabilities=None if args.probabilities is None else tuple(args.probabilities),
        cases=args.cases,
        dataset_dir=args.dataset_dir,
        fold=args.fold,
        series=int(args.series) if args.series and args.series.isdecimal() else args.series,
        force_modality=args.force_modality,
        quiet=args.quiet,
    )
    with interruptible():
        outcome = chosen(args.bundles, args.input, args.output, options)
    for case, reason in outcome.failed:
        print(f"error: {case}: {reason}", file=sys.stderr)
    for mask in outcome.masks[:10]:
        print(mask)
    if len(outcome.masks) > 10:
        print(f"... {len(outcome.masks)} masks in {args.output}")
    return 2 if outcome.failed else 0
