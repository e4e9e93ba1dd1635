"""Brings the layouts in which data sets are published into the one of our schema."""

import re
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.manifests.schema import read_json

LISTS = {"training": "train", "validation": "val", "testing": "test", "test": "test"}
_MSD_SIGNS = ("tensorImageSize", "numTraining", "numTest", "relase")
_CASE_KEYS = ("image", "label")
_KEPT_OF_MSD = (
    *("name", "description", "reference", "release", "modality", "labels", "regions", "head"),
    *("window", "split", "folds", "splits_file", "citation", "url", "checksum"),
)


def read_layout(path: Path) -> Any:
    """Read a manifest's file into the layout of the schema; MSD's `dataset.json` is translated.

    Raises:
        DataError: The file is missing, is no JSON, or is nnU-Net's, which lists no cases.
    """
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise DataError(f"manifest {path} is no JSON object", hint="see data_manifests/schema.json")
    if "file_ending" in raw and "training" not in raw:
        raise DataError(
            f"{path} is nnU-Net's dataset.json, which lists no cases",
            hint="write a manifest: unetworks data new imagesTr labelsTr -o manifest.json",
        )
    return _from_msd(raw) if _is_msd(raw) else raw


def _is_msd(raw: dict[str, Any]) -> bool:
    """Whether the keys are those of the Medical Segmentation Decathlon."""
    labels = raw.get("labels")
    by_integer = isinstance(labels, dict) and any(isinstance(v, str) for v in labels.values())
    return by_integer or isinstance(raw.get("modality"), dict) or any(s in raw for s in _MSD_SIGNS)


def _from_msd(raw: dict[str, Any]) -> dict[str, Any]:
    """MSD's keys and their meaning in ours; what is not needed is dropped."""
    result = {key: raw[key] for key in _KEPT_OF_MSD if key in raw}
    for ours, theirs in (("licence", "license"), ("licence", "licence"), ("release", "relase")):
        if isinstance(raw.get(theirs), str):
            result[ours] = raw[theirs]
    if "name" in result:
        result["name"] = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(result["name"])).strip("_.-")
    modality, labels = raw.get("modality"), raw.get("labels")
    if isinstance(modality, dict):
        names = [modality[key] for key in sorted(modality, key=_number)]
        result["modality"] = names[0] if len(names) == 1 else names
    if isinstance(labels, dict) and all(isinstance(name, str) for name in labels.values()):
        result["labels"] = {labels[key]: _number(key) for key in sorted(labels, key=_number)}
    for key in LISTS:
        if isinstance(raw.get(key), list):
            result[key] = [_msd_case(entry) for entry in raw[key]]
    return result


def _msd_case(entry: Any) -> Any:
    """A case of MSD without the keys that other tools add to it."""
    if not isinstance(entry, dict):
        return entry
    return {key: entry[key] for key in (*_CASE_KEYS, "id", "patient", "fold") if key in entry}


def _number(text: str) -> int:
    """The integer of a key; -1, which the schema refuses, where it is none."""
    return int(text) if text.strip().isdecimal() else -1
