"""A whole training: from the first step to scores, pictures and a bundle to take away."""

import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.bundles.export import resolved_settings, settled, write_configs, write_model
from pipeline.bundles.guard import leave, one_line_exit, refusal
from pipeline.bundles.settings import claim_folder
from pipeline.bundles.weights import find_weights, load_into, read_weights, state_of, unwrapped
from pipeline.bundles.workflow import config_folder, current_config
from pipeline.engines.machine import device_name
from pipeline.errors import DataError
from pipeline.interrupt import exit_code, interruptible
from pipeline.manifests import remember_manifest
from pipeline.metrics import format_table
from pipeline.planning.intensities import network_channels
from pipeline.tracking.run import tracked
from pipeline.train import distributed
from pipeline.train.average import Average
from pipeline.train.calibration import keep_calibration
from pipeline.train.report import ScoreTable, plan_line
from pipeline.train.sampling import fast_kernels
from pipeline.train.schedule import Clock
from pipeline.train.state import StateSaver, load_state, restore
from pipeline.train.step import Choice, TrainStep
from pipeline.train.tuning import tune
from pipeline.train.validation import BestWeights

logger = logging.getLogger("unetworks")


@dataclass
class Training:
    """Everything that a training config builds, and the order in which it is used.

    Args:
        trainer: MONAI's `SupervisedTrainer`.
        tester: Evaluator of the held-out cases; None where there are none.
        network: In training, perhaps wrapped for several processes.
        average: Exponential average of its weights: validated, kept, exported.
        best: The best of them by the validation.
        step: The update.
        clock: Schedule and limits.
        saver: Writes the last state.
        tracker: The tracking handler.
        table: Scores of the held-out cases.
        output_dir: The run's folder.
        facts: The fingerprint.
        plan: The plan.
        weights: Start from these; None: from scratch.
        new_head: Leave out the last layer of `weights`.
        resume: Go on from the state in `output_dir`.
        amp: The user's word on mixed precision; None: measured.
        calibration: Windows of training cases kept for int8; 0: none.
        validator: Evaluator during the training, which computes as it does; None: none.
    """

    trainer: Any
    tester: Any
    network: nn.Module
    average: Average
    best: BestWeights
    step: TrainStep
    clock: Clock
    saver: StateSaver
    tracker: Any
    table: ScoreTable
    output_dir: str
    facts: Mapping[str, Any]
    plan: Mapping[str, Any]
    weights: str | None = None
    new_head: bool = False
    resume: str | None = None
    amp: bool | None = None
    calibration: int | None = 0
    validator: Any = None
    config: dict[str, Any] = field(default_factory=current_config)
    source: Path = field(default_factory=lambda: config_folder() or Path())

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output_dir)

    def run(self) -> None:
        """Train, report and export; a refusal or an interruption ends the program in one line.

        Raises:
            SystemExit: 2 for a refusal, 130 after Ctrl-C, 143 after SIGTERM.
        """
        try:
            self._run()
        except BaseException as error:
            distributed.abandon(error)
            raise
        distributed.leave()

    def _run(self) -> None:
        """As `run`, but for the other processes."""
        began = time.monotonic()
        claimed = False
        try:
            state = self._load()
            if distributed.leads():
                claim_folder(self.output_dir, resume=self.resume is not None)
                claimed = True
            with interruptible(), self._logged(), tracked(self.tracker.run):
                self._prepare(state)
                if self.clock.ended_by:  # trained to the end before, and only not yet reported
                    self.tracker.start(self.trainer)
                else:
                    self.trainer.run()
                if distributed.leads():
                    self._finish(began)
        except KeyboardInterrupt as error:
            print(f"interrupted: {self._where()}", file=sys.stderr)
            raise SystemExit(exit_code(error)) from None
        except Exception as error:
            found = refusal(error)
            if found is None:
                raise
            if claimed and self.trainer.state.iteration == 0:
                shutil.rmtree(self.folder)  # refused before the first update: ours, and of no use
            raise leave(found) from error

    def _where(self) -> str:
        """What stands after an interruption, and how to go on."""
        if not self.saver.path.is_file():
            return "no epoch was finished, nothing is kept"
        return f"the last full state is {self.saver.path}; go on with --resume {self.output_dir}"

    def _load(self) -> dict[str, Any] | None:
        """Bring weights and state into place, before anything is written; return the state."""
        if self.weights is not None:
            path = find_weights(self.weights)
            weights = read_weights(path)
            for network in (unwrapped(self.network), self.average.module):
                load_into(network, weights, path, new_head=self.new_head)
        if self.resume is None:
            return None
        state = load_state(self.folder)
        self._resume(state)
        return state

    def _prepare(self, state: Mapping[str, Any] | None) -> None:
        """Choose how updates are computed, and write the run's configs."""
        inner = unwrapped(self.network)
        fast_kernels()  # before they are timed
        self._compute_as(self._choose(inner, state), inner)
        if state is not None:
            logger.info("resumed after epoch %d (%.0f s)", state["epoch"], self.clock.before_s)
        if distributed.leads():
            self.config = settled(self.config, getattr(inner, "built_with", {}), self.plan)
            border = getattr(inner, "border", 0)
            write_configs(self.folder, self.source, self.config, self.facts, self.plan, border)
            remember_manifest(
                self.facts["hash"], self.config.get("manifest", ""), self.config.get("dataset_dir")
            )
            logger.info("run %s", self.output_dir)
            logger.info("%s", plan_line(self.plan))

    def _choose(self, inner: nn.Module, state: Mapping[str, Any] | None) -> Choice:
        """How updates are computed: as before a resume on this device, else as measured."""
        choice = Choice()
        device = device_name(self._device())
        if distributed.leads():
            choice = self._choice_before(state, device) or self._measured(inner)
        choice = distributed.agreed(choice)
        self.saver.extra |= {"choice": choice.to_dict(), "chosen_on": device}
        return choice

    def _choice_before(self, state: Mapping[str, Any] | None, device: str) -> Choice | None:
        """The choice of a state; None where it holds on another device or with other settings."""
        if state is None or state.get("chosen_on", device) != device:
            return None
        choice = Choice(**state["choice"])
        return choice if self.amp in (None, choice.amp) else None

    def _measured(self, inner: nn.Module) -> Choice:
        """How a step is fastest here."""
        plan, facts = self.plan, self.facts
        channels = len(network_channels(facts["modality"], plan))
        shape = (plan["batch_size"], channels, *plan["patch"])
        labels = len(facts["classes"]) if facts["head"] == "sigmoid" else 1
        loss = self.trainer.loss_function
        choice, line = tune(inner, loss, shape, labels, self._device(), self.amp)
        logger.info(line)
        return choice

    def _compute_as(self, choice: Choice, inner: nn.Module) -> None:
        """Bring updates and validation into the chosen form."""
        self.step.use(choice, inner, self._device())
        if self.validator is not None:  # MONAI's evaluator knows autocast on CUDA only
            self.validator.amp = choice.amp and self._device().type == "cuda"

    def _resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            DataError: It is of a run with other settings, or of one that has ended and is reported.
        """
        restore(state, self.trainer, self.network, self.saver.parts, self.saver.settings)
        limit, minutes = self.clock.max_epochs, self.clock.max_minutes
        if limit is not None and state["epoch"] >= limit:
            fact, hint = f"the run has its {state['epoch']} epochs", "give a larger --max_epochs"
            self._end("max_epochs", fact, hint)
        elif minutes is not None and self.clock.before_s >= 60 * minutes:
            self._end(
                "max_minutes", f"the run has its {minutes:g} minutes", "give more --max_minutes"
            )

    def _end(self, ended_by: str, fact: str, hint: str) -> None:
        """Leave nothing but the report to do; refuse where that is done too."""
        cases = self.tester is not None and len(self.tester.data_loader)
        if (self.folder / ("scores.csv" if cases else "models/model.json")).is_file():
            raise DataError(fact, hint=hint)
        self.clock.ended_by = ended_by

    def _device(self) -> torch.device:
        return torch.device(self.trainer.state.device)

    def _finish(self, began: float) -> None:
        """Report the held-out cases and export the best weights."""
        module = self.average.module
        if self.best.state is not None:
            module.load_state_dict(self.best.state)
        write_model(
            self.folder,
            state_of(module),
            self.config,
            self.facts,
            self.plan,
            run_id=self.tracker.run.run_id,
            best={"epoch": self.best.epoch, "val_mean_dice": self.best.metric},
            ended_by=self.clock.ended_by,
        )
        dataset = self.trainer.data_loader.dataset
        keep_calibration(dataset, self.calibration or 0, self.folder / "models")
        if self.tester is not None and len(self.tester.data_loader):
            self.tester.run()
        self._track()
        print(self._last_line(time.monotonic() - began), flush=True)

    def _track(self) -> None:
        """Hand scores, configs and pictures to the tracking."""
        run, summary = self.tracker.run, self.table.summary
        computed = [name for name, on in self.step.choice.to_dict().items() if on]
        run.set_tags(
            {"stopped_by": self.clock.ended_by, "computed_with": ", ".join(computed) or "fp32"}
        )
        if summary is not None:
            scores = {mean.name: mean.dice for mean in summary.classes}
            step = self.trainer.state.iteration
            run.log_scores(step, {"test/dice": {**scores, "mean": summary.mean.dice}})
            run.log_artifacts(self.table.path)
        run.log_settings(self.folder / "configs", "configs")
        if (self.folder / "pictures").is_dir():
            run.log_artifacts(self.folder / "pictures", "pictures")

    def _last_line(self, seconds: float) -> str:
        """Scores, time and what ended the run, on one line."""
        took = f"{int(seconds // 60)} min {seconds % 60:.0f} s, ended by {self.clock.ended_by}"
        summary = self.table.summary
        if summary is None:
            return f"done in {took}; no held-out case with a label; weights: {self.folder}/models"
        parts = ", ".join(f"{mean.name} {mean.dice:.3f}" for mean in summary.classes)
        cases = len({row.case for row in self.table.rows})
        return (
            f"mean Dice {summary.mean.dice:.3f} on {cases} test cases ({parts}) in {took}; "
            f"scores: {self.table.path}"
        )

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Copy the log to `log.txt`."""
        if not distributed.leads():
            yield
            return
        handler = logging.FileHandler(self.folder / "log.txt")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def saved_settings(
    config: Mapping[str, Any], plan: Mapping[str, Any], **resolved: Any
) -> dict[str, Any]:
    """The settings that a state keeps for the check of a resume, and that the tracking shows.

    Args:
        config: The config being run.
        plan: The plan.
        **resolved: Values of settings that are expressions in the config.
    """
    return {**resolved_settings(config, plan), **resolved}


def evaluate(evaluator: Any, table: ScoreTable) -> None:
    """Score the held-out cases of a config and print where the table is.

    Raises:
        SystemExit: 2 for a refusal, 130 after Ctrl-C, 143 after SIGTERM.
    """
    with one_line_exit(lambda: "no scores were written"):
        if not len(evaluator.data_loader):
            raise DataError("no case to evaluate", hint="check --manifest and --fold")
        evaluator.run()
        if table.summary is None:
            raise DataError("no case has a label", hint="give a manifest with labels")
    print(format_table(table.summary, table.tolerance))
    print(f"scores: {table.path}")
