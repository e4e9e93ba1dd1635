"""From a fingerprint to everything a training needs to know: one pure function."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning.augmentation import NO_AUGMENTATION, planned_augmentation
from pipeline.planning.classes import planned_sampling, planned_weights
from pipeline.planning.fingerprint import Fingerprint
from pipeline.planning.geometry import (
    planned_interval,
    planned_patch,
    planned_spacing,
    slice_axis,
)
from pipeline.planning.overrides import Overrides
from pipeline.planning.presets import PRESETS, Preset
from pipeline.planning.windows import window_intervals

NORMALISATIONS = ("window", "zscore")
NORMS = ("batch", "instance", "group", "none")
VARIETY_LIMIT = 0.5  # spread between cases over the spread within a case
WINDOW_MARGIN = 0.5  # of the foreground's range, added at both ends


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training and a prediction do with a data set; `why` holds the rule behind each value.

    Attributes:
        spatial_dims: 2 or 3.
        spacing: mm per voxel, RAS order; None for pictures.
        normalisation: `window` (clip, then to -1..1) or `zscore` (per case and channel).
        window: Lower and upper end per channel for `window`, in the image's unit; else None.
        patch: Training patch and prediction window, in voxels.
        slice_axis: Axis that a 2D network walks along in a volume; None otherwise.
        batch_size: Patches per update.
        epoch_length: Updates per epoch.
        learning_rate: Peak of the schedule.
        norm: Norm of the network.
        class_weights: Weights of the cross-entropy, background first; None: none.
        sampling: Probability that a patch is centred on background and on each class.
        augment: Sizes and probabilities of the random transforms.
        val_interval: Epochs between validations.
        overlap: Overlap of the prediction windows.
        why: A sentence for each value.
    """

    spatial_dims: int
    spacing: tuple[float, ...] | None
    normalisation: str
    window: tuple[tuple[float, float], ...] | None
    patch: tuple[int, ...]
    slice_axis: int | None
    batch_size: int
    epoch_length: int
    learning_rate: float
    norm: str
    class_weights: tuple[float, ...] | None
    sampling: tuple[float, ...]
    augment: Mapping[str, Any]
    val_interval: int
    overlap: float
    why: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        return {k: _plain(v) for k, v in asdict(self).items()}


def make_plan(
    facts: Fingerprint,
    *,
    preset: str = "compact",
    spatial_dims: int = 3,
    memory_gib: float | None = None,
    divisor: int | Sequence[int] = 16,
    overrides: Overrides | None = None,
) -> Plan:
    """Plan a training from the facts of a data set; the same on every machine but for memory.

    Args:
        facts: The fingerprint.
        preset: `compact` or `full`.
        spatial_dims: Of the network; 2 on volumes works slice by slice.
        memory_gib: What the device offers; None: the preset's own assumption.
        divisor: Of the network: every patch axis is a multiple.
        overrides: Values set by the user, each overriding just that one.

    Raises:
        UnknownNameError: An unknown preset, window, norm or normalisation.
        InvalidValueError: 3D asked of pictures, or a value outside its range.
    """
    chosen = PRESETS.get(preset)
    if chosen is None:
        raise UnknownNameError(f"no preset {preset!r}", hint=f"use {' or '.join(PRESETS)}")
    if spatial_dims not in (2, 3):
        raise InvalidValueError(f"spatial_dims is {spatial_dims!r}", hint="use 2 or 3")
    if spatial_dims > facts.dims:
        raise InvalidValueError(
            f"{facts.name} holds 2D pictures and spatial_dims is 3", hint="give --spatial_dims 2"
        )
    draft = _Draft(facts, chosen, spatial_dims, memory_gib, overrides or Overrides())
    return draft.finish(divisor)


class _Draft:
    """Collects the values of a plan, each with its reason."""

    def __init__(
        self,
        facts: Fingerprint,
        preset: Preset,
        dims: int,
        memory_gib: float | None,
        user: Overrides,
    ) -> None:
        self.facts, self.preset, self.dims, self.user = facts, preset, dims, user
        self.voxels, self.voxels_why = preset.voxels(dims, memory_gib)
        self.why: dict[str, str] = {}

    def value(self, name: str, plan: Callable[[], tuple[Any, str]]) -> Any:
        """The user's value of `name`, or the planned one."""
        given = getattr(self.user, name)
        if given is not None:
            self.why[name] = "set by the user"
            return given
        planned, self.why[name] = plan()
        return planned

    def finish(self, divisor: int | Sequence[int]) -> Plan:
        """Put the plan together in the order in which values depend on each other."""
        facts, dims = self.facts, self.dims
        normalisation = self.value("normalisation", self._normalisation)
        _known("normalisation", normalisation, NORMALISATIONS)
        window = self._windows(normalisation)
        spacing = self._spacing()
        shape = self._planned_shape(spacing)
        axis = slice_axis(facts.spacing, shape) if dims < facts.dims else None
        in_plane = tuple(n for i, n in enumerate(shape) if i != axis)
        patch = self._patch(in_plane, divisor)
        batch = int(self.value("batch_size", lambda: self._batch(patch)))
        _above_zero("batch_size", batch)
        length = int(self.value("epoch_length", self._length))
        _above_zero("epoch_length", length)
        norm = self.value("norm", lambda: self._norm(normalisation))
        _known("norm", norm, NORMS)
        rate = float(self.value("learning_rate", lambda: self._rate(norm)))
        _above_zero("learning_rate", rate)
        weights = self._weights()
        augment = self._augment()
        cases, sliced = facts.validation_cases, axis is not None
        interval = int(
            self.value(
                "val_interval",
                lambda: planned_interval(cases, shape, patch, batch * length, sliced=sliced),
            )
        )
        _above_zero("val_interval", interval)
        self.why["sampling"] = (
            "a third of the patches anywhere, the rest centred on classes in turn, "
            "rarer ones more often (share to the power -1/3)"
        )
        return Plan(
            spatial_dims=dims,
            spacing=spacing,
            normalisation=normalisation,
            window=window,
            patch=patch,
            slice_axis=axis,
            batch_size=batch,
            epoch_length=length,
            learning_rate=rate,
            norm=norm,
            class_weights=weights,
            sampling=planned_sampling(facts.shares),
            augment=augment,
            val_interval=interval,
            overlap=0.5,
            why=self.why,
        )

    def _normalisation(self) -> tuple[str, str]:
        if all(m.upper() == "CT" for m in self.facts.modality):
            return "window", "CT: its values are HU and mean the same in each case"
        return (
            "zscore",
            f"{self.facts.modality[0]}: values have no common unit, so each case by itself",
        )

    def _windows(self, normalisation: str) -> tuple[tuple[float, float], ...] | None:
        """Lower and upper end per channel."""
        if normalisation != "window":
            if self.user.window is not None:
                raise InvalidValueError(
                    f"a window was given, but normalisation is {normalisation}",
                    hint="add --normalisation window, or leave --window out",
                )
            return None
        given = self.user.window if self.user.window is not None else self.facts.window
        if given is not None:
            self.why["window"] = "set by the user" if self.user.window else "named in the manifest"
            return window_intervals(given, self.facts.channels)
        self.why["window"] = (
            "percentiles 0.5 and 99.5 of the foreground, widened by half their distance at both "
            "ends, so that what surrounds a structure keeps its contrast"
        )
        return tuple(_widened(i.low, i.high) for i in self.facts.intensity)

    def _spacing(self) -> tuple[float, ...] | None:
        if self.facts.spacing is None:
            self.why["spacing"] = "pictures: spacing is not used"
            return None
        facts_spacing = self.facts.spacing
        given = self.value(
            "spacing",
            lambda: planned_spacing(
                facts_spacing, self.facts.shape, self.voxels, self.preset.context, self.dims
            ),
        )
        if len(given) != 3 or not all(float(s) > 0 for s in given):
            raise InvalidValueError(
                f"spacing is {list(given)}", hint="give three numbers above 0, in mm, x y z"
            )
        return tuple(float(s) for s in given)

    def _planned_shape(self, spacing: tuple[float, ...] | None) -> tuple[int, ...]:
        """The median case on the planned grid."""
        if spacing is None or self.facts.spacing is None:
            return self.facts.shape
        return tuple(
            max(1, round(n * old / new))
            for n, old, new in zip(self.facts.shape, self.facts.spacing, spacing, strict=True)
        )

    def _patch(self, shape: tuple[int, ...], divisor: int | Sequence[int]) -> tuple[int, ...]:
        steps = (divisor,) * self.dims if isinstance(divisor, int) else tuple(divisor)
        patch = self.value("patch", lambda: self._planned_patch(shape, steps))
        patch = tuple(int(n) for n in patch)
        if len(patch) != self.dims:
            raise InvalidValueError(
                f"patch is {list(patch)}",
                hint=f"give {self.dims} numbers for spatial_dims {self.dims}",
            )
        for n, step in zip(patch, steps, strict=True):
            if n < 1 or n % step:
                fits = [max(s, math.ceil(n / s) * s) for n, s in zip(patch, steps, strict=True)]
                raise InvalidValueError(
                    f"patch {list(patch)} does not divide by the network's {list(steps)}",
                    hint=f"use {fits}",
                )
        return patch

    def _planned_patch(
        self, shape: tuple[int, ...], steps: tuple[int, ...]
    ) -> tuple[tuple[int, ...], str]:
        patch = planned_patch(shape, steps, self.voxels)
        return patch, f"shaped like the median case {list(shape)}, {self.voxels_why}"

    def _batch(self, patch: tuple[int, ...]) -> tuple[int, str]:
        room = self.voxels * self.preset.patches[self.dims - 2] // math.prod(patch)
        batch = max(2, min(room, self.preset.largest_batch))
        return batch, f"what fits beside {self.voxels_why}; never below 2"

    def _norm(self, normalisation: str) -> tuple[str, str]:
        spread = f"the cases' means spread {self.facts.variety:g} of the spread within a case"
        if normalisation == "window" and self.facts.variety <= VARIETY_LIMIT:
            return "batch", f"{spread}: alike enough to share statistics"
        return "instance", f"{spread}, {normalisation}: each case keeps its own statistics"

    def _rate(self, norm: str) -> tuple[float, str]:
        rate = self.preset.rates[norm == "batch"]
        return rate, f"{norm} norm with AdamW"

    def _weights(self) -> tuple[float, ...] | None:
        shares = self.facts.shares
        given = self.value("class_weights", lambda: planned_weights(shares, self.facts.head))
        if given is None or given == "none":
            return None
        if isinstance(given, str) or len(given) != self.facts.out_channels:
            raise InvalidValueError(
                f"class_weights is {given!r}",
                hint=f"give {self.facts.out_channels} numbers, background first, or none",
            )
        return tuple(float(w) for w in given)

    def _augment(self) -> dict[str, Any]:
        planned, why = planned_augmentation(self.facts, self.dims)
        given = self.user.augment
        self.why["augment"] = why if given is None else "set by the user"
        if given is False:
            return {**NO_AUGMENTATION}
        if isinstance(given, Mapping):
            for key in given:
                _known("augment", key, tuple(planned))
            return {**planned, **given}
        return planned

    def _length(self) -> tuple[int, str]:
        return self.preset.epoch_length, "the preset's; a state is kept after each epoch"


def _widened(low: float, high: float) -> tuple[float, float]:
    margin = WINDOW_MARGIN * max(high - low, 1.0)
    return float(round(low - margin)), float(round(high + margin))


def _known(name: str, value: str, table: Sequence[str]) -> None:
    if value not in table:
        raise UnknownNameError(f"{name} is {value!r}", hint=f"use {', '.join(table)}")


def _above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise InvalidValueError(f"{name} is {value}", hint="give a value above 0")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
