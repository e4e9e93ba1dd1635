"""Labels that are no file of integers: one mask an object or a structure, colours, a JPEG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError, GeometryError
from pipeline.io import Volume, corner_distance, read_label
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS

BACKGROUND = "background"
BLACK = (0, 0, 0)

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PartsLabel:
    """Masks of single objects or structures that together become a label map.

    Args:
        files: One mask each; what is not 0 counts. A folder stands for the files in it.
        integers: What each of them is in the label map; a later one paints over earlier ones.
    """

    files: tuple[Path, ...]
    integers: tuple[int, ...]

    def read(self) -> Volume:
        """Return the label map `(*S)` of the grid that all masks share.

        Raises:
            DataError: No mask, or one that cannot be read or has another size.
            GeometryError: Masks on different grids.
        """
        first: Volume | None = None
        for file, integer in self.masks:
            mask = read_label(file)
            if first is None:
                wide = np.uint8 if max(self.integers) < 2**8 else np.uint16
                first = Volume(np.zeros(mask.shape, wide), mask.affine)
            _refuse_other_grid(file, mask, first)
            first.array[mask.array != 0] = integer
        if first is None:
            raise DataError(f"{self.files[0]}: no mask in it", hint="take the case out")
        return first

    def facts(self) -> dict[str, Any]:
        """Return what makes the label map, without any path; for hashes."""
        return {"parts": list(self.integers)}

    def to_row(self) -> dict[str, Any]:
        """Return the plain form, as a data list holds it."""
        return {"parts": [str(file) for file in self.files], "integers": list(self.integers)}

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> "PartsLabel":
        """Undo `to_row`, also after a loader made tensors of its numbers."""
        files = tuple(Path(file) for file in row["parts"])
        return PartsLabel(files, tuple(int(n) for n in row["integers"]))

    @property
    def masks(self) -> list[tuple[Path, int]]:
        """Each mask and its integer; hidden files of a folder are left out."""
        found = []
        for file, integer in zip(self.files, self.integers, strict=True):
            inside = sorted(file.iterdir()) if file.is_dir() else [file]
            found += [(path, integer) for path in inside if not path.name.startswith(".")]
        return found


@dataclass(frozen=True, slots=True)
class PictureLabel:
    """A picture whose colours are classes, a JPEG of two levels, or one page of several.

    Args:
        file: The picture.
        colours: Red, green, blue and the integer that they mean.
        threshold: From which grey level on a JPEG is foreground; None: it is none.
        page: Of several, from 1; None: it has one.
    """

    file: Path
    colours: tuple[tuple[int, int, int, int], ...] = ()
    threshold: float | None = None
    page: int | None = None

    def read(self) -> Volume:
        """Return the label map `(rows, columns)`.

        Raises:
            DataError: As `pipeline.io.read_label`; a colour that means nothing.
        """
        if not self.colours:
            return read_label(self.file, threshold=self.threshold, page=self.page)
        from pipeline.io.picture_label import read_picture_label

        table = {(red, green, blue): integer for red, green, blue, integer in self.colours}
        return read_picture_label(self.file, colours=table, page=self.page)

    def facts(self) -> dict[str, Any]:
        """Return what makes the label map, without any path; for hashes."""
        return {key: value for key, value in self.to_row().items() if key != "picture"}

    def to_row(self) -> dict[str, Any]:
        """Return the plain form, as a data list holds it."""
        row: dict[str, Any] = {"picture": str(self.file), "integers": [1]}
        if self.colours:
            row["colours"] = [list(colour[:3]) for colour in self.colours]
            row["integers"] = [colour[3] for colour in self.colours]
        more = {"threshold": self.threshold, "page": self.page}
        return row | {key: value for key, value in more.items() if value is not None}

    @staticmethod
    def from_row(row: Mapping[str, Any]) -> "PictureLabel":
        """Undo `to_row`, also after a loader made tensors of its numbers."""
        colours = zip(row.get("colours", ()), row["integers"], strict=False)
        given, page = row.get("threshold"), row.get("page")
        return PictureLabel(
            Path(row["picture"]),
            tuple((int(red), int(green), int(blue), int(n)) for (red, green, blue), n in colours),
            None if given is None else float(given),
            None if page is None else int(page),
        )


class Composition:
    """Says what a manifest's forms of labels mean, by its labels and colours.

    Args:
        labels: Foreground names and integers.
        colours: Name to red, green, blue, of all label files; None: they hold integers. Black is
            background where no name has it.
        path: The manifest, for errors.

    Raises:
        DataError: A colour of no label, or one colour for two.
    """

    def __init__(
        self, labels: Mapping[str, int], colours: Mapping[str, Sequence[int]] | None, path: Path
    ) -> None:
        self.labels = labels
        self.path = path
        self.colours = self._table(colours) if colours else ()

    def label(
        self, raw: str | Mapping[str, Any], find: Callable[[str], Path]
    ) -> Path | PartsLabel | PictureLabel:
        """Return the label of a case.

        Args:
            raw: As the manifest has it: a file, or an object with `instances`, `masks` or `mask`.
            find: From a path in the manifest to the file.

        Raises:
            DataError: Instances of more than one label, or a mask of no label.
        """
        if isinstance(raw, str):
            file = find(raw)
            return PictureLabel(file, self.colours) if self.colours else file
        if "mask" in raw:
            cut = raw.get("threshold")
            colours = self.colours if cut is None else ()
            return PictureLabel(find(raw["mask"]), colours, cut, raw.get("page"))
        if "instances" in raw:
            return self._instances(raw["instances"], find)
        return self._structures(raw["masks"], find)

    def _instances(self, given: str | list[str], find: Callable[[str], Path]) -> PartsLabel:
        """Masks of objects of the only class."""
        if len(self.labels) != 1:
            raise DataError(
                f"manifest {self.path}: instances need one label, {len(self.labels)} are declared",
                hint="declare one, or give masks by their label's name",
            )
        (integer,) = self.labels.values()
        files = [given] if isinstance(given, str) else given
        return PartsLabel(tuple(find(file) for file in files), (integer,) * len(files))

    def _structures(self, given: str | dict[str, str], find: Callable[[str], Path]) -> PartsLabel:
        """Masks of structures, by the names of the labels."""
        if isinstance(given, str):
            given = {name: given.replace("{label}", name) for name in self.labels}
        unknown = [name for name in given if name not in self.labels]
        if unknown:
            raise DataError(
                f'manifest {self.path}: a mask of "{unknown[0]}", which is no label',
                hint=f"declared are {', '.join(self.labels)}",
            )
        return PartsLabel(
            tuple(find(file) for file in given.values()), tuple(self.labels[n] for n in given)
        )

    def _table(self, colours: Mapping[str, Sequence[int]]) -> tuple[tuple[int, int, int, int], ...]:
        """Colours and their integers."""
        table: dict[Colour, int] = {}
        for name, given in colours.items():
            red, green, blue = given
            if name not in self.labels and name != BACKGROUND:
                raise DataError(
                    f'manifest {self.path}: a colour for "{name}", which is no label',
                    hint=f"declared are {', '.join(self.labels)} and {BACKGROUND}",
                )
            if (red, green, blue) in table:
                raise DataError(
                    f"manifest {self.path}: the colour {list(given)} is given twice",
                    hint="give each label its own colour",
                )
            table[red, green, blue] = self.labels.get(name, 0)
        table.setdefault(BLACK, 0)
        return tuple((*colour, integer) for colour, integer in table.items())


def _refuse_other_grid(file: Path, mask: Volume, first: Volume) -> None:
    """Refuse a mask that does not lie on the grid of those before it."""
    if mask.shape != first.shape:
        raise DataError(
            f"{file}: size {mask.shape}, the masks before it {first.shape}",
            hint="all masks of a case need one size",
        )
    if mask.affine is None or first.affine is None:
        return
    apart = corner_distance(mask.affine, first.affine, first.shape)
    if apart > GRID_TOLERANCE_VOXELS:
        raise GeometryError(
            f"{file}: {apart:.2f} voxels away from the masks before it at a corner",
            hint="all masks of a case need one grid",
        )
