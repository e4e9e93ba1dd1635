"""A trained model opened from `model.json` and safetensors alone: nothing of it is executed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.bundles.record import read_record
from pipeline.bundles.weights import find_weights, load_into, read_weights
from pipeline.contract import Network
from pipeline.engines.calibration import find_calibration
from pipeline.errors import DataError
from pipeline.networks import build_network

NEEDED: Final = {
    "facts": ("classes", "values", "head", "modality", "dims"),
    "plan": ("spacing", "normalisation", "window", "patch", "overlap", "slice_axis"),
}


@dataclass(frozen=True)
class Model:
    """A network with its weights and what it was made for.

    Attributes:
        name: The bundle's name.
        network: In evaluation mode, on its device.
        facts: The fingerprint of its training data: classes, integers, head, modality.
        plan: Spacing, normalisation, patch.
        digest: SHA-256 of the weights.
        device: Where the network is.
        folder: Of the weights; None: they lie in none.
    """

    name: str
    network: Network
    facts: Mapping[str, Any]
    plan: Mapping[str, Any]
    digest: str
    device: torch.device
    folder: Path | None = None

    @property
    def classes(self) -> dict[str, tuple[int, ...]]:
        """Foreground names and their integers."""
        return {
            name: tuple(int(v) for v in group)
            for name, group in zip(self.facts["classes"], self.facts["values"], strict=True)
        }

    def calibration(self) -> list[torch.Tensor]:
        """Windows `(C, *patch)` to quantise on; empty where the run keeps none.

        Raises:
            DataError: Their file is damaged.
        """
        shape = (self.network.in_channels, *self.plan["patch"])
        return find_calibration(self.folder, self.digest, shape)


def open_model(bundle: str | Path, device: torch.device) -> Model:
    """Open a run's folder (or its `models` folder, or a weight file in it).

    Only `model.json` and the tensors are read; the configs, which may hold expressions, are not.

    Raises:
        DataError: A part is missing, damaged, or the weights are not those of the record.
    """
    path = Path(bundle)
    if not path.exists():
        raise DataError(f"no bundle at {bundle}", hint="name a run's folder, e.g. runs/attunet/...")
    folder = path / "models" if (path / "models").is_dir() else path
    folder = folder.parent if folder.is_file() else folder
    if not (folder / "model.json").is_file() and (path / "configs").is_dir():
        raise DataError(
            f"{bundle} has no models/model.json: it is a bundle of another origin",
            hint="its configs would run code; give --trust if you know where it comes from",
        )
    record = read_record(folder, check=True)
    for part, keys in NEEDED.items():
        missing = [key for key in keys if key not in record[part]]
        if missing:
            raise DataError(
                f"{folder / 'model.json'}: {part} has no {', '.join(missing)}",
                hint="copy the folder again",
            )
    weights = find_weights(folder / record["weights"]["file"])
    network = network_of(record)
    load_into(network, read_weights(weights), weights)
    return Model(
        record["bundle"],
        network.eval().to(device),
        record["facts"],
        record["plan"],
        record["weights"]["sha256"],
        device,
        folder,
    )


def network_of(record: Mapping[str, Any]) -> Network:
    """Build the network that a record describes.

    Raises:
        DataError: A value is missing.
    """
    described = record["network"]
    try:
        return build_network(
            described["name"],
            described["spatial_dims"],
            described["in_channels"],
            described["out_channels"],
            **described["options"],
        )
    except (KeyError, TypeError) as error:
        raise DataError(
            f"model.json describes no network: {error}", hint="copy the folder again"
        ) from error
