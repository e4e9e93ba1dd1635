"""What all tests share: a cache of the session's own, and nothing of the user's environment.

`UNETWORKS_DATA` is the one variable that stays: tests on real sets look for them there.
"""

import os
import sys
from collections.abc import Iterator

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any test module loads torch

# the same examples on every machine, no deadline on a busy one, nothing written into the clone
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("suite")

FOREIGN = ("MLFLOW_", "MONAI_", "UNETWORKS_", "SLURM_", "TORCHELASTIC_")
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take the user's settings away, and give a cache that all workers share.

    The phantom is written into it once, by the first worker that asks; the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name != "UNETWORKS_DATA" and (name.startswith(FOREIGN) or name in RANKS):
                patch.delenv(name)
        patch.setenv("UNETWORKS_CACHE", str(shared / "unetworks-cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Workers share the cores; sums come in one order."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def uncaught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the hook that a bundle's check installs for uncaught errors."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
