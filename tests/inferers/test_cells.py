"""What the windows' edges cut a grid into."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inferers.cells import cut, cut_layout, peak_voxels, windows_in
from pipeline.inferers.layout import Layout, lay_windows, places


def test_edges_of_all_windows_cut_an_axis() -> None:
    axis = cut((0, 48, 96, 144, 178), 96, (0, 274))
    edges = (0, 48, 96, 144, 178, 192, 240, 274)
    assert axis.spans == tuple(pairwise(edges))
    assert axis.first == (0, 0, 1, 2, 2, 3, 4)
    assert axis.last == (0, 1, 2, 3, 4, 4, 4)
    assert axis.offsets(1, (0, 48, 96, 144, 178)) == (48, 0)


def test_a_window_knows_the_place_of_each_of_its_cells() -> None:
    axis = cut((0, 4), 8, (0, 12))
    inner = [[(p.inner.start, p.inner.stop, p.first, p.last) for p in w] for w in axis.parts]
    assert inner == [
        [(0, 4, True, True), (4, 8, True, False)],
        [(0, 4, False, True), (4, 8, True, True)],
    ]


def test_padding_has_no_cells() -> None:
    axis = cut((-3,), 8, (0, 2))
    assert axis.spans == ((0, 2),)
    assert axis.parts[0][0].inner == slice(3, 5)


def test_windows_outside_of_a_region_have_no_cells() -> None:
    axis = cut((0, 4, 8), 8, (1, 3))
    assert [len(parts) for parts in axis.parts] == [1, 0, 0]


def slow_peak(layout: Layout, axes: tuple[int, ...]) -> int:
    """Walk through all windows and count."""
    cells = cut_layout(layout, layout.region)
    alive: dict[tuple[int, int, int], int] = {}
    peak = 0
    for place in places(layout, axes):
        parts = [cells[a].parts[i] for a, i in enumerate(place)]
        touched = [(i, j, k) for i in parts[0] for j in parts[1] for k in parts[2]]
        for three in touched:
            key = (three[0].cell, three[1].cell, three[2].cell)
            spans = [cells[a].spans[c] for a, c in enumerate(key)]
            alive[key] = int(np.prod([high - low for low, high in spans]))
        peak = max(peak, sum(alive.values()))
        for three in touched:
            if all(p.last for p in three):
                del alive[(three[0].cell, three[1].cell, three[2].cell)]
    assert not alive
    return peak


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 30)] * 3),
    st.tuples(*[st.integers(2, 12)] * 3),
    st.sampled_from([0.0, 0.5, 0.7]),
    st.permutations([0, 1, 2]),
)
def test_the_peak_is_that_of_a_walk_through_all_windows(
    shape: tuple[int, ...], patch: tuple[int, ...], overlap: float, axes: list[int]
) -> None:
    layout = lay_windows(shape, patch, overlap)
    assert peak_voxels(layout, layout.region, axes) == slow_peak(layout, tuple(axes))


def test_windows_of_a_region_are_counted() -> None:
    layout = lay_windows((20, 20, 20), (8, 8, 8), 0.5)
    assert windows_in(layout, layout.region) == layout.windows == 64
    assert windows_in(layout, ((0, 4), (0, 20), (0, 20))) == 16
