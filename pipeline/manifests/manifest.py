"""What a data set is to the rest of the program: its labels, its cases and how they are divided."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.manifests.label import Label, file_of_label, files_of_label

Part = Literal["train", "val", "test"]
Head = Literal["softmax", "sigmoid"]
Window = str | tuple[float, float] | None
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Case:
    """One image, with its label where there is one.

    Args:
        id: Name that no other case has; also the name of its mask.
        image: A file or a DICOM folder; several files are channels.
        label: File of integers, or structures drawn on the image; None for a case to predict
            only.
        patient: Pseudonym; cases of one patient are never divided between parts.
        part: Where the manifest's `split` puts it; None where only folds are given.
        series: Number or UID of the series, for a folder that holds several.
    """

    id: str
    image: Path | tuple[Path, ...]
    label: Label | None
    patient: str
    part: Part | None = None
    series: str | int | None = None

    @property
    def images(self) -> tuple[Path, ...]:
        """The image's files, one for each channel."""
        return self.image if isinstance(self.image, tuple) else (self.image,)

    @property
    def label_file(self) -> Path | None:
        """The file that the label is read from."""
        return None if self.label is None else file_of_label(self.label)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files and folders of the case, the label's last."""
        return self.images if self.label is None else (*self.images, *files_of_label(self.label))

    @property
    def label_facts(self) -> bool | dict[str, object]:
        """What a hash says of the label: whether it is there, and what makes it of its files."""
        if self.label is None or isinstance(self.label, Path):
            return self.label is not None
        return self.label.facts()


@dataclass(frozen=True, slots=True)
class Fold:
    """Ids of one fold: `test` is held out and only reported; `val`, mostly empty, chooses."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A data set with its paths resolved.

    Args:
        name: Name of the set and of its folder below `UNETWORKS_DATA`.
        path: The manifest's file.
        modality: One for all channels, or one for each.
        labels: Foreground names and their integers in the label files, in declared order.
        regions: Names and the integers that make each, overlapping; None for a plain label map.
        head: `softmax` over background and labels, `sigmoid` over regions or a single label.
        cases: All cases, in declared order.
        folds: Those of the manifest or of its splits file; empty without.
        roots: Folders in which relative paths were looked for, in that order.
        window: CT window that suits the task: its name, or level and width in HU.
        spatial_dims: 2 for pictures, 3 for volumes.
    """

    name: str
    path: Path
    modality: str | tuple[str, ...]
    labels: dict[str, int]
    regions: dict[str, tuple[int, ...]] | None
    head: Head
    cases: tuple[Case, ...]
    folds: tuple[Fold, ...] = ()
    roots: tuple[Path, ...] = ()
    window: Window = None
    spatial_dims: int = 3
    description: str = ""
    licence: str = ""
    citation: str = ""
    url: str | None = None
    checksum: str | None = None

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of what is segmented: the regions, else the labels."""
        return tuple(self.labels if self.regions is None else self.regions)

    @property
    def values(self) -> tuple[tuple[int, ...], ...]:
        """The integers of each foreground name, in its order."""
        if self.regions is not None:
            return tuple(self.regions.values())
        return tuple((integer,) for integer in self.labels.values())

    @property
    def integers(self) -> tuple[int, ...]:
        """All integers that a label file may hold, 0 first."""
        return tuple(
            sorted({0, *self.labels.values(), *(v for group in self.values for v in group)})
        )

    @property
    def out_channels(self) -> int:
        """K for a sigmoid head, K + 1 for a softmax with its background."""
        return len(self.foreground) + (self.head == "softmax")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what the set says, without any path: the same wherever the manifest goes."""
        facts = {
            "name": self.name,
            "modality": self.modality,
            "labels": list(self.labels.items()),
            "regions": list((self.regions or {}).items()),
            "head": self.head,
            "window": self.window,
            "cases": [
                [case.id, case.patient, case.part, case.series, case.label_facts]
                for case in sorted(self.cases, key=lambda case: case.id)
            ],
            "folds": [
                [sorted(ids) for ids in (fold.train, fold.val, fold.test)] for fold in self.folds
            ],
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def part(self, part: Part, fold: int | None = None) -> list[Case]:
        """Cases that train, that choose the weights (`val`) or that are reported (`test`).

        What a fold holds out plays the part of `test`, so its `val` is empty unless the
        manifest names cases for it. Cases of `test` may have no label.

        Args:
            part: `train`, `val` or `test`.
            fold: Number of a fold, from 0; None: the manifest's `split`.

        Raises:
            UnknownNameError: No such part.
            InvalidValueError: No such fold, or no division without one.
        """
        if part not in PARTS:
            raise UnknownNameError(f'unknown part "{part}"', hint=f"choose from {', '.join(PARTS)}")
        if fold is None:
            self._require_split()
            return [case for case in self.cases if case.part == part]
        chosen = set(getattr(self._fold(fold), part))
        return [case for case in self.cases if case.id in chosen]

    def _fold(self, fold: int) -> Fold:
        """The fold of that number, if there is one."""
        if not self.folds:
            raise InvalidValueError(
                f"fold {fold} asked for, but manifest {self.name} has no folds",
                hint=f"leave fold out, or make folds: unetworks data split {self.path} --folds 5",
            )
        if not 0 <= fold < len(self.folds):
            raise InvalidValueError(
                f"manifest {self.name} has no fold {fold}",
                hint=f"choose from 0 to {len(self.folds) - 1}",
            )
        return self.folds[fold]

    def _require_split(self) -> None:
        """Refuse to divide by a split that says nothing."""
        parts = {case.part for case in self.cases}
        if self.folds and not parts & {"val", "test"}:
            raise InvalidValueError(
                f"manifest {self.name} has {len(self.folds)} folds and no split",
                hint="choose a fold: --fold 0",
            )
        if parts == {None}:
            raise InvalidValueError(
                f"manifest {self.name} says of no case whether it is train, val or test",
                hint=f"divide it: unetworks data split {self.path} --folds 5",
            )
