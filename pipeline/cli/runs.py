"""`unetworks runs`: list, show and compare tracked runs, and sum up a cross-validation."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tracking.query import RunBook, RunRecord

RUN_HELP = "the beginning of an id (3 characters or more), a run's name, or a run's folder"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `unetworks runs`."""
    _add_common(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    every = actions.add_parser("list", help="all runs, newest first (the default)")
    show = actions.add_parser("show", help="everything recorded of one run")
    show.add_argument("run", metavar="RUN", help=RUN_HELP)
    compare = actions.add_parser(
        "compare", help="settings that differ, and the last metrics, side by side"
    )
    compare.add_argument("run", metavar="RUN", nargs="+", help=RUN_HELP)
    folds = actions.add_parser(
        "folds", help="mean and spread over patients of the test scores of a cross-validation"
    )
    folds.add_argument("run", metavar="RUN", nargs="+", help=RUN_HELP)
    for action in (every, show, compare, folds):
        _add_common(action)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for; return 0."""
    from pipeline.tracking.query import RunBook

    book = RunBook(getattr(args, "tracking_uri", None), getattr(args, "experiment", None))
    if args.action == "show":
        _show(book, book.find(args.run))
    elif args.action == "compare":
        _compare([book.find(name) for name in args.run])
    elif args.action == "folds":
        _folds(book, [book.find(name) for name in args.run])
    else:
        _list(book)
    return 0


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what may stand before or behind the action, hence without a default to overwrite."""
    parser.add_argument(
        "--tracking_uri",
        metavar="U",
        default=argparse.SUPPRESS,
        help="sqlite:///FILE or a server; default MLFLOW_TRACKING_URI, else runs/mlflow.db",
    )
    parser.add_argument(
        "--experiment", metavar="E", default=argparse.SUPPRESS, help="only this experiment"
    )


def _list(book: "RunBook") -> None:
    """Print a line a run."""
    from pipeline.settings import without_password
    from pipeline.tracking.query import MAKE_ONE
    from pipeline.tracking.table import minutes, number, terminal_width, text_table

    if not book.runs:
        print(f"no runs yet at {without_password(book.uri)}; {MAKE_ONE}")
        return
    rows = [
        [
            run.id[:8],
            run.name,
            run.experiment,
            run.status,
            f"{run.started:%Y-%m-%d %H:%M}",
            minutes(run.minutes),
            number(run.score("val")),
            number(run.score("test")),
        ]
        for run in book.runs
    ]
    header = ["id", "name", "experiment", "status", "started", "minutes", "val Dice", "test Dice"]
    print(text_table(header, rows, width=terminal_width()))


def _show(book: "RunBook", run: "RunRecord") -> None:
    """Print all of one run."""
    from pipeline.tracking.store import how_to_open
    from pipeline.tracking.table import minutes, number

    print(f"{run.name} ({run.id})")
    print(f"{run.status}, started {run.started:%Y-%m-%d %H:%M}, {minutes(run.minutes)} minutes")
    metrics = {name: number(value, 4) for name, value in run.metrics.items()}
    parts = {"settings": run.params, "tags": run.tags, "last metrics": metrics}
    for title, values in parts.items():
        print(f"\n{title}")
        width = max((len(name) for name in values), default=0)
        for name, text in values.items():
            print(f"  {name.ljust(width)}  {text}")
    print("\nartifacts")
    for path in book.artifacts(run):
        print(f"  {path}")
    print(f"\nin the browser: {how_to_open(book.uri)}")


def _compare(runs: "list[RunRecord]") -> None:
    """Print runs side by side."""
    from pipeline.tracking.query import differing_params
    from pipeline.tracking.table import minutes, number, terminal_width, text_table

    names = sorted({name for run in runs for name in run.metrics})
    rows = [["status", *(run.status for run in runs)]]
    rows += [["minutes", *(minutes(run.minutes) for run in runs)]]
    rows += [
        [name, *(run.params.get(name, "-") for run in runs)] for name in differing_params(runs)
    ]
    rows += [[name, *(number(run.metrics.get(name), 4) for run in runs)] for name in names]
    header = ["", *(f"{run.name} {run.id[:8]}" for run in runs)]
    print(text_table(header, rows, width=terminal_width()))


def _folds(book: "RunBook", runs: "list[RunRecord]") -> None:
    """Print the test scores over the patients of all runs, and the mean of each run."""
    from pipeline.tracking.folds import fold_scores, patient_spreads, repeated_folds
    from pipeline.tracking.table import number, terminal_width, text_table

    folds = [fold_scores(book, run) for run in runs]
    spreads = patient_spreads(folds)
    for fold in repeated_folds(runs):
        print(f"warning: fold {fold} is counted more than once", file=sys.stderr)
    for one in folds:
        if one.patients is None:
            print(
                f"warning: {one.run.name}: its manifest is not here or has changed; each case "
                "counts as a patient of its own",
                file=sys.stderr,
            )
    patients = len(set().union(*(one.all_patients for one in folds)))
    cases = len({(one.run.id, row.case) for one in folds for row in one.rows})
    print(f"test Dice of {len(runs)} runs, over {patients} patients ({cases} cases)")
    rows = [
        [
            row.label,
            *(number(x) for x in (row.mean, row.deviation, row.lowest, row.highest)),
            str(row.count),
        ]
        for row in spreads
    ]
    header = ["class", "mean", "sd", "lowest", "highest", "patients"]
    print(text_table(header, rows, width=terminal_width()))
    print()
    own = [
        [
            one.run.name,
            one.run.params.get("fold", "-"),
            number(one.run.score("test")),
            str(len(one.all_patients)),
        ]
        for one in folds
    ]
    print(text_table(["run", "fold", "mean", "patients"], own, width=terminal_width()))
