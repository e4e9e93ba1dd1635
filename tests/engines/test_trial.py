"""What is counted when an engine's labels are compared, and on which windows."""

from collections.abc import Callable, Iterable, Iterator

import pytest
import torch
from torch import Tensor

from pipeline.contract import Engine, Network
from pipeline.engines import open_engine
from pipeline.engines.trial import (
    FOREGROUND,
    Agreement,
    Reference,
    agreement_of,
    compare,
    gathered,
    labels_of,
    refer,
    seconds_per_window,
)
from pipeline.errors import InvalidValueError


class Told(Engine):
    """Gives the logits it was told to, one batch after the other."""

    name, precision, threads = "told", "fp32", 1

    def __init__(self, foreground: int, batch: int = 1) -> None:
        self.foreground, self.batch, self.seen = foreground, batch, 0

    def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for batch in batches:
            self.seen += len(batch)
            logits = torch.zeros(len(batch), 2, *batch.shape[2:])
            logits[:, 1].flatten(1)[:, : self.foreground] = 1
            yield logits


def test_shares_are_counted_over_all_and_over_what_either_calls_foreground() -> None:
    wanted = torch.tensor([[[0, 0, 0, 0, 0, 0, 1, 2]]], dtype=torch.uint8)
    found = torch.nn.functional.one_hot(torch.tensor([[[0, 0, 0, 0, 0, 1, 1, 1]]]), 3)
    reference = Reference([], [wanted], 2)
    agreed = agreement_of([found.movedim(-1, 1).float()], reference, "softmax")
    assert agreed == Agreement(6 / 8, 1 / 3)


def test_a_voxel_of_regions_is_equal_where_all_regions_are() -> None:
    wanted = torch.tensor([[[True, True, False, False]], [[True, False, False, False]]])[None]
    found = torch.where(wanted, 1.0, -1.0)
    found[0, 1, 0, 1] = 1.0
    reference = Reference([], [wanted], 2)
    assert agreement_of([found], reference, "sigmoid") == Agreement(3 / 4, 1 / 2)


def test_without_any_foreground_all_of_it_agrees() -> None:
    labels = torch.zeros(1, 4, dtype=torch.uint8)
    logits = torch.tensor([1.0, 0.0]).reshape(1, 2, 1).expand(1, 2, 4)
    assert agreement_of([logits], Reference([], [labels], 0), "softmax") == Agreement(1.0, 1.0)


def test_a_demand_is_met_by_both_shares() -> None:
    agreed = Agreement(0.9996, 0.996)
    assert agreed.meets((0.9995, 0.995))
    assert not agreed.meets((0.9997, 0.995))
    assert not agreed.meets((0.9995, 0.997))
    assert str(agreed) == "99.9600% of all voxels, 99.600% of the foreground"


def test_labels_hold_as_many_classes_as_there_are() -> None:
    assert labels_of(torch.zeros(1, 256, 2), "softmax").dtype == torch.uint8
    many = torch.zeros(1, 300, 2)
    many[:, 299] = 1
    assert labels_of(many, "softmax").tolist() == [[299, 299]]
    assert labels_of(torch.tensor([[[1.0, -1.0]]]), "sigmoid").tolist() == [[[True, False]]]


def test_windows_of_a_single_value_are_passed_over() -> None:
    air, body = torch.full((1, 4, 4), -1.0), torch.arange(16.0).reshape(1, 4, 4)
    (batch,) = gathered([air, body, air, body + 1], 2)
    assert batch.tolist() == torch.stack([body, body + 1]).tolist()
    (only,) = gathered([air, air], 2)
    assert only.tolist() == air[None].tolist()


def test_windows_are_copied_so_that_one_buffer_may_serve_all() -> None:
    buffer = torch.zeros(1, 4)

    def filled() -> Iterator[Tensor]:
        for value in (1.0, 2.0):
            buffer.copy_(torch.arange(4) * value)
            yield buffer

    (batch,) = gathered(filled(), 2)
    assert batch[:, 0, 1].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("foreground", "batch", "taken"), [(FOREGROUND, 1, 8), (0, 1, 16), (FOREGROUND // 10, 1, 10)]
)
def test_windows_are_taken_until_there_is_foreground_enough(
    foreground: int, batch: int, taken: int
) -> None:
    engine = Told(foreground, batch)
    windows = torch.rand(40, 1, 40, 40)
    reference = refer(engine, windows, "softmax")
    assert engine.seen == len(reference.batches) == taken
    assert reference.telling == (foreground > 0)
    assert reference.foreground == foreground * taken


def test_no_windows_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="no window"):
        refer(Told(0), [], "softmax")


def test_an_engine_agrees_with_itself(network: Network, windows: list[Tensor]) -> None:
    engine = open_engine("torch", "fp32", network, "a" * 64, (12, 12, 12))
    reference = refer(engine, windows, "softmax")
    assert compare(engine, reference, "softmax") == Agreement(1.0, 1.0)
    assert seconds_per_window(engine, reference) > 0


def test_a_few_windows_are_timed_over_and_over(
    windows_like: Callable[..., list[Tensor]],
) -> None:
    engine = Told(0)
    reference = Reference([windows_like(number=1)[0][None]], [], 0)
    seconds_per_window(engine, reference, 7)
    assert engine.seen == 7
