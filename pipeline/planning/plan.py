"""What a training and a prediction do with a data set, each value with the rule behind it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.planning.choice import Choice
from pipeline.planning.facts import Fingerprint
from pipeline.planning.images import image_values
from pipeline.planning.network import NetworkFacts
from pipeline.planning.overrides import Overrides
from pipeline.planning.pace import pace_values
from pipeline.planning.places import planned_places
from pipeline.planning.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan; `why` holds a sentence for each value.

    Attributes:
        spatial_dims: 2 or 3.
        spacing: mm per voxel, RAS order; None for pictures.
        channels: Channels that grey and coloured pictures are brought to; None: left alone.
        polarity: Whether pictures that are dark on light are turned.
        normalisation: A name of `pipeline.planning.intensities.NORMALISATIONS`.
        window: Lower and upper end per channel for `window` and `dataset`, in the image's unit.
        statistics: Mean and standard deviation per channel for `dataset`.
        contrast: A name of `pipeline.planning.intensities.CONTRASTS`; None: none.
        patch: Training patch and prediction window, in voxels.
        strides: Between the network's levels, per axis; None: 2 everywhere.
        kernels: Of each of its levels, per axis; None: 3 everywhere.
        slice_axis: Axis that a 2D network walks along in a volume; None otherwise.
        slices: Adjacent slices that a 2D network sees as channels, its own in their middle.
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
    channels: int | None
    polarity: bool
    normalisation: str
    window: tuple[tuple[float, float], ...] | None
    statistics: tuple[tuple[float, float], ...] | None
    contrast: str | None
    patch: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...] | None
    kernels: tuple[tuple[int, ...], ...] | None
    slice_axis: int | None
    slices: int
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
    network: NetworkFacts | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """Plan a training from the facts of a data set; the same on every machine but for memory.

    Args:
        facts: The fingerprint.
        preset: `compact` or `full`.
        spatial_dims: Of the network; 2 on volumes works slice by slice.
        memory_gib: What the device offers; None: enough for the preset.
        network: What patches it takes and what they cost; None: a plain U-Net of the preset.
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
    known = network or chosen.plain_network(spatial_dims)
    choice = Choice(overrides or Overrides())
    images = image_values(facts, choice)
    room = chosen.room(spatial_dims, memory_gib, known, facts.out_channels)
    places = planned_places(facts, spatial_dims, chosen, room, known, choice)
    scaled = images["normalisation"]
    pace = pace_values(facts, chosen, room, places, scaled, known.border, choice)
    choice.why["overlap"] = "along each axis, so that a place is seen from several sides"
    return Plan(
        spatial_dims=spatial_dims,
        spacing=places.spacing,
        patch=places.patch,
        strides=places.strides,
        kernels=places.kernels,
        slice_axis=places.slice_axis,
        slices=places.slices,
        overlap=0.5,
        why=choice.why,
        **images,
        **pace,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value
