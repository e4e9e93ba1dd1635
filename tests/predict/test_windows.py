"""Which windows go together, and which ones engines are measured on."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inferers.layout import lay_windows
from pipeline.predict.windows import batch_for, spread, spread_windows

CPU = torch.device("cpu")


def test_windows_to_measure_on_come_from_all_over_the_scan_and_each_once() -> None:
    layout = lay_windows((24, 20, 28), (8, 8, 8), 0.5)
    axes = (torch.arange(float(n)) for n in layout.shape)
    image = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    starts = [tuple(w[:, 0, 0, 0].int().tolist()) for w in spread_windows(image, layout)]
    assert starts[0] == (8, 4, 8)  # the middle one of 5 x 4 x 6
    assert sorted(starts) == sorted(product(*layout.starts))


@given(st.lists(st.integers(1, 12), min_size=2, max_size=3))
def test_places_come_once_and_the_first_ones_from_both_halves_of_each_axis(
    counts: list[int],
) -> None:
    places = list(spread(counts))
    assert sorted(places) == list(product(*map(range, counts)))
    assert places[0] == tuple((count - 1) // 2 for count in counts)
    for count, found in zip(counts, zip(*places[:8], strict=True), strict=True):
        if count > 2:
            assert max(found) - min(found) >= 0.5 * count - 1


@pytest.mark.parametrize(
    ("patch", "windows", "limit", "batch"),
    [
        ((96, 96, 96), 100, None, 1),
        ((32, 32, 32), 100, None, 8),
        ((16, 16, 16), 100, None, 16),
        ((16, 16, 16), 3, None, 2),
        ((16, 16, 16), 9, None, 8),
        ((32, 32, 32), 100, 2**24, 1),
    ],
)
def test_small_windows_go_together_as_far_as_the_memory_allows(
    patch: tuple[int, ...], windows: int, limit: int | None, batch: int
) -> None:
    layout = lay_windows((patch[0] * windows, *patch[1:]), patch, 0.0)
    assert layout.windows == windows
    assert batch_for(layout, CPU, 10, limit) == batch
