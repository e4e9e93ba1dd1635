"""Which engine a case gets: named, quick, or measured."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.contract import Network
from pipeline.engines import Choice
from pipeline.engines.calibration import FILE
from pipeline.errors import DataError
from pipeline.inferers.layout import lay_windows
from pipeline.inferers.mirror import Mirrored
from pipeline.networks import build_network
from pipeline.predict.computing import Engines
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from tests.threshold import facts_of, plan_of

CPU = torch.device("cpu")
LAYOUT = lay_windows((20, 20, 20), (8, 8, 8), 0.5)
IMAGE = torch.arange(8000.0).reshape(1, 20, 20, 20)


class Plain(Network):
    """One convolution."""

    divisor = 1

    def __init__(self) -> None:
        super().__init__(3, 1, 3)
        self.layer = nn.Conv3d(1, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layer(x)
        return logits


@pytest.fixture
def model() -> Model:
    return Model("plain", Plain().eval(), facts_of(), plan_of(), "0" * 64, CPU)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `choose` was called with; every case counts as long."""
    calls: list[dict[str, Any]] = []

    def choose(network: Network, digest: str, patch: Any, windows: Any, *a: Any, **k: Any) -> Any:
        quick = k.pop("unless")()
        if quick is not None:
            return quick
        calls.append({"patch": patch, "first": next(iter(windows)), **k})
        return Choice("torch", "fp32", lines=("torch fp32: measured", "chosen: torch fp32"))

    monkeypatch.setattr("pipeline.predict.computing.choose", choose)
    monkeypatch.setattr("pipeline.predict.computing.WORTH_S", 0.0)
    return calls


@pytest.fixture
def engines() -> Iterator[Engines]:
    with Engines() as opened:
        yield opened


def test_a_long_case_is_measured_on_its_own_windows(
    engines: Engines, model: Model, asked: list[dict[str, Any]]
) -> None:
    options = SegmentOptions(agreement=(0.9, 0.8))
    computing = engines.engine_of(model, IMAGE, LAYOUT, 2, options)
    assert computing.why[-1] == "chosen: torch fp32"
    assert computing.engine.batch == 2
    (call,) = asked
    assert call["patch"] == (8, 8, 8)
    assert call["agreement"] == (0.9, 0.8)
    assert (call["engine"], call["precision"]) == ("auto", None)
    assert torch.equal(call["first"], IMAGE[:, 4:12, 4:12, 4:12])


@pytest.mark.parametrize(
    ("options", "measured"),
    [
        (SegmentOptions(precision="bf16"), True),
        (SegmentOptions(engine="torch"), False),
        (SegmentOptions(engine="torch", precision="fp32"), False),
        (SegmentOptions(), False),
    ],
)
def test_a_short_case_is_not_measured_unless_no_engine_is_known_for_its_precision(
    engines: Engines,
    model: Model,
    asked: list[dict[str, Any]],
    options: SegmentOptions,
    measured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.predict.computing.WORTH_S", 1e9)
    computing = engines.engine_of(model, IMAGE, LAYOUT, 1, options)
    assert bool(asked) == measured
    assert (computing.engine.name, computing.engine.precision) == ("torch", "fp32")


@pytest.mark.parametrize("room", [True, False])
def test_nothing_is_measured_where_the_limit_leaves_no_room_for_torch(
    room: bool,
    engines: Engines,
    model: Model,
    asked: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed: list[int] = []

    def has_room(number: int, limit: float) -> bool:
        needed.append(number)
        return room and limit == 3.0

    monkeypatch.setattr("pipeline.predict.computing.has_room", has_room)
    monkeypatch.setattr("pipeline.engines.auto.CANDIDATES", {"cpu": ("torch",)})
    computing = engines.engine_of(model, IMAGE, LAYOUT, 2, SegmentOptions(max_ram_gib=3.0))
    assert bool(asked) == room
    assert ("no room" in computing.why[-1]) != room
    logits = 2 * 3 * 8**3 * 4
    assert logits < needed[0] < 30 * logits


def test_an_engine_serves_all_cases_of_its_window_but_one_member_of_an_ensemble(
    engines: Engines, model: Model
) -> None:
    options = SegmentOptions()
    first = engines.engine_of(model, IMAGE, LAYOUT, 1, options)
    assert engines.engine_of(model, IMAGE, LAYOUT, 1, options) is first
    assert engines.engine_of(model, IMAGE, LAYOUT, 1, options, member=1) is not first
    assert engines.engine_of(model, IMAGE, LAYOUT, 2, options) is not first
    mirrored = engines.engine_of(model, IMAGE, LAYOUT, 1, replace(options, mirror=True))
    assert isinstance(mirrored.engine, Mirrored)


def test_members_of_equal_weights_keep_their_own_plans(engines: Engines) -> None:
    network = build_network("unetpp", 3, 1, 3, widths=[2, 2, 2, 2, 2], deep_supervision=True)
    first = Model("one", network.eval(), facts_of(), plan_of(), "0" * 64, CPU)
    second = replace(first, name="other", plan=plan_of(patch=[16, 16, 16]))
    pruned = engines.at_level(first, "1")
    assert engines.at_level(second, "1").plan == second.plan
    assert engines.at_level(first, "1") is pruned
    assert engines.at_level(first, None) is first


@pytest.fixture
def damaged(model: Model, tmp_path: Path) -> Model:
    """The model beside a file of calibration windows that can't be read."""
    (tmp_path / FILE).write_bytes(b"no tensors")
    return replace(model, folder=tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        SegmentOptions(),
        SegmentOptions(precision="fp32"),
        SegmentOptions(engine="torch", precision="fp32"),
    ],
)
def test_damaged_calibration_windows_are_no_matter_to_other_precisions(
    damaged: Model, asked: list[dict[str, Any]], options: SegmentOptions
) -> None:
    told: list[str] = []
    with Engines(told.append) as engines:
        computing = engines.engine_of(damaged, IMAGE, LAYOUT, 1, options)
    assert computing.engine.precision == "fp32"
    assert any("int8 is left out" in line for line in told) == (options.precision is None)


def test_damaged_calibration_windows_are_refused_for_int8(
    damaged: Model, engines: Engines, asked: list[dict[str, Any]]
) -> None:
    with pytest.raises(DataError, match="is damaged"):
        engines.engine_of(damaged, IMAGE, LAYOUT, 1, SegmentOptions(precision="int8"))
