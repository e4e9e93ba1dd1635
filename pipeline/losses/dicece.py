"""Cross-entropy plus soft Dice, for label maps and for overlapping regions.

MONAI's `DiceCELoss` goes through softmax twice, cannot anneal its class weights, and for regions
takes a softmax cross-entropy over channels that do not exclude each other. Here one log-softmax
and one one-hot copy serve both terms, whatever the memory format of the logits.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import InvalidValueError
from pipeline.losses.dice import dice_of_sums
from pipeline.losses.supervision import HeadsLoss
from pipeline.losses.target import all_but_channels


class DiceCELoss(HeadsLoss):
    """Logits `(B, K, *S)` and label `(B, 1, *S)` to mean cross-entropy + 1 - mean soft Dice.

    The Dice of a class is taken over the whole batch, its mean over the foreground classes
    (channels 1 to K - 1). With `sigmoid` the target is multi-hot, `(B, K, *S)`, and the loss is
    binary cross-entropy + 1 - mean Dice over all channels. Everything is computed in float32,
    under autocast too. Several heads (a sequence, or a result with `heads`) count 1, 1/2, 1/4, ...,
    normalised to a sum of 1; the label is brought to a coarser head's size by its nearest voxels.

    Args:
        weights: One factor above 0 for each of the K classes of the cross-entropy, background
            included; None weighs all alike.
        shares: Share of the voxels of each class; with it the weights are rescaled until the
            mean weight of a voxel is 1.
        anneal_until: Progress, in (0, 1], at which the weights have become all alike; None keeps
            them as they are.
        sigmoid: Overlapping regions instead of one label map; takes no weights.

    Attributes:
        progress: Share of the training that is done, 0 to 1; a handler sets it.

    Raises:
        InvalidValueError: Weights or shares of the wrong number or sign, `anneal_until` outside
            (0, 1], or weights together with `sigmoid`.

    Source: Drozdzal et al. 2016 for the soft Dice, Isensee et al. 2021 for the sum of both and
        for the factors of the heads.
    Deviations: the weighted cross-entropy is the sum divided by the number of voxels, not by the
        sum of their weights as in torch: a batch that is full of rare classes counts for more.
    """

    def __init__(
        self,
        weights: Sequence[float] | None = None,
        shares: Sequence[float] | None = None,
        anneal_until: float | None = 0.7,
        *,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        _check(weights, shares, anneal_until, sigmoid=sigmoid)
        self.weights = None if weights is None else tuple(map(float, weights))
        self.shares = None if shares is None else tuple(map(float, shares))
        self.anneal_until = anneal_until
        self.sigmoid = sigmoid
        self.progress = 0.0

    def head_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss of one head.

        Raises:
            InvalidValueError: The logits have another number of classes than there are weights.
        """
        if self.sigmoid:
            return _regions_loss(logits, label.to(logits.dtype))
        return self._classes_loss(logits, label.long())

    def _classes_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Weighted cross-entropy and Dice of one label map."""
        axes = all_but_channels(logits)
        log_p = functional.log_softmax(logits, dim=1)
        hot = torch.zeros_like(log_p).scatter_(1, label, 1.0)
        log_likelihood = (log_p * hot).sum(axes)  # of each class, so that weights are K products
        if self.weights is not None:
            log_likelihood = log_likelihood * self._now(self.weights, log_likelihood)
        cross_entropy = -log_likelihood.sum() / label.numel()
        p = log_p.exp()
        dice = dice_of_sums((p * hot).sum(axes), p.sum(axes), hot.sum(axes))
        return cross_entropy + 1 - dice[1:].mean()

    def _now(self, weights: Sequence[float], like: Tensor) -> Tensor:
        """The class weights of this moment, on the device of `like`, which has K values."""
        if len(weights) != len(like):
            raise InvalidValueError(
                f"{len(weights)} class weights for logits of {len(like)} classes",
                hint="give one weight for each class, background first",
            )
        now = annealed_weights(weights, self.shares, self.progress, self.anneal_until)
        return like.new_tensor(now)


def annealed_weights(
    weights: Sequence[float],
    shares: Sequence[float] | None,
    progress: float,
    until: float | None,
) -> list[float]:
    """Return w ** max(0, 1 - progress / until), scaled to a mean of 1 over voxels.

    Args:
        weights: One above 0 for each class.
        shares: Share of the voxels of each class; None leaves the scale alone.
        progress: Share of the training that is done.
        until: Progress at which all weights are 1; None keeps them constant.
    """
    exponent = 1.0 if until is None else max(0.0, 1 - progress / until)
    annealed: list[float] = [weight**exponent for weight in weights]
    if shares is None:
        return annealed
    mean = sum(w * f for w, f in zip(annealed, shares, strict=True)) / sum(shares)
    return [weight / mean for weight in annealed]


def _regions_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy and Dice over all channels."""
    axes = all_but_channels(logits)
    p = logits.sigmoid()
    dice = dice_of_sums((p * target).sum(axes), p.sum(axes), target.sum(axes))
    return functional.binary_cross_entropy_with_logits(logits, target) + 1 - dice.mean()


def _check(
    weights: Sequence[float] | None,
    shares: Sequence[float] | None,
    anneal_until: float | None,
    *,
    sigmoid: bool,
) -> None:
    """Refuse settings that would give no loss, or a wrong one in silence."""
    if weights is not None and sigmoid:
        raise InvalidValueError(
            "class weights are given for overlapping regions",
            hint="leave class_weights out, or use a softmax head",
        )
    if weights is not None and not all(0 < weight < float("inf") for weight in weights):
        raise InvalidValueError(
            f"class weights are {list(weights)}", hint="give finite weights above 0"
        )
    if shares is not None and (min(shares) < 0 or not 0 < sum(shares) < float("inf")):
        raise InvalidValueError(
            f"class shares are {list(shares)}", hint="give shares from 0 to 1 that sum to 1"
        )
    if weights is not None and shares is not None and len(weights) != len(shares):
        raise InvalidValueError(
            f"{len(weights)} class weights and {len(shares)} class shares",
            hint="give one of each for every class, background first",
        )
    if anneal_until is not None and not 0 < anneal_until <= 1:
        raise InvalidValueError(
            f"anneal_until is {anneal_until}", hint="give a progress above 0 and up to 1, or null"
        )
