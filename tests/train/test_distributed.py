"""Two processes train one network: equal weights, one folder, one tracked run."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.train import distributed
from pipeline.train.state import load_state
from tests.tiny import ATTUNET, ROOT, database, tracked


def test_one_process_leads_and_agrees_with_itself() -> None:
    assert distributed.rank_and_world() == (0, 1)
    assert distributed.leads()
    assert distributed.agreed({"a": 1}) == {"a": 1}
    network = nn.Linear(1, 1)
    assert distributed.wrap(network, torch.device("cpu")) is network
    distributed.leave()
    assert not torch.distributed.is_initialized()


WATCH = """
import torch
from pipeline.train.distributed import rank_and_world


class Watch:
    def __init__(self, network, average, best):
        self.network, self.average, self.best = network, average, best

    def attach(self, engine):
        from ignite.engine import Events
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine):
        states = {"network": self.network.module, "average": self.average.module}
        states = {k: v.state_dict() for k, v in states.items()}
        found = {**states, "best": (self.best.metric, self.best.epoch)}
        torch.save(found, f"rank{rank_and_world()[0]}.pt")


class Spoil:
    # the second process's images are no numbers in the second epoch

    def attach(self, engine):
        from ignite.engine import Events
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine):
        if rank_and_world()[0] == 1 and engine.state.epoch == 2:
            engine.state.batch["image"][:] = float("nan")
            print("spoilt", sorted(engine.state.batch["case"]), flush=True)
"""
HANDLER = (
    "{'_target_': 'watch.Watch', 'network': '@network', 'average': '@average', "
    "'best': '@validate::best'}"
)


def launched(folder: Path, *more: str, handler: str = HANDLER) -> subprocess.CompletedProcess[str]:
    """Train with two processes through torchrun; each leaves its weights in `folder`."""
    database(folder)
    (folder / "watch.py").write_text(WATCH)
    command = ["-m", "monai.bundle", "run", "training"]
    command += ["--config_file", str(ATTUNET / "train.json"), "--patch", "[24,24,16]"]
    command += ["--max_epochs", "2", "--epoch_length", "2", "--batch_size", "2", *more]
    command += ["--train#handlers#5", handler]
    return torchrun(folder, *command)


def torchrun(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run two processes in `folder`."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    start += ["--nproc_per_node", "2", *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        start, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, value in one.items() if not torch.equal(value, other[name])]


@pytest.mark.slow
def test_two_processes_train_one_network_in_one_run(tmp_path: Path, tiny: Path) -> None:
    done = launched(tmp_path, "--manifest", str(tiny), "--val_interval", "1")
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert one["best"] == other["best"]
    assert not differing(one["average"], other["average"])
    # a norm's running statistics are each process's own until the next forward pass
    assert all("running" in name for name in differing(one["network"], other["network"]))
    folders = {path.parent for path in tmp_path.glob("runs/attunet/*/configs")}
    assert len(folders) == 1
    (folder,) = folders
    assert done.stdout.count("mean Dice") == 1
    assert (folder / "scores.csv").read_text().count("\nc4,") == 2
    assert load_file(folder / "models" / "model.safetensors").keys() == one["average"].keys()
    (run,) = tracked(tmp_path)
    assert run.status == "FINISHED"


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_process_ends_both_in_its_line(
    tmp_path: Path, tiny: Path
) -> None:
    done = launched(tmp_path, "--manifest", str(tiny), handler="{'_target_': 'watch.Spoil'}")
    assert done.returncode != 0
    (cases,) = (line for line in done.stdout.splitlines() if "spoilt" in line)
    named = ", ".join(dict.fromkeys(ast.literal_eval(cases.split("spoilt ")[1])))
    assert f"the loss is nan in epoch 2, update 3, with the cases {named}; " in done.stderr
    assert re.search(r"exitcode +: 2 ", done.stderr)
    (run,) = tracked(tmp_path)
    assert run.status in ("FAILED", "KILLED")
    (folder,) = tmp_path.glob("runs/attunet/*/")
    assert load_state(folder)["epoch"] == 1


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as one of two, in a group that it has to itself."""
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/group", rank=0, world_size=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(2), 2), (SystemExit(143), 143), (ValueError("odd"), 1)]
)
def test_who_fails_among_others_ends_at_once_and_with_its_code(
    error: BaseException,
    code: int,
    group: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended: list[int] = []
    monkeypatch.setattr("pipeline.train.distributed.os._exit", ended.append)
    distributed.abandon(error)
    assert ended == [code]
    assert ("ValueError: odd" in capsys.readouterr().err) is (code == 1)


def test_who_fails_alone_is_not_ended() -> None:
    distributed.abandon(ValueError("odd"))


ASK = """
import os, sys
os.environ["SLURM_JOB_ID"] = "7"  # an allocation, and torchrun in it
import ignite.distributed as idist
import torch
from pipeline.bundles import device
from pipeline.metrics.running import MeanDice
from pipeline.train import data, distributed as d
rank = d.rank_and_world()[0]
words = [d.gathered(rank), d.everywhere(True), d.everywhere(rank == 0), d.agreed(rank)]
words.append(device.least(4.0 - rank))
metric = MeanDice(["a"])
mask = torch.ones(1, 4)
metric.update(([mask], [mask * (rank == 0)]))
words += [metric.compute(), idist.get_local_rank() == rank]
sys.stdout.write(f"{rank} {words}\\n")
sys.stdout.flush()
data.check_data("phantm")
"""


def test_processes_gather_agree_and_end_by_one_verdict_on_the_data(tmp_path: Path) -> None:
    assert distributed.gathered(3) == [3]
    assert distributed.everywhere(True)
    assert not distributed.everywhere(False)
    (tmp_path / "ask.py").write_text(ASK)
    done = torchrun(tmp_path, "--log-dir", "logs", "--tee", "3", "ask.py")
    assert done.returncode != 0
    words = "[[0, 1], True, False, 0, 3.0, 0.5, True]"
    said = re.findall(r"^\[default\d\]:(\d .*)$", done.stdout, re.MULTILINE)
    assert sorted(said) == [f"0 {words}", f"1 {words}"], done.stderr
    assert done.stderr.count("]:error: ") == 1
    assert set(re.findall(r"exitcode +: (-?\d+)", done.stderr)) <= {"2", "-15"}


@pytest.mark.parametrize(("cuda", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_a_group_is_patient_and_uses_gloo_for_what_lies_in_memory(
    cuda: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda kind, **more: asked.update(more, kind=kind)
    )
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert distributed.rank_and_world() == (1, 2)
    assert asked["kind"] == backend
    assert asked["timeout"].total_seconds() > 3600
