"""Cases are prepared once; what the memory does not hold is mapped from disk and is the same."""

import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, RandomizableTransform

from pipeline.errors import GeometryError, ResourceError
from pipeline.train import dataset as module
from pipeline.train.dataset import PreparedDataset, check_grids, load_item

CASE_BYTES = 64 * 4 + 64
ROOM = CASE_BYTES / 2**30


class Load(MapTransform):
    """Read a number from the image's file; counts its calls."""

    calls = 0

    def __call__(self, data: Any) -> Any:
        Load.calls += 1
        value = float(Path(data["image"]).read_text())
        image = torch.full((1, 4, 4, 4), value)
        label = torch.full((1, 4, 4, 4), int(value), dtype=torch.uint8)
        indices = [np.arange(3), np.array([], np.int64)]
        return {**data, "image": image, "label": label, "indices": indices}


class Shift(RandomizableTransform, MapTransform):
    """Add a random number to the image."""

    def __init__(self) -> None:
        MapTransform.__init__(self, "image")
        RandomizableTransform.__init__(self, prob=1.0)

    def __call__(self, data: Any) -> Any:
        return {**data, "image": data["image"] + self.R.random()}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Load, "calls", 0)
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> list[dict[str, str]]:
    cases = []
    for number in range(4):
        for kind in ("image", "label"):
            (tmp_path / f"{kind}{number}").write_text(str(number + 1))
        files = {kind: str(tmp_path / f"{kind}{number}") for kind in ("image", "label")}
        cases.append({"case": f"c{number}", **files})
    return cases


def prepared(data: Any, cache_gb: float | None = 1.0, key: Any = "k") -> PreparedDataset:
    return PreparedDataset(data, Compose([Load(["image"]), Shift()]), cache_gb, key)


def in_memory(dataset: PreparedDataset) -> int:
    return sum(not isinstance(item, Path) for item in dataset.items)


def test_cases_are_prepared_once_and_before_any_is_asked_for(data: Any) -> None:
    dataset = prepared(data)
    assert (len(dataset), Load.calls) == (4, 4)
    for _ in range(2):
        assert [dataset[n]["case"] for n in range(4)] == ["c0", "c1", "c2", "c3"]
    assert Load.calls == 4


def test_random_transforms_are_applied_at_each_access_from_their_seed(data: Any) -> None:
    dataset = prepared(data)
    dataset.set_random_state(5)
    drawn = [float(dataset[0]["image"].mean()) for _ in range(2)]
    assert drawn[0] != drawn[1]
    dataset.set_random_state(5)
    assert [float(dataset[0]["image"].mean()) for _ in range(2)] == drawn


@pytest.mark.parametrize("held", [0, 1, 3, 4])
def test_the_cache_holds_no_more_than_it_may_and_the_rest_lies_on_disk(
    held: int, data: Any, cache: Path
) -> None:
    dataset = prepared(data, cache_gb=(held + 0.5) * ROOM)
    assert in_memory(dataset) == held
    assert len(list((cache / "prepared").glob("*/*/image.npy"))) == 4 - held
    assert 0 <= dataset.left_gb < ROOM or held == 4


def test_a_large_case_does_not_drive_out_small_ones_after_it(
    data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Load.__call__

    def grown(self: Load, case: Any) -> Any:
        found = plain(self, case)
        if case["case"] == "c0":
            found["image"] = found["image"].repeat(100, 1, 1, 1)
        return found

    monkeypatch.setattr(Load, "__call__", grown)
    dataset = prepared(data, cache_gb=3.5 * ROOM)
    assert [isinstance(item, Path) for item in dataset.items] == [True, False, False, False]


def test_mapped_cases_equal_those_in_memory(data: Any) -> None:
    held, mapped = prepared(data), prepared(data, cache_gb=1e-12, key="other")
    assert (in_memory(held), in_memory(mapped)) == (4, 0)
    for dataset in (held, mapped):
        dataset.set_random_state(1)
    for number in range(4):
        one, other = held[number], mapped[number]
        assert one.keys() == other.keys()
        assert one["case"] == other["case"]
        for key in ("image", "label"):
            assert torch.equal(one[key], other[key])
            assert one[key].dtype == other[key].dtype
        for first, second in zip(one["indices"], other["indices"], strict=True):
            np.testing.assert_array_equal(first, second)


def test_writing_into_a_mapped_case_leaves_its_file_alone(data: Any) -> None:
    dataset = prepared(data, cache_gb=1e-12)
    place = dataset.items[0]
    assert isinstance(place, Path)
    load_item(place)["image"].fill_(-1)
    assert float(load_item(place)["image"].mean()) == 1.0


def test_a_later_run_uses_what_was_written(data: Any) -> None:
    prepared(data, cache_gb=1e-12)
    prepared(data, cache_gb=1e-12)
    assert Load.calls == 4


def test_another_plan_or_a_changed_file_is_prepared_anew(data: Any) -> None:
    prepared(data, cache_gb=1e-12)
    prepared(data, cache_gb=1e-12, key="another plan")
    assert Load.calls == 8
    Path(data[2]["image"]).write_text("77")
    again = prepared(data, cache_gb=1e-12)
    assert Load.calls == 9
    assert float(load_item(again.items[2])["image"].mean()) == 77  # type: ignore[arg-type]


def test_a_changed_label_is_noticed_too(data: Any) -> None:
    prepared(data, cache_gb=1e-12)
    os.utime(data[1]["label"], ns=(1, 1))
    prepared(data, cache_gb=1e-12)
    assert Load.calls == 5


def test_several_processes_share_the_free_memory(data: Any, monkeypatch: Any) -> None:
    memory = type("", (), {"available": 800})
    monkeypatch.setattr("pipeline.train.dataset.psutil.virtual_memory", lambda: memory)
    assert module._free_memory() == 800
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert module._free_memory() == 200


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    data: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, array: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.train.dataset.np.save", full)
    with pytest.raises(ResourceError, match=r"c0 can't be kept in .*No space left"):
        prepared(data, cache_gb=1e-12)
    assert not [p for p in (cache / "prepared").rglob("*") if p.is_file()]


def test_two_processes_at_once_write_each_case_once(data: Any, cache: Path) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, sums = fork.Barrier(2), fork.Queue()

    def work() -> None:
        barrier.wait(60)
        items = [load_item(p) for p in prepared(data, 1e-12).items if isinstance(p, Path)]
        sums.put(sum(float(item["image"].mean()) for item in items))

    children = [fork.Process(target=work) for _ in range(2)]
    for child in children:
        child.start()
    assert [sums.get(timeout=60) for _ in children] == [10.0, 10.0]
    for child in children:
        child.join(60)
    assert len(list((cache / "prepared").glob("*/*/case.json"))) == 4
    assert not list((cache / "prepared").glob("*/.*"))


def test_a_process_that_was_faster_is_as_good(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module.write_item
    place = prepared(data[:1])._place(data[0])

    def beaten(folder: Path, item: Any) -> None:
        plain(folder, item)
        place.mkdir()
        plain(place, item)

    monkeypatch.setattr(module, "write_item", beaten)
    assert prepared(data[:1], cache_gb=1e-12).items == [place]
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_a_label_on_another_grid_is_refused() -> None:
    image = MetaTensor(torch.zeros(1, 4, 4, 4))
    check_grids({"case": "a", "image": image, "label": image})
    with pytest.raises(GeometryError, match=r"a: the label has the shape \(4, 4, 3\)"):
        check_grids({"case": "a", "image": image, "label": image[..., :3]})
    moved = torch.eye(4, dtype=torch.float64)
    moved[0, 3] = 2
    with pytest.raises(GeometryError, match=r"a: the label's affine differs .* 2 mm"):
        check_grids(
            {
                "case": "a",
                "image": image,
                "label": MetaTensor(torch.zeros(1, 4, 4, 4), affine=moved),
            }
        )
