"""Which prediction belongs to which label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import DataError
from pipeline.manifests.cases import stem
from pipeline.manifests.label import Label
from pipeline.manifests.manifest import PARTS, Case, Manifest, Part
from pipeline.manifests.place import names

_MASKS = (".nii.gz", ".nii", ".png")
_PROBABILITIES = "_prob"  # `CASE_prob.nii.gz` beside `CASE.nii.gz` is no mask


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and what is true of one case."""

    case: str
    prediction: Path
    label: Label


def pair_files(predictions: Path, labels: Path) -> tuple[list[Pair], list[str]]:
    """Pair two files, or a folder (or one file of it) with a folder by the names' stems.

    Returns:
        The pairs, sorted by case, and warnings, one line each: labels that nothing predicts.

    Raises:
        DataError: Nothing there, a prediction without a label, or a stem that is used twice.
    """
    found = masks_in(predictions)
    if labels.is_file() and predictions.is_file():
        return [Pair(case, path, labels) for case, path in found.items()], []
    true = masks_in(labels)
    _require(found, true, f"no label in {labels}", "score the folder of these cases' labels")
    pairs = [Pair(case, found[case], true[case]) for case in sorted(found)]
    left = len(true) - len(found)
    if not left or predictions.is_file():
        return pairs, []
    return pairs, [f"{left} of {len(true)} labels in {labels} have no prediction; left out"]


def pair_manifest(predictions: Path, cases: Sequence[Case]) -> tuple[list[Pair], list[str]]:
    """Pair predictions with the labels of a manifest's cases by id, in the manifest's order.

    One file is scored alone; of a folder every labelled case must have been predicted, for those
    that were not would not be missed by the means.

    Returns:
        The pairs and warnings, one line each: cases without a label, files of other cases.

    Raises:
        DataError: Nothing there, no case with a label, or a labelled case without a prediction.
    """
    found = masks_in(predictions)
    true = {case.id: case.label for case in cases if case.label is not None}
    if not true:
        raise DataError(
            f"none of the {len(cases)} cases has a label",
            hint="choose others, as --cases val or --cases all",
        )
    if predictions.is_file():
        _require(found, true, "no such labelled case", "choose its part: --cases all")
        return [Pair(case, path, true[case]) for case, path in found.items()], []
    _require(true, found, f"no prediction in {predictions}", "predict them, or choose --cases")
    counts = {
        f"of {len(cases)} cases have no label": len(cases) - len(true),
        "predictions are of no case that is scored": len(found.keys() - true.keys()),
    }
    warnings = [f"{count} {fact}; left out" for fact, count in counts.items() if count]
    return [Pair(case, found[case], label) for case, label in true.items()], warnings


def is_manifest(text: str) -> bool:
    """Say whether labels are given by a manifest: its name, its JSON, or a set's folder."""
    path = Path(text).expanduser()
    if text in names() or path.suffix.lower() == ".json" or (path / "dataset.json").is_file():
        return True
    return not path.exists() and not text.lower().endswith(_MASKS)  # a name, perhaps mistyped


def cases_of(manifest: Manifest, part: Part | Literal["all"], fold: int | None) -> list[Case]:
    """Return the cases of one part of a manifest, or of all parts, in declared order.

    Raises:
        InvalidValueError: The manifest has no such fold, or no split and no fold was given.
    """
    if part != "all":
        return manifest.part(part, fold)
    if fold is None:
        return list(manifest.cases)
    ids = {case.id for each in PARTS for case in manifest.part(each, fold)}
    return [case for case in manifest.cases if case.id in ids]


def masks_in(path: Path) -> dict[str, Path]:
    """Return the masks of a folder, or the one file, by stem.

    Raises:
        DataError: Missing, empty, or two masks of one stem.
    """
    if path.is_file():
        return {stem(path.name): path}
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder", hint="check the path")
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if file.name.startswith(".") or not file.name.lower().endswith(_MASKS):
            continue
        case = stem(file.name)
        if case in found:
            raise DataError(
                f"{path}: {found[case].name} and {file.name} are both of case {case!r}",
                hint="keep one of them",
            )
        found[case] = file
    beside = {f"{case}{_PROBABILITIES}" for case in found}
    found = {case: file for case, file in found.items() if case not in beside}
    if not found:
        raise DataError(f"{path}: no mask in it", hint="give a folder of .nii.gz, .nii or .png")
    return found


def _require(
    wanted: Mapping[str, object], there: Mapping[str, object], fact: str, hint: str
) -> None:
    """Refuse if anything wanted is not there; names at most ten."""
    missing = [case for case in wanted if case not in there]
    if missing:
        names = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise DataError(f"{fact} for {len(missing)} of {len(wanted)}: {names}", hint=hint)
