"""The grid of nodes that UNet++ and its authors' version share, with its modes and pruning."""

from collections.abc import Callable, Sequence
from typing import Final, Self

import torch
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.errors import InvalidValueError, UnknownNameError
from pipeline.networks.checkpoint import run
from pipeline.networks.layers import Layers
from pipeline.networks.levels import check_widths

WIDTHS: Final = (32, 64, 128, 256, 512)
DEEPEST: Final = 4
MODES: Final = ("fast", "accurate")
ACTIVATIONS: Final = ("softmax", "sigmoid")
SMALLEST_PROBABILITY: Final = 1e-7  # before the logarithm


class NestedUNet(Network):
    """Nodes X[i, j] of level i and column j, i + j <= 4; a subclass says how nodes are joined.

    Args:
        layers: Number of axes.
        in_channels: C of the input.
        out_channels: K of the logits.
        widths: Channels of each of the five levels, finest first.
        block: Makes a node's block from its channels and width.
        up: Makes a node's up-sampling from the coarser and the own width.
        joined: Tells the channels of a node's input from column, own and coarser width.
        deep_supervision: Whether each column but the first has a head.
        mode: What evaluation returns: "fast" one head, "accurate" the mean of all.
        level: The head of the fast mode, 1 to 4; None for the deepest.
        prune: Deepest level and only head that is built; None for the whole network.
        activation: "softmax" or "sigmoid": whose probabilities the accurate mode averages.
        checkpoint: Whether blocks are computed again in the backward pass.

    Raises:
        InvalidValueError: Widths, level or prune outside their range, or without the head.
        UnknownNameError: No such mode or activation.
    """

    def __init__(
        self,
        layers: Layers,
        in_channels: int,
        out_channels: int,
        widths: Sequence[int],
        *,
        block: Callable[[int, int], nn.Module],
        up: Callable[[int, int], nn.Module],
        joined: Callable[[int, int, int], int],
        deep_supervision: bool,
        mode: str,
        level: int | None,
        prune: int | None,
        activation: str,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(layers.dims, in_channels, out_channels)
        self.widths = widths = check_widths(widths, DEEPEST + 1)
        self.depth = DEEPEST if prune is None else _check_level("prune", prune)
        self.divisor = 2**self.depth
        self.checkpoint = checkpoint
        self.activation = _check_name("activation", activation, ACTIVATIONS)
        self.pool = layers.pool()
        self.ups = nn.ModuleDict()
        self.nodes = nn.ModuleDict()
        for i, j in self._places(self.depth):
            if j:
                channels = joined(j, widths[i], widths[i + 1])
                self.ups[f"{i}_{j}"] = up(widths[i + 1], widths[i])
            else:
                channels = widths[i - 1] if i else in_channels
            self.nodes[f"{i}_{j}"] = block(channels, widths[i])
        supervised = range(1, DEEPEST + 1) if deep_supervision and prune is None else [self.depth]
        self.columns = tuple(sorted(supervised, reverse=True))  # of the heads, best first
        self.output_heads = nn.ModuleDict(
            {str(j): layers.conv(widths[0], out_channels, 1) for j in sorted(self.columns)}
        )
        self.heads = len(self.columns)
        self.set_mode(mode, level)

    def set_mode(self, mode: str, level: int | None = None) -> None:
        """Choose what evaluation returns; training is not changed.

        Raises:
            UnknownNameError: No such mode.
            InvalidValueError: A level without a head, or "accurate" with one head only.
        """
        self.mode = _check_name("mode", mode, MODES)
        self.level = self.depth if level is None else _check_level("level", level)
        if self.level not in self.columns or (mode == "accurate" and self.heads == 1):
            raise InvalidValueError(
                f"mode {mode!r} at level {self.level} needs heads that this network lacks",
                hint="build it with deep_supervision=True, and not pruned",
            )

    def join(self, row: list[Tensor], up: Tensor) -> Tensor:
        """Concatenate a row's earlier nodes and the up-sampled coarser node."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Map `(B, C, *S)` to logits `(B, K, *S)`; in training with several heads to a list."""
        self.check_input(x)
        every = self.training or self.mode == "accurate"
        deepest = self.depth if every else self.level
        finest = self._walk(x, deepest)
        columns = self.columns if every else (self.level,)
        logits: list[Tensor] = [self.output_heads[str(j)](finest[j]) for j in columns]
        if len(logits) == 1:
            return logits[0]
        return logits if self.training else self._mean(logits)

    def prune(self, level: int) -> Self:
        """Return a network of rows 0 to `level` with that one head, sharing no memory.

        Raises:
            InvalidValueError: `level` is not 1 to 4, or this network has no such head.
        """
        _check_level("level", level)
        if level not in self.columns:
            raise InvalidValueError(
                f"there is no head {level}, only {sorted(self.columns)}",
                hint="build the network with deep_supervision=True to prune it",
            )
        smaller = self._shallower(level)
        device = next(self.parameters()).device
        kept = smaller.state_dict().keys()
        smaller.to_empty(device=device)
        smaller.load_state_dict({k: v for k, v in self.state_dict().items() if k in kept})
        return smaller.train(self.training)

    def _shallower(self, level: int) -> Self:
        """Build the pruned network, without storage."""
        raise NotImplementedError

    @staticmethod
    def _places(depth: int) -> list[tuple[int, int]]:
        """All (i, j) with i + j <= depth, in an order in which they can be computed."""
        return [(i, s - i) for s in range(depth + 1) for i in reversed(range(s + 1))]

    def _walk(self, x: Tensor, depth: int) -> list[Tensor]:
        """Compute the nodes i + j <= depth; return those of the finest level."""
        rows: list[list[Tensor]] = [[] for _ in range(depth + 1)]
        for i, j in self._places(depth):
            key = f"{i}_{j}"
            if j:
                entry = self.join(rows[i], self.ups[key](rows[i + 1][j - 1]))
            else:
                entry = self.pool(rows[i - 1][0]) if i else x
            rows[i].append(run(self.nodes[key], entry, checkpointed=self.checkpoint))
        return rows[0]

    def _mean(self, logits: list[Tensor]) -> Tensor:
        """Return logits whose probability is the mean of the heads' probabilities."""
        stack = torch.stack(logits).float()
        if self.out_channels == 1 or self.activation == "sigmoid":
            mean = stack.sigmoid().mean(0)
            return mean.clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY).logit()
        return stack.softmax(2).mean(0).clamp_min(SMALLEST_PROBABILITY).log()


def _check_level(name: str, level: int) -> int:
    """Refuse a level that has no head."""
    if level not in range(1, DEEPEST + 1):
        raise InvalidValueError(f"{name} is {level}", hint=f"use 1 to {DEEPEST}")
    return level


def _check_name(option: str, value: str, known: Sequence[str]) -> str:
    """Refuse an unknown choice."""
    if value not in known:
        raise UnknownNameError(f"there is no {option} {value!r}", hint=f"use {' or '.join(known)}")
    return value
