"""The command `unetworks`: one file a subcommand, nothing heavy imported before it is needed."""

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

from pipeline import __version__
from pipeline.errors import REPORT, InvalidValueError, PipelineError, UnknownNameError
from pipeline.interrupt import exit_code, interruptible

COMMANDS: Final = {
    "info": "versions, device, CPU and commit: what a bug report needs",
    "bundles": "list the bundles, or copy one out",
    "networks": "list the networks with their parameter counts",
    "data": "data sets: list, fetch, new, split, plan",
    "check": "verify a manifest's data before training",
    "predict": "masks for scans and pictures from trained bundles",
    "export": "a trained model for ONNX Runtime, OpenVINO or torch",
    "score": "compare masks with labels",
    "runs": "tracked trainings: list, show, compare, folds",
    "convert": "a DICOM series or NIfTI file to NIfTI",
    "inspect": "header, geometry, histogram and picture of a scan",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line like all others."""

    def error(self, message: str) -> NoReturn:
        """Refuse what was typed.

        Raises:
            InvalidValueError: Always.
        """
        raise InvalidValueError(message, hint=f"see {self.prog} --help")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the module of `command` is imported."""
    parser = _Parser(
        prog="unetworks",
        description="Medical image segmentation in 2D and 3D on MONAI. For research; no medical "
        "device. Trainings start with: python -m monai.bundle run training --config_file "
        "BUNDLE/train.json",
    )
    parser.add_argument("--version", action="version", version=f"unetworks {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        child = commands.add_parser(name, help=line, description=line)
        if name == command:
            importlib.import_module(f"pipeline.cli.{name}").register(child)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 done; 2 the user's to mend, after one line on stderr; 1 a bug of ours, with its
        traceback; 130 after Ctrl-C; 143 after SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((w for w in words if not w.startswith("-")), None)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    code = 0
    try:
        if command is not None and command not in COMMANDS:
            near = get_close_matches(command, COMMANDS, n=1) or ["--help"]
            raise UnknownNameError(f"no command {command!r}", hint=f"try unetworks {near[0]}")
        args = build_parser(command).parse_args(words)
        with interruptible():
            code = importlib.import_module(f"pipeline.cli.{args.command}").run(args)
        sys.stdout.flush()  # a closed pipe shows here rather than at the interpreter's end
    except PipelineError as error:
        print(f"error: {error.line()}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        return exit_code(error)
    except BrokenPipeError:  # the reader of a pipe has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if (found := _refusal(error)) is not None:
            print(f"error: {found.line()}", file=sys.stderr)
            return 2
        traceback.print_exc()
        print(REPORT, file=sys.stderr)
        return 1
    return code


def _refusal(error: Exception) -> PipelineError | None:
    """What MONAI's transforms have wrapped, if it is ours."""
    from pipeline.bundles.guard import refusal

    return refusal(error)
