"""What the classes are: given, said by the predictions' own JSON, or found in the masks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import DataError, InvalidValueError
from pipeline.manifests.label import file_of_label, load_label
from pipeline.metrics.pairs import Pair
from pipeline.metrics.score import WHITE

Integers = int | tuple[int, ...]


def parse_classes(words: Sequence[str]) -> dict[str, Integers]:
    """Return classes out of `NAME=INT`, or `NAME=INT,INT` for a region of several integers.

    Raises:
        InvalidValueError: A word of another form, or a name that is given twice.
    """
    classes: dict[str, Integers] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        parts = text.split(",")
        if not name or name in classes or not all(part.strip().isdecimal() for part in parts):
            raise InvalidValueError(
                f"class {word!r}", hint="write each name once, as --classes liver=1 spleen=2"
            )
        integers = tuple(map(int, parts))
        classes[name] = integers[0] if len(integers) == 1 else integers
    return classes


def named_classes(pairs: Sequence[Pair]) -> dict[str, Integers]:
    """Return the classes that `CASE.json` beside the predictions name; empty without such files.

    A file that speaks of no classes, as of a foreign bundle or another program, says nothing.

    Raises:
        DataError: A JSON that cannot be read, or two that differ.
    """
    said: dict[str, Integers] = {}
    of: Path | None = None
    for pair in pairs:
        path = pair.prediction.with_name(f"{pair.case}.json")
        if not path.is_file():
            continue
        classes = _classes_of(path)
        if classes is None:
            continue
        if of is not None and list(classes.items()) != list(said.items()):
            raise DataError(
                f"{path} names other classes than {of}",
                hint="score the cases of one bundle at a time, or give --classes",
            )
        said, of = classes, path
    return said


def compare_classes(
    declared: Mapping[str, Integers | Sequence[int]], said: Mapping[str, Integers]
) -> list[str]:
    """Return a warning if the predictions do not name some class of a manifest.

    Raises:
        DataError: The predictions name a class by another integer than the manifest, or regions,
            which are channels, in another order.
    """
    if not said:
        return []
    overlapping = not all(isinstance(value, int) for value in declared.values())
    if overlapping and list(declared) != list(said):
        raise DataError(
            f"the manifest's regions are {', '.join(declared)}, "
            f"those of the predictions {', '.join(said)}",
            hint="score against the manifest that the bundle was trained on",
        )
    for name, value in declared.items():
        if not overlapping and said.get(name, value) != value:
            raise DataError(
                f"class {name!r} is {value} in the manifest and {said[name]} in the predictions",
                hint="score against the manifest that the bundle was trained on",
            )
    unknown = [name for name in declared if name not in said]
    return [f"the predictions have no class {', '.join(unknown)}; it is missed"] if unknown else []


def classes_found(pairs: Sequence[Pair]) -> dict[str, int]:
    """Return every integer above 0 in any of the files, named by itself.

    Where some pictures are of 0 and 255 and all others of 0 and one more value, both are the
    same single class.

    Raises:
        DataError: A mask has channels, which have no names of their own, or all are empty.
    """
    found: set[int] = set()
    alone = True  # no file has more than one class
    for source in (source for pair in pairs for source in (pair.label, pair.prediction)):
        volume = load_label(source, channels=True)
        if volume.array.ndim > volume.spatial_dims:
            raise DataError(
                f"{file_of_label(source)}: {volume.array.shape[-1]} channels without names",
                hint="name them in their order: --classes NAME=INT ...",
            )
        values = {int(value) for value in np.unique(volume.array)} - {0}
        alone = alone and len(values) <= 1 and volume.affine is None
        found |= values
    if not found:
        raise DataError(
            "predictions and labels are all empty", hint="name the classes: --classes NAME=INT ..."
        )
    if alone and len(found) == 2:
        found -= {WHITE}
    return {str(value): value for value in sorted(found)}


def _classes_of(path: Path) -> dict[str, Integers] | None:
    """The `regions` or `labels` of one JSON file; None where it has neither."""
    wrong = DataError(f"{path}: no labels as name and integer", hint="give --classes NAME=INT ...")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        given = content.get("regions") or content.get("labels")
        if given is None:
            return None
        classes: dict[str, Integers] = {
            str(name): tuple(map(int, value)) if isinstance(value, list) else int(value)
            for name, value in given.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise wrong from None
    if not classes:
        raise wrong
    return classes
