"""A change of how updates are computed is kept only where it is faster and finite."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from pipeline.errors import InvalidValueError, ResourceError
from pipeline.networks import NETWORKS, build_network
from pipeline.train import tuning
from pipeline.train.step import Choice
from pipeline.train.tuning import tune

CPU = torch.device("cpu")
SHAPE = (2, 1, 8, 8)
Rule = Callable[[Choice], float]


class Loss(nn.Module):
    def forward(self, output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return (output.float() ** 2).mean()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the allocator was told."""
    values: list[bool] = []
    monkeypatch.setattr(tuning, "keep_large_blocks", values.append)
    return values


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rule], list[Choice]]:
    """Let a rule say how long a step takes; infinity stands for one that is not finite.

    Less than nothing stands for one that does not fit into memory.
    """
    steps: list[Choice] = []

    def use(rule: Rule) -> list[Choice]:
        def step(self: Any, choice: Choice) -> tuple[float, bool]:
            steps.append(choice)
            seconds = rule(choice)
            if seconds < 0:
                raise torch.OutOfMemoryError("no room")
            return (0.01, False) if math.isinf(seconds) else (seconds, True)

        monkeypatch.setattr(tuning.Bench, "step", step)
        return steps

    return use


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def chosen(amp: bool | None = None, **more: Any) -> Choice:
    return tune(network(), Loss(), SHAPE, 1, CPU, amp, **more)[0]


def test_each_change_that_is_faster_is_kept(bench: Callable[[Rule], Any], told: Any) -> None:
    bench(lambda c: 1.0 - 0.2 * c.channels_last - 0.2 * c.amp - 0.2 * c.keep_memory)
    assert chosen() == Choice(channels_last=True, amp=True, keep_memory=True)


def test_a_change_that_is_slower_is_dropped(bench: Callable[[Rule], Any], told: Any) -> None:
    bench(lambda c: 1.0 + 0.2 * c.amp + 0.01 * c.keep_memory - 0.2 * c.channels_last)
    assert chosen() == Choice(channels_last=True)


def test_a_gain_within_the_noise_is_none(bench: Callable[[Rule], Any], told: Any) -> None:
    bench(lambda c: 1.0 - 0.02 * c.amp)
    assert not chosen().amp


def test_a_faster_change_that_is_not_finite_is_dropped(
    bench: Callable[[Rule], Any], told: Any
) -> None:
    bench(lambda c: math.inf if c.amp else 1.0)
    assert not chosen().amp


def test_a_hopeless_change_ends_after_two_steps(bench: Callable[[Rule], Any], told: Any) -> None:
    steps = bench(lambda c: 20.0 if c.amp else 1.0)
    assert not chosen().amp
    assert sum(step.amp for step in steps) == 2


def test_a_change_that_does_not_fit_is_dropped(bench: Callable[[Rule], Any], told: Any) -> None:
    bench(lambda c: -1.0 if c.channels_last else 1.0 - 0.3 * c.amp)
    assert chosen() == Choice(amp=True)


def test_where_only_autocast_fits_it_is_taken(bench: Callable[[Rule], Any], told: Any) -> None:
    bench(lambda c: 1.0 - 0.3 * c.channels_last if c.amp else -1.0)
    choice, line = tune(network(), Loss(), SHAPE, 1, CPU)
    assert choice == Choice(channels_last=True, amp=True)
    assert "float32 does not fit" in line


@pytest.mark.parametrize("amp", [None, True, False])
def test_a_batch_that_never_fits_is_refused_with_its_size(
    amp: bool | None, bench: Callable[[Rule], Any], told: Any
) -> None:
    bench(lambda c: -1.0)
    with pytest.raises(ResourceError, match=r"of cpu is too small for batch_size 2 and patch \[8"):
        chosen(amp)


def test_a_slow_step_is_not_timed_again_and_again(bench: Callable[[Rule], Any], told: Any) -> None:
    steps = bench(lambda c: tuning.SLOWEST_S + 1)
    assert chosen() == Choice()
    assert len(steps) == 1


@pytest.mark.parametrize("amp", [True, False])
def test_the_users_word_on_autocast_is_not_measured(
    amp: bool, bench: Callable[[Rule], Any], told: Any
) -> None:
    steps = bench(lambda c: 1.0 if c.amp != amp else 9.0)
    assert chosen(amp).amp is amp
    assert {step.amp for step in steps} == {amp}


def test_a_kept_choice_is_used_again_without_a_step(
    bench: Callable[[Rule], Any], told: Any
) -> None:
    steps = bench(lambda c: 1.0 - 0.3 * c.amp)
    first = chosen()
    del steps[:]
    bench(lambda c: 1.0 + 0.3 * c.amp)
    again, line = tune(network(), Loss(), SHAPE, 1, CPU)
    assert again == first
    assert not steps
    assert "kept from an earlier run" in line
    assert not chosen(again=True).amp


def test_two_runs_at_a_time_take_one_choice(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    """Measured by themselves they would differ, and with them two runs of one seed."""
    together, answers = threading.Barrier(2), iter([2.0, 2.0, 0.5, 0.5])
    monkeypatch.setattr(tuning, "_gain", lambda bench, best, candidate: next(answers))

    def run(_: int) -> Choice:
        together.wait()
        return chosen(amp=False)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))
    assert first == second == Choice(channels_last=True, keep_memory=True)


def test_a_norm_over_several_processes_waits_for_none(tmp_path: Path, told: Any) -> None:
    """One process measures while the others wait for its word; torch's norm needs a GPU as well."""
    model = nn.SyncBatchNorm.convert_sync_batchnorm(network())  # type: ignore[no-untyped-call]
    distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="SyncBatchNorm"):
            model(torch.rand(SHAPE))
        _, line = tune(model, Loss(), SHAPE, 1, CPU)
    finally:
        distributed.destroy_process_group()
    assert line.startswith("speed measured: ")
    assert any(type(module) is nn.SyncBatchNorm for module in model.modules())


def test_another_network_batch_or_word_is_measured_by_itself(
    bench: Callable[[Rule], Any], told: Any, cache: Path
) -> None:
    bench(lambda c: 1.0)
    chosen()
    tune(nn.Conv2d(1, 2, 1), Loss(), SHAPE, 1, CPU)
    tune(network(), Loss(), (4, 1, 8, 8), 1, CPU)
    chosen(amp=False)
    assert len(list((cache / "tuning").glob("*.json"))) == 4


def test_the_allocator_ends_as_chosen(told: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_gain", lambda bench, best, candidate: 0.5)
    chosen()
    assert told[-1] is False
    monkeypatch.setattr(tuning, "_gain", lambda bench, best, candidate: 2.0)
    chosen(again=True)
    assert told[-1] is True


def test_network_loss_and_random_state_are_left_as_they_were() -> None:
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    _, line = tune(model, Loss(), SHAPE, 1, CPU)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert line.startswith("speed measured: ")


@pytest.mark.parametrize(("depth", "tried"), [(1, True), (2, False), (3, True)])
def test_autocast_is_not_tried_where_onednn_computes_wrong_gradients(
    depth: int, tried: bool, bench: Callable[[Rule], Any], told: Any
) -> None:
    steps = bench(lambda c: 1.0)
    tune(nn.Conv3d(1, 2, 3, padding=1), Loss(), (1, 1, depth, 8, 8), 1, CPU)
    assert any(step.amp for step in steps) is tried


def test_autocast_asked_for_where_it_computes_wrong_gradients_is_refused() -> None:
    network = nn.Conv3d(1, 2, 3, padding=1)
    with pytest.raises(InvalidValueError, match=r"wrong gradients .* patch \[2, 8, 8\]"):
        tune(network, Loss(), (1, 1, 2, 8, 8), 1, CPU, True)


@pytest.mark.parametrize(
    ("channels", "stride", "tried"), [(8, 2, False), (16, 2, True), (8, 1, True)]
)
def test_channels_last_is_not_tried_where_onednn_writes_beyond_its_buffer(
    bench: Callable[[Rule], list[Choice]], told: Any, channels: int, stride: int, tried: bool
) -> None:
    steps = bench(lambda choice: 1.0)
    tune(nn.Conv2d(channels, 16, 1, stride), Loss(), (2, channels, 64, 64), 1, CPU, False)
    assert any(choice.channels_last for choice in steps) is tried


def test_a_network_of_narrow_strided_shortcuts_is_tuned() -> None:
    """Where the process died of it: each step in torch itself."""
    network = build_network("resunetpp", 2, 3, 2, **NETWORKS["resunetpp"].compact[0])
    choice, _ = tune(network, Loss(), (2, 3, 128, 128), 1, CPU, False)
    assert not choice.channels_last
