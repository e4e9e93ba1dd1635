"""The part of a plan that says on which grid, and in which patches, a network sees a case."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import InvalidValueError
from pipeline.planning.choice import Choice
from pipeline.planning.facts import Fingerprint
from pipeline.planning.geometry import planned_patch, planned_spacing, slice_axis
from pipeline.planning.network import NetworkFacts
from pipeline.planning.pooling import Levels, Pooling, planned_pooling
from pipeline.planning.presets import Preset, Room

AXES = {2: ("rows", "columns"), 3: ("x", "y", "z")}


@dataclass(frozen=True, slots=True)
class Places:
    """Grid, patch and levels.

    Attributes:
        spacing: mm per voxel, RAS order; None for pictures.
        shape: The median case on this grid.
        slice_axis: Axis that a 2D network walks along in a volume; None otherwise.
        slices: Adjacent slices that it sees as channels, its own in their middle.
        patch: In voxels of the network's axes.
        strides: Between levels, per axis; None: 2 everywhere.
        kernels: Of each level, per axis; None: 3 everywhere.
    """

    spacing: tuple[float, ...] | None
    shape: tuple[int, ...]
    slice_axis: int | None
    slices: int
    patch: tuple[int, ...]
    strides: Levels | None
    kernels: Levels | None


def planned_places(
    facts: Fingerprint, dims: int, preset: Preset, room: Room, network: NetworkFacts, choice: Choice
) -> Places:
    """Return the grid, the patch and what the network's levels do to it.

    Args:
        facts: The fingerprint.
        dims: Of the network.
        preset: What a patch holds where memory forces nothing, and how much it shall see.
        room: What a patch may hold.
        network: What sizes it takes, and whether it takes strides.
        choice: Takes the user's values and the reasons.

    Raises:
        InvalidValueError: A spacing or patch of the user's that can't be.
    """
    spacing = _spacing(facts, dims, preset, room, choice)
    shape = _planned_shape(facts, spacing)
    axis = slice_axis(facts.spacing, shape) if dims < facts.dims else None
    if axis is not None:
        choice.why["slice_axis"] = f"the slices are thickest along {AXES[3][axis]}"
    slices = _slices(axis, choice)
    kept = [i for i in range(len(shape)) if i != axis]
    seen = [shape[i] for i in kept]
    pooling = planned_pooling(
        None if spacing is None else [spacing[i] for i in kept],
        seen,
        round(math.log2(max(1, network.smallest[-1]))),
        [AXES[facts.dims][i] for i in kept],
    )
    if "strides" in network.options:
        choice.why["strides"] = pooling.why
        if not pooling.plain:
            choice.why["kernels"] = (
                "3 along an axis once its voxels are not twice as long as others"
            )
        network = strided(network, pooling)
    else:
        choice.why["strides"] = "this network halves all axes alike; the patch keeps to its steps"
    patch = choice.value(
        "patch", lambda: _patch(seen, network, room, preset.patch_voxels[dims - 2])
    )
    planned = "strides" in network.options and not pooling.plain
    return Places(
        spacing,
        shape,
        axis,
        slices,
        _checked(patch, network),
        pooling.strides if planned else None,
        pooling.kernels if planned else None,
    )


def _slices(axis: int | None, choice: Choice) -> int:
    """The user's number of adjacent slices, or one."""
    if axis is None:
        why = "for a 2D network on volumes alone"
    else:
        why = "each slice by itself; 3 or 5 show its neighbours too (2.5D)"
    given = choice.value("slices", lambda: (1, why))
    number = int(given)
    if number != given or number < 1 or number % 2 == 0:
        raise InvalidValueError(f"slices is {given}", hint="give an odd number: 1, 3, 5, ...")
    if number > 1 and axis is None:
        raise InvalidValueError(
            f"slices is {number}, and the network does not go slice by slice",
            hint="give --spatial_dims 2 with volumes, or leave slices out",
        )
    return number


def strided(network: NetworkFacts, pooling: Pooling) -> NetworkFacts:
    """The facts of a network with these strides: each step left out makes its multiple half."""
    skipped = [pooling.skipped(axis) for axis in range(len(network.divisor))]
    divisor = zip(network.divisor, skipped, strict=True)
    smallest = zip(network.smallest, skipped, strict=True)
    return replace(
        network,
        divisor=tuple(max(1, n >> steps) for n, steps in divisor),
        smallest=tuple(max(1, n >> steps) for n, steps in smallest),
    )


def _spacing(
    facts: Fingerprint, dims: int, preset: Preset, room: Room, choice: Choice
) -> tuple[float, ...] | None:
    median, shape = facts.spacing, facts.shape
    if median is None:
        choice.why["spacing"] = "pictures: spacing is not used"
        return None

    def planned() -> tuple[tuple[float, ...], str]:
        wanted = preset.patch_voxels[dims - 2]
        spacing, why = planned_spacing(median, shape, room.voxels, preset.context, dims)
        if spacing != planned_spacing(median, shape, wanted, preset.context, dims)[0]:
            why += f"; {room.forced} voxels of a patch, elsewhere it is finer"
        return spacing, why

    given = choice.value("spacing", planned)
    if len(given) != 3 or not all(float(s) > 0 for s in given):
        raise InvalidValueError(
            f"spacing is {list(given)}", hint="give three numbers above 0, in mm, x y z"
        )
    return tuple(float(s) for s in given)


def _planned_shape(facts: Fingerprint, spacing: tuple[float, ...] | None) -> tuple[int, ...]:
    """The median case on the planned grid."""
    if spacing is None or facts.spacing is None:
        return facts.shape
    return tuple(
        max(1, round(n * old / new))
        for n, old, new in zip(facts.shape, facts.spacing, spacing, strict=True)
    )


def _patch(
    shape: Sequence[int], network: NetworkFacts, room: Room, preset: int
) -> tuple[tuple[int, ...], str]:
    patch = planned_patch(shape, network, room.voxels)
    limit = f"at most {room.voxels} voxels"
    limit += f" ({room.forced} than {preset})" if room.voxels < preset else " (preset)"
    steps = "x".join(map(str, network.divisor))
    return patch, f"shaped like the median case {list(shape)}, {limit}, in steps of {steps}"


def _checked(given: Sequence[int], network: NetworkFacts) -> tuple[int, ...]:
    """A patch that the network takes."""
    patch, dims = tuple(int(n) for n in given), len(network.divisor)
    if len(patch) != dims:
        raise InvalidValueError(
            f"patch is {list(patch)}", hint=f"give {dims} numbers for spatial_dims {dims}"
        )
    fits = network.next_size(patch)
    if fits != patch:
        steps = f"does not divide by the network's {list(network.divisor)}"
        raise InvalidValueError(
            f"patch {list(patch)} {'does not fit the network' if network.offset else steps}",
            hint=f"use {list(fits)}",
        )
    return patch
