"""The table of networks: a new one is a file beside this one and a row below."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any, Final

from pipeline.contract import SPATIAL_DIMS, Network
from pipeline.errors import InvalidValueError, UnknownNameError

PRESETS: Final = ("compact", "full")
SMALL_2D: Final = {"widths": (16, 32, 64, 128)}
SMALL_3D: Final = {"widths": (8, 16, 32, 64)}


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """Where the class is, where it comes from, what it is tested with and what it counts.

    Attributes:
        target: Module and class, imported when a network is built.
        source: The paper or article, in a few words.
        channels: C and K with which `parameters` was published.
        parameters: In 2D and in 3D, with these channels and default options.
        compact: Options in 2D and in 3D with which it learns on a laptop's CPU.
    """

    target: str
    source: str
    channels: tuple[int, int]
    parameters: tuple[int, int]
    compact: tuple[dict[str, Any], dict[str, Any]] = field(default=(SMALL_2D, SMALL_3D))


NETWORKS: Final = {
    "unet": NetworkRow(
        "pipeline.networks.unet:UNet",
        "U-Net with batch norm (article 001)",
        (1, 1),
        (31_036_481, 90_298_561),
    ),
    "attunet": NetworkRow(
        "pipeline.networks.attunet:AttUNet",
        "Attention U-Net, same-resolution gates (article 004; Oktay 2018)",
        (3, 1),
        (34_878_573, 103_891_437),
    ),
}


def build_network(
    name: str, spatial_dims: int, in_channels: int, out_channels: int, **options: Any
) -> Network:
    """Build a network of the table; its module is imported only now.

    Args:
        name: A row of `NETWORKS`.
        spatial_dims: 2 or 3.
        in_channels: C of the input `(B, C, *S)`.
        out_channels: K of the logits `(B, K, *S)`.
        **options: The network's own; its class describes them.

    Raises:
        UnknownNameError: No row is called `name`, or the network has no such option; the hint has
            the nearest ones.
        InvalidValueError: From the network, for an option outside its range.
    """
    network, known = network_class(name), network_options(name)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"{name} has no option {option!r}", hint=_near(option, known))
    return network(spatial_dims, in_channels, out_channels, **options)


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


def preset_options(name: str, preset: str, spatial_dims: int) -> dict[str, Any]:
    """Return the options of `preset`: "full" as published, "compact" for a laptop's CPU.

    Raises:
        UnknownNameError: No such network or preset.
        InvalidValueError: `spatial_dims` is neither 2 nor 3.
    """
    row = _row(name)
    if preset not in PRESETS:
        raise UnknownNameError(f"no preset {preset!r}", hint=_near(preset, PRESETS))
    if spatial_dims not in SPATIAL_DIMS:
        raise InvalidValueError(f"spatial_dims is {spatial_dims}", hint="use 2 or 3")
    return {} if preset == "full" else dict(row.compact[spatial_dims - 2])


def _row(name: str) -> NetworkRow:
    """Find a row, or say which names are near."""
    if name not in NETWORKS:
        raise UnknownNameError(f"no network {name!r}", hint=_near(name, NETWORKS))
    return NETWORKS[name]


def _near(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest names; all where none is near."""
    names = sorted(known)
    return f"did you mean {', '.join(get_close_matches(name, names) or names)}?"
