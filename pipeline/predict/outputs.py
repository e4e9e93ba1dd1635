"""What a prediction writes of a case: the mask, probabilities, `CASE.json`; each whole or not."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bundles.export import versions
from pipeline.bundles.record import INTENDED_USE
from pipeline.bundles.weights import sha256
from pipeline.errors import InvalidValueError
from pipeline.io import atomic_path, left_drafts, write_nifti, write_picture
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.postprocess import Mending
from pipeline.predict.segment import Segmented
from pipeline.settings import cache_dir

FILES = (".nii.gz", ".nii", ".png")


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a case, all beside its mask."""

    mask: Path

    @property
    def stem(self) -> str:
        """The mask's name without its suffix."""
        name = self.mask.name
        return next(name.removesuffix(s) for s in (*FILES, "") if name.endswith(s))

    @property
    def record(self) -> Path:
        """What made the mask."""
        return self.mask.with_name(f"{self.stem}.json")

    @property
    def probabilities(self) -> Path:
        """The named classes' probabilities."""
        return self.mask.with_name(f"{self.stem}_prob.nii.gz")

    def refuse_others(self, *, known: bool = False) -> None:
        """Refuse to replace a file that no prediction wrote: a scan, or a mask edited by hand.

        The record of a prediction is written before its mask, and tells.

        Args:
            known: The ledger says that the mask was predicted: a record that is gone is no sign.

        Raises:
            InvalidValueError: There is one.
        """
        there = [f for f in (self.mask, self.record, self.probabilities) if f.exists()]
        if there and not self._predicted(known):
            raise InvalidValueError(
                f"{there[0]} is there already, and no prediction wrote it as it is",
                hint="name another output",
            )

    def mask_sha256(self) -> dict[str, str]:
        """What the record says of the mask, so that one changed by hand is known."""
        return {"mask_sha256": sha256(self.mask)}

    @contextmanager
    def claimed(self, record: Mapping[str, Any]) -> Iterator[None]:
        """Write the record, which says whose the mask is; remove it if there comes none."""
        write_json(self.record, record)
        try:
            yield
        finally:
            if not self.mask.exists():
                self.record.unlink(missing_ok=True)

    def _predicted(self, known: bool) -> bool:
        """Whether the record says that a prediction wrote the mask, as it is."""
        try:
            record = json.loads(self.record.read_text())
        except FileNotFoundError:
            return known
        except (OSError, ValueError):
            return False
        if not isinstance(record, dict) or record.get("mask") != self.mask.name:
            return False
        wanted = record.get("mask_sha256")  # missing while the mask is being written
        return wanted is None or not self.mask.is_file() or sha256(self.mask) == wanted

    def remove_drafts(self) -> None:
        """Remove what a killed process was about to write under these names."""
        for target in (self.mask, self.record, self.probabilities):
            for draft in left_drafts(target):
                draft.unlink(missing_ok=True)


def mask_paths(output: str | Path, cases: Sequence[InputCase], *, pictures: bool) -> list[Path]:
    """Where each case's mask goes: OUTPUT itself for one case and a file's name, else below it.

    Raises:
        InvalidValueError: Several cases and the name of one file, or a picture's suffix for a
            scan and the reverse.
    """
    path = Path(output)
    suffix = next((s for s in FILES if path.name.endswith(s)), None)
    wanted = ".png" if pictures else ".nii.gz"
    if suffix is None:
        return [path / f"{case.id}{wanted}" for case in cases]
    if len(cases) > 1:
        raise InvalidValueError(
            f"{len(cases)} cases and one output file {output}", hint="give a folder"
        )
    if (suffix == ".png") != pictures:
        raise InvalidValueError(f"{output} for a {wanted} mask", hint=f"give a name in {wanted}")
    return [path]


def write_mask(path: Path, result: Segmented, model: Model) -> None:
    """Write a mask: NIfTI on the source's grid, or PNG (0 and 255 where there is one class)."""
    if result.affine is not None:
        write_nifti(path, result.mask, result.affine)
        return
    mask = result.mask
    if mask.ndim == 3:
        mask = of_regions(mask, list(model.classes.values()))
    if len(model.classes) == 1:
        mask = np.where(mask > 0, 255, 0).astype(np.uint8)
    write_picture(path, mask)


def of_regions(
    regions: NDArray[np.uint8], groups: Sequence[Sequence[int]]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the integers `(*S)` of regions `(*S, R)` that overlap: one picture holds no more.

    A region is a group of integers; a pixel gets the one that lies in exactly its regions, or in
    most of them where the network has drawn what no integer means.
    """
    integers = [*sorted({value for group in groups for value in group}), 0]
    table = np.array([[value in group for group in groups] for value in integers])
    patterns, which = np.unique(
        regions.reshape(-1, len(groups)).astype(bool), axis=0, return_inverse=True
    )
    nearest = (patterns[:, None] != table).sum(-1).argmin(1)
    dtype = np.uint8 if max(integers) <= 255 else np.uint16
    found = np.array(integers, dtype)[nearest][which.reshape(-1)]
    return found.reshape(regions.shape[:-1])  # type: ignore[no-any-return]


def write_probabilities(path: Path, result: Segmented) -> None:
    """Write probabilities that were kept: uint8 with scl_slope 1/255, classes in the last axis."""
    if result.probabilities is None or result.affine is None:
        return
    write_nifti(path, result.probabilities, result.affine, slope=1 / 255)


def case_record(
    case: InputCase,
    mask: Path,
    result: Segmented,
    models: Sequence[Model],
    steps: Mapping[str, Mending] | None = None,
) -> dict[str, Any]:
    """Return what `CASE.json` holds; no path above INPUT or OUTPUT, nothing of a patient.

    Args:
        case: Its files.
        mask: Where its mask is.
        result: What led to it.
        models: That predicted it.
        steps: How the mask was mended.
    """
    model = models[0]
    engines = result.engines or (("torch", "fp32" if model.device.type == "cpu" else "autocast"),)
    return {
        "case": case.id,
        "input": case.shown,
        "mask": mask.name,
        "bundles": [{"name": m.name, "sha256": m.digest} for m in models],
        "labels": {name: group[0] for name, group in model.classes.items()},
        **({"regions": {k: list(v) for k, v in model.classes.items()}} if _regions(model) else {}),
        "engine": ", ".join(dict.fromkeys(name for name, _ in engines)),
        "precision": ", ".join(dict.fromkeys(precision for _, precision in engines)),
        "why": [line.replace(str(cache_dir()), "the cache") for line in result.why],
        "device": str(model.device),
        "plan": {k: v for k, v in model.plan.items() if k != "why"},
        "windows": result.windows,
        "memory": None if result.memory is None else result.memory.record,
        "body_box": result.box,
        "postprocess": {name: asdict(mending) for name, mending in (steps or {}).items()},
        "counts": counts(result, model),
        "seconds": result.seconds,
        "peak_memory_gib": round(result.peak_gib, 3),
        "warnings": result.warnings,
        "versions": versions(),
        "intended_use": INTENDED_USE,
    }


def counts(result: Segmented, model: Model) -> dict[str, dict[str, float]]:
    """Voxels and ml of each class; ml only where there is an affine."""
    ml = None if result.affine is None else abs(float(np.linalg.det(result.affine[:3, :3]))) / 1000
    found = {}
    for index, (name, group) in enumerate(model.classes.items()):
        if _regions(model):
            voxels = int(np.count_nonzero(result.mask[..., index]))
        else:
            voxels = int(np.count_nonzero(result.mask == group[0]))
        found[name] = {"voxels": voxels, **({} if ml is None else {"ml": round(voxels * ml, 3)})}
    return found


def _regions(model: Model) -> bool:
    return bool(model.facts["head"] == "sigmoid" and len(model.classes) > 1)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON by one rename."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
