"""Which engine computes a model's windows: opened once, and kept for all cases of a call."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import Final

import torch
from torch import Tensor

from pipeline.contract import Engine
from pipeline.engines import AUTO, Choice, choose, open_engine
from pipeline.engines.auto import candidates
from pipeline.engines.footprint import forward_bytes
from pipeline.engines.trial import WINDOWS
from pipeline.errors import DataError, InvalidValueError
from pipeline.inferers.layout import Layout
from pipeline.inferers.mirror import Mirrored
from pipeline.networks.nested import NestedUNet
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.room import has_room
from pipeline.predict.windows import spread_windows

WORTH_S: Final = 5.0  # of torch for a case; for less, measuring costs more than it saves
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Computing:
    """An engine, and how it came to be the one.

    Attributes:
        engine: Open; mirrored, if that was asked for.
        why: One line for each candidate, the last one says what was chosen.
    """

    engine: Engine
    why: tuple[str, ...]


class Engines(AbstractContextManager["Engines"]):
    """Opens engines for models and windows; closes them at its end.

    Args:
        tell: Is handed the lines of a choice as they come.
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self.tell = tell or (lambda line: None)
        self._open: dict[object, Computing] = {}
        self._levels: dict[tuple[int, str], tuple[Model, Model]] = {}
        self._seconds: dict[object, float] = {}  # of a batch in torch

    def __exit__(self, *exception: object) -> None:
        """Close all."""
        self.close()

    def close(self) -> None:
        """Close all engines."""
        for computing in self._open.values():
            computing.engine.close()
        self._open.clear()

    def drop(self, dropped: Sequence[Computing]) -> None:
        """Close some, and forget them."""
        for computing in dropped:
            computing.engine.close()
        self._open = {key: kept for key, kept in self._open.items() if kept not in dropped}

    def at_level(self, model: Model, level: str | None) -> Model:
        """Return `at_level(model, level)`, made once for each model."""
        if level is None:
            return model
        key = (id(model), level)  # equal weights may come with different plans
        if key not in self._levels:
            self._levels[key] = (model, at_level(model, level))  # kept, or its id would be free
        return self._levels[key][1]

    def engine_of(
        self,
        model: Model,
        image: Tensor,
        layout: Layout,
        batch: int,
        options: SegmentOptions,
        member: int = 0,
    ) -> Computing:
        """Return an engine for a model's windows, the fastest that agrees unless one is named.

        Args:
            model: With its level set, as by `at_level`.
            image: Whose windows candidates are measured on, `(C, *S)`.
            layout: Where they lie.
            batch: Windows per forward.
            options: Engine, precision, agreement, mirroring.
            member: Of an ensemble: an engine computes for one member at a time.

        Raises:
            PipelineError: As `pipeline.engines.choose` and `open_engine`.
        """
        choice = self._choice(model, image, layout, batch, options)
        what = (choice.engine, choice.precision, choice.streams, options.mirror, member)
        opened = (*_identity(model, layout, batch, options), *what)
        if opened not in self._open:
            engine = open_engine(
                choice.engine,
                choice.precision,
                model.network,
                model.digest,
                layout.seen,
                batch,
                model.device,
                model.calibration() if choice.precision == "int8" else None,
                choice.streams,
            )
            if options.mirror:
                engine = Mirrored(engine, len(layout.seen))
            self._open[opened] = Computing(engine, choice.lines)
        return self._open[opened]

    def _choice(
        self, model: Model, image: Tensor, layout: Layout, batch: int, options: SegmentOptions
    ) -> Choice:
        """Take what was asked for or measured before; measure, unless torch is done at once."""
        name, precision = options.engine, options.precision
        if name != AUTO and precision is not None:
            return Choice(name, precision, lines=(f"{name} {precision}, as asked",))

        def unmeasured() -> Choice | None:
            tight = _without_trial(model, layout, batch, options)
            if tight is not None or precision not in (None, "fp32"):
                return tight
            forwards = -(-layout.windows // batch) * (
                2 ** len(layout.seen) if options.mirror else 1
            )
            seconds = forwards * self._torch_seconds(model, image, layout, batch, options)
            if seconds >= WORTH_S:
                return None
            engine = "torch" if name == AUTO else name
            line = f"{engine} fp32: {seconds:.2g} s in torch are not worth measuring"
            return Choice(engine, "fp32", lines=(line,))

        return choose(
            model.network,
            model.digest,
            layout.seen,
            spread_windows(image, layout),
            model.facts["head"],
            batch,
            model.device,
            self._calibration(model, precision),
            engine=name,
            precision=precision,
            agreement=options.agreement,
            tell=self.tell,
            unless=unmeasured,
        )

    def _calibration(self, model: Model, precision: str | None) -> list[Tensor]:
        """Windows for int8, if that may be chosen; a damaged file leaves only int8 out."""
        if precision not in (None, "int8"):
            return []
        try:
            return model.calibration()
        except DataError as error:
            if precision == "int8":
                raise
            self.tell(f"int8 is left out: {error.line()}")
            return []

    @torch.no_grad()
    def _torch_seconds(
        self, model: Model, image: Tensor, layout: Layout, batch: int, options: SegmentOptions
    ) -> float:
        """Time of one forward in torch, measured once for each network and window."""
        key = _identity(model, layout, batch, options)
        if key not in self._seconds:
            window = next(spread_windows(image, layout)).to(model.device)
            given = window.expand(batch, *window.shape).contiguous()
            on_gpu = model.device.type == "cuda"
            for _ in range(2 if on_gpu else 1):  # a GPU's first forward loads its libraries
                began = time.perf_counter()
                model.network(given)
                if on_gpu:
                    torch.cuda.synchronize(model.device)
                self._seconds[key] = time.perf_counter() - began
        return self._seconds[key]


def _without_trial(
    model: Model, layout: Layout, batch: int, options: SegmentOptions
) -> Choice | None:
    """The engine to take where there is no room to measure, as torch takes most; None: there is."""
    if options.max_ram_gib is None or model.device.type != "cpu":
        return None
    channels = model.network.in_channels
    forward = forward_bytes(model.network, (batch, channels, *layout.seen)) or 0
    windows = prod(layout.seen) * 4 * (WINDOWS[1] + batch) * (channels + 1)  # and their labels
    if has_room(forward + windows, options.max_ram_gib):
        return None
    for name, precision in candidates(model.device, options.engine, options.precision):
        if precision is not None:
            unjudged = "" if precision == "fp32" else ", its labels unjudged"
            line = f"{name} {precision}{unjudged}: the limit of memory leaves no room to measure"
            return Choice(name, precision, lines=(line,))
    return None


def _identity(
    model: Model, layout: Layout, batch: int, options: SegmentOptions
) -> tuple[object, ...]:
    """What tells one network at one window from another."""
    return (model.digest, str(model.device), options.level, layout.seen, batch)


def at_level(model: Model, level: str | None) -> Model:
    """Return the model with the head of a UNet++ that was asked for.

    Raises:
        InvalidValueError: Its network has no levels, or not this head.
    """
    if level is None:
        return model
    if not isinstance(model.network, NestedUNet):
        raise InvalidValueError(
            f"{model.name} has no levels", hint="leave --level out: it is for UNet++"
        )
    if level != "accurate":
        return replace(model, network=model.network.prune(int(level)))
    network = deepcopy(model.network)
    network.set_mode("accurate")
    return replace(model, network=network)
