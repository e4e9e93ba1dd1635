"""Checks a manifest's JSON against the published schema, in words for people."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

_SHOWN = 60  # characters of a wrong value that an error repeats


def read_json(path: Path) -> Any:
    """Read a JSON file whose objects name no key twice.

    Raises:
        DataError: The file is missing, is no JSON, or an object names a key twice.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} is no JSON: line {error.lineno}, column {error.colno}: {error.msg}",
            hint="mend that line",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read {path}: {reason}", hint="check the path") from None
    except _DoubleKeyError as error:
        raise DataError(
            f'{path} names "{error}" twice in one object', hint="keep one of them"
        ) from None


def check_schema(data: object, path: Path, schema_path: Path) -> None:
    """Compare a manifest with the published schema.

    Raises:
        DataError: The first difference: where it is in the JSON, what is there, what is expected.
    """
    import jsonschema

    schema = _schema(schema_path)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(data))
    if not errors:
        return
    unknown = [error for error in errors if error.validator == "additionalProperties"]
    error = unknown[0] if unknown else jsonschema.exceptions.best_match(errors)
    while error.parent is not None:  # of several forms, none fits: the value itself is told
        error = error.parent
    place = _place(error.absolute_path)
    if unknown:
        raise _unknown_key(error, place, path)
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        fact = f'manifest {path}: {place} has no "{missing}"'
        expected = _meaning(schema, error.schema, missing)
    elif error.validator == "anyOf" and not error.absolute_path:  # of keys, not of a value's forms
        fact, expected = f"manifest {path}: keys are missing", error.schema["description"]
    else:
        fact = f"manifest {path}: {place} is {_shown(error.instance)}"
        expected = error.schema.get("description", error.message)
    raise DataError(fact, hint=f"expected: {expected}")


def _unknown_key(error: Any, place: str, path: Path) -> DataError:
    """An error that names the first key which is not in the schema, and the nearest that is."""
    known = sorted(key for key in error.schema["properties"] if key != "$schema")
    key = next(k for k in error.instance if k not in known and not k.startswith(("_", "$schema")))
    near = get_close_matches(key, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return DataError(f'manifest {path}: unknown key "{key}" in {place}', hint=hint)


def _meaning(schema: dict[str, Any], part: dict[str, Any], key: str) -> str:
    """The description of a key, found through one reference."""
    row = part.get("properties", {}).get(key, {})
    if "$ref" in row:
        row = schema["$defs"][row["$ref"].removeprefix("#/$defs/")]
    return str(row.get("description", key))


def _place(keys: Iterable[str | int]) -> str:
    """Where in the JSON, as `training[3].image`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.lstrip(".") or "its top level"


def _shown(value: object) -> str:
    """A value as JSON, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@cache
def _schema(path: Path) -> dict[str, Any]:
    """The published schema."""
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


class _DoubleKeyError(ValueError):
    """A key that an object has twice: the second would win in silence."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the pairs."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _DoubleKeyError(key)
        result[key] = value
    return result
