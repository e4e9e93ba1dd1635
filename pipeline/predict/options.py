"""How one case is to be predicted: all that `unetworks predict` lets a user choose about it."""

from dataclasses import dataclass
from math import inf
from typing import Final

from pipeline.errors import InvalidValueError, UnknownNameError

RESAMPLINGS: Final = ("label", "logits")
BODY_BOXES: Final = ("even", "lattice", "off")
PRECISIONS: Final = ("fp32", "bf16", "fp16", "int8")
LEVELS: Final = ("1", "2", "3", "4", "accurate")


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How a case is predicted.

    Attributes:
        overlap: Share of a window that the next one covers again, 0 to below 1; None: the plan's.
        mirror: Take the mean of the logits over flips of all axes: 8 forwards a window, 4 in 2D.
        level: Of a UNet++: the head `1` to `4`, or `accurate` for the mean of all; None: the best.
        probabilities: None: none are kept; else the classes' names, empty for all.
        resample: What goes back to the source's grid: `label`, the nearest voxel's, or `logits`,
            interpolated linearly before the decision.
        body_box: Windows lie over the body: `even`ly spread, on the whole scan's `lattice`, or
            `off`, everywhere; None: even for CT volumes, else off.
        max_ram_gib: Limit of the whole process, in GiB; None: no limit.
        engine: `auto` measures and takes the fastest that agrees; else one by its name.
        precision: `fp32`, `bf16`, `fp16` or `int8`; None: the engine's best that agrees.
        agreement: What `auto` demands of an engine's labels against fp32's: the share of equal
            voxels among all, and among the foreground.
        force_modality: Predict a scan of another modality than the training's.
        mended: Post-processing follows: the plan of the memory leaves room for it.

    Raises:
        InvalidValueError: A number outside its range.
        UnknownNameError: A word that is none of those above.
    """

    overlap: float | None = None
    mirror: bool = False
    level: str | None = None
    probabilities: tuple[str, ...] | None = None
    resample: str = "label"
    body_box: str | None = None
    max_ram_gib: float | None = None
    engine: str = "auto"
    precision: str | None = None
    agreement: tuple[float, float] = (0.9995, 0.995)
    force_modality: bool = False
    mended: bool = False

    def __post_init__(self) -> None:
        """Refuse what no case could be predicted with."""
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise InvalidValueError(f"overlap is {self.overlap}", hint="give 0 to 0.9")
        if self.max_ram_gib is not None and not 0 < self.max_ram_gib < inf:
            raise InvalidValueError(
                f"the memory limit is {self.max_ram_gib} GiB", hint="give 1 or more"
            )
        if not all(0 < share <= 1 for share in self.agreement):
            raise InvalidValueError(
                f"the agreement is {self.agreement}", hint="give shares such as 0.9995 and 0.995"
            )
        for name, value, known in (
            ("level", self.level, LEVELS),
            ("resample", self.resample, RESAMPLINGS),
            ("body box", self.body_box, BODY_BOXES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value is not None and value not in known:
                raise UnknownNameError(f"{name} is {value!r}", hint=f"use {', '.join(known)}")
