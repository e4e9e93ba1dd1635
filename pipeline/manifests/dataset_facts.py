"""What a `dataset.json` beside the images says: names of labels and channels, by MSD or nnU-Net."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.errors import DataError, UnknownNameError
from pipeline.manifests.modality import canonical_modality
from pipeline.manifests.schema import read_json

FILE: Final = "dataset.json"
BACKGROUND: Final = "background"


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Names that a data set came with.

    Args:
        file: Where they stand.
        labels: Names and integers, background left out.
        regions: Names and lists of integers, for nnU-Net's overlapping regions.
        modalities: One for each channel; empty where they are no modalities.
    """

    file: Path
    labels: dict[str, int] = field(default_factory=dict)
    regions: dict[str, list[int]] = field(default_factory=dict)
    modalities: tuple[str, ...] = ()


def read_dataset_facts(folder: Path) -> DatasetFacts | None:
    """Return what the `dataset.json` of a folder, or of the one around it, says; None without.

    One that cannot be read or says something else is as if it were not there: the label files
    themselves are read in any case.
    """
    for place in (folder, folder.parent):
        file = place / FILE
        if not file.is_file():
            continue
        try:
            raw = read_json(file)
        except DataError:
            return None
        return _facts(file, raw) if isinstance(raw, dict) else None
    return None


def _facts(file: Path, raw: dict[str, Any]) -> DatasetFacts:
    """Facts of either layout."""
    given = raw.get("labels")
    labels: dict[str, int] = {}
    regions: dict[str, list[int]] = {}
    for key, value in (given if isinstance(given, dict) else {}).items():
        if isinstance(value, str) and str(key).isdecimal():  # MSD: integer to name
            labels[value] = int(key)
        elif isinstance(value, int):  # nnU-Net: name to integer
            labels[key] = value
        elif isinstance(value, list) and all(isinstance(n, int) for n in value):
            regions[key] = value
    labels = {name: n for name, n in labels.items() if n > 0 and name.lower() != BACKGROUND}
    if regions:  # a region of one integer is written as that integer
        regions = {name: [n] for name, n in labels.items()} | regions
        labels = {}
    return DatasetFacts(file, labels, regions, _modalities(raw))


def _modalities(raw: dict[str, Any]) -> tuple[str, ...]:
    """Modalities of the channels in their order, if all are known words."""
    named = raw.get("channel_names", raw.get("modality"))
    if not isinstance(named, dict) or not all(str(key).isdecimal() for key in named):
        return ()
    words = [str(named[key]) for key in sorted(named, key=int)]
    try:
        return tuple(canonical_modality(word, Path(FILE)) for word in words)
    except UnknownNameError:
        return ()
