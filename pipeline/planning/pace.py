"""The part of a plan that says how a training goes: batch, epochs, rate, norm, weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InvalidValueError
from pipeline.planning.augmentation import NO_AUGMENTATION, planned_augmentation
from pipeline.planning.choice import USER, Choice, check_known
from pipeline.planning.classes import planned_sampling, planned_weights
from pipeline.planning.facts import Fingerprint
from pipeline.planning.normalisation import planned_norm
from pipeline.planning.places import Places
from pipeline.planning.presets import FEWEST_PATCHES, Preset, Room

NORMS = ("batch", "instance", "group", "none")


def pace_values(
    facts: Fingerprint,
    preset: Preset,
    room: Room,
    places: Places,
    normalisation: str,
    border: int,
    choice: Choice,
) -> dict[str, Any]:
    """Return everything that only a training needs.

    Raises:
        UnknownNameError: An unknown norm, or a random transform that does not exist.
        InvalidValueError: A value outside its range.
    """
    patch = places.patch
    batch = int(choice.number("batch_size", lambda: planned_batch(patch, preset, room)))
    length = int(choice.number("epoch_length", lambda: _length(preset)))
    norm = choice.name("norm", lambda: planned_norm(facts, normalisation, border), NORMS)
    rate = choice.number("learning_rate", lambda: _rate(preset, norm))
    choice.why["sampling"] = (
        "a third of the patches anywhere, the rest centred on classes in turn, "
        "rarer ones more often (share to the power -1/3)"
    )
    return {
        "batch_size": batch,
        "epoch_length": length,
        "learning_rate": rate,
        "norm": norm,
        "class_weights": _weights(facts, choice),
        "sampling": planned_sampling(facts.shares),
        "augment": _augment(facts, places, choice),
        "val_interval": int(
            choice.number(
                "val_interval",
                lambda: planned_interval(facts.validation_cases, places, batch * length),
            )
        ),
    }


def planned_batch(patch: Sequence[int], preset: Preset, room: Room) -> tuple[int, str]:
    """Patches per update: what fits beside the preset's number of its largest patch."""
    most, dims, voxels = preset.largest_batch, len(patch), math.prod(patch)
    count, largest = preset.patches[dims - 2], preset.patch_voxels[dims - 2]
    wanted = max(FEWEST_PATCHES, min(count * largest // voxels, most))
    batch = max(FEWEST_PATCHES, min(room.update // voxels, most))
    forced = f"; {room.forced}, elsewhere it is {wanted}" if batch < wanted else ""
    return batch, (
        f"what fits into {count} patches of {largest} voxels, from {FEWEST_PATCHES} to {most} "
        f"(preset){forced}"
    )


def planned_interval(cases: int, places: Places, patches: int) -> tuple[int, str]:
    """Epochs between validations, so that these cost at most a tenth of the training.

    Forward and backward of a training patch cost three forwards. A validation case is covered by
    windows that overlap by half along each axis.

    Args:
        cases: Validation cases.
        places: The median case, and training patch and window.
        patches: Training patches per epoch.
    """
    shape, patch = places.shape, places.patch
    if places.slice_axis is not None:
        volume = math.prod(shape) * 4
    else:
        windows = [math.ceil(2 * n / p) for n, p in zip(shape, patch, strict=True)]
        volume = math.prod(windows) * math.prod(patch)
    interval = max(1, math.ceil(cases * volume / (0.1 * 3 * patches * math.prod(patch))))
    if not cases:
        return interval, "no case to validate on"
    return interval, (
        f"{cases} validation cases cost at most a tenth of the training, by voxels computed"
    )


def _length(preset: Preset) -> tuple[int, str]:
    return preset.epoch_length, "the preset's; a state is kept after each epoch"


def _rate(preset: Preset, norm: str) -> tuple[float, str]:
    return preset.rates[norm == "batch"], f"the preset's for {norm} norm and AdamW"


def _weights(facts: Fingerprint, choice: Choice) -> tuple[float, ...] | None:
    """The user's, the planned ones, or none."""
    given = choice.value("class_weights", lambda: planned_weights(facts.shares, facts.head))
    if given is None or given == "none":
        return None
    if isinstance(given, str) or len(given) != facts.out_channels:
        raise InvalidValueError(
            f"class_weights is {given!r}",
            hint=f"give {facts.out_channels} numbers, background first, or none",
        )
    return tuple(float(w) for w in given)


def _augment(facts: Fingerprint, places: Places, choice: Choice) -> dict[str, Any]:
    """The planned random transforms with what the user changes of them."""
    planned, why = planned_augmentation(facts, places)
    given = choice.user.augment
    choice.why["augment"] = why if given is None else USER
    if given is False:
        return {**NO_AUGMENTATION}
    if isinstance(given, Mapping):
        for key in given:
            check_known("augment", key, tuple(planned))
        return {**planned, **given}
    return planned
