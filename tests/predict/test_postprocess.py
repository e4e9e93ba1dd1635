"""What post-processing changes in a mask, and what it leaves."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DataError, InvalidValueError, PipelineError, UnknownNameError
from pipeline.predict.postprocess import Mending, mend, read_steps

VALUES = {"organ": (1,), "lesion": (4,)}
MM = np.diag([2.0, 1.0, 0.5, 1.0])  # a voxel is 1 mm3


def mask() -> NDArray[np.uint8]:
    """An organ with a hole and a lesion inside, a speck of two voxels, and a second lesion."""
    found = np.zeros((14, 14, 14), np.uint8)
    found[1:9, 1:9, 1:9] = 1
    found[3, 3, 3] = 0  # a hole
    found[5, 5, 5] = 4  # enclosed, but no hole
    found[12, 12, 12:14] = 1
    found[12, 1, 1] = 4
    return found


def mended(**steps: Mending) -> NDArray[Any]:
    return mend(mask(), VALUES, steps, MM)


def test_only_the_largest_part_stays() -> None:
    found = mended(organ=Mending(largest=True))
    assert not (found[10:] == 1).any()
    assert (found[:10] == mask()[:10]).all()
    assert (found == 4).sum() == 2, "a class that is not named stays as it is"


def test_parts_below_the_smallest_volume_go_and_one_of_just_that_stays() -> None:
    assert (mended(organ=Mending(minimum_mm3=2.0)) == mask()).all()
    assert not (mended(organ=Mending(minimum_mm3=2.1))[10:] == 1).any()
    assert not (mended(lesion=Mending(minimum_mm3=2)) == 4).any()


def test_a_hole_is_filled_and_another_class_inside_is_none() -> None:
    found = mended(organ=Mending(fill_holes=True))
    assert found[3, 3, 3] == 1
    assert found[5, 5, 5] == 4
    assert (found != mask()).sum() == 1


def test_a_hole_that_opens_to_the_outside_is_none() -> None:
    open_ = mask()
    open_[3, 3, :4] = 0
    assert (mend(open_.copy(), VALUES, {"organ": Mending(fill_holes=True)}, MM) == open_).all()


def test_parts_that_touch_at_a_corner_are_one() -> None:
    corner = np.zeros((4, 4, 4), np.uint8)
    corner[0, 0, 0] = corner[1, 1, 1] = 1
    assert (mend(corner.copy(), VALUES, {"organ": Mending(largest=True)}, MM) == corner).all()


def test_regions_are_mended_each_for_itself() -> None:
    regions = np.stack([mask() > 0, mask() == 4], -1).astype(np.uint8)
    steps = {"core": Mending(largest=True)}
    found = mend(regions.copy(), {"whole": (1, 4), "core": (4,)}, steps, MM)
    assert (found[..., 0] == regions[..., 0]).all()
    assert found[..., 1].sum() == 1


def test_pictures_have_parts_and_holes_but_no_volume() -> None:
    flat = mask()[:, :, 3].copy()
    found = mend(flat.copy(), VALUES, {"organ": Mending(fill_holes=True)}, None)
    assert found[3, 3] == 1
    with pytest.raises(InvalidValueError, match="no mm3"):
        mend(flat, VALUES, {"organ": Mending(minimum_mm3=1)}, None)


def test_an_absent_class_is_no_fault() -> None:
    empty = np.zeros((3, 3, 3), np.uint8)
    steps = {"organ": Mending(largest=True, fill_holes=True, minimum_mm3=5)}
    assert not mend(empty, VALUES, steps, MM).any()


def test_a_star_stands_for_the_classes_that_are_not_named(tmp_path: Path) -> None:
    raw = {"*": {"largest": True}, "lesion": {"minimum_mm3": 3}}
    (tmp_path / "steps.json").write_text(json.dumps(raw))
    wanted = {"organ": Mending(largest=True), "lesion": Mending(minimum_mm3=3)}
    assert read_steps(tmp_path / "steps.json", list(VALUES)) == wanted
    assert read_steps(raw, list(VALUES)) == wanted
    assert read_steps({"organ": {}}, list(VALUES)) == {}
    assert read_steps(None, list(VALUES)) == {}


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        ({"organs": {}}, UnknownNameError, "no class 'organs'"),
        ({"organ": {"bigest": True}}, InvalidValueError, "'bigest'"),
        ({"organ": {"largest": 1}}, InvalidValueError, "largest is 1"),
        ({"organ": {"minimum_mm3": -1}}, InvalidValueError, "minimum_mm3 is -1"),
        ({"organ": True}, InvalidValueError, "organ is True"),
        ([], InvalidValueError, "no object"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    raw: Any, kind: type[PipelineError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=said):
        read_steps(raw, list(VALUES))


def test_a_missing_or_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name in ("missing.json", "broken.json"):
        with pytest.raises(DataError, match=name):
            read_steps(tmp_path / name, list(VALUES))


def test_mending_takes_8_bytes_a_voxel_and_counts_the_same_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    noise = np.asfortranarray(rng.random((64, 64, 64)) > 0.95, dtype=np.uint8)
    steps = {"organ": Mending(minimum_mm3=3.0, fill_holes=True)}
    whole = mend(noise.copy(order="F"), VALUES, steps, MM)
    assert 0 < whole.sum() < noise.sum()
    monkeypatch.setattr("pipeline.predict.postprocess.COUNTED", 2**12)
    tracemalloc.start()
    try:
        assert (mend(noise, VALUES, steps, MM) == whole).all()
        assert tracemalloc.get_traced_memory()[1] < 8 * noise.size
    finally:
        tracemalloc.stop()
