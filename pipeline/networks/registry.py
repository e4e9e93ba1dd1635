"""Building a network of the table by its name, with its options checked."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any, Final

from pipeline.contract import SPATIAL_DIMS, Network
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.initialisation import initialise
from pipeline.networks.table import NETWORKS, NetworkRow

__all__ = [
    "NETWORKS",
    "NetworkRow",
    "build_network",
    "network_class",
    "network_options",
    "preset_names",
    "preset_options",
]

PRESETS: Final = ("compact", "full")


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
            raise UnknownNameError(f"{name} has no option {option!r}", hint=_near(option, names))
    built = network(spatial_dims, in_channels, out_channels, **options)
    if initialisation is not None:
        initialise(built, initialisation)
    return built


def network_class(name: str) -> type[Network]:
    """Import and return the class of a row.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    module, _, attribute = _row(name).target.partition(":")
    network: type[Network] = getattr(import_module(module), attribute)
    return network


def network_options(name: str) -> tuple[str, ...]:
    """Return the names of the options that a network takes, in the order of its class.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    return tuple(signature(network_class(name)).parameters)[3:]  # after dims and channels


def preset_names(name: str) -> tuple[str, ...]:
    """Return the names of the options that presets and plans set: sizes, and the norm if any.

    Raises:
        UnknownNameError: No row is called `name`.
    """
    sizes = {option for options in _row(name).compact for option in options}
    return tuple(o for o in network_options(name) if o in sizes or o == "norm")


def preset_options(name: str, preset: str, spatial_dims: int) -> dict[str, Any]:
    """Return the options of `preset`: "full" as published, "compact" for a laptop's CPU.

    Raises:
        UnknownNameError: No such network or preset.
        InvalidValueError: `spatial_dims` is neither 2 nor 3.
    """
    row, defaults = _row(name), signature(network_class(name)).parameters
    if preset not in PRESETS:
        raise UnknownNameError(f"no preset {preset!r}", hint=_near(preset, PRESETS))
    if spatial_dims not in SPATIAL_DIMS:
        raise InvalidValueError(f"spatial_dims is {spatial_dims}", hint="use 2 or 3")
    published = {option: defaults[option].default for option in preset_names(name)}
    return published if preset == "full" else {**published, **row.compact[spatial_dims - 2]}


def _row(name: str) -> NetworkRow:
    """Find a row, or say which names are near."""
    if name not in NETWORKS:
        raise UnknownNameError(f"no network {name!r}", hint=_near(name, NETWORKS))
    return NETWORKS[name]


def _near(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest names; all where none is near."""
    names = sorted(known)
    return f"did you mean {', '.join(get_close_matches(name, names) or names)}?"
