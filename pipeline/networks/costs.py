"""What each network of the table costs at a standard patch, counted once and kept beside it.

Counting all takes a quarter of a minute; a list of the family should not. After a change of a
network: `python -c "from pipeline.networks.costs import write_costs; write_costs()"`.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.contract import Network
from pipeline.io import atomic_path
from pipeline.networks.registry import build_network
from pipeline.networks.table import NETWORKS

PATH: Final = Path(__file__).with_name("costs.json")
STANDARD: Final = ((256, 256), (96, 96, 96))
UNPADDED: Final = {  # as published
    "unet_valid": ((572, 572), (188, 188, 188)),
    "unet3d": ((132, 132), (132, 132, 116)),
}
SIZED: Final = {"unetr": "img_size"}  # the option that fixes a network's only size


@dataclass(frozen=True, slots=True)
class StandardCost:
    """Of one training pass of one case, with the channels of the table and default options.

    Attributes:
        size: The patch.
        multiply_adds: Of convolutions and matrix products.
        activation_bytes: Kept for the backward pass in single precision.
        divisor: What each axis is a multiple of.
    """

    size: tuple[int, ...]
    multiply_adds: int
    activation_bytes: int
    divisor: int | tuple[int, ...]


def read_costs() -> dict[str, tuple[StandardCost, StandardCost]]:
    """Return what was counted, in 2D and in 3D, by the networks' names."""
    rows = json.loads(PATH.read_text(encoding="utf-8"))
    return {name: (_cost(two), _cost(three)) for name, (two, three) in rows.items()}


def standard_cost(name: str, spatial_dims: int) -> StandardCost:
    """Count a network of the table at its standard patch; nothing is computed.

    Raises:
        UnknownNameError: No network is called `name`.
    """
    from pipeline.networks.cost import measure_cost

    size = UNPADDED.get(name, STANDARD)[spatial_dims - 2]
    options: dict[str, Any] = {SIZED[name]: size} if name in SIZED else {}
    network = build_without_storage(name, spatial_dims, **options)
    cost = measure_cost(network, size)
    return StandardCost(size, cost.multiply_adds, cost.activation_bytes, network.divisor)


def build_without_storage(name: str, spatial_dims: int, **options: Any) -> Network:
    """Build a network with the channels of the table on the meta device.

    Raises:
        UnknownNameError: No network is called `name`, or it has no such option.
    """
    import torch

    channels = NETWORKS[name].channels if name in NETWORKS else (1, 1)
    try:
        with torch.device("meta"):
            return build_network(name, spatial_dims, *channels, **options)
    except RuntimeError:  # MONAI's Swin UNETR reads numbers off tensors while it is built
        return build_network(name, spatial_dims, *channels, **options).to("meta")


def write_costs(path: Path = PATH) -> None:
    """Count every network of the table and write the file, a line each."""
    lines = []
    for name in NETWORKS:
        costs = [asdict(standard_cost(name, dims)) for dims in (2, 3)]
        lines.append(f"  {json.dumps(name)}: {json.dumps(costs)}")
    with atomic_path(path) as draft:
        draft.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _cost(row: dict[str, Any]) -> StandardCost:
    """One row of the file."""
    divisor = row["divisor"]
    if isinstance(divisor, list):
        divisor = tuple(divisor)
    return StandardCost(tuple(row["size"]), row["multiply_adds"], row["activation_bytes"], divisor)
