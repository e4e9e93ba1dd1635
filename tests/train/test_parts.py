"""The small builders of the configs."""

from typing import Any

import pytest
import torch
from monai.transforms import Compose
from torch import nn

from pipeline.errors import DataError
from pipeline.train import parts
from pipeline.train.sampling import EpochSampler

CPU = torch.device("cpu")
DATA: Any = [{"image": torch.full((1,), float(n))} for n in range(5)]


def refuse(case: Any) -> Any:
    raise DataError("c1 is damaged", hint="mend it")


def test_a_network_alone_is_moved_and_not_wrapped() -> None:
    network = nn.Linear(1, 1)
    assert parts.place(network, CPU) is network


def test_a_bad_case_ends_the_program_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path))
    (tmp_path / "i").touch()
    with pytest.raises(SystemExit) as end:
        parts.prepared([{"case": "c1", "image": str(tmp_path / "i")}], Compose([refuse]), 1.0)
    assert end.value.code == 2
    assert "error: c1 is damaged; mend it\n" in capsys.readouterr().err


def test_a_loader_gives_batches_in_the_samplers_order() -> None:
    sampler = EpochSampler(5, 4, seed=1)
    loader = parts.loader(DATA, 2, sampler, device=CPU)
    assert [batch["image"].flatten().tolist() for batch in loader] == [
        list(map(float, list(sampler)[:2])),
        list(map(float, list(sampler)[2:])),
    ]


def test_without_a_sampler_cases_come_as_they_are() -> None:
    assert [int(batch["image"]) for batch in parts.loader(DATA)] == [0, 1, 2, 3, 4]


def asked(monkeypatch: pytest.MonkeyPatch, *args: Any, **kwargs: Any) -> tuple[int, bool]:
    """Workers and pinned memory that the loader asks MONAI for."""
    monkeypatch.setattr(parts, "DataLoader", lambda dataset, **settings: settings)
    settings: Any = parts.loader(DATA, *args, **kwargs)
    return settings["num_workers"], settings["pin_memory"]


def test_a_cpu_needs_its_cores_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, 2, EpochSampler(5, 4), device=CPU) == (0, False)


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(16, 1, 4), (2, 1, 1), (1, 1, 0), (16, 4, 3), (2, 4, 0)]
)
def test_a_gpu_gets_pinned_memory_and_workers_while_it_trains(
    cores: int, processes: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = set(range(cores))
    monkeypatch.setattr(
        "pipeline.train.parts.os.sched_getaffinity", lambda process: allowed, raising=False
    )
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    cuda = torch.device("cuda")
    assert asked(monkeypatch, 2, EpochSampler(5, 4), device=cuda) == (workers, True)
    assert asked(monkeypatch, device=cuda) == (0, False)


def test_the_users_number_of_workers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, num_workers=3) == (3, False)


def test_a_named_handler_is_that_very_one() -> None:
    item = object()
    assert parts.handler(item) is item
