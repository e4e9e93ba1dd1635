"""Networks behind one contract: a file each, and a row each in `NETWORKS`.

The table is read without torch; what builds a network is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.networks.table import NETWORKS

if TYPE_CHECKING:
    from pipeline.networks.registry import (
        build_network,
        network_options,
        option_defaults,
        preset_names,
        preset_options,
    )

__all__ = [
    "NETWORKS",
    "build_network",
    "network_options",
    "option_defaults",
    "preset_names",
    "preset_options",
]


def __getattr__(name: str) -> Any:
    """Return a function of the registry, which imports torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("pipeline.networks.registry"), name)
