"""What can only be checked with the data at hand: files that are there, integers that are known."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.manifests.label import files_of_label
from pipeline.manifests.manifest import Case, Manifest

_NAMED = 8  # stray values that an error names


def check_files(manifest: Manifest, cases: Sequence[Case] | None = None) -> None:
    """Look whether all images and labels are there, without opening them.

    Args:
        manifest: The data set.
        cases: Those that will be used; None: all.

    Raises:
        DataError: Names the first missing file and how many cases miss one.
    """
    cases = manifest.cases if cases is None else cases
    missing = [(case, kind, file) for case in cases for kind, file in _missing(case)]
    if not missing:
        return
    case, kind, file = missing[0]
    count = len({other.id for other, _, _ in missing})
    raise DataError(
        f'manifest {manifest.name}: {kind} of case "{case.id}" is missing: {file} '
        f"({count} of {len(cases)} cases miss a file)",
        hint=f"looked in {', '.join(str(root) for root in manifest.roots)}; set UNETWORKS_DATA "
        "to the folder of data sets, or give dataset_dir",
    )


def check_labels(
    values: NDArray[np.integer] | Iterable[int], manifest: Manifest, case: Case
) -> None:
    """Compare the integers found in a case's label with those that the manifest declares.

    Args:
        values: Integers, in any shape and number; repeated ones cost only time.
        manifest: Declares the integers; 0 is always among them.
        case: Whose label it is, for the message.

    Raises:
        DataError: Names the case, the stray integers and the declared ones.
    """
    found = np.unique(values if isinstance(values, np.ndarray) else [*values])
    stray = found[~np.isin(found, manifest.integers)]
    if not stray.size:
        return
    shown = ", ".join(str(value) for value in stray[:_NAMED].tolist())
    more = f" and {stray.size - _NAMED} more" if stray.size > _NAMED else ""
    named = ", ".join(f"{name} {integer}" for name, integer in manifest.labels.items())
    declared = named or ", ".join(str(value) for value in manifest.integers[1:])
    raise DataError(
        f'label of case "{case.id}" ({case.label_file}) has values {shown}{more} '
        f"that the manifest does not declare; declared are background 0, {declared}",
        hint=f"declare them in {manifest.path}, or mend the label",
    )


def _missing(case: Case) -> Iterable[tuple[str, Path]]:
    """The files of a case that are not there, and what they are."""
    yield from (("image", file) for file in case.images if not file.exists())
    if case.label is not None:
        yield from (("label", file) for file in files_of_label(case.label) if not file.exists())
