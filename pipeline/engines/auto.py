"""The engine chosen by measurement: the fastest on the case's own windows whose labels agree.

No flag of a CPU decides. Of three kinds bf16 wins on one, is slower than fp32 on another that has
the flag, and does not exist on the third; int8 wins on two.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.contract import Engine, Network
from pipeline.engines.artifacts import name_of, versions
from pipeline.engines.machine import device_name
from pipeline.engines.quantize import calibration_hash
from pipeline.engines.subject import CPU, Subject, structure
from pipeline.engines.table import engine_kind, refuse_precision
from pipeline.engines.threads import own_threads
from pipeline.engines.trial import WINDOWS, Reference, compare, refer, seconds_per_window
from pipeline.errors import InvalidValueError, PipelineError
from pipeline.io import atomic_path
from pipeline.settings import CACHE_VARIABLE, cache_dir

AUTO: Final = "auto"
CANDIDATES: Final = {
    # torch.compile takes minutes to compile for a CPU and was no faster than torch there
    "cpu": ("openvino", "onnxruntime", "torch"),
    "cuda": ("tensorrt", "compile", "torch"),
}
DEMAND: Final = (0.9995, 0.995)  # of all voxels, of the foreground
SLOW: Final = 2  # batches that torch is timed on
ROUNDS: Final = 2  # that numbers of streams are timed in
JUDGED: Final = 2  # raised where candidates are judged in another way: kept choices don't hold
PACKAGES: Final = (
    "torch", "monai", "openvino", "nncf", "onnxruntime", "onnx", "onnxscript", "tensorrt",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine to open, and why it is this one.

    Attributes:
        engine: Its name.
        precision: What it computes in.
        streams: Forwards at once; None: the engine's own number.
        seconds: Measured time of a window; 0 where nothing had to be measured.
        lines: One for each candidate, what was measured or why it was left out; the last one says
            what was chosen.
        kept: Whether it was found in the cache.
    """

    engine: str
    precision: str
    streams: int | None = None
    seconds: float = 0.0
    lines: tuple[str, ...] = ()
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Contest:
    """What all candidates are measured by.

    Attributes:
        subject: The network and its window.
        head: `softmax` or `sigmoid`.
        demand: Shares of equal labels: of all voxels, of the foreground.
        tell: Is handed each line as it comes.
        precision: The only one to be considered; None for all.
    """

    subject: Subject
    head: str
    demand: tuple[float, float]
    tell: Callable[[str], None]
    precision: str | None = None


def choose(
    network: Network,
    digest: str,
    patch: Sequence[int],
    windows: Iterable[Tensor],
    head: str = "softmax",
    batch: int = 1,
    device: torch.device = CPU,
    calibration: Sequence[Tensor] | None = None,
    *,
    engine: str = AUTO,
    precision: str | None = None,
    streams: int | None = None,
    agreement: tuple[float, float] = DEMAND,
    tell: Callable[[str], None] | None = None,
    again: bool = False,
    unless: Callable[[], Choice | None] | None = None,
) -> Choice:
    """Measure the engines on the first of `windows` and choose the fastest that agrees with fp32.

    The choice is kept in the cache for these weights, this window and this machine, but for a case
    whose windows show too little foreground to judge by: then only fp32 is eligible, this once,
    or the precision asked for, unjudged.

    Args:
        network: In evaluation, on `device`.
        digest: SHA-256 of its weights.
        patch: The window.
        windows: Prepared windows `(C, *patch)` of the case, from all over it; as many are taken as
            are needed, 8 to 16.
        head: `softmax` or `sigmoid`.
        batch: Windows per forward.
        device: Where to compute.
        calibration: Prepared windows of training cases, for int8.
        engine: The only one to be considered; `auto` for all.
        precision: The only one to be considered; None for all.
        streams: Forwards at once; None: measured.
        agreement: Shares of equal labels demanded: of all voxels, of the foreground.
        tell: Is handed each line of the choice as it comes.
        again: Measure even if a choice is kept.
        unless: Asked where none is kept; what it gives is taken without measuring, and not kept.

    Raises:
        UnknownNameError: No engine has this name.
        ResourceError: The engine asked for lacks a package or does not serve the device.
        InvalidValueError: The engine asked for has not this precision here, or nothing that is to
            be considered agrees.
    """
    subject = Subject(network, digest, tuple(patch), batch, device, calibration, streams)
    if engine != AUTO:
        engine_kind(engine).require(device)
        if precision is not None:
            refuse_precision(engine_kind(engine), precision, device)
            return Choice(engine, precision, streams, lines=(f"{engine} {precision}, as asked",))
    path = _path(subject, head, engine, precision, agreement)
    kept = None if again else _kept(path)
    if kept is not None:
        return kept
    given = unless() if unless is not None else None
    if given is not None:
        return given
    contest = Contest(subject, head, agreement, tell or (lambda line: None), precision)
    choice, telling = _measured(contest, windows, candidates(device, engine, precision))
    if telling:
        _keep(choice, path, contest.tell)
    return choice


def candidates(
    device: torch.device, engine: str = AUTO, precision: str | None = None
) -> list[tuple[str, str | None]]:
    """Engines and precisions to try, int8 last; a precision of None: the engine is not there."""
    names = CANDIDATES["cuda" if device.type == "cuda" else "cpu"] if engine == AUTO else (engine,)
    found: list[tuple[str, str | None]] = []
    for name in names:
        kind = engine_kind(name)
        try:
            kind.require(device)
        except PipelineError:
            found.append((name, None))
            continue
        having = kind.precisions(device)
        others = engine == AUTO and any(p is not None for _, p in found)
        if name == "torch" and device.type == "cpu" and others:
            having = having[:1]  # they do in reduced precision what torch takes far longer for
        found.extend((name, p) for p in having if precision in (None, p))
    return found


def _measured(
    contest: Contest, windows: Iterable[Tensor], tried: Sequence[tuple[str, str | None]]
) -> tuple[Choice, bool]:
    """The best of the candidates, and whether there was foreground to judge by."""
    subject, lines = contest.subject, list[str]()

    def say(line: str) -> None:
        lines.append(line)
        contest.tell(line)

    with _opened("torch", "fp32", subject) as torch_engine:
        reference = refer(torch_engine, windows, contest.head)
        plain = seconds_per_window(torch_engine, reference, SLOW)
    say(f"torch fp32: {plain:.3g} s a window, the reference")
    if not reference.telling:
        asked = contest.precision or "fp32"
        judged = "fp32 only" if asked == "fp32" else f"the fastest in {asked}, unjudged"
        say(f"{reference.foreground} voxels of foreground are too few to judge by: {judged}")
    best: Choice | None = None
    for name, precision in tried:
        if (name, precision) == ("torch", "fp32"):
            found: Choice | None = Choice(name, "fp32", seconds=plain)
        else:
            found, line = _tried(name, precision, contest, reference, plain)
            say(line)
        if found is not None and (best is None or found.seconds < best.seconds):
            best = found
    if best is None:
        raise InvalidValueError(
            f"nothing that was asked for agrees with fp32: {'; '.join(lines[1:])}",
            hint="name both --engine and --precision, or demand less agreement",
        )
    best = _refined(best, contest, reference, say)
    say(f"chosen: {best.engine} {best.precision}, {plain / best.seconds:.1f} times torch")
    return replace(best, lines=tuple(lines)), reference.telling


def _tried(
    name: str, precision: str | None, contest: Contest, reference: Reference, plain: float
) -> tuple[Choice | None, str]:
    """One candidate: its time where it agrees, and a line."""
    if precision is None:
        try:
            engine_kind(name).require(contest.subject.device)
        except PipelineError as error:
            return None, f"{name}: left out: {error.line()}"
    assert precision is not None
    title = f"{name} {precision}"
    unjudged = precision != "fp32" and not reference.telling
    if unjudged and precision != contest.precision:
        return None, f"{title}: left out for this case"
    try:
        with _opened(name, precision, contest.subject) as engine:
            agreed = compare(engine, reference, contest.head)
            seconds = seconds_per_window(engine, reference)
    except PipelineError as error:
        return None, f"{title}: left out: {error.line()}"
    except RuntimeError as error:  # out of memory on a GPU, or a runtime's own fault
        return None, f"{title}: left out: {' '.join(str(error).split())[:160]}"
    line = f"{title}: {seconds:.3g} s a window, {plain / seconds:.1f} times torch; {agreed} equal"
    if not unjudged and not agreed.meets(contest.demand):
        least = " and ".join(f"{share:.4g} %" for share in (100 * d for d in contest.demand))
        return None, f"{line}: below {least}"
    return Choice(name, precision, contest.subject.streams, seconds), line


def _refined(
    best: Choice, contest: Contest, reference: Reference, say: Callable[[str], None]
) -> Choice:
    """The number of streams, where the engine has them and none was asked for."""
    if best.engine != "openvino" or contest.subject.streams is not None:
        return best
    threads = own_threads()
    numbers = sorted(n for n in {1, 2, threads // 4} if 1 <= n <= threads)
    if len(numbers) == 1:
        return replace(best, streams=1)
    timed: dict[int, float] = {}
    for number in numbers * ROUNDS:  # by turns, so that whatever else the machine does hits all
        subject = replace(contest.subject, streams=number)
        with _opened(best.engine, best.precision, subject) as engine:
            seconds_per_window(engine, reference, number + 1)  # the first run pays for its memory
            seconds = seconds_per_window(engine, reference, max(6, 4 * number))
        timed[number] = min(seconds, timed.get(number, seconds))
    streams = min(timed, key=lambda number: timed[number])
    told = ", ".join(f"{n}: {s:.3g}" for n, s in timed.items())
    say(f"{best.engine} {best.precision}, s a window by streams: {told}")
    return replace(best, streams=streams, seconds=timed[streams])


@contextmanager
def _opened(name: str, precision: str, subject: Subject) -> Iterator[Engine]:
    """An engine that is closed at the end."""
    with closing(engine_kind(name)(subject, precision)) as engine:
        yield engine


def _keep(choice: Choice, path: Path, tell: Callable[[str], None]) -> None:
    """Write a choice for the next time; it holds without."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(choice), indent=2) + "\n")
    except (OSError, PipelineError):
        tell(
            f"{path.parent} can't be written: engines are measured again next time; "
            f"set {CACHE_VARIABLE} to a folder that can be written"
        )


def _kept(path: Path) -> Choice | None:
    """The choice in a file; None where there is none, or a damaged one."""
    try:
        content = json.loads(path.read_text())
        return Choice(**{**content, "lines": tuple(content["lines"]), "kept": True})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _path(
    subject: Subject,
    head: str,
    engine: str,
    precision: str | None,
    demand: tuple[float, float],
) -> Path:
    """Where the choice for these weights, this window and this machine is kept."""
    key: dict[str, Any] = {
        "weights": subject.digest,
        "structure": structure(subject.network),
        "shape": subject.shape,
        "machine": device_name(subject.device),
        "threads": own_threads(),
        "streams": subject.streams,
        "calibration": calibration_hash(subject.calibration or ()),
        "asked": [head, engine, precision, *demand],
        "judged": [JUDGED, *WINDOWS, ROUNDS],
        "versions": versions(PACKAGES),
    }
    return cache_dir() / "engines" / "choices" / f"{name_of(key)}.json"
