"""An engine for tests: a small network in torch, or any function of a batch."""

from collections.abc import Callable, Iterable, Iterator

import torch
from monai.inferers import SliceInferer, sliding_window_inference
from torch import Tensor, nn

from pipeline.contract import Engine


class Stub(Engine):
    """Computes one batch after the other; takes `ahead` batches before it gives the first one."""

    name, precision, threads = "stub", "fp32", 1

    def __init__(self, forward: Callable[[Tensor], Tensor], batch: int = 1, ahead: int = 2) -> None:
        self.forward, self.batch, self.ahead = forward, batch, ahead
        self.seen: list[tuple[int, ...]] = []
        self.closed = 0

    @torch.no_grad()
    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        waiting = []
        for batch in batches:
            self.seen.append(tuple(batch.shape))
            waiting.append(batch)
            if len(waiting) > self.ahead:
                yield self.forward(waiting.pop(0))
        yield from map(self.forward, waiting)

    def close(self) -> None:
        self.closed += 1


def conv(dims: int, channels: int, classes: int, seed: int = 0) -> nn.Module:
    """A network whose logits depend on a voxel's place in the window: its border is zeros."""
    torch.manual_seed(seed)
    kind = nn.Conv2d if dims == 2 else nn.Conv3d
    return kind(channels, classes, 3, padding=1).eval()


@torch.no_grad()
def monai(
    image: Tensor,
    network: Callable[[Tensor], Tensor],
    patch: tuple[int, ...],
    overlap: float,
    batch: int = 1,
    flat: int | None = None,
) -> Tensor:
    """The mean logits `(K, *S)` that MONAI gives."""
    kwargs = {"overlap": overlap, "mode": "gaussian", "padding_mode": "replicate"}
    if flat is not None:
        inferer = SliceInferer(roi_size=patch, spatial_dim=flat, sw_batch_size=batch, **kwargs)
        return inferer(image[None], network)[0]
    found = sliding_window_inference(image[None], patch, batch, network, **kwargs)  # type: ignore[arg-type]
    return found[0]
