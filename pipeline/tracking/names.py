"""Settings and scores in the form MLflow takes: flat, with names it allows, not too long."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import SupportsFloat, cast

NAME_LENGTH = 250
PARAM_LENGTH = 6000
TAG_LENGTH = 8000
ADDRESS = "tracking_uri"  # may hold a password
ROOTED = re.compile(r"[/~\\]|[A-Za-z]:[\\/]")


def clean_name(name: str) -> str:
    """Return `name` with what MLflow does not allow replaced by an underscore."""
    kept = re.sub(r"[^/\w.\- :]", "_", name)
    parts = [part for part in kept.split("/") if part not in ("", ".", "..")]
    return "/".join(parts)[:NAME_LENGTH] or "_"


def shortened(text: str, limit: int) -> str:
    """Return `text`, cut to `limit` characters with a note of its length."""
    if len(text) <= limit:
        return text
    note = f" ... ({len(text)} characters)"
    return text[: limit - len(note)] + note


def without_folders(value: object) -> object:
    """Return settings as others may see them: of paths that begin at the root, the last part.

    Folders name hospitals, projects and people. Where the runs are kept is left out.
    """
    if isinstance(value, Mapping):
        return {
            key: None if key == ADDRESS else without_folders(inner) for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_folders(inner) for inner in value]
    if isinstance(value, str) and ROOTED.match(value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value


def flat_params(settings: Mapping[str, object]) -> dict[str, str]:
    """Return nested settings as `a.b.c: text`; what is no text is written as JSON.

    Lists stay whole, an empty dictionary is `{}`, None is `null`. Two names that become equal
    are told apart by a number.
    """
    found: dict[str, str] = {}
    for name, value in _leaves("", settings):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        key, number = clean_name(name), 1
        while key in found:
            number += 1
            key = f"{clean_name(name)[: NAME_LENGTH - 4]}_{number}"
        found[key] = text
    return found


def flat_scores(scores: Mapping[str, object], labels: Sequence[str] = ()) -> dict[str, float]:
    """Return scores as one number a name.

    Args:
        scores: Numbers, dictionaries of numbers, or vectors (K,), one value a class.
        labels: The K class names; a vector of another length is numbered.
    """
    found: dict[str, float] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            inner = {f"{name}_{key}": item for key, item in value.items()}
            found |= flat_scores(inner, labels)
            continue
        numbers = _numbers(value)
        if numbers is None:
            continue
        if len(numbers) == 1:
            found[clean_name(name)] = numbers[0]
            continue
        ends = labels if len(labels) == len(numbers) else range(len(numbers))
        found |= {
            clean_name(f"{name}_{end}"): number for end, number in zip(ends, numbers, strict=True)
        }
    return found


def _leaves(prefix: str, value: object) -> list[tuple[str, object]]:
    """Return the values below `value` with their dotted names."""
    if not isinstance(value, Mapping) or (prefix and not value):
        return [(prefix, value)]
    found: list[tuple[str, object]] = []
    for key, inner in value.items():
        found += _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
    return found


def _numbers(value: object) -> list[float] | None:
    """Return a number, a tensor or an array as a list of floats, None for anything else."""
    if hasattr(value, "tolist"):  # numpy and torch, neither imported here
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        inner = [_numbers(item) for item in value]
        return None if None in inner else [n for part in inner for n in cast(list[float], part)]
    if isinstance(value, str) or not hasattr(value, "__float__"):
        return None
    return [float(cast(SupportsFloat, value))]
