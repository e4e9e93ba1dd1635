"""Where windows lie: MONAI's places, evenly in a box, on the lattice, as tiles."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices

from pipeline.errors import InvalidValueError
from pipeline.inferers.layout import (
    lay_evenly,
    lay_on_lattice,
    lay_tiles,
    lay_windows,
    places,
)

sizes = st.integers(1, 60)


@given(st.tuples(sizes, sizes), st.tuples(st.integers(1, 20), st.integers(1, 20)),
       st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.625, 0.9]))  # fmt: skip
def test_starts_are_monais_in_monais_order(
    shape: tuple[int, int], patch: tuple[int, int], overlap: float
) -> None:
    size = [max(n, p) for n, p in zip(shape, patch, strict=True)]
    steps = [
        p if p == n else max(1, int(p * (1 - overlap))) for n, p in zip(size, patch, strict=True)
    ]
    wanted = [tuple(s.start for s in w) for w in dense_patch_slices(size, patch, steps)]
    layout = lay_windows(shape, patch, overlap)
    padded = [max(p - n, 0) // 2 for n, p in zip(shape, patch, strict=True)]
    found = [
        tuple(layout.starts[a][i] + padded[a] for a, i in enumerate(place))
        for place in places(layout, (0, 1))
    ]
    assert found == wanted


def test_the_first_of_the_axes_changes_slowest() -> None:
    layout = lay_windows((8, 12), (8, 4), 0.0)
    assert places(layout, (0, 1)) == places(layout, (1, 0)) == [(0, 0), (0, 1), (0, 2)]
    layout = lay_windows((8, 8), (4, 4), 0.0)
    assert places(layout, (1, 0)) == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_slices_are_one_voxel_thick_and_the_network_does_not_see_their_axis() -> None:
    layout = lay_windows((5, 20, 30), (8, 10), 0.5, flat=0)
    assert layout.patch == (1, 8, 10)
    assert layout.starts[0] == (0, 1, 2, 3, 4)
    assert layout.seen == (8, 10)


@given(st.integers(5, 300), st.integers(4, 96), st.sampled_from([0.25, 0.5, 0.75]), st.data())
def test_even_windows_cover_the_box_in_even_steps_no_wider_than_asked(
    size: int, patch: int, overlap: float, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, size - 1))
    high = data.draw(st.integers(low + 1, size))
    (starts,) = lay_evenly((size,), (patch,), overlap, ((low, high),)).starts
    assert starts[0] <= low
    assert starts[-1] + patch >= high
    if size >= patch:
        assert starts[0] >= 0
        assert starts[-1] + patch <= size
    steps = [b - a for a, b in pairwise(starts)]
    assert not steps or max(steps) - min(steps) <= 1
    assert not steps or max(steps) <= max(1, int(patch * (1 - overlap)))


@given(st.integers(5, 300), st.integers(4, 96), st.integers(0, 30), st.data())
def test_a_margin_around_the_box_costs_no_window(
    size: int, patch: int, margin: int, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, size - 1))
    high = data.draw(st.integers(low + 1, size))
    tight = lay_evenly((size,), (patch,), 0.5, ((low, high),))
    wide = lay_evenly((size,), (patch,), 0.5, ((low, high),), (margin,))
    assert wide.windows == tight.windows
    (begin, end), (inner, outer) = wide.region[0], tight.region[0]
    assert begin <= low
    assert high <= end
    assert end - begin >= outer - inner
    assert max(b - a for a, b in pairwise((*wide.starts[0], wide.starts[0][-1]))) <= max(
        1, patch // 2
    )


def test_a_margin_is_as_wide_as_the_windows_allow() -> None:
    starts = lay_evenly((274,), (96,), 0.5, ((30, 200),), (8,)).starts[0]
    assert starts[0] == 22
    assert starts[-1] + 96 == 208
    tight = lay_evenly((274,), (96,), 0.5, ((30, 219),), (8,)).starts[0]
    assert (tight[0], tight[-1] + 96) == (29, 221), "192 voxels are what three windows cover"


def test_the_scan_of_the_measurements_needs_48_windows_of_100() -> None:
    shape, patch = (274, 274, 213), (96, 96, 96)
    assert lay_windows(shape, patch, 0.5).windows == 100
    box = ((17, 257), (55, 219), (0, 213))
    layout = lay_evenly(shape, patch, 0.5, box)
    assert layout.windows == 48
    assert layout.region == box


def test_the_lattice_keeps_monais_places_that_hold_more_than_a_third_of_a_window() -> None:
    whole = lay_windows((274,), (96,), 0.5).starts[0]
    assert whole == (0, 48, 96, 144, 178)
    kept = lay_on_lattice((274,), (96,), 0.5, ((70, 250),)).starts[0]
    # 0..96 holds 26 voxels of the box, which 48..144 covers
    assert kept == (48, 96, 144, 178)
    assert lay_on_lattice((274,), (96,), 0.5, ((40, 250),)).starts[0] == whole
    assert lay_on_lattice((274,), (96,), 0.5, ((100, 110),)).starts[0] == (48,)


@given(st.integers(1, 300), st.integers(4, 96), st.sampled_from([0.0, 0.25, 0.5]), st.data())
def test_the_lattice_covers_the_box_with_monais_windows(
    size: int, patch: int, overlap: float, data: st.DataObject
) -> None:
    low = data.draw(st.integers(0, size - 1))
    high = data.draw(st.integers(low + 1, size))
    kept = lay_on_lattice((size,), (patch,), overlap, ((low, high),)).starts[0]
    whole = lay_windows((size,), (patch,), overlap).starts[0]
    assert set(kept) <= set(whole)
    covered = {v for s in kept for v in range(s, s + patch)}
    assert covered >= set(range(low, high))


def test_tiles_see_more_than_they_give_and_lie_edge_to_edge() -> None:
    layout = lay_tiles((500, 700), (572, 572), (388, 388))
    assert layout.margin == (92, 92)
    assert layout.seen == (572, 572)
    assert layout.patch == (388, 388)
    assert layout.starts == ((0, 112), (0, 312))
    assert (layout.border, layout.blend) == ("reflect", "constant")
    slices = lay_tiles((3, 500, 500), (572, 572), (388, 388), flat=0)
    assert slices.margin == (0, 92, 92)
    assert slices.seen == (572, 572)


def test_the_region_is_what_the_windows_cover_of_the_grid() -> None:
    assert lay_windows((5, 40), (8, 8), 0.5).region == ((0, 5), (0, 40))


@pytest.mark.parametrize(
    ("shape", "patch", "overlap"), [((8, 8), (8,), 0.5), ((8,), (0,), 0.5), ((9,), (4,), 1.0)]
)
def test_impossible_windows_are_refused(
    shape: tuple[int, ...], patch: tuple[int, ...], overlap: float
) -> None:
    with pytest.raises(InvalidValueError):
        lay_windows(shape, patch, overlap)


def test_a_network_that_loses_an_odd_number_of_voxels_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"makes \[9\] of \[12\]"):
        lay_tiles((20,), (12,), (9,))


def test_places_are_all_combinations() -> None:
    layout = lay_windows((20, 9, 30), (8, 8, 8), 0.5)
    assert len(places(layout, (2, 0, 1))) == layout.windows
    assert set(places(layout, (2, 0, 1))) == set(product(*(range(len(s)) for s in layout.starts)))
