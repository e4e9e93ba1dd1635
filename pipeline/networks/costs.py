"""What each network of the table costs at a standard patch, counted once and kept beside it.

Counting all takes half a minute; a list of the family, or a plan, should not. After a change of a
network: `python -c "from pipeline.networks.costs import write_costs; write_costs()"`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.io import atomic_path
from pipeline.networks.table import NETWORKS, PRESETS, row_of
from pipeline.planning.network import NetworkFacts

if TYPE_CHECKING:
    from pipeline.contract import Network

PATH: Final = Path(__file__).with_name("costs.json")
STANDARD: Final = ((256, 256), (96, 96, 96))
UNPADDED: Final = {  # as published
    "unet_valid": ((572, 572), (188, 188, 188)),
    "unet3d": ((132, 132), (132, 132, 116)),
}
SIZED: Final = {"unetr": "img_size"}  # the option that fixes a network's only size


@dataclass(frozen=True, slots=True)
class StandardCost:
    """Of one training pass of one case, with the channels of the table.

    Attributes:
        size: The patch.
        multiply_adds: Of convolutions and matrix products.
        facts: What a plan asks for; the memory is that of this pass.
    """

    size: tuple[int, ...]
    multiply_adds: int
    facts: NetworkFacts

    @property
    def activation_bytes(self) -> int:
        """Kept for the backward pass in single precision."""
        return round(self.facts.bytes_per_voxel * prod(self.size))


@cache
def read_costs() -> Mapping[str, Mapping[str, tuple[StandardCost, StandardCost]]]:
    """Return what was counted in 2D and in 3D, by the networks' names and their presets."""
    rows = json.loads(PATH.read_text(encoding="utf-8"))
    return {
        name: {preset: (_cost(two), _cost(three)) for preset, (two, three) in row.items()}
        for name, row in rows.items()
    }


def standard_cost(
    name: str, spatial_dims: int, preset: str = "full", **options: Any
) -> StandardCost:
    """Count a network of the table at its standard patch; nothing is computed.

    Args:
        name: A row of the table.
        spatial_dims: 2 or 3.
        preset: "compact" or "full".
        **options: On top of the preset's.

    Raises:
        UnknownNameError: No network is called `name`, or it has no such option.
    """
    from pipeline.networks.cost import measure_cost
    from pipeline.networks.registry import network_options

    wanted: tuple[int, ...] = UNPADDED.get(name, STANDARD)[spatial_dims - 2]
    chosen = {**(row_of(name).compact[spatial_dims - 2] if preset == "compact" else {}), **options}
    if name in SIZED and SIZED[name] not in options:
        chosen[SIZED[name]] = wanted
    network = build_without_storage(name, spatial_dims, **chosen)
    size = network.next_size(wanted)
    smallest = network.next_size([1] * spatial_dims)
    cost = measure_cost(network, size)
    facts = NetworkFacts(
        divisor=network.divisors,
        smallest=smallest,
        offset=smallest[-1] % network.divisors[-1],
        border=network.border,
        heads=network.heads,
        bytes_per_voxel=cost.activation_bytes / prod(size),
        parameters=sum(p.numel() for p in network.parameters()),
        options=network_options(name),
    )
    return StandardCost(size, cost.multiply_adds, facts)


def build_without_storage(name: str, spatial_dims: int, **options: Any) -> "Network":
    """Build a network with the channels of the table on the meta device.

    Raises:
        UnknownNameError: No network is called `name`, or it has no such option.
    """
    import torch

    from pipeline.networks.registry import build_network

    channels = row_of(name).channels
    try:
        with torch.device("meta"):
            return build_network(name, spatial_dims, *channels, **options)
    except RuntimeError:  # MONAI's Swin UNETR reads numbers off tensors while it is built
        return build_network(name, spatial_dims, *channels, **options).to("meta")


def write_costs(path: Path = PATH) -> None:
    """Count every network of the table in both presets and write the file, a line each."""
    lines = []
    for name in NETWORKS:
        costs = {
            preset: [asdict(standard_cost(name, dims, preset)) for dims in (2, 3)]
            for preset in PRESETS
        }
        lines.append(f"  {json.dumps(name)}: {json.dumps(costs)}")
    with atomic_path(path) as draft:
        draft.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _cost(row: dict[str, Any]) -> StandardCost:
    """One entry of the file."""
    facts: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in row["facts"].items()
    }
    return StandardCost(tuple(row["size"]), row["multiply_adds"], NetworkFacts(**facts))
