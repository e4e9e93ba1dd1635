"""The data set looked at before a training costs time."""

import logging
import shlex

from pipeline.bundles.guard import plain
from pipeline.check import Finding, Report, check_for_training
from pipeline.errors import DataError
from pipeline.manifests import check_files, load_manifest
from pipeline.train import distributed

logger = logging.getLogger("unetworks")

NAMED = 3  # errors that a refusal names


@plain
def check_data(manifest: str, dataset_dir: str | None = None, fold: int | None = None) -> None:
    """Check what a training will read, as `unetworks check` does; of several processes the first.

    Labels of the held-out cases are not opened. What was measured is kept as long as the files
    stay, so that the next start takes no time.

    Args:
        manifest: Name or path.
        dataset_dir: Folder of the data.
        fold: The fold that is trained; None: the manifest's split.

    Raises:
        SystemExit: 2, where there is an error; its line names the first ones. In every process.
    """
    error: Exception | None = None
    if distributed.leads():
        try:
            _check(manifest, dataset_dir, fold)
        except Exception as found:
            error = found
    refused = distributed.agreed(error is not None)
    if error is not None:
        raise error
    if refused:
        raise SystemExit(2)


def _check(manifest: str, dataset_dir: str | None, fold: int | None) -> None:
    """As `check_data`, in this process.

    Raises:
        DataError: There is an error in the data.
    """
    loaded = load_manifest(manifest, dataset_dir)
    check_files(loaded)
    report = check_for_training(loaded, fold=fold)
    held_out = {case.id for case in loaded.part("test", fold)}
    command = ["unetworks", "check", manifest]
    command += [] if dataset_dir is None else ["--dataset_dir", dataset_dir]
    command += [] if fold is None else ["--fold", str(fold)]
    if report.errors:
        raise _refusal(report, shlex.join(command))
    for finding in report.findings:
        if finding.case in held_out and finding.what == "unreadable":
            logger.warning("warning: held out, %s; the training goes on without it", _said(finding))
    more = "" if not report.findings else f"; to see them: {shlex.join(command)}"
    logger.info("checked %s%s", report.lines()[-1], more)


def _refusal(report: Report, command: str) -> DataError:
    """One line of the first errors."""
    errors = [finding for finding in report.findings if finding.level == "error"]
    named = "; ".join(_said(finding) for finding in errors[:NAMED])
    rest = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return DataError(f"{report.name}: {count} in the data: {named}{rest}", hint=f"see {command}")


def _said(finding: Finding) -> str:
    """A finding in words."""
    return f"{finding.case}: {finding.what}: {finding.measured} ({finding.remedy})"
