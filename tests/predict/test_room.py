"""Reading, preparing and post-processing stay within the limit, or are refused before."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.contract import Network
from pipeline.errors import ResourceError
from pipeline.io import write_nifti
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.preparing import prepare
from pipeline.predict.recipe import Recipe, Task
from pipeline.predict.resident import added_bytes, release_free_memory
from pipeline.predict.room import has_room, prepared_bytes, refuse_reading, values_bytes
from tests.threshold import Threshold, facts_of, plan_of, write_run

MIB = 2**20
CPU = torch.device("cpu")
SIDE = 240


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """How many bytes the process has, as the module that refuses sees it."""
    held = {"now": 2.0 * 2**30, "after": 2.0 * 2**30}
    monkeypatch.setattr("pipeline.predict.room.resident_bytes", lambda: held["now"])

    def released() -> None:
        held["now"] = held["after"]

    monkeypatch.setattr("pipeline.predict.room.release_free_memory", released)
    return held


def model_with(**plan: Any) -> Model:
    network: Network = Threshold(3, 1, 3)
    facts = facts_of(modality=["MR"])
    return Model("model", network.eval(), facts, plan_of(**plan), "0" * 64, CPU)


def test_there_is_room_once_free_blocks_have_gone_back(room: dict[str, float]) -> None:
    assert has_room(500 * MIB, 3.0)
    assert not has_room(1000 * MIB, 3.0)  # five percent stay free
    room["after"] = 1.0 * 2**30
    assert has_room(1000 * MIB, 3.0)


def test_a_file_that_is_larger_than_the_limit_is_not_read(
    tmp_path: Path, room: dict[str, float]
) -> None:
    path = tmp_path / "scan.nii.gz"
    write_nifti(path, np.zeros((64, 64, 64), np.int16), np.eye(4))
    case = InputCase("scan", (path,), "scan.nii.gz")
    assert values_bytes(case) == 2 * 2 * 64**3
    refuse_reading(case, None)
    refuse_reading(case, 3.0)
    with pytest.raises(ResourceError, match=r"2\.00 GiB are too few to read scan") as caught:
        refuse_reading(case, 2.0)
    assert caught.value.hint == "give --max-ram of at least 2.2"


@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 1.5]])
@pytest.mark.parametrize(
    "changes",
    [
        {"normalisation": "window", "window": [[0.0, 200.0]]},
        {"normalisation": "window", "window": [[0.0, 200.0], [-50.0, 50.0]]},
        {"normalisation": "zscore", "window": None},
        {"normalisation": "zscore_nonzero", "window": None},
        {"normalisation": "zscore_foreground", "window": None},
        {"normalisation": "percentile", "window": None},
    ],
)
def test_preparing_takes_no_more_than_it_is_said_to(
    spacing: list[float] | None, changes: dict[str, Any]
) -> None:
    values = torch.randint(1, 300, (1, SIDE, SIDE, SIDE), dtype=torch.int16)
    image = MetaTensor(values, affine=torch.eye(4, dtype=torch.float64))
    image.meta |= {"original_affine": np.eye(4), "spatial_shape": [SIDE] * 3}
    model = model_with(spacing=spacing, **changes)
    small = MetaTensor(values[:, :16, :16, :16], meta=image.meta)
    prepare("first", small, model, SegmentOptions())  # the first call imports
    release_free_memory()
    told = prepared_bytes(image.shape, np.eye(4), model)
    taken = added_bytes(lambda: prepare("case", image, model, SegmentOptions()))
    assert taken < 1.05 * told + 16 * MIB
    assert taken > 0.4 * told


def test_a_case_that_cannot_be_brought_to_the_grid_is_refused_before(
    room: dict[str, float],
) -> None:
    image = MetaTensor(torch.zeros(1, 64, 64, 64, dtype=torch.int16), affine=torch.eye(4))
    with pytest.raises(ResourceError, match="to bring case to the network's grid") as caught:
        prepare("case", image, model_with(), SegmentOptions(max_ram_gib=2.0))
    assert "at least 2.2" in caught.value.hint


def test_under_a_limit_masks_are_mended_before_the_next_case_begins_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended: list[Any] = []

    def mend(mask: Any, *rest: Any) -> Any:
        mended.append(rest)
        return mask

    monkeypatch.setattr("pipeline.predict.recipe.mend", mend)
    run = write_run(tmp_path / "run")
    scan = tmp_path / "scan.nii.gz"
    write_nifti(scan, np.full((12, 12, 12), 100, np.int16), np.eye(4))
    for limit, before in ((64.0, 1), (None, 0)):
        how = SegmentOptions(max_ram_gib=limit, engine="torch", precision="fp32")
        recipe = Recipe((str(run),), how=how, postprocess={"*": {"largest": True}})
        task = Task(InputCase("scan", (scan,), "scan.nii.gz"), tmp_path / "out.nii.gz", str(scan))
        mended.clear()
        with recipe.open() as predictor:
            result = predictor.segment(task, None)
            assert len(mended) == before
            predictor.write(task, result)
        assert len(mended) == 1
        assert "postprocess" in result.seconds
