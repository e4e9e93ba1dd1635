from math import ceil, prod

from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning import NetworkFacts
from pipeline.planning.geometry import planned_patch, planned_spacing, slice_axis

SIZES = st.tuples(*[st.integers(1, 600)] * 3)
STEPS = st.tuples(*[st.sampled_from([1, 2, 4, 8, 16])] * 3)
SPACINGS = st.tuples(*[st.floats(0.1, 10)] * 3)


@given(SIZES, STEPS, st.integers(8_000, 2_000_000))
def test_a_patch_divides_and_is_never_larger_than_needed_nor_than_allowed(
    shape: tuple[int, int, int], steps: tuple[int, int, int], voxels: int
) -> None:
    network = NetworkFacts(steps, steps, 0, 0, 1, 1000.0, 0, ())
    patch = planned_patch(shape, network, voxels)
    assert all(n % s == 0 and n > 0 for n, s in zip(patch, steps, strict=True))
    needed = [max(1, ceil(m / s)) * s for m, s in zip(shape, steps, strict=True)]
    if needed == list(steps):  # one voxel at the coarsest level: one step more
        needed[0] += steps[0]
    assert all(n <= m for n, m in zip(patch, needed, strict=True))
    smallest = prod(min(2 * s, n) for n, s in zip(needed, steps, strict=True))
    assert prod(patch) <= max(voxels, smallest)
    if steps[0] > 1:
        assert prod(n // s for n, s in zip(patch, steps, strict=True)) > 1


@given(SPACINGS, SIZES, st.sampled_from([2, 3]))
def test_a_planned_spacing_is_never_finer_than_the_median(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], dims: int
) -> None:
    planned, why = planned_spacing(spacing, shape, 32**3, 8, dims)
    assert all(p >= 0.99 * s for p, s in zip(planned, spacing, strict=True))
    assert why
    if dims == 3:
        seen = prod(n * s / p for n, s, p in zip(shape, spacing, planned, strict=True))
        assert seen <= 8 * 32**3 * 1.03


def test_equal_spacings_are_walked_along_z() -> None:
    assert slice_axis((1.0, 1.0, 1.0), (10, 10, 10)) == 2
    assert slice_axis((1.0, 1.00001, 1.0), (10, 10, 10)) == 2
    assert slice_axis((1.0, 3.0, 1.0), (10, 10, 10)) == 1
    assert slice_axis(None, (10, 10)) == 2
