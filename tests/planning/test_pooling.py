"""Which axes are halved, by the length of their voxels and by how many there are."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning.pooling import planned_pooling

XYZ = ("x", "y", "z")


def test_equal_voxels_are_halved_along_every_axis_at_every_step() -> None:
    found = planned_pooling((1.0, 1.0, 1.0), (64, 64, 64), 3, XYZ)
    assert found.strides == ((2, 2, 2),) * 3
    assert found.kernels == ((3, 3, 3),) * 4
    assert found.plain


def test_voxels_a_little_longer_are_still_alike() -> None:
    assert planned_pooling((1.0, 1.0, 1.99), (64, 64, 64), 3, XYZ).plain


def test_a_thick_axis_is_halved_only_once_the_others_have_caught_up() -> None:
    # .8 mm in plane: 1.6 after one step, 3.2 after two; 5 mm is less than twice 3.2
    found = planned_pooling((0.8, 0.8, 5.0), (128, 128, 32), 4, XYZ)
    assert found.strides == ((2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 2))
    assert "z is not halved in 2 of 4 steps: voxels of 5 mm beside 0.8 mm" in found.why


def test_kernels_look_along_a_thick_axis_from_the_level_where_it_is_no_longer_thick() -> None:
    found = planned_pooling((0.8, 0.8, 5.0), (128, 128, 32), 4, XYZ)
    assert found.kernels == ((3, 3, 1), (3, 3, 1), (3, 3, 3), (3, 3, 3), (3, 3, 3))


def test_the_coarsest_level_looks_along_all_axes_however_thick() -> None:
    found = planned_pooling((0.5, 0.5, 10.0), (128, 128, 10), 2, XYZ)
    assert found.strides == ((2, 2, 1), (2, 2, 1))
    assert found.kernels == ((3, 3, 1), (3, 3, 1), (3, 3, 3))


def test_an_axis_of_few_voxels_is_halved_as_long_as_two_remain() -> None:
    found = planned_pooling((1.0, 1.0, 1.0), (64, 64, 5), 3, XYZ)
    assert found.strides == ((2, 2, 2), (2, 2, 1), (2, 2, 1))  # 5, 3
    assert "z is not halved in 2 of 3 steps: 5 voxels" in found.why


def test_a_single_slice_is_never_halved_nor_looked_along() -> None:
    found = planned_pooling((1.0, 1.0, 5.0), (64, 64, 1), 3, XYZ)
    assert found.strides == ((2, 2, 1),) * 3
    assert found.kernels == ((3, 3, 1),) * 4


def test_pictures_have_axes_alike() -> None:
    found = planned_pooling(None, (256, 300), 4, ("rows", "columns"))
    assert found.plain
    assert found.strides == ((2, 2),) * 4


def test_a_tiny_case_is_left_alone_after_the_first_steps() -> None:
    found = planned_pooling((1.0, 1.0, 1.0), (6, 6, 6), 3, XYZ)
    assert found.strides == ((2, 2, 2), (1, 1, 1), (1, 1, 1))


@given(
    st.tuples(*[st.floats(0.2, 10)] * 3), st.tuples(*[st.integers(1, 500)] * 3), st.integers(1, 5)
)
def test_no_axis_grows_past_twice_the_longest_and_kernels_never_shrink(
    spacing: tuple[float, ...], shape: tuple[int, ...], steps: int
) -> None:
    found = planned_pooling(spacing, shape, steps, XYZ)
    assert len(found.strides) == steps
    assert len(found.kernels) == steps + 1
    for axis in range(3):
        kernels = [level[axis] for level in found.kernels]
        assert kernels == sorted(kernels)
        halved = steps - found.skipped(axis)
        assert shape[axis] / 2**halved > 1 or halved == 0
