"""`model.json`: what a model is, in plain values, so that no expression is needed to build it."""

import json
from pathlib import Path
from typing import Any

from pipeline.bundles.weights import sha256
from pipeline.errors import DataError
from pipeline.io import atomic_path

FORMAT = 1
INTENDED_USE = "For research. Not a medical device: no clinical decision may rest on its output."
KEYS = {"format": int, "bundle": str, "network": dict, "facts": dict, "plan": dict, "weights": dict}


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write `model.json` to `folder` by one rename."""
    with atomic_path(folder / "model.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")


def read_record(folder: Path, *, check: bool = False) -> dict[str, Any]:
    """Read `model.json` of `folder`; nothing in it is evaluated.

    Args:
        folder: A run's `models` folder.
        check: Compare the weights' SHA-256 too.

    Raises:
        DataError: It is missing, no JSON, lacks a part, names weights elsewhere, or does not
            belong to them.
    """
    path = folder / "model.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no model.json", hint="name a run's folder") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="copy it again") from error
    for key, kind in KEYS.items():
        if not isinstance(record, dict) or not isinstance(record.get(key), kind):
            raise DataError(f"{path} has no {key}", hint="was it written by another program?")
    if record["format"] > FORMAT:
        raise DataError(
            f"{path} has the format {record['format']}, this version knows {FORMAT}",
            hint="update unetworks",
        )
    name = str(record["weights"].get("file"))
    if Path(name).name != name or not name.endswith(".safetensors"):
        raise DataError(
            f"{path} names the weights {name!r}", hint="they are a .safetensors beside it"
        )
    if check:
        file = folder / name
        if file.is_file() and sha256(file) != record["weights"].get("sha256"):
            raise DataError(
                f"{file} is not the one that model.json describes", hint="copy the folder again"
            )
    return record


def record_beside(weights: Path) -> dict[str, Any] | None:
    """The record of a weight file; None where it has none."""
    return read_record(weights.parent) if (weights.parent / "model.json").is_file() else None
