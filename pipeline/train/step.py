"""One update of the weights, in the precision and memory format that is fastest here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor, nn

from pipeline.engines.allocator import keep_large_blocks
from pipeline.errors import DataError, ResourceError
from pipeline.train import distributed
from pipeline.train.average import Average


@dataclass(frozen=True, slots=True)
class Choice:
    """How updates are computed.

    Attributes:
        channels_last: Memory format of weights and images.
        amp: Autocast of the forward pass; the loss stays in float32.
        keep_memory: The process's allocator keeps large blocks instead of returning them.
    """

    channels_last: bool = False
    amp: bool = False
    keep_memory: bool = False

    def to_dict(self) -> dict[str, bool]:
        """Return plain values."""
        return asdict(self)


def memory_format(dims: int, *, channels_last: bool) -> torch.memory_format:
    """The memory format of a tensor with `dims` spatial axes."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if dims == 2 else torch.channels_last_3d


def amp_dtype(device: torch.device) -> torch.dtype:
    """The dtype of autocast: bfloat16, or float16 on a GPU that lacks it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def forward_loss(
    network: nn.Module, loss: nn.Module, image: Tensor, label: Tensor, choice: Choice
) -> Tensor:
    """Compute the loss of a batch: network under autocast where chosen, loss in float32."""
    device = image.device
    form = memory_format(image.ndim - 2, channels_last=choice.channels_last)
    with torch.autocast(device.type, amp_dtype(device), enabled=choice.amp):
        output = network(image.contiguous(memory_format=form))
    value: Tensor = loss(output, label)
    return value


class TrainStep:
    """`iteration_update` of MONAI's `SupervisedTrainer`: forward, backward, clip, step, average.

    MONAI's own knows mixed precision on CUDA only (1.6.1 calls `torch.autocast("cuda")` whatever
    the device) and checks no loss.

    Args:
        average: Exponential average of the weights, updated after each step.
        clip: Largest norm of all gradients together; None: not clipped.

    Raises:
        DataError: At the call, for a loss or gradients that are not finite; the batch's cases
            are named, and the weights are those before. In every process, whichever had them.
        ResourceError: At the call, where the device has too little memory.
    """

    def __init__(self, average: Average, clip: float | None = 5.0) -> None:
        self.average, self.clip = average, clip
        self.choice = Choice()
        self.scaler: torch.amp.GradScaler | None = None

    def use(self, choice: Choice, network: nn.Module, device: torch.device) -> None:
        """Bring network, average and allocator into the chosen form."""
        self.choice = choice
        keep_large_blocks(choice.keep_memory)
        for module in (network, self.average.module):
            for parameter in module.parameters():
                if parameter.ndim in (4, 5):
                    form = memory_format(parameter.ndim - 2, channels_last=choice.channels_last)
                    parameter.data = parameter.data.contiguous(memory_format=form)
        if choice.amp and device.type == "cuda" and amp_dtype(device) == torch.float16:
            self.scaler = torch.amp.GradScaler("cuda")

    def __call__(self, engine: Any, batch: Mapping[str, Any]) -> dict[str, float]:
        """Update the engine's network on a batch with `image`, `label` and `case`."""
        device = torch.device(engine.state.device)
        try:
            return {"loss": self._update(engine, batch, device)}
        except torch.OutOfMemoryError as error:
            raise too_large(batch["image"].shape, device) from error

    def _update(self, engine: Any, batch: Mapping[str, Any], device: torch.device) -> float:
        """One update; return its loss."""
        image = batch["image"].to(device, non_blocking=True)
        label = batch["label"].to(device, non_blocking=True)
        network, optimizer = engine.network, engine.optimizer
        network.train()
        optimizer.zero_grad(set_to_none=True)
        loss = forward_loss(network, engine.loss_function, image, label, self.choice)
        norm = self._gradients(network, optimizer, loss)
        value = float(loss.detach())  # a GPU is waited for once, after the backward pass
        # not before it: there the other processes wait for this one's gradients
        finite = math.isfinite(value) and math.isfinite(norm)
        if not distributed.everywhere(finite):
            raise non_finite(value, norm, batch.get("case", ()), engine)
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()
        self.average.update(network)
        return value

    def _gradients(self, network: nn.Module, optimizer: Any, loss: Tensor) -> float:
        """Backward pass, with a scaled loss under float16; the gradients clipped.

        Returns:
            Norm of the gradients; 0 where it is not known or where a scaler deals with it.
        """
        scaler = self.scaler
        (loss if scaler is None else scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
        if self.clip is None:
            return 0.0
        if scaler is not None:
            scaler.unscale_(optimizer)
        total = nn.utils.clip_grad_norm_(network.parameters(), self.clip)
        return float(total) if scaler is None else 0.0


def too_large(shape: Sequence[int], device: torch.device) -> ResourceError:
    """The refusal of a batch `(B, C, *S)` that does not fit."""
    return ResourceError(
        f"the memory of {device} is too small for batch_size {shape[0]} and patch "
        f"{list(shape[2:])}",
        hint="give a smaller --batch_size or --patch, or end what else uses the device",
    )


def non_finite(loss: float, norm: float, cases: Sequence[str] | str, engine: Engine) -> DataError:
    """The refusal of a loss, or of gradients, that are no number, of whichever process."""
    found = distributed.gathered((loss, norm, [cases] if isinstance(cases, str) else list(cases)))
    # averaged gradients are none anywhere: whoever has the loss is named
    named = [each for each in found if not math.isfinite(each[0])] or found
    what, value = "loss", named[0][0]
    if math.isfinite(value):
        what, value = "norm of the gradients", named[0][1]
    names = ", ".join(sorted({name for each in named for name in each[2]}))
    return DataError(
        f"the {what} is {value} in epoch {engine.state.epoch}, update {engine.state.iteration}, "
        f"with the cases {names}",
        hint="look at these images, or lower --learning_rate; the last good state is kept",
    )
