"""What the labels of a drafted set are called, and their integers, by the form they come in."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.errors import DataError
from pipeline.io import kind_of
from pipeline.io.dicom.described import describe_drawing
from pipeline.io.picture_label import MOST_COLOURS, Colour, picture_colours
from pipeline.manifests.draft_entries import as_json
from pipeline.manifests.drawn import Scheme
from pipeline.manifests.found import Pair, Pairing, RawLabel
from pipeline.manifests.label import Label

OBJECT: Final = "object"
JPEG: Final = (".jpg", ".jpeg")
_DRAWN: Final = ("rtstruct", "seg")


@dataclass(slots=True)
class Naming:
    """Labels of a set before its files are read.

    Args:
        labels: Names and integers; empty where the files hold integers, which are read.
        colours: Colours of the labels, where the masks are pictures in colours.
        raw: The label of each pair, in the manifest's form.
    """

    labels: dict[str, int] = field(default_factory=dict)
    colours: dict[str, list[int]] = field(default_factory=dict)
    raw: dict[str, RawLabel] = field(default_factory=dict)

    def label_of(self, pair: Pair, output: Path) -> Label:
        """The label of a pair as a loaded manifest has it, to be read."""
        raw = self.raw[pair.id]
        scheme = Scheme(self.labels, output, self.colours or None)
        if isinstance(raw, dict) and any(kind in raw for kind in _DRAWN):
            return scheme.drawn(raw, Path, pair.images[0], pair.series)
        return scheme.composition.label(as_json(raw), Path)


def name_labels(
    pairing: Pairing, structures: Sequence[str] | None = None, threshold: float | None = None
) -> Naming:
    """Say what the labels of the pairs are, and leave pairs alone whose label has another form.

    Args:
        pairing: The pairs; loses those that are left alone.
        structures: Structures of drawings that are wanted, the strongest first where some
            overlap; None: all.
        threshold: Grey level from which on a JPEG mask is foreground.

    Raises:
        DataError: Too many colours, or no structure is left.
    """
    kinds = Counter(_kind(pair.label) for pair in pairing.pairs)
    usual = kinds.most_common(1)[0][0]
    for pair in [pair for pair in pairing.pairs if _kind(pair.label) != usual]:
        pairing.leave(pair.images[0], f"its label is {_kind(pair.label)}, most others are {usual}")
        pairing.pairs.remove(pair)
    if usual == "drawn":
        return _drawn(pairing, structures)
    if structures is not None:
        pairing.notes.append("the labels are no RTSTRUCT or SEG: --structures has no effect")
    if usual == "masks" and not _are_objects(pairing):
        return _structures(pairing)
    raw = {pair.id: pair.label for pair in pairing.pairs}
    if usual == "masks":
        raw = {pair.id: {"instances": [*_masks(pair).values()]} for pair in pairing.pairs}
    if usual in ("masks", "instances"):
        pairing.notes.append(
            f'one mask an object: together they are the label "{OBJECT}"; rename it'
        )
        return Naming({OBJECT: 1}, raw=raw)
    return _pictures(pairing, threshold)


def _kind(label: RawLabel) -> str:
    """The form of a label, in a word."""
    if isinstance(label, Path):
        return "a file"
    return "drawn" if any(kind in label for kind in _DRAWN) else next(iter(label))


def _masks(pair: Pair) -> Mapping[str, Path]:
    """The masks of a pair by structure."""
    assert isinstance(pair.label, dict)
    masks: Mapping[str, Path] = pair.label["masks"]
    return masks


def _are_objects(pairing: Pairing) -> bool:
    """Whether masks are single objects: numbered, or called differently in each case."""
    counts = Counter(name for pair in pairing.pairs for name in _masks(pair))
    numbered = all(name.isdecimal() for name in counts)
    return numbered or (len(pairing.pairs) > 1 and max(counts.values()) == 1)


def _structures(pairing: Pairing) -> Naming:
    """One mask a structure: the labels are the files' names."""
    names = sorted({name for pair in pairing.pairs for name in _masks(pair)})
    labels = {_allowed(name): n for n, name in enumerate(names, 1)}
    raw: dict[str, RawLabel] = {
        pair.id: {"masks": {_allowed(name): file for name, file in _masks(pair).items()}}
        for pair in pairing.pairs
    }
    pairing.notes.append(f"one mask a structure: {len(labels)} labels by their files' names")
    return Naming(labels, raw=raw)


def _drawn(pairing: Pairing, wanted: Sequence[str] | None) -> Naming:
    """Structures of RTSTRUCT or SEG files; names that differ in case and blanks are one."""
    of_pair: dict[str, dict[str, str]] = {}
    for pair in pairing.pairs:
        assert isinstance(pair.label, dict)
        (file,) = pair.label.values()
        facts = describe_drawing(file)
        names = facts.names if facts else ()
        of_pair[pair.id] = {_plain(name): name for name in names}
    counts = Counter(key for names in of_pair.values() for key in names)
    spelled = {key: name for names in reversed(of_pair.values()) for key, name in names.items()}
    keys = sorted(counts) if wanted is None else [_plain(name) for name in wanted]
    keys = [key for key in keys if key in counts]
    if not keys:
        there = ", ".join(f"{spelled[key]} in {count}" for key, count in counts.most_common(20))
        raise DataError("no structure of that name is drawn", hint=f"there are {there or 'none'}")
    raw: dict[str, RawLabel] = {}
    for pair in pairing.pairs:
        own = of_pair[pair.id]
        form = {**pair.label, "structures": [own.get(key) for key in keys]}  # type: ignore[dict-item]
        if wanted is not None:
            form["priority"] = [own[key] for key in keys if key in own]
        raw[pair.id] = form
    told = ", ".join(f"{spelled[key]} in {counts[key]}" for key in keys)
    pairing.notes.append(f"structures and the cases that have them: {told}")
    return Naming({_allowed(spelled[key]): n for n, key in enumerate(keys, 1)}, raw=raw)


def _pictures(pairing: Pairing, threshold: float | None) -> Naming:
    """Files of integers; pictures in colours get a table, and a JPEG its threshold."""
    naming = Naming(raw={pair.id: pair.label for pair in pairing.pairs})
    masks = [
        (pair, pair.label)
        for pair in pairing.pairs
        if isinstance(pair.label, Path) and kind_of(pair.label) == "picture"
    ]
    for pair, file in masks:
        if threshold is not None and file.suffix.lower() in JPEG:
            naming.raw[pair.id] = {"mask": file, "threshold": threshold}
    exact = [(pair, file) for pair, file in masks if file.suffix.lower() not in JPEG]
    if not any(_in_colours(file) for _, file in exact):
        return naming
    found: set[Colour] = set()
    for pair, file in exact:
        try:
            found |= {colour for colour, _ in picture_colours(file)}
        except DataError as error:
            pairing.leave(file, error.line())
            pairing.pairs.remove(pair)
    table = sorted(found - {(0, 0, 0)})
    if not table or len(table) > MOST_COLOURS:
        raise DataError(
            f"the masks have {len(found)} colours that could be classes",
            hint="save them without soft edges, as PNG with one channel",
        )
    for number, colour in enumerate(table, 1):
        name = "colour_" + "".join(f"{part:02x}" for part in colour)
        naming.labels[name], naming.colours[name] = number, list(colour)
    told = ", ".join(f"{list(colour)} is {n}" for n, colour in enumerate(table, 1))
    pairing.notes.append(
        f"the masks are in colours, black is background: {told}; rename the labels"
    )
    return naming


def _in_colours(file: Path) -> bool:
    """Whether a mask is in colours, or has an alpha channel, which needs a look at them."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.mode not in ("RGB", "RGBA", "LA"):
                return False
            bands = image.convert("RGB").split()
            same = all(band.tobytes() == bands[0].tobytes() for band in bands[1:])
            return image.mode != "RGB" or not same
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return False  # told when it is read


def _plain(name: str) -> str:
    """A name without case and blanks, by which people take two for one."""
    return "".join(name.lower().split())


def _allowed(name: str) -> str:
    """A name that a manifest takes: `$`, `@` and `%` at its start would be evaluated."""
    return re.sub(r"^[$@%]+", "", name) or "structure"
