"""The plan keeps to a limit, costs no more windows than needed, and says what would do."""

import pytest
import torch

from pipeline.errors import ResourceError
from pipeline.inferers.layout import lay_evenly, lay_windows
from pipeline.inferers.memory import GIB, Needs, plan_memory

SCAN = lay_windows((274, 274, 213), (96, 96, 96), 0.5)
LONG = lay_windows((274, 274, 400), (96, 96, 96), 0.5)


def test_without_a_limit_nothing_is_computed_twice_and_the_order_is_monais() -> None:
    plan = plan_memory(SCAN, Needs(25))
    assert plan.axes == (0, 1, 2)
    assert plan.windows == SCAN.windows
    assert plan.tiles == (SCAN.region,)
    assert plan.dtype == torch.float32


@pytest.mark.parametrize(("classes", "bytes_"), [(25, 0.8e9), (105, 2e9)])
def test_sums_of_the_scan_of_the_measurements_stay_below_the_bars(
    classes: int, bytes_: float
) -> None:
    assert plan_memory(SCAN, Needs(classes)).parts["sums"] < bytes_
    box = lay_evenly(SCAN.shape, SCAN.patch, 0.5, ((17, 257), (55, 219), (0, 213)))
    assert plan_memory(box, Needs(classes)).parts["sums"] < bytes_ / 1.8


def test_a_long_scan_is_gone_through_along_its_length() -> None:
    plan = plan_memory(LONG, Needs(105))
    assert plan.axes[0] == 2
    longer = lay_windows((274, 274, 4000), (96, 96, 96), 0.5)
    tail = plan_memory(longer, Needs(105)).parts["sums"] / plan.parts["sums"]
    assert 0.8 < tail < 1.2, "the last window's overlap differs, the length does not matter"


@pytest.mark.parametrize("limit", [2.4, 2.0, 1.5, 1.2])
def test_a_limit_cuts_the_plane_into_as_few_tiles_as_will_do(limit: float) -> None:
    needs = Needs(105, held=int(0.5 * GIB), engine=int(0.3 * GIB))
    plan = plan_memory(SCAN, needs, int(limit * GIB))
    assert plan.total <= limit * GIB
    assert len(plan.tiles) > 1
    assert plan.windows > SCAN.windows
    assert plan.dtype == torch.float32
    roomier = plan_memory(SCAN, needs, int(1.3 * limit * GIB))
    assert roomier.windows <= plan.windows


def test_layouts_that_are_gone_through_together_add_up() -> None:
    flat = lay_windows((500, 500, 213), (128, 128), 0.5, flat=2)
    needs = Needs(25, rows=100)
    one, other = plan_memory(flat, needs), plan_memory(LONG, needs)
    assert one.axes == (*other.axes[:1], 0, 1)
    both = plan_memory(flat, needs, whole=True, others=[LONG])
    for part in ("sums", "rows"):
        assert both.parts[part] == one.parts[part] + other.parts[part]


def test_tiles_are_disjoint_and_together_all() -> None:
    plan = plan_memory(SCAN, Needs(105), int(0.5 * GIB))
    seen = torch.zeros(SCAN.shape, dtype=torch.uint8)
    for tile in plan.tiles:
        seen[tuple(slice(*span) for span in tile)] += 1
    assert (seen == 1).all()


def test_a_scan_of_600_slices_with_105_classes_runs_in_8_gib() -> None:
    layout = lay_windows((274, 274, 400), (96, 96, 96), 0.5)
    needs = Needs(105, held=int(3 * GIB), engine=int(1.5 * GIB), output=600 * 2**18)
    plan = plan_memory(layout, needs, 8 * GIB)
    assert plan.total < 8 * GIB
    assert plan.windows == layout.windows


def test_half_precision_comes_last() -> None:
    # in full precision the finest tiles hold what four windows share
    needs = Needs(105)
    for limit in (0.12, 0.06):
        plan = plan_memory(SCAN, needs, int(limit * GIB))
        assert (plan.dtype == torch.float32) == (limit == 0.12)
        assert plan.total <= limit * GIB


def test_a_limit_that_cannot_be_kept_is_refused_with_the_smallest_that_would_do() -> None:
    needs = Needs(105, held=int(0.5 * GIB), engine=int(0.3 * GIB))
    with pytest.raises(ResourceError, match=r"0\.60 GiB are too few") as caught:
        plan_memory(SCAN, needs, int(0.6 * GIB))
    smallest = float(caught.value.hint.split()[-1])
    assert plan_memory(SCAN, needs, int(smallest * GIB)).total <= smallest * GIB
    with pytest.raises(ResourceError):
        plan_memory(SCAN, needs, int((smallest - 0.15) * GIB))


def test_what_cannot_be_cut_is_refused_instead() -> None:
    limit = int(0.7 * GIB)
    assert plan_memory(SCAN, Needs(105), limit).tiles
    with pytest.raises(ResourceError):
        plan_memory(SCAN, Needs(105), limit, whole=True)


def test_slices_go_one_by_one_and_hold_one_slice() -> None:
    layout = lay_windows((50, 60, 40), (16, 16), 0.5, flat=1)
    plan = plan_memory(layout, Needs(3))
    assert plan.axes[0] == 1
    assert plan.parts["sums"] <= 50 * 40 * 3 * 4


def test_the_plan_is_one_line_and_a_record() -> None:
    plan = plan_memory(SCAN, Needs(105, held=GIB, engine=GIB // 2), int(2.8 * GIB))
    assert plan.line().startswith(f"{plan.windows} windows in 2 tiles, ")
    assert "held 1.00, engine 0.50, sums" in plan.line()
    assert plan.record["tiles"] == 2
    assert plan.record["limit_gib"] == 2.8


def test_what_comes_after_the_windows_takes_their_place() -> None:
    windows = plan_memory(SCAN, Needs(25, held=GIB, output=GIB))
    little = plan_memory(SCAN, Needs(25, held=GIB, output=GIB, after=windows.parts["sums"] // 2))
    assert little.total == windows.total
    much = plan_memory(SCAN, Needs(25, held=GIB, output=GIB, after=3 * GIB))
    assert much.total == 5 * GIB
    with pytest.raises(ResourceError, match="postprocess"):
        plan_memory(SCAN, Needs(25, held=GIB, output=GIB, after=3 * GIB), 5 * GIB)
