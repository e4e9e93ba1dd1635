"""What every dictionary transform promises: affine, input, pickling; and what the page says."""

import importlib
import inspect
import pickle
import pkgutil
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CropForegroundd, MapTransform, SplitDimd

import pipeline.transforms
from pipeline.io import read_label, write_picture
from pipeline.planning import WINDOWS
from pipeline.planning.intensities import CONTRASTS, NORMALISATIONS
from pipeline.transforms.channels import ToChannelsd
from pipeline.transforms.classes import ToClassesd, ToDecisiond
from pipeline.transforms.contrast import Contrastd
from pipeline.transforms.depth import DepthRanged
from pipeline.transforms.grid import RestoreGridd, ToGridd
from pipeline.transforms.instances import ToInstancesd, ToSemanticd
from pipeline.transforms.normalise import Normalised
from pipeline.transforms.patches import BalancedCropd, ClassIndicesd, CropBorderd, PadToPatchd
from pipeline.transforms.polarity import Polarityd
from pipeline.transforms.reader import ReadVolumed
from pipeline.transforms.structure import ExtractStructured, SaveMaskd

PAGE = (Path(__file__).parents[2] / "docs" / "transforms.md").read_text()
AFFINE = torch.diag(torch.tensor([2.0, 3, 4, 1], dtype=torch.float64))
KEEP_GRID: dict[str, MapTransform] = {
    "channels": ToChannelsd("image", 3),
    "polarity": Polarityd("image"),
    **{f"normalise {name}": Normalised("image", name) for name in NORMALISATIONS if "z" in name},
    "percentile": Normalised("image", "percentile"),
    "window": Normalised("image", "window", [[0, 200]]),
    "several windows": Normalised("image", "window", [[0, 200], [50, 100]]),
    "dataset": Normalised("image", "dataset", [[0, 200]], [[90, 30]]),
    **{name: Contrastd("image", name) for name in CONTRASTS},
    "classes": ToClassesd("label", [[1], [2]]),
    "semantic": ToSemanticd("label"),
    "instances": ToInstancesd("label"),
    "structure": ExtractStructured("label", [2]),
}
OTHERS: dict[str, MapTransform] = {
    "read": ReadVolumed(["image", "label"]),
    "grid": ToGridd(["image", "label"], spacing=[1, 1, 1]),
    "restore": RestoreGridd("label"),
    "decision": ToDecisiond("pred"),
    "depth": DepthRanged(["image", "label"]),
    "save": SaveMaskd("label", "masks"),
    "pad": PadToPatchd("image", [8, 8, 8]),
    "indices": ClassIndicesd("label", 2),
    "crop": BalancedCropd(["image", "label"], [8, 8, 8], [1, 1, 1]),
    "border": CropBorderd("label", 4),
}


def case() -> dict[Hashable, Any]:
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 220, (1, 16, 12, 10)).astype(np.float32))
    label = torch.from_numpy(rng.integers(0, 3, (1, 16, 12, 10)).astype(np.uint8))
    return {
        "case": "c",
        "image": MetaTensor(image, affine=AFFINE, meta={"filename_or_obj": "a.nii.gz"}),
        "label": MetaTensor(label, affine=AFFINE, meta={"filename_or_obj": "b.nii.gz"}),
    }


@pytest.mark.parametrize("name", KEEP_GRID)
def test_intensities_and_classes_keep_affine_meta_data_grid_and_input(name: str) -> None:
    given, before = case(), case()
    out = KEEP_GRID[name](given)
    for key in ("image", "label"):
        assert isinstance(out[key], MetaTensor)
        assert torch.equal(out[key].affine, AFFINE)
        assert out[key].meta["filename_or_obj"] == before[key].meta["filename_or_obj"]
        assert out[key].shape[1:] == before[key].shape[1:]
        assert torch.equal(given[key].as_tensor(), before[key].as_tensor())


@pytest.mark.parametrize("name", [*KEEP_GRID, *OTHERS])
def test_a_transform_reaches_a_spawned_worker(name: str) -> None:
    transform = {**KEEP_GRID, **OTHERS}[name]
    copy = pickle.loads(pickle.dumps(transform))
    assert type(copy) is type(transform)
    assert copy.keys == transform.keys


def ours() -> set[str]:
    """All dictionary transforms of the package."""
    names = [module.name for module in pkgutil.iter_modules(pipeline.transforms.__path__)]
    modules = [importlib.import_module(f"pipeline.transforms.{name}") for name in names]
    items = [item for module in modules for item in vars(module).values() if inspect.isclass(item)]
    own = [item for item in items if item.__module__.startswith("pipeline.transforms.")]
    return {item.__name__ for item in own if issubclass(item, MapTransform)}


def test_these_are_all_transforms_of_the_package_and_the_page_has_a_row_for_each() -> None:
    tried = {type(t).__name__ for t in {**KEEP_GRID, **OTHERS}.values()}
    assert tried == ours()
    rows = set(re.findall(r"^\| `(\w+d)` \|", PAGE, re.MULTILINE))
    assert ours() <= rows


def test_the_page_tells_every_window_normalisation_and_contrast() -> None:
    for name, window in WINDOWS.items():
        assert f"| `{name}` | {window.level:g} | {window.width:g} |" in PAGE
    for name, meaning in (NORMALISATIONS | CONTRASTS).items():
        assert f"| `{name}` | {meaning} |" in PAGE


def test_the_pages_example_counts_the_objects_of_a_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((40, 60), np.uint8)
    for number in range(6):
        mask[5:12, 10 * number : 10 * number + 7] = 255
    mask[30, 30] = 255  # a speck
    write_picture(tmp_path / "masks" / "well-7.png", mask)
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(block, "transforms.md", "exec"), names)
    assert int(names["objects"]) == 6
    saved = read_label(tmp_path / "objects" / "well-7.png").array
    assert np.unique(saved).tolist() == list(range(7))
    assert saved[30, 30] == 0


def test_monais_split_gives_slices_with_their_own_affine() -> None:
    slices: Any = SplitDimd(["image", "label"], dim=3, list_output=True)(case())
    assert len(slices) == 10
    assert slices[4]["image"].shape == (1, 16, 12, 1)
    assert slices[4]["image"].affine[:3, 3].tolist() == [0, 0, 4 * 4.0]
    assert torch.equal(slices[4]["label"].as_tensor(), case()["label"].as_tensor()[..., 4:5])
    assert slices[4]["case"] == "c"


def test_monais_crop_to_the_foreground_is_undone_by_its_inverse() -> None:
    given = case()
    given["image"][:, :3], given["image"][..., 7:] = 0, 0
    crop = CropForegroundd(["image", "label"], source_key="image", allow_smaller=True)
    out: Any = crop(given)
    assert out["image"].shape == (1, 13, 12, 7)
    assert out["label"].affine[:3, 3].tolist() == [3 * 2.0, 0, 0]
    back = crop.inverse(out)
    assert torch.equal(back["image"].as_tensor(), given["image"].as_tensor())
    assert torch.equal(back["image"].affine, AFFINE)
