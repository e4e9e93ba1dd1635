"""Who is in the phantom: ids, seeds, parts. The committed manifest lists the same."""

from dataclasses import dataclass
from typing import Final, Literal

from pipeline.phantom.patient import LABELS

NAME: Final = "phantom"
VERSION: Final = 1  # a new one whenever a voxel or a member changes: it names the cache folder
FIRST_SEED: Final = 1000
PARTS: Final[dict["Part", int]] = {"train": 24, "val": 5, "test": 6}

Part = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Member:
    """One patient of the set.

    Args:
        id: `phantom_001` and on; also the patient's.
        seed: For `draw_patient`.
        part: What the patient serves for.
    """

    id: str
    seed: int
    part: Part

    @property
    def image(self) -> str:
        """Path of the scan in the phantom's folder."""
        return f"images/{self.id}.nii.gz"

    @property
    def label(self) -> str:
        """Path of the label map in the phantom's folder."""
        return f"labels/{self.id}.nii.gz"

    @property
    def series(self) -> str | None:
        """Folder of the DICOM series in the phantom's folder; test patients only."""
        return f"dicom/{self.id}" if self.part == "test" else None


def cohort() -> tuple[Member, ...]:
    """All members, in the order of their ids."""
    parts = [part for part, count in PARTS.items() for _ in range(count)]
    return tuple(
        Member(f"{NAME}_{number:03d}", FIRST_SEED + number, part)
        for number, part in enumerate(parts, 1)
    )


def manifest_document() -> dict[str, object]:
    """What `data_manifests/phantom.json` says, for the check that it says so."""
    cases = [
        {"id": m.id, "image": m.image, "label": m.label, "patient": m.id, "split": m.part}
        for m in cohort()
    ]
    return {
        "name": NAME,
        "description": "Generated CT of the upper abdomen with six labelled structures",
        "modality": "CT",
        "licence": "CC0-1.0",
        "generator": NAME,
        "labels": dict(LABELS),
        "cases": cases,
    }
