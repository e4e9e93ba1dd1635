"""What a plan asks of a network: its divisor, its memory, its heads. No torch for the presets."""

from typing import Any

from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.costs import read_costs, standard_cost
from pipeline.networks.table import PRESETS, SPATIAL_DIMS, near, row_of
from pipeline.planning.network import NetworkFacts

__all__ = ["NetworkFacts", "network_facts"]


def network_facts(
    name: str, spatial_dims: int, preset: str = "compact", **options: Any
) -> NetworkFacts:
    """Return divisor, smallest patch, border, heads, bytes per voxel and options of a network.

    A preset's facts are read from `costs.json` in milliseconds and without torch. With further
    options the network is built without storage and counted, which takes a moment.

    Args:
        name: A row of the table.
        spatial_dims: 2 or 3.
        preset: "compact" or "full".
        **options: The network's own, on top of the preset's; `deep_supervision` or `padded`, say.

    Raises:
        UnknownNameError: No such network, preset or option.
        InvalidValueError: `spatial_dims` is neither 2 nor 3, or an option is outside its range.
    """
    row_of(name)
    if preset not in PRESETS:
        raise UnknownNameError(f"no preset {preset!r}", hint=near(preset, PRESETS))
    if spatial_dims not in SPATIAL_DIMS:
        raise InvalidValueError(f"spatial_dims is {spatial_dims}", hint="use 2 or 3")
    given = _beyond_preset(name, spatial_dims, preset, options) if options else {}
    if given:
        return standard_cost(name, spatial_dims, preset, **given).facts
    return read_costs()[name][preset][spatial_dims - 2].facts


def _beyond_preset(
    name: str, spatial_dims: int, preset: str, options: dict[str, Any]
) -> dict[str, Any]:
    """The options that are not the preset's anyway."""
    from pipeline.networks.registry import option_defaults

    usual = option_defaults(name)
    if preset == "compact":
        usual |= row_of(name).compact[spatial_dims - 2]
    return {key: value for key, value in options.items() if key not in usual or usual[key] != value}
