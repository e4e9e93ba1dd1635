"""U-Net's border-weighted cross-entropy, which teaches the gaps between touching objects."""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.errors import InvalidValueError
from pipeline.losses.supervision import HeadsLoss, Output, heads_of, mean_of_heads, nearest_label
from pipeline.losses.target import compare

W0, SIGMA = 10.0, 5.0
REACH: Final = 6.0  # sigmas beyond which the weight is below exp(-18) of its peak


def border_weights(
    objects: npt.NDArray[np.integer], *, w0: float = W0, sigma: float = SIGMA
) -> npt.NDArray[np.float32]:
    """Return 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) at each background voxel, 1 elsewhere.

    d1 and d2 are the distances, in voxels, to the nearest and the second nearest object; with
    fewer than two objects in reach the weight is 1. An array of the shape of `objects`.

    Args:
        objects: Integers `(*S)`, 0 for background and one for each object.
        w0: Weight in a gap of no width.
        sigma: How fast it falls, in voxels.

    Source: Ronneberger et al. 2015, equation 2.
    Deviations: the class-frequency term is left to the loss' caller; beyond six sigmas the
        weight is 1 exactly (the formula's is below 1 + 2e-7 w0).
    """
    from scipy import ndimage

    nearest = np.full((2, *objects.shape), np.inf)
    margin = int(np.ceil(REACH * sigma))
    for number, box in enumerate(ndimage.find_objects(objects), 1):
        if box is None:
            continue
        near = tuple(
            slice(max(0, side.start - margin), min(size, side.stop + margin))
            for side, size in zip(box, objects.shape, strict=True)
        )
        distance = ndimage.distance_transform_edt(objects[near] != number)
        first, second = nearest[0][near], nearest[1][near]
        second[...] = np.minimum(second, np.maximum(first, distance))
        first[...] = np.minimum(first, distance)
    gap = nearest.sum(0)
    peak = w0 * np.exp(-(gap**2) / (2 * sigma**2))
    return np.where(objects == 0, 1 + peak, 1).astype(np.float32)


def border_cross_entropy(
    logits: Tensor, label: Tensor, weights: Tensor, *, sigmoid: bool = False
) -> Tensor:
    """Return the sum of weighted cross-entropies divided by the number of voxels.

    Args:
        logits: `(B, K, *S)`, in float32 or float64.
        label: `(B, 1, *S)` of integers; with `sigmoid`, or for K = 1, `(B, K, *S)` of 0 and 1.
        weights: Of each voxel, `(B, 1, *S)`, or `(B, K, *S)` for regions.
        sigmoid: Overlapping regions instead of one label map.
    """
    entropy = compare(logits, label, sigmoid=sigmoid).cross_entropy
    if entropy.ndim < logits.ndim:
        entropy = entropy.unsqueeze(1)
    return (entropy * weights.to(entropy)).mean()


def label_weights(label: Tensor, *, w0: float = W0, sigma: float = SIGMA) -> Tensor:
    """Return `border_weights` of each channel of `(B, C, *S)`, on the label's device.

    The objects of a channel are its connected components; two classes that touch are two objects.
    """
    array = label.detach().cpu().numpy().astype(np.int64)
    maps = [
        [border_weights(_components(one), w0=w0, sigma=sigma) for one in case] for case in array
    ]
    return torch.from_numpy(np.array(maps, np.float32).reshape(array.shape)).to(label.device)


def _components(label: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the connected parts of each class of `(*S)`."""
    from scipy import ndimage

    objects = np.zeros(label.shape, np.int64)
    for value in np.unique(label[label > 0]):
        parts, _ = ndimage.label(label == value)
        objects[parts > 0] = parts[parts > 0] + objects.max()
    return objects


class BorderCrossEntropyLoss(HeadsLoss):
    """Cross-entropy with `border_weights` of the connected objects of the label.

    The weights are computed on the CPU in each step, once for all heads.

    Args:
        w0: Extra weight in a gap of no width, 0 or more.
        sigma: How fast it falls, in voxels, above 0.
        sigmoid: Overlapping regions instead of one label map.

    Raises:
        InvalidValueError: `w0` or `sigma` outside its range.
    """

    def __init__(self, *, w0: float = W0, sigma: float = SIGMA, sigmoid: bool = False) -> None:
        super().__init__()
        if w0 < 0 or sigma <= 0:
            raise InvalidValueError(
                f"w0 is {w0} and sigma is {sigma}", hint="give w0 of 0 or more, sigma above 0"
            )
        self.w0, self.sigma, self.sigmoid = w0, sigma, sigmoid

    def forward(self, output: Output, label: Tensor) -> Tensor:
        """Return the loss of all heads as a scalar in float32 (float64 for float64 logits)."""
        label = label.as_subclass(Tensor)
        weights = label_weights(label, w0=self.w0, sigma=self.sigma)
        parts = []
        for head in heads_of(output):
            logits, size = head.as_subclass(Tensor), head.shape[2:]
            with torch.autocast(logits.device.type, enabled=False):
                logits = logits if logits.dtype == torch.float64 else logits.float()
                small = nearest_label(label, size), nearest_label(weights, size)
                parts.append(border_cross_entropy(logits, *small, sigmoid=self.sigmoid))
        return mean_of_heads(parts)
