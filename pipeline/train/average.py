"""An exponential average of the weights: what is validated, kept and exported."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pipeline.bundles.weights import unwrapped


class Average:
    """Exponential average of a network's weights and norm statistics, on its device.

    The decay grows with the number of updates n as min(decay, (1 + n) / (10 + n)), so that the
    average forgets the random start at once.

    Args:
        network: The network, perhaps wrapped for distributed training.
        decay: Largest decay per update.
    """

    def __init__(self, network: nn.Module, decay: float = 0.98) -> None:
        self.decay = decay
        self._model = AveragedModel(unwrapped(network), multi_avg_fn=self._blend, use_buffers=True)
        self._model.module.eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)

    @property
    def module(self) -> nn.Module:
        """The averaged network, in evaluation mode."""
        module: nn.Module = self._model.module
        return module

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network's present weights."""
        self._model.update_parameters(unwrapped(network))

    def _blend(
        self, averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int
    ) -> None:
        """Blend a group of tensors of one dtype and device."""
        if not torch.is_floating_point(averaged[0]):
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)
            return
        n = int(self._model.n_averaged)  # lies in memory; `count` is a copy beside the weights
        keep = min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(list(averaged), list(current), 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        """Weights and number of updates."""
        return self._model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`, strictly."""
        self._model.load_state_dict(state)
