import json
import subprocess
import sys
from collections.abc import Sequence
from math import isnan
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.exceptions import NotComputableError
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd, AsDiscreted, Compose, Transform
from torch import Tensor, nn

from pipeline.errors import GeometryError
from pipeline.metrics import score_case, summarise
from pipeline.metrics.running import MeanDice

NAMES = ("liver", "spleen", "aorta")


def masks(cases: int, seed: int, values: Sequence[int] = (0, 1, 2, 3)) -> list[Tensor]:
    """Label maps `(1, 6, 5, 4)`."""
    rng = np.random.default_rng(seed)
    return [
        torch.as_tensor(rng.choice(values, (1, 6, 5, 4)).astype(np.uint8)) for _ in range(cases)
    ]


def expected(predictions: list[Tensor], labels: list[Tensor]) -> dict[str, float]:
    """The same from the table's functions, which do not use torch."""
    classes = {name: n for n, name in enumerate(NAMES, start=1)}
    rows = [
        row
        for case, (one, other) in enumerate(zip(predictions, labels, strict=True))
        for row in score_case(one[0].numpy(), other[0].numpy(), classes, (1, 1, 1), case=str(case))
    ]
    summary = summarise(rows)
    by_class = {f"dice_{mean.name}": mean.dice for mean in summary.classes if mean.counted}
    return {"mean": summary.mean.dice, **by_class}


class Given(nn.Module):
    """A network whose logits are the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def evaluate(
    cases: list[dict[str, Tensor]], post: Transform | Compose, classes: Sequence[str] = NAMES
) -> dict[str, float]:
    """Metrics of MONAI's own evaluator."""
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases), batch_size=2),
        network=Given(),
        inferer=SimpleInferer(),
        postprocessing=post,
        key_val_metric={"val_mean_dice": MeanDice(classes)},
    )
    evaluator.run()
    assert evaluator.state.best_metric == pytest.approx(evaluator.state.metrics["val_mean_dice"])
    return dict(evaluator.state.metrics)


def one_hot(mask: Tensor, classes: int) -> Tensor:
    return torch.stack([mask[0] == n for n in range(classes)]).float()


def test_monais_evaluator_reports_the_dice_of_the_table() -> None:
    labels = [*masks(2, 0), *masks(2, 1, (0, 1)), *masks(1, 2, (0, 2))]
    predictions = [*masks(2, 3), *masks(2, 4, (0, 1, 2)), *masks(1, 5, (0, 1))]
    cases = [
        {"image": one_hot(prediction, 4), "label": label}
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    metrics = evaluate(cases, AsDiscreted("pred", argmax=True))
    wanted = expected(predictions, labels)
    assert metrics.pop("val_mean_dice") == pytest.approx(wanted.pop("mean"))
    assert metrics == pytest.approx(wanted)
    assert set(metrics) == {"dice_liver", "dice_spleen", "dice_aorta"}


def test_a_class_that_is_absent_everywhere_is_left_out() -> None:
    labels, predictions = masks(3, 0, (0, 1)), masks(3, 1, (0, 1))
    cases = [
        {"image": one_hot(prediction, 4), "label": label}
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    metrics = evaluate(cases, AsDiscreted("pred", argmax=True))
    assert set(metrics) == {"val_mean_dice", "dice_liver"}
    assert metrics["val_mean_dice"] == metrics["dice_liver"]


def test_regions_are_counted_by_channel_as_the_table_does() -> None:
    rng = np.random.default_rng(0)
    labels = [torch.as_tensor(rng.random((3, 6, 5, 4)) > 0.5).float() for _ in range(3)]
    logits = [torch.as_tensor(rng.standard_normal((3, 6, 5, 4))).float() for _ in range(3)]
    labels[1][2], logits[1][2] = 0, -1  # rightly absent in one case
    cases = [{"image": x, "label": y} for x, y in zip(logits, labels, strict=True)]
    post = Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)])
    metrics = evaluate(cases, post)
    rows = [
        row
        for x, y in zip(logits, labels, strict=True)
        for row in score_case(
            (x > 0).numpy().transpose(1, 2, 3, 0), y.numpy().transpose(1, 2, 3, 0), NAMES, (1, 1, 1)
        )
    ]
    summary = summarise(rows)
    assert summary.mean.absent == 1
    assert metrics["val_mean_dice"] == pytest.approx(summary.mean.dice)
    assert metrics["dice_aorta"] == pytest.approx(summary.classes[2].dice)


def test_one_region_of_zeros_and_ones_is_one_class() -> None:
    metric = MeanDice(["cell"])
    one, other = torch.zeros(2, 1, 8, 8)
    one[0, :4], other[0, 2:6] = 1, 1
    metric.update(([one], [other]))
    assert metric.compute() == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_batches_lists_types_and_metatensors_count_the_same(dtype: torch.dtype) -> None:
    predictions, labels = masks(4, 0), masks(4, 1)
    listed, batched = MeanDice(NAMES), MeanDice(NAMES)
    listed.update(([MetaTensor(mask.to(dtype)) for mask in predictions], labels))
    batched.update((torch.stack(predictions).to(dtype), torch.stack(labels)))
    assert listed.compute() == batched.compute()
    assert listed.compute() == pytest.approx(expected(predictions, labels)["mean"])


def test_the_next_epoch_starts_anew() -> None:
    metric = MeanDice(NAMES)
    metric.update((masks(2, 0), masks(2, 1)))
    first = metric.compute()
    metric.reset()
    with pytest.raises(NotComputableError):
        metric.compute()
    metric.update((masks(2, 0), masks(2, 1)))
    assert metric.compute() == first


def test_nothing_to_count_is_no_number() -> None:
    metric = MeanDice(NAMES)
    metric.update(([torch.zeros(1, 4, 4)], [torch.zeros(1, 4, 4)]))
    assert isnan(metric.compute())


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"prediction \(4, 5, 5\) and label \(1, 5, 5\)"):
        MeanDice(NAMES).update(([torch.zeros(4, 5, 5)], [torch.zeros(1, 5, 5)]))


# counts its own cases only: three in process 0, one in process 1
PROCESS = """
import json, sys
import torch
import torch.distributed as dist
from pipeline.metrics.running import MeanDice

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
metric = MeanDice(["liver", "spleen", "aorta"])
share = slice(0, 3) if rank == 0 else slice(3, 4)
predictions, labels = torch.load(f"{folder}/masks.pt")
metric.update((predictions[share], labels[share]))
print(json.dumps({"mean": metric.compute(), **metric.by_class}))
dist.destroy_process_group()
"""


def test_two_processes_agree_on_the_mean_over_all_cases(tmp_path: Path) -> None:
    predictions, labels = masks(4, 0), masks(4, 1)
    torch.save((torch.stack(predictions), torch.stack(labels)), tmp_path / "masks.pt")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(rank)], stdout=subprocess.PIPE
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    wanted = expected(predictions, labels)
    for process, text in zip(started, printed, strict=True):
        assert process.returncode == 0
        result = json.loads(text)
        assert result["mean"] == pytest.approx(wanted["mean"])
        assert result["liver"] == pytest.approx(wanted["dice_liver"])
