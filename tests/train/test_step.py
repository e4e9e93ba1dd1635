"""One update: a plain loop's in float32, with the loss in float32 whatever the forward pass is."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.engines.allocator import keep_large_blocks
from pipeline.errors import DataError, ResourceError
from pipeline.train.average import Average
from pipeline.train.step import Choice, TrainStep, amp_dtype, forward_loss, memory_format

CPU = torch.device("cpu")


def network(dims: int = 3) -> nn.Sequential:
    torch.manual_seed(3)
    conv = nn.Conv3d if dims == 3 else nn.Conv2d
    return nn.Sequential(conv(1, 4, 3, padding=1), nn.ReLU(), conv(4, 2, 1))


class Loss(nn.Module):
    """Mean squared difference, which remembers the dtype it was given."""

    dtype: torch.dtype | None = None
    given: torch.dtype | None = None

    def forward(self, output: Tensor, label: Tensor) -> Tensor:
        self.given = output.dtype
        value = ((output.float() - label.float()) ** 2).mean()
        self.dtype = value.dtype
        return value


def engine(model: nn.Module, rate: float = 0.1) -> Any:
    state = SimpleNamespace(device=CPU, epoch=4, iteration=9)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    return SimpleNamespace(network=model, optimizer=optimizer, loss_function=Loss(), state=state)


def batches(count: int = 3, scale: float = 1.0) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": scale * torch.randn(2, 1, 6, 6, 6, generator=generator),
            "label": torch.zeros(2, 2, 6, 6, 6, dtype=torch.uint8),
            "case": ["b", "a"],
        }
        for _ in range(count)
    ]


def test_three_float32_updates_are_those_of_a_plain_loop() -> None:
    ours, plain = network(), network()
    step, run = TrainStep(Average(ours), clip=None), engine(ours)
    optimizer, loss = torch.optim.SGD(plain.parameters(), lr=0.1), Loss()
    for batch in batches():
        step(run, batch)
        optimizer.zero_grad()
        loss(plain(batch["image"]), batch["label"]).backward()
        optimizer.step()
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_update_returns_its_loss_and_updates_the_average() -> None:
    model = network()
    average = Average(model)
    (batch,) = batches(1)
    expected = float(Loss()(model(batch["image"]), batch["label"]).detach())
    assert TrainStep(average)(engine(model), batch)["loss"] == pytest.approx(expected)
    for one, other in zip(average.module.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_gradients_longer_than_the_limit_are_shortened_to_it() -> None:
    model = network()
    before = copy.deepcopy(model)
    TrainStep(Average(model), clip=0.5)(engine(model, rate=1.0), batches(1, scale=100.0)[0])
    moves = [(a - b).detach() for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    length = torch.cat([move.flatten() for move in moves]).norm()
    assert float(length) == pytest.approx(0.5, rel=1e-3)


def test_without_a_limit_gradients_keep_their_length() -> None:
    model = network()
    before = copy.deepcopy(model)
    TrainStep(Average(model), clip=None)(engine(model, rate=1.0), batches(1, scale=100.0)[0])
    moves = [(a - b).detach() for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert float(torch.cat([move.flatten() for move in moves]).norm()) > 1


@pytest.mark.parametrize("dims", [2, 3])
def test_channels_last_changes_the_layout_of_weights_and_average_and_no_value(dims: int) -> None:
    model, plain = network(dims), network(dims)
    step = TrainStep(Average(model))
    step.use(Choice(channels_last=True), model, CPU)
    form = memory_format(dims, channels_last=True)
    for module in (model, step.average.module):
        assert module.get_parameter("0.weight").is_contiguous(memory_format=form)
    image = torch.randn(1, 1, *[8] * dims)
    label = torch.zeros(1, 2, *[8] * dims)
    one = forward_loss(model, Loss(), image, label, step.choice)
    other = forward_loss(plain, Loss(), image, label, Choice())
    torch.testing.assert_close(one, other)


def test_autocast_on_a_cpu_computes_the_network_in_bfloat16_and_the_loss_in_float32() -> None:
    loss = Loss()
    (batch,) = batches(1)
    value = forward_loss(network(), loss, batch["image"], batch["label"], Choice(amp=True))
    assert loss.given == torch.bfloat16
    assert value.dtype == loss.dtype == torch.float32


def test_weights_stay_in_float32_under_autocast() -> None:
    model = network()
    step = TrainStep(Average(model))
    step.use(Choice(amp=True), model, CPU)
    step(engine(model), batches(1)[0])
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert step.scaler is None


def test_a_cpu_casts_to_bfloat16() -> None:
    assert amp_dtype(CPU) == torch.bfloat16


def test_the_allocator_is_set_whatever_the_choice_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bool] = []
    monkeypatch.setattr("pipeline.train.step.keep_large_blocks", told.append)
    model = network()
    for keep in (True, False):
        TrainStep(Average(model)).use(Choice(keep_memory=keep), model, CPU)
    assert told == [True, False]
    assert keep_large_blocks(False) in (True, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused_with_epoch_update_and_cases(value: float) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    (batch,) = batches(1)
    batch["image"][0, 0, 0, 0, 0] = value
    with pytest.raises(DataError, match=r"loss is (nan|inf) in epoch 4, update 9.* a, b"):
        TrainStep(Average(model))(engine(model), batch)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


class Spike(torch.autograd.Function):
    """The identity, with a gradient that is no number."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * float("nan")


def spike(value: Tensor) -> Tensor:
    result: Tensor = Spike.apply(value)  # type: ignore[no-untyped-call]
    return result


def test_gradients_that_are_no_number_are_refused_before_they_reach_the_weights() -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    run = engine(model)
    run.loss_function = lambda output, label: Loss()(spike(output), label)
    average = Average(model)
    with pytest.raises(DataError, match="norm of the gradients is nan"):
        TrainStep(average)(run, batches(1)[0])
    for state in (model.state_dict(), average.module.state_dict()):
        assert all(torch.equal(before[k], v) for k, v in state.items())


def test_a_batch_that_does_not_fit_is_refused_with_its_size() -> None:
    model = network()
    run = engine(model)

    def full(output: Tensor, label: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no room")

    run.loss_function = full
    with pytest.raises(ResourceError, match=r"too small for batch_size 2 and patch \[6, 6, 6\]"):
        TrainStep(Average(model))(run, batches(1)[0])
