"""Weights on disk: read strictly and without pickle's code, written in both formats."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pipeline.errors import DataError
from pipeline.io import atomic_path

State = Mapping[str, torch.Tensor]
HEADS: Final = frozenset(
    ("head", "heads", "output_heads", "deep_heads", "level_logits", "out_0", "out_blocks")
)
"""Modules of the family's networks whose layers have an output for each class."""


def find_weights(given: str | Path) -> Path:
    """The weight file meant by a file's path or by a run's folder.

    Raises:
        DataError: Nothing is there.
    """
    path = Path(given)
    if path.is_dir():
        for name in ("models/model.safetensors", "models/model.pt", "model.safetensors"):
            if (path / name).is_file():
                return path / name
    if not path.is_file():
        raise DataError(f"no weights at {given}", hint="give RUN/models/model.safetensors")
    return path


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors from `.safetensors` or from a `.pt` that holds nothing but tensors.

    Raises:
        DataError: The file is missing, damaged, or holds other objects.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"no weights at {path}", hint="check the path") from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}", hint="copy it again") from error
    except Exception as error:  # pickle's errors have no common base
        raise DataError(
            f"{path} holds more than tensors", hint="save a state dict, or use safetensors"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("model"), Mapping):
        loaded = loaded["model"]
    if not isinstance(loaded, Mapping) or not all(torch.is_tensor(v) for v in loaded.values()):
        raise DataError(f"{path} is no state dict", hint="save network.state_dict()")
    return dict(loaded)


def load_into(
    network: torch.nn.Module, state: State, source: Path, *, new_head: bool = False
) -> None:
    """Copy weights into a network, strictly.

    Args:
        network: The network.
        state: Name to tensor.
        source: For messages.
        new_head: Leave out the layers that give logits: their number of classes may differ.

    Raises:
        DataError: A name is missing or left over, or a shape differs; the first one is named.
    """
    own = network.state_dict()
    wanted = {k: v for k, v in own.items() if not (new_head and is_head(k))}
    given = {k: v for k, v in state.items() if not (new_head and is_head(k))}
    for name, tensor in wanted.items():
        if name not in given:
            raise DataError(
                f"{source.name} has no {name}", hint="it belongs to another network or preset"
            )
        if given[name].shape != tensor.shape:
            raise DataError(
                f"{source.name}: {name} is {list(given[name].shape)}, the network's is "
                f"{list(tensor.shape)}",
                hint="it belongs to another network, preset or number of classes",
            )
    left = next((k for k in given if k not in wanted), None)
    if left is not None:
        raise DataError(
            f"{source.name} has {left}, which the network has not",
            hint="it belongs to another network or preset",
        )
    network.load_state_dict({**own, **{k: given[k] for k in wanted}}, strict=True)


def is_head(name: str) -> bool:
    """Whether a tensor belongs to a layer that gives logits, by the name of its module."""
    return not HEADS.isdisjoint(name.split(".")[:-1])


def save_weights(state: State, folder: Path) -> str:
    """Write `model.pt` and `model.safetensors` to `folder`, each by one rename.

    Returns:
        SHA-256 of the safetensors file.
    """
    plain = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "model.pt") as temporary:
        torch.save(plain, temporary)
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(plain, temporary)
    return sha256(folder / "model.safetensors")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """The network inside the wrapper of distributed training, if there is one."""
    if isinstance(network, torch.nn.parallel.DistributedDataParallel):
        inner: torch.nn.Module = network.module
        return inner
    return network


def state_of(network: torch.nn.Module) -> dict[str, Any]:
    """The state dict without the wrapper of distributed training."""
    return unwrapped(network).state_dict()
