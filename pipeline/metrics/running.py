"""Dice during training: the rules of the table of scores, on whatever device the masks are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import nan
from typing import Any

import torch
from ignite.engine import Engine
from ignite.exceptions import NotComputableError
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced
from torch import Tensor, distributed

from pipeline.errors import GeometryError


class MeanDice(Metric):
    """Mean over cases, then over classes, of the Dice of whole masks; a MONAI `key_metric`.

    Each case is a pair of masks: `(1, *S)` with 0 for background and 1 to K for the classes, or
    `(K, *S)` of 0 and 1 for regions. A class that is missed or invented counts as 0; one that is
    rightly absent is left out of its mean. After an epoch `engine.state.metrics` also has
    `dice_NAME` for each class with a counted case. Sums are reduced over all processes.

    Args:
        classes: Names of the foreground, in the order of their integers or channels.
        output_transform: From the engine's output to predictions and labels, each a batch
            `(B, C, *S)` or a list of `(C, *S)`; None takes `pred` and `label`.
        device: Where the sums are kept.

    Attributes:
        by_class: Mean over cases of each class, of the last `compute`; NaN without a case.
    """

    _state_dict_all_req_keys = ("_sums", "_counts", "_cases")

    def __init__(
        self,
        classes: Iterable[str],
        output_transform: Callable[[Any], Any] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.classes = tuple(classes)
        self.by_class: dict[str, float] = {}
        super().__init__(output_transform or pred_and_label, device, skip_unrolling=True)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all cases."""
        self._sums = torch.zeros(len(self.classes), dtype=self._double_dtype, device=self._device)
        self._counts = torch.zeros_like(self._sums)
        self._cases = torch.zeros_like(self._sums[:1])

    @reinit__is_reduced
    def update(self, output: tuple[Iterable[Tensor], Iterable[Tensor]]) -> None:
        """Add the cases of one batch: predictions and labels.

        Raises:
            GeometryError: A prediction and its label differ in shape.
        """
        for prediction, label in zip(*output, strict=True):
            both, sizes = overlap(prediction, label, len(self.classes))
            # where both are empty, 0 / 1 is added and not counted
            self._sums += (2 * both / sizes.clamp(min=1)).to(self._sums)
            self._counts += (sizes > 0).to(self._counts)
            self._cases += 1

    def compute(self) -> float:
        """Return the mean Dice of all processes' cases; NaN if every class is rightly absent.

        Raises:
            NotComputableError: There was no case.
        """
        sums, counts, cases = (
            _over_processes(each).tolist() for each in (self._sums, self._counts, self._cases)
        )
        if not cases[0]:
            raise NotComputableError("MeanDice needs at least one case before it is computed")
        means = [s / n if n else nan for s, n in zip(sums, counts, strict=True)]
        self.by_class = dict(zip(self.classes, means, strict=True))
        counted = [mean for mean, n in zip(means, counts, strict=True) if n]
        return sum(counted) / len(counted) if counted else nan

    def completed(self, engine: Engine, name: str) -> None:
        """Put the mean and the value of each counted class into `engine.state.metrics`."""
        super().completed(engine, name)
        for class_name, value in self.by_class.items():
            engine.state.metrics.pop(f"dice_{class_name}", None)  # of an earlier epoch
            if value == value:
                engine.state.metrics[f"dice_{class_name}"] = value


def pred_and_label(
    output: Sequence[Mapping[str, Tensor]] | Mapping[str, Tensor],
) -> tuple[Sequence[Tensor] | Tensor, Sequence[Tensor] | Tensor]:
    """Return what a MONAI engine leaves under `pred` and `label`, one a case or as batches."""
    if isinstance(output, Mapping):
        return output["pred"], output["label"]
    return [case["pred"] for case in output], [case["label"] for case in output]


def overlap(prediction: Tensor, label: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Count one case's voxels: of both masks in common, and of one plus the other, by class.

    Args:
        prediction: `(1, *S)` of integers or `(K, *S)` of 0 and 1, of any type.
        label: The same shape.
        classes: K.

    Raises:
        GeometryError: The shapes differ.
    """
    if prediction.shape != label.shape:
        raise GeometryError(
            f"prediction {tuple(prediction.shape)} and label {tuple(label.shape)} differ in shape",
            hint="compare masks after argmax, or after a threshold for regions",
        )
    # logits of a large volume may have been put together on the CPU
    label = label.to(prediction.device)
    one, other = (mask.as_subclass(Tensor).flatten(1) for mask in (prediction, label))
    if len(one) > 1:
        one, other = one != 0, other != 0
        return (one & other).sum(1), one.sum(1) + other.sum(1)
    one, other = (_integers(mask[0]) for mask in (one, other))
    both = _histogram(one[one == other], classes)
    return both, _histogram(one, classes) + _histogram(other, classes)


def _integers(mask: Tensor) -> Tensor:
    """A mask as integers; the small types are kept, for a copy of a whole scan costs."""
    return mask.long() if mask.is_floating_point() or mask.dtype == torch.bool else mask


def _histogram(mask: Tensor, classes: int) -> Tensor:
    """Voxels of the integers 1 to K."""
    return torch.bincount(mask, minlength=classes + 1)[1 : classes + 1]


def _over_processes(value: Tensor) -> Tensor:
    """The sum over all processes, the same in each."""
    total = value.clone()
    if distributed.is_available() and distributed.is_initialized():
        # not ignite's, which takes it to a GPU wherever there is one
        distributed.all_reduce(total)
    return total
