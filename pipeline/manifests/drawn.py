"""Structures of an RTSTRUCT or SEG named in a manifest, and the integers that they become."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.manifests.label import DrawnLabel, Kind
from pipeline.manifests.parts import Composition


class Scheme:
    """Says which integer a structure becomes, by the names or the order of a manifest's labels.

    Where all structures are called as labels, without regard to case and blanks, their names
    count, and so it is without `structures`. Else the first is the first label, and so on; null
    stands for a label that this case does not have.

    Args:
        labels: Names and integers as the manifest declares them, background or not.
        path: The manifest, for errors.
        colours: Name to red, green, blue, of label files that are pictures in colours.

    Raises:
        DataError: A colour of no label, or one colour for two.
    """

    def __init__(
        self,
        labels: Mapping[str, int],
        path: Path,
        colours: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.labels = {name: integer for name, integer in labels.items() if integer}
        self.path = path
        self.composition = Composition(self.labels, colours, path)

    def drawn(
        self,
        raw: Mapping[str, Any],
        find: Callable[[str], Path],
        image: Path,
        series: str | int | None,
    ) -> DrawnLabel:
        """Return the label of a case.

        Args:
            raw: As the manifest has it, with `rtstruct` or `seg`.
            find: From a path in the manifest to the file.
            image: The series that it was drawn on.
            series: Its number or UID, where `image` holds several.

        Raises:
            DataError: Structures that are called otherwise than the labels, and are more or
                fewer, or in another order.
        """
        kind: Kind = "rtstruct" if "rtstruct" in raw else "seg"
        pairs = self._pairs(raw.get("structures", list(self.labels)), raw[kind])
        options = ("threshold", "force_frame", "resample")
        return DrawnLabel(
            kind=kind,
            file=find(raw[kind]),
            image=image,
            structures=tuple(name for name, _ in pairs),
            integers=tuple(integer for _, integer in pairs),
            series=series,
            priority=tuple(raw.get("priority", ())),
            **{name: raw[name] for name in options if name in raw},
        )

    def _pairs(self, given: Sequence[str | int | None], file: str) -> list[tuple[str | int, int]]:
        """Each structure with its integer."""
        own = {_plain(name): integer for name, integer in self.labels.items()}
        there = [one for one in given if one is not None]
        if there and all(_plain(one) in own for one in there):
            return [(one, own[_plain(one)]) for one in there]
        if len(given) != len(self.labels):
            raise DataError(
                f"manifest {self.path}: {len(given)} structures of {file} for {len(self.labels)} "
                f"labels ({', '.join(self.labels) or 'none are declared'})",
                hint="name one structure for each label, in their order, or null for none",
            )
        for one, name in zip(given, self.labels, strict=True):
            if one is not None and _plain(one) in own and _plain(one) != _plain(name):
                raise DataError(
                    f'manifest {self.path}: the structure "{one}" of {file} stands for the label '
                    f'"{name}", and another label is called so',
                    hint="give the structures in the order of the labels",
                )
        return [
            (one, integer)
            for one, integer in zip(given, self.labels.values(), strict=True)
            if one is not None
        ]


def _plain(name: str | int) -> str:
    """A name without case and blanks; a number is none of a label."""
    return "".join(name.lower().split()) if isinstance(name, str) else f"\0{name}"
