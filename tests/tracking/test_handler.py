import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from mlflow.tracking import MlflowClient

from pipeline.tracking.handler import TrackingHandler, is_first_rank, loss_of
from pipeline.tracking.run import ENDED_BY, tracked

ROOT = Path(__file__).parents[2]
LOSSES = [0.5, 0.25, 0.125, 2.0, 1.0, 4.0]


def _trainer(
    step: Callable[[int], Any] = lambda i: {"loss": torch.tensor(LOSSES[i - 1])},
) -> Engine:
    """Return an engine whose output at iteration i is `step(i)`."""
    return Engine(lambda engine, batch: [step(engine.state.iteration)])


def _evaluator() -> Engine:
    engine = Engine(lambda engine, batch: None)

    @engine.on(Events.EPOCH_COMPLETED)
    def score(engine: Engine) -> None:
        engine.state.metrics = {"dice_mean": 0.75, "dice": torch.tensor([0.5, 1.0])}

    return engine


def _history(uri: str, handler: TrackingHandler, name: str) -> list[tuple[int, float]]:
    assert handler.run.run_id is not None
    rows = MlflowClient(tracking_uri=uri).get_metric_history(handler.run.run_id, name)
    return sorted((row.step, row.value) for row in rows)


def _end(uri: str, handler: TrackingHandler) -> tuple[str, str | None]:
    assert handler.run.run_id is not None
    run = MlflowClient(tracking_uri=uri).get_run(handler.run.run_id)
    return run.info.status, run.data.tags.get(ENDED_BY)


def test_a_training_is_recorded_from_its_losses_to_its_scores(uri: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    evaluator, trainer = _evaluator(), _trainer()
    handler = TrackingHandler(
        "attunet",
        "first",
        {"seed": 0},
        tracking_uri=uri,
        optimizer=optimizer,
        evaluator=evaluator,
        labels=("liver", "spleen"),
    )
    handler.attach(trainer)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        optimizer.param_groups[0]["lr"] = 0.5 ** (engine.state.epoch + 1)
        evaluator.run([0])

    with tracked(handler.run):
        assert handler.run.status is None
        trainer.run([0, 1, 2], max_epochs=2)
        assert handler.run.status == "RUNNING"
    assert _end(uri, handler) == ("FINISHED", "end")
    assert _history(uri, handler, "train/loss") == list(enumerate(LOSSES, 1))
    assert _history(uri, handler, "lr") == [(1, 0.5), (4, 0.25)]
    assert _history(uri, handler, "epoch") == [(3, 1), (6, 2)]
    assert _history(uri, handler, "val/dice_mean") == [(3, 0.75), (6, 0.75)]
    assert _history(uri, handler, "val/dice_liver") == [(3, 0.5), (6, 0.5)]
    assert _history(uri, handler, "val/dice_spleen") == [(3, 1.0), (6, 1.0)]
    for name in ("time/epoch_s", "time/val_s", "memory/peak_gib"):
        rows = _history(uri, handler, name)
        assert [step for step, _ in rows] == [3, 6]
        assert all(value > 0 for _, value in rows)


def test_the_losses_of_an_epoch_stand_at_its_end(uri: str) -> None:
    trainer = _trainer()
    handler = TrackingHandler("attunet", "first", {}, tracking_uri=uri)
    handler.attach(trainer)
    seen = []

    @trainer.on(Events.EPOCH_COMPLETED)
    def look(engine: Engine) -> None:
        seen.append(len(_history(uri, handler, "train/loss")))

    with tracked(handler.run):
        trainer.run([0, 1, 2], max_epochs=2)
    assert seen == [3, 6]


def test_an_error_is_failed_and_goes_on(uri: str) -> None:
    error = ValueError("case at /home/name")

    def step(iteration: int) -> Any:
        if iteration == 2:
            raise error
        return torch.tensor(1.0)

    trainer = _trainer(step)
    handler = TrackingHandler("attunet", "first", {}, tracking_uri=uri)
    handler.attach(trainer)
    with pytest.raises(ValueError, match="case at") as caught:
        trainer.run([0, 1, 2], max_epochs=1)
    assert caught.value is error
    assert _end(uri, handler) == ("FAILED", "ValueError")
    assert _history(uri, handler, "train/loss") == [(1, 1.0)]


def test_an_error_of_the_evaluator_is_the_runs(uri: str) -> None:
    evaluator, trainer = Engine(lambda engine, batch: 1 / 0), _trainer()
    handler = TrackingHandler("attunet", "first", {}, tracking_uri=uri, evaluator=evaluator)
    handler.attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([0]))
    with pytest.raises(ZeroDivisionError), tracked(handler.run):
        trainer.run([0], max_epochs=1)
    assert _end(uri, handler) == ("FAILED", "ZeroDivisionError")


def test_ctrl_c_is_killed(uri: str) -> None:
    def step(iteration: int) -> Any:
        raise KeyboardInterrupt

    trainer = _trainer(step)
    handler = TrackingHandler("attunet", "first", {}, tracking_uri=uri)
    handler.attach(trainer)
    with pytest.raises(KeyboardInterrupt), tracked(handler.run):
        trainer.run([0], max_epochs=1)
    assert _end(uri, handler) == ("KILLED", "KeyboardInterrupt")


def test_a_second_training_makes_its_own_run(uri: str) -> None:
    handlers = [TrackingHandler("attunet", f"run{i}", {}, tracking_uri=uri) for i in range(2)]
    for handler in handlers:
        trainer = _trainer()
        handler.attach(trainer)
        trainer.run([0], max_epochs=1)
    assert handlers[0].run.run_id != handlers[1].run.run_id
    # the first is still open, its process lives: it was left alone
    assert [_end(uri, handler) for handler in handlers] == [("RUNNING", None)] * 2
    for handler in handlers:
        handler.run.finish("FINISHED")


def test_another_rank_records_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert not is_first_rank()
    trainer = _trainer()
    handler = TrackingHandler("a", "b", {}, tracking_uri=f"sqlite:///{tmp_path}/n/mlflow.db")
    handler.attach(trainer)
    with tracked(handler.run):
        trainer.run([0, 1], max_epochs=1)
        handler.log_artifacts(tmp_path)
    assert handler.run.run_id is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_can_not_be_opened_stops_the_training_at_its_start(tmp_path: Path) -> None:
    steps: list[int] = []
    trainer = _trainer(steps.append)
    handler = TrackingHandler("a", "b", {}, tracking_uri=f"file://{tmp_path}")
    handler.attach(trainer)
    with pytest.raises(ValueError, match="plain path"):
        trainer.run([0], max_epochs=1)
    assert steps == []


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ({"loss": torch.tensor(0.5, requires_grad=True)}, 0.5),
        ([{"loss": 0.25}, {"loss": 0.25}], 0.25),
        (np.float64(2), 2.0),
        ([], None),
        ({"pred": 1}, None),
        ("text", None),
        (None, None),
    ],
)
def test_the_loss_is_found_in_every_output_of_an_engine(output: object, loss: float | None) -> None:
    found = loss_of(output)
    assert (None if found is None else float(found)) == loss


CONTACTS = """
import atexit, socket
contacts = []
atexit.register(lambda: print(handler.run.status, contacts))  # the first is called last
def note(function):
    def wrapped(*args, **kwargs):
        contacts.append(str(args))
        return function(*args, **kwargs)
    return wrapped
class Socket(socket.socket):
    connect = note(socket.socket.connect)
    connect_ex = note(socket.socket.connect_ex)
    sendto = note(socket.socket.sendto)
socket.socket = Socket
socket.getaddrinfo = note(socket.getaddrinfo)
import pipeline
from ignite.engine import Engine
from pipeline.tracking.handler import TrackingHandler
from pipeline.tracking.run import tracked
trainer = Engine(lambda engine, batch: 1.0)
handler = TrackingHandler("attunet", "first", {"seed": 0})
handler.attach(trainer)
with tracked(handler.run):
    trainer.run([0], max_epochs=1)
    handler.run.log_text("a", "a.txt")
"""


def test_recording_a_run_contacts_nobody(tmp_path: Path) -> None:
    watching = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "MLFLOW_TRACKING_URI")
    env = {name: value for name, value in os.environ.items() if name not in watching}
    env |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONTACTS],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "FINISHED []"
    assert done.stderr == ""
    assert (tmp_path / "runs" / "mlflow.db").exists()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline.tracking, pipeline.tracking.handler, pipeline.tracking.query\n"
        "print(sorted({'torch', 'monai', 'ignite', 'mlflow'} & set(sys.modules)))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
