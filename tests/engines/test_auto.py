"""Which engine is chosen, by what was measured, and when it is measured again."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.contract import Engine, Network
from pipeline.engines import Choice, auto, choose, open_engine
from pipeline.engines.kind import WindowEngine
from pipeline.engines.subject import Subject
from pipeline.errors import InvalidValueError, ResourceError, UnknownNameError


@dataclass
class Stage:
    """Engines with times and errors of the test's choice; torch takes 1 s and is right.

    Attributes:
        seconds: Of a window, by engine and precision.
        wrong: Share of voxels that an engine labels as the first class.
        opened: What was opened, in order.
    """

    seconds: dict[str, float]
    wrong: dict[str, float] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)

    def kind(self, name: str) -> type[WindowEngine]:
        stage = self

        class Played(WindowEngine):
            def __init__(self, subject: Subject, precision: str) -> None:
                self.precision, self.network = precision, subject.network
                self.batch, self.threads = subject.batch, 2
                self.title = f"{name} {precision}"
                if subject.streams is not None:
                    self.title += f" x{subject.streams}"
                stage.opened.append(self.title)
                if self.title in stage.broken:
                    raise RuntimeError("out of\nmemory")

            @classmethod
            def require(cls, device: torch.device) -> None:
                if name in stage.missing:
                    raise ResourceError(f"{name} needs it", hint="pip install it")

            @classmethod
            def precisions(cls, device: torch.device) -> tuple[str, ...]:
                found = [t.split()[1] for t in stage.seconds if t.split()[0] == name]
                return tuple(dict.fromkeys(found))

            @torch.no_grad()
            def run(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
                for batch in batches:
                    logits = self.network(batch)
                    first = int(stage.wrong.get(self.title, 0) * logits[0, 0].numel())
                    logits.flatten(2)[:, 0, :first] = 1e3
                    yield logits

        Played.name = name
        return Played


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[..., Stage]:
    """Puts engines in the place of the real ones."""

    def put(seconds: dict[str, float], **more: Any) -> Stage:
        played = Stage({"torch fp32": 1.0, **seconds}, **more)

        def timed(engine: Any, reference: object, batches: int = 4) -> float:
            return played.seconds[engine.title]

        monkeypatch.setattr(auto, "engine_kind", played.kind)
        monkeypatch.setattr(auto, "seconds_per_window", timed)
        monkeypatch.setattr(auto, "own_threads", lambda: 1)
        return played

    return put


@pytest.fixture
def chosen(network: Network, windows: list[Tensor]) -> Callable[..., Choice]:
    def make(**more: Any) -> Choice:
        given = more.pop("windows", windows)
        return choose(network, "a" * 64, (12, 12, 12), given, **more)

    return make


def title(choice: Choice) -> str:
    return f"{choice.engine} {choice.precision}"


def test_the_fastest_that_agrees_is_chosen_and_each_has_a_line(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage(
        {
            "openvino fp32": 0.25,
            "openvino int8": 0.1,
            "openvino bf16": 0.2,
            "onnxruntime fp32": 0.5,
        },
        wrong={"openvino int8": 0.02},
    )
    told: list[str] = []
    choice = chosen(tell=told.append)
    assert title(choice) == "openvino bf16"
    assert choice.seconds == 0.2
    assert tuple(told) == choice.lines
    assert choice.lines[0] == "torch fp32: 1 s a window, the reference"
    (bf16,) = [line for line in choice.lines if line.startswith("openvino bf16")]
    assert "0.2 s a window, 5.0 times torch; 100.0000% of all voxels" in bf16
    (int8,) = [line for line in choice.lines if line.startswith("openvino int8")]
    assert int8.endswith("equal: below 99.95 % and 99.5 %")
    assert choice.lines[-1] == "chosen: openvino bf16, 5.0 times torch"


def test_a_smaller_demand_takes_the_faster_one(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage({"openvino fp32": 0.25, "openvino int8": 0.1}, wrong={"openvino int8": 0.02})
    assert title(chosen(agreement=(0.9, 0.9))) == "openvino int8"


def test_reduced_precision_that_is_slower_is_not_chosen(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage({"openvino fp32": 0.25, "openvino bf16": 0.5})
    assert title(chosen()) == "openvino fp32"


def test_torch_is_tried_in_reduced_precision_only_where_no_other_engine_is(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    played = stage({"torch bf16": 0.5, "openvino fp32": 0.7})
    assert title(chosen()) == "openvino fp32"
    assert "torch bf16" not in played.opened
    stage({"torch bf16": 0.5}, missing={"openvino", "onnxruntime"})
    assert title(chosen(again=True)) == "torch bf16"


def test_torch_is_chosen_where_nothing_is_faster(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage({"openvino fp32": 2.0})
    assert title(chosen()) == "torch fp32"


def test_a_missing_extra_and_a_failure_are_lines(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage(
        {"openvino fp32": 0.2, "onnxruntime fp32": 0.5},
        missing={"onnxruntime"},
        broken={"openvino fp32"},
    )
    choice = chosen()
    assert title(choice) == "torch fp32"
    assert "onnxruntime: left out: onnxruntime needs it; pip install it" in choice.lines
    assert "openvino fp32: left out: out of memory" in choice.lines


def test_a_choice_is_kept_and_nothing_is_measured_again(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    played = stage({"openvino fp32": 0.25})
    first = chosen()
    played.opened.clear()
    again = chosen()
    assert played.opened == []
    assert (again.kept, again.engine, again.lines) == (True, first.engine, first.lines)
    assert not chosen(again=True).kept


def test_what_need_not_be_measured_is_asked_for_only_where_nothing_is_kept(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    played = stage({"openvino fp32": 0.25})
    quick = Choice("torch", "fp32", lines=("done at once",))
    assert chosen(unless=lambda: quick) is quick
    assert played.opened == []
    asked: list[str] = []
    assert title(chosen(unless=lambda: asked.append("measure"))) == "openvino fp32"
    assert asked == ["measure"]
    assert chosen(unless=lambda: quick).kept


@pytest.mark.parametrize(
    "other", [{"batch": 2}, {"agreement": (0.9, 0.9)}, {"precision": "fp32"}, {"streams": 1}]
)
def test_another_question_is_measured(
    other: dict[str, Any], stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage({"openvino fp32": 0.25, "openvino fp32 x1": 0.25, "torch fp32 x1": 1.0})
    chosen()
    assert not chosen(**other).kept


def test_other_weights_or_another_machine_are_measured(
    stage: Callable[..., Stage],
    chosen: Callable[..., Choice],
    network: Network,
    windows: list[Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage({"openvino fp32": 0.25})
    chosen()
    assert not choose(network, "b" * 64, (12, 12, 12), windows).kept
    monkeypatch.setattr(auto, "device_name", lambda device: "another CPU")
    assert not chosen().kept


@pytest.mark.parametrize("content", ["", "{", "[]", '{"engine": "torch"}'])
def test_a_damaged_choice_is_measured_again(
    content: str, stage: Callable[..., Stage], chosen: Callable[..., Choice], cache: Path
) -> None:
    stage({"openvino fp32": 0.25})
    chosen()
    (file,) = (cache / "engines" / "choices").iterdir()
    file.write_text(content)
    assert not chosen().kept
    assert json.loads(file.read_text())["engine"] == "openvino"


def test_a_choice_that_cant_be_kept_holds_all_the_same(
    stage: Callable[..., Stage],
    chosen: Callable[..., Choice],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage({"openvino fp32": 0.25})
    (cache / "file").write_text("no folder")
    monkeypatch.setenv("UNETWORKS_CACHE", str(cache / "file"))
    told: list[str] = []
    assert title(chosen(tell=told.append)) == "openvino fp32"
    (line,) = [line for line in told if "can't be written" in line]
    assert "UNETWORKS_CACHE" in line


def test_without_foreground_only_fp32_is_eligible_and_nothing_is_kept(
    stage: Callable[..., Stage], chosen: Callable[..., Choice], network: Network
) -> None:
    stage({"openvino fp32": 0.25, "openvino bf16": 0.1})
    with torch.no_grad():
        network.get_parameter("last.bias")[0] += 1e4
    choice = chosen()
    assert title(choice) == "openvino fp32"
    assert "openvino bf16: left out for this case" in choice.lines
    assert any("too few to judge by" in line for line in choice.lines)
    assert not chosen().kept


def test_without_foreground_a_precision_asked_for_is_taken_unjudged_and_not_kept(
    stage: Callable[..., Stage], chosen: Callable[..., Choice], network: Network
) -> None:
    stage(
        {"openvino bf16": 0.25, "torch bf16": 0.1, "onnxruntime bf16": 0.2},
        wrong={"onnxruntime bf16": 0.5},
        broken={"torch bf16"},
    )
    with torch.no_grad():
        network.get_parameter("last.bias")[0] += 1e4
    choice = chosen(precision="bf16")
    assert title(choice) == "onnxruntime bf16"
    assert any("the fastest in bf16, unjudged" in line for line in choice.lines)
    assert not chosen(precision="bf16").kept
    with torch.no_grad():
        network.get_parameter("last.bias")[0] -= 1e4
    judged = chosen(precision="bf16")
    assert (title(judged), judged.kept) == ("openvino bf16", False)


def test_the_number_of_streams_is_measured(
    stage: Callable[..., Stage],
    chosen: Callable[..., Choice],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage({"openvino fp32": 0.25, "openvino fp32 x1": 0.3, "openvino fp32 x2": 0.2})
    monkeypatch.setattr(auto, "own_threads", lambda: 2)
    choice = chosen()
    assert (choice.streams, choice.seconds) == (2, 0.2)
    assert "openvino fp32, s a window by streams: 1: 0.3, 2: 0.2" in choice.lines


def test_an_engine_and_a_precision_asked_for_are_taken_without_measuring(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    played = stage({"openvino bf16": 0.1})
    choice = chosen(engine="openvino", precision="bf16", streams=1)
    assert (title(choice), choice.streams, played.opened) == ("openvino bf16", 1, [])


def test_an_engine_asked_for_is_measured_in_its_precisions_alone(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    played = stage({"openvino fp32": 0.25, "openvino bf16": 0.2, "onnxruntime fp32": 0.1})
    assert title(chosen(engine="openvino")) == "openvino bf16"
    assert "onnxruntime fp32" not in played.opened


def test_what_was_asked_for_and_does_not_agree_is_refused(
    stage: Callable[..., Stage], chosen: Callable[..., Choice]
) -> None:
    stage({"openvino int8": 0.1}, wrong={"openvino int8": 0.5})
    with pytest.raises(InvalidValueError, match=r"openvino int8: .* below 99\.95 %") as refused:
        chosen(precision="int8")
    assert "--engine and --precision" in refused.value.hint


def test_a_missing_engine_that_was_asked_for_is_refused(
    chosen: Callable[..., Choice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ResourceError, match="openvino needs openvino"):
        chosen(engine="openvino")
    with pytest.raises(UnknownNameError, match="no engine 'openvin'"):
        chosen(engine="openvin")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_the_real_engines_are_measured_and_the_chosen_one_opens(
    head: str,
    cache: Path,
    blobs_of: Callable[..., Network],
    windows_like: Callable[..., list[Tensor]],
) -> None:
    network, windows = blobs_of(2), windows_like(2, size=32)
    choice = choose(
        network, "a" * 64, (32, 32), windows, head, 2, calibration=windows, agreement=(0.9, 0.9)
    )
    tried = [line.partition(":")[0] for line in choice.lines]
    assert {"torch fp32", "openvino fp32", "onnxruntime fp32"} <= set(tried)
    engine: Engine = open_engine(
        choice.engine, choice.precision, network, "a" * 64, (32, 32), 2,
        calibration=windows, streams=choice.streams,
    )  # fmt: skip
    (logits,) = engine.run([torch.stack(windows[:2])])
    with torch.no_grad():
        wanted = network(torch.stack(windows[:2]))
    assert torch.allclose(logits, wanted, atol=0.1 * float(wanted.abs().max()))


def test_without_windows_int8_is_left_out_and_the_line_says_how_to_get_it(
    cache: Path, network: Network, windows: list[Tensor]
) -> None:
    choice = choose(network, "a" * 64, (12, 12, 12), windows, engine="openvino")
    (line,) = [line for line in choice.lines if line.startswith("openvino int8: left out")]
    assert "--calibrate MANIFEST" in line
