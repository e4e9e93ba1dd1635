"""Structures painted into one label map: overlaps are refused unless an order is given."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.io.values import Array
from pipeline.io.volume import Affine, Volume

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """What a user may say about how structures become labels.

    Args:
        rois: Names or numbers, which get the labels 1, 2, ... in this order; none: all.
        integers: Labels of the `rois`, instead of 1, 2, ...
        threshold: Share from which on a fractional segment counts.
        priority: Names, the strongest first; given, overlaps are decided by it.
        force_frame: Accept another frame of reference or series.
        resample: Bring a segmentation from another grid by nearest neighbour.
        channels: One channel a structure instead of one label map.
    """

    rois: tuple[str | int, ...] = ()
    integers: tuple[int, ...] = ()
    threshold: float = 0.5
    priority: tuple[str, ...] = ()
    force_frame: bool = False
    resample: bool = False
    channels: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """A label map `(i, j, k)`, or `(i, j, k, C)` by channels, with the integer of every name."""

    volume: Volume
    names: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A named structure that gives its masks `(columns, rows)` slice by slice."""

    number: int
    name: str
    planes: dict[int, Mask]

    def __iter__(self) -> Iterator[tuple[int, Mask]]:
        """Yield slice index and mask."""
        return iter(self.planes.items())


def plain_name(name: str) -> str:
    """Return a name without case and blanks, by which people take two for one."""
    return "".join(name.lower().split())


def select(names: dict[int, str], wanted: Sequence[str | int], path: object) -> list[int]:
    """Return the numbers of the structures asked for, all of them if none is.

    Raises:
        DataError: Unknown, or a name that fits several.
    """
    listed = ", ".join(f"[{number}] {name}" for number, name in list(names.items())[:30])
    if not wanted:
        counts = Counter(plain_name(name) for name in names.values())
        twice = [f"[{n}] {name}" for n, name in names.items() if counts[plain_name(name)] > 1]
        if twice:
            raise DataError(
                f"{path}: names that stand for several structures: {', '.join(twice)}",
                hint="pick by number with --roi N ...",
            )
        return list(names)
    chosen = []
    for wish in wanted:
        text = str(wish).strip()
        fits = [number for number in names if str(number) == text] or [
            number for number, name in names.items() if plain_name(name) == plain_name(text)
        ]
        if len(fits) != 1:
            what = f"{len(fits)} structures are called" if fits else "no structure is called"
            raise DataError(
                f"{path}: {what} {text!r}; there are {listed}", hint="pick by number with --roi N"
            )
        chosen.append(fits[0])
    if len(set(chosen)) < len(chosen):
        raise DataError(f"{path}: one structure is asked for twice", hint="name each once")
    return chosen


def paint(
    structures: Sequence[Structure],
    affine: Affine,
    shape: tuple[int, int, int],
    choice: LabelChoice,
    path: object,
) -> tuple[Array, dict[str, int]]:
    """Return the label map and the integer of each structure, as chosen or in order from 1.

    Raises:
        DataError: Two structures overlap and no priority says which one counts.
    """
    kind = np.uint8 if len(structures) < 256 else np.uint16
    integers = choice.integers or tuple(range(1, len(structures) + 1))
    names = {
        _label_name(one, structures): integer
        for one, integer in zip(structures, integers, strict=True)
    }
    if choice.channels:
        stacked = np.zeros((*shape, len(structures)), np.uint8)
        for index, one in enumerate(structures):
            for k, mask in one:
                stacked[:, :, k, index] |= mask
        return stacked, names
    out = np.zeros(shape, kind)
    overlaps: Counter[tuple[int, int]] = Counter()
    for layer in _order(structures, choice.priority, path):
        for k, mask in structures[layer]:
            under = out[:, :, k][mask]
            for label, count in enumerate(np.bincount(under)[1:].tolist(), 1):
                if count:
                    overlaps[(label - 1, layer)] += count
            out[:, :, k][mask] = layer + 1
    if overlaps and not choice.priority:
        (under_it, over_it), count = overlaps.most_common(1)[0]
        raise DataError(
            f"{path}: {structures[under_it].name} and {structures[over_it].name} overlap in "
            f"{count} voxels",
            hint="give an order with --priority NAME ..., or pick with --roi",
        )
    return _numbered(out, choice.integers), names


def _numbered(layers: Array, integers: Sequence[int]) -> Array:
    """Return layers 0, 1, 2, ... as 0 and the integers given for them, in their smallest type."""
    if not integers:
        return layers
    table = np.array([0, *integers])
    kind = next(k for k in (np.uint8, np.uint16, np.int32) if table.max() <= np.iinfo(k).max)
    return np.asarray(table.astype(kind)[layers.astype(np.intp)])


def _label_name(one: Structure, structures: Sequence[Structure]) -> str:
    same = sum(plain_name(other.name) == plain_name(one.name) for other in structures)
    return one.name if same == 1 else f"{one.name} [{one.number}]"


def _order(structures: Sequence[Structure], priority: Sequence[str], path: object) -> list[int]:
    """Return indices so that the strongest is painted last."""
    ranks = {plain_name(name): rank for rank, name in enumerate(priority)}
    known = {plain_name(one.name) for one in structures}
    for name in priority:
        if plain_name(name) not in known:
            raise DataError(f"{path}: no structure {name!r} to give a priority", hint="see --roi")
    weakest = len(ranks)
    return sorted(
        range(len(structures)),
        key=lambda index: (-ranks.get(plain_name(structures[index].name), weakest), index),
    )
