"""The last full state of a run: written whole after every epoch, read by a resume."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events

from pipeline.bundles.weights import state_of, unwrapped
from pipeline.errors import DataError, ResourceError
from pipeline.io import atomic_path
from pipeline.train.distributed import leads

FORMAT = 1
# What may differ between a run and its continuation
FREE = {
    "max_epochs", "max_minutes", "device", "amp", "num_workers", "cache_gb", "tracking_uri",
    "experiment", "resume", "output_dir", "bundle_root", "dataset_dir", "weights", "new_head",
    "val_interval",
}  # fmt: skip


class Stateful(Protocol):
    """Something with a state."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take the state over."""
        ...


class StateSaver:
    """Writes `state/last.pt` after each epoch, by one rename: a crash leaves the one before.

    Args:
        folder: The run's folder.
        network: The network in training.
        parts: What else has a state, by name.
        settings: The run's settings, compared by a resume.
    """

    def __init__(
        self,
        folder: str | Path,
        network: torch.nn.Module,
        parts: Mapping[str, Stateful],
        settings: Mapping[str, Any],
    ) -> None:
        self.path = Path(folder) / "state" / "last.pt"
        self.network, self.parts, self.settings = network, parts, dict(settings)
        self.extra: dict[str, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the state of the epoch that ended.

        Raises:
            ResourceError: The disk is full or read-only; the state before stands.
        """
        if not leads():
            return
        state = {
            "format": FORMAT,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "network": state_of(self.network),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "settings": self.settings,
            **self.extra,
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError, ResourceError) as error:
            raise ResourceError(
                f"the state of epoch {engine.state.epoch} can't be written to {self.path.parent}: "
                f"{getattr(error, 'strerror', None) or 'the disk is full'}",
                hint="make room, then go on with --resume; the state before stands",
            ) from error


def load_state(folder: Path) -> dict[str, Any]:
    """Read `state/last.pt`, which holds nothing but tensors and plain values.

    Raises:
        DataError: It is damaged or of a newer format.
    """
    path = folder / "state" / "last.pt"
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises what it likes
        raise DataError(f"{path} can't be read: {error}", hint="start a new run") from error
    if state.get("format") != FORMAT:
        raise DataError(f"{path} has another format", hint="resume it with the version it is from")
    return state


def restore(
    state: Mapping[str, Any],
    engine: Engine,
    network: torch.nn.Module,
    parts: Mapping[str, Stateful],
    settings: Mapping[str, Any],
) -> None:
    """Take a state over into everything that has one.

    Raises:
        DataError: The run was trained with other settings; the first one is named.
    """
    for name, value in state["settings"].items():
        if name not in FREE and name in settings and settings[name] != value:
            raise DataError(
                f"the run to resume has {name} {value!r}, this one {settings[name]!r}",
                hint=f"give --{name} {value}, or use the run's own configs/train.json",
            )
    unwrapped(network).load_state_dict(state["network"], strict=True)
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    engine.state.epoch, engine.state.iteration = state["epoch"], state["iteration"]
