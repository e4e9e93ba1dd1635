import pytest
import torch

from pipeline.bundles import pick_device
from pipeline.bundles.device import memory_gib
from tests.refusals import refused

Err = pytest.CaptureFixture[str]


def test_the_device_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == torch.device("cpu")
    gpus(monkeypatch, 4)
    assert pick_device() == pick_device("cuda") == torch.device("cuda", 0)
    assert pick_device("cuda:3") == torch.device("cuda", 3)
    assert pick_device("cpu") == torch.device("cpu")


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the machine have GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("count", "expected"), [(4, 2), (1, 0)])
def test_each_process_has_its_own_gpu_or_the_only_one_that_it_sees(
    count: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, count)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    for name in (None, "cuda", torch.device("cuda")):
        assert pick_device(name) == torch.device("cuda", expected)


def test_one_gpu_for_several_processes_is_refused(
    capsys: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, 2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit):
        pick_device("cuda:1")
    assert "device is 'cuda:1' for 2 processes; use cuda" in refused(capsys)


@pytest.mark.parametrize(("count", "names"), [(1, "cuda:0"), (2, "cuda:0 to cuda:1")])
def test_a_gpu_that_is_not_there_is_refused(
    count: int, names: str, capsys: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, count)
    with pytest.raises(SystemExit):
        pick_device("cuda:2")
    assert f"device is 'cuda:2', but the GPUs are {names}; use cuda" in refused(capsys)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda"])
def test_a_device_that_is_not_there_is_refused(
    name: str, capsys: Err, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        pick_device(name)
    assert f"device is '{name}'" in refused(capsys)


def test_the_memory_is_that_of_the_machine() -> None:
    assert 0.1 < memory_gib("cpu") < 100_000


def test_processes_share_the_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory_gib("cpu")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory_gib("cpu") == pytest.approx(whole / 4)
