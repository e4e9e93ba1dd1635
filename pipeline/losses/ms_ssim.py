"""Multi-scale structural similarity of probabilities and masks, in 2D and 3D."""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import compare

SCALE_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for values from 0 to 1
SMALLEST: Final = 1e-6  # under a power below 1, whose gradient at 0 is infinite

CONV: Final = {2: functional.conv2d, 3: functional.conv3d}
POOL: Final = {2: functional.avg_pool2d, 3: functional.avg_pool3d}


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the similarity `(B, C)` of two `(B, C, *S)` with values from 0 to 1; 1 is equal.

    As many of the five scales are taken as the shortest axis has room for a window at, at least
    one, and their weights are scaled to a sum of 1; below 11 voxels the window shrinks, too.

    Source: Wang et al. 2003, equation 7, with a Gaussian of 11 voxels and sigma 1.5.
    Deviations: similarities below 1e-6, negative ones among them, count as 1e-6 (a power of a
        negative number is none); fewer scales on small patches, where the paper demands 161.
    """
    scales = scales_for(a.shape[2:])
    weights = [weight / sum(SCALE_WEIGHTS[:scales]) for weight in SCALE_WEIGHTS[:scales]]
    product = a.new_ones(a.shape[:2])
    for number, weight in enumerate(weights):
        if number:
            a, b = (POOL[x.ndim - 2](x, 2) for x in (a, b))
        luminance, contrast = _similarity(a, b)
        # luminance counts at the coarsest scale only
        whole = luminance * contrast if number == scales - 1 else contrast
        product = product * whole.flatten(2).mean(2).clamp_min(SMALLEST) ** weight
    return product


def scales_for(size: tuple[int, ...] | torch.Size) -> int:
    """Return how many scales a size has room for, 1 to 5."""
    shortest = min(size)
    return max(1, sum(shortest >> n >= WINDOW for n in range(len(SCALE_WEIGHTS))))


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-structure terms at every place where the window fits."""
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return luminance, (2 * covariance + C2) / (var_a + var_b + C2)


def _blur(x: Tensor) -> Tensor:
    """Weigh by the Gaussian window along each axis; only where it fits."""
    dims = x.ndim - 2
    values = x.flatten(0, 1).unsqueeze(1)
    for axis in range(dims):
        length = min(WINDOW, x.shape[axis + 2])
        places = torch.arange(length, dtype=x.dtype, device=x.device) - (length - 1) / 2
        window = torch.exp(-(places**2) / (2 * SIGMA**2))
        shape = [1, 1, *(length if other == axis else 1 for other in range(dims))]
        values = CONV[dims](values, (window / window.sum()).reshape(shape))
    return values.reshape(*x.shape[:2], *values.shape[2:])


def ms_ssim_loss(logits: Tensor, label: Tensor, *, sigmoid: bool = False) -> Tensor:
    """Return 1 - mean `ms_ssim` of the foreground classes' probabilities and masks.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        sigmoid: Overlapping regions instead of one label map.
    """
    return 1 - ms_ssim(*compare(logits, label, sigmoid=sigmoid).foreground()).mean()


class MSSSIMLoss(HeadsLoss):
    """`ms_ssim_loss` of a network's output, of every head.

    Args:
        sigmoid: Overlapping regions instead of one label map.
    """

    def __init__(self, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.sigmoid = sigmoid

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head."""
        return ms_ssim_loss(logits, label, sigmoid=self.sigmoid)
