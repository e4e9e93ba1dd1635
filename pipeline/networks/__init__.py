"""Networks behind one contract: a file each, and a row each in `NETWORKS`."""

from pipeline.networks.registry import (
    NETWORKS,
    build_network,
    network_options,
    preset_names,
    preset_options,
)

__all__ = ["NETWORKS", "build_network", "network_options", "preset_names", "preset_options"]
