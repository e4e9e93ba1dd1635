"""Two processes train one network: equal weights, one folder, one tracked run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.train import distributed
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
"""
HANDLER = (
    "{'_target_': 'watch.Watch', 'network': '@network', 'average': '@average', "
    "'best': '@validate::best'}"
)


def launched(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Train with two processes through torchrun; each leaves its weights in `folder`."""
    database(folder)
    (folder / "watch.py").write_text(WATCH)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node", "2", "-m", "monai.bundle", "run", "training"]
    command += ["--config_file", str(ATTUNET / "train.json"), "--patch", "[24,24,16]"]
    command += ["--max_epochs", "2", "--epoch_length", "2", "--batch_size", "2", *more]
    command += ["--train#handlers#5", HANDLER]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
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
