"""`unetworks export`: a trained model for ONNX Runtime, OpenVINO or torch."""

import argparse

EPILOG = (
    "The input is one prepared window of fixed shape; the JSON beside the model has its shape, how "
    "a scan is prepared, the labels and the weights' hash. What was written is read back and "
    "compared with torch. With int8, windows of a manifest's training cases are kept in the cache, "
    "so that `unetworks predict` may use int8 for this model from then on."
)


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("bundle", metavar="BUNDLE", help="a run's folder")
    parser.add_argument(
        "out", metavar="OUT", help="a file (.onnx, .xml, .pt2), or a folder for model.* in it"
    )
    parser.add_argument(
        "--format", choices=("onnx", "openvino", "torch"), required=True, help="what to write"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "int8"), default="fp32", help="int8 for openvino only"
    )
    parser.add_argument(
        "--calibrate", metavar="MANIFEST",
        help="quantise on its training cases (default: the windows that the run keeps)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Write the model, print what was written and how far it is from torch."""
    from pipeline.predict.exporting import export_bundle

    done = export_bundle(
        args.bundle, args.out, args.format, args.precision, args.calibrate, quiet=args.quiet
    )
    for file in done.files:
        print(file)
    print(
        f"largest difference from torch: {done.difference:.2g} of the largest logit; "
        f"labels: {done.agreement} equal"
    )
    return 0
