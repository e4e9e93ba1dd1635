"""Building a network of the table by its name, with its options checked."""

from importlib import import_module
from inspect import signature
from typing import Any, Final

from pipeline.contract import Network
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.initialisation import initialise
from pipeline.networks.table import NETWORKS, PRESETS, SPATIAL_DIMS, NetworkRow, near, row_of

__all__ = [
    "NETWORKS",
    "NetworkRow",
    "build_network",
    "network_class",
    "network_options",
    "option_defaults",
    "preset_names",
    "preset_options",
]

PLANNED: Final = ("norm", "strides", "kernels")  # what a plan sets of a network that has it


def build_network(
    name: str,
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    *,
    initialisation: str | None = None,
    **options: Any,
) -> Network:
    """Build a network of the table; its module is imported only now.

    Args:
        name: A row of `NETWORKS`.
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`.
        initialisation: "normal", "xavier", "kaiming" or "orthogonal"; None for each layer's own.
        **options: The network's own; its class describes them.

    Raises:
        UnknownNameError: No row is called `name`, or the network has no such option; the hint has
            the nearest ones.
        InvalidValueError: From the network, for an option outside its range.
    """
    network, known = network_class(name), network_options(name)
    for option in options:
        if option not in known:
            names = [*known, "initialisation"]
            raise UnknownNameError(f"{name} has no option {option!r}", hint=near(option, names))
    built = network(spatial_dims, in_channels, out_channels, **options)
    built.built_with = options
    if initialisation is not None:
        initialise(built, initialisation)
    return built


def network_class(name: str) -> type[Network]:
    """Import and return the class of a row.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    module, _, attribute = row_of(name).target.partition(":")
    network: type[Network] = getattr(import_module(module), attribute)
    return network


def network_options(name: str) -> tuple[str, ...]:
    """Return the names of the options that a network takes, in the order of its class.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    return tuple(signature(network_class(name)).parameters)[3:]  # after dims and channels


def option_defaults(name: str) -> dict[str, Any]:
    """Return the options that a network takes, with their defaults: as published.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    parameters = signature(network_class(name)).parameters
    return {option: parameters[option].default for option in network_options(name)}


def preset_names(name: str) -> tuple[str, ...]:
    """Return the names of the options that presets and plans set: sizes, norm, strides, kernels.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    sizes = {option for options in row_of(name).compact for option in options}
    return tuple(o for o in network_options(name) if o in sizes or o in PLANNED)


def preset_options(name: str, preset: str, spatial_dims: int) -> dict[str, Any]:
    """Return the options of `preset`: "full" as published, "compact" for a laptop's CPU.

    Raises:
        UnknownNameError: No such network or preset.
        InvalidValueError: `spatial_dims` is neither 2 nor 3.
    """
    row, defaults = row_of(name), option_defaults(name)
    if preset not in PRESETS:
        raise UnknownNameError(f"no preset {preset!r}", hint=near(preset, PRESETS))
    if spatial_dims not in SPATIAL_DIMS:
        raise InvalidValueError(f"spatial_dims is {spatial_dims}", hint="use 2 or 3")
    published = {option: defaults[option] for option in preset_names(name)}
    return published if preset == "full" else {**published, **row.compact[spatial_dims - 2]}
