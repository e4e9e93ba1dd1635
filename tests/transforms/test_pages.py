"""Pages of one TIFF as cases, from the manifest to tensors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.bundles.settings import datalist
from pipeline.errors import DataError
from pipeline.io import read_header, read_image
from pipeline.manifests import load_manifest
from pipeline.planning import fingerprint
from pipeline.transforms.reader import ReadVolumed

PAGES = np.random.default_rng(0).integers(0, 60000, (3, 8, 10)).astype(np.uint16)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A 16-bit TIFF of three pages, its masks in another, and a manifest of both."""
    for name, pages in (("stack", PAGES), ("mask", (PAGES > 30000).astype(np.uint8))):
        first, *rest = [Image.fromarray(page) for page in pages]
        first.save(tmp_path / f"{name}.tif", save_all=True, append_images=rest)
    cases = [
        {
            "id": f"page-{n}",
            "image": {"picture": "stack.tif", "page": n},
            "label": {"mask": "mask.tif", "page": n},
            "split": "train",
        }
        for n in (1, 2, 3)
    ]
    content = {"name": "pages", "modality": "microscopy", "labels": {"cell": 1}, "cases": cases}
    (tmp_path / "pages.json").write_text(json.dumps(content))
    return tmp_path


def test_each_page_is_a_case_with_its_own_mask_and_keeps_16_bits(stack: Path) -> None:
    rows: list[Any] = list(datalist(str(stack / "pages.json"), "train"))
    assert [row["case"] for row in rows] == ["page-1", "page-2", "page-3"]
    for row, page in zip(rows, PAGES, strict=True):
        case = ReadVolumed(["image", "label"])(row)
        assert case["image"][0].numpy().tolist() == page.tolist()
        assert case["label"][0].numpy().tolist() == (page > 30000).astype(int).tolist()


def test_pages_are_pictures_to_the_plan(stack: Path) -> None:
    manifest = load_manifest(stack / "pages.json")
    assert manifest.spatial_dims == 2
    facts = fingerprint(manifest)
    assert (facts.cases, facts.shape, facts.channels) == (3, (8, 10), 1)


def test_without_a_page_the_refusal_says_how_one_is_named(stack: Path) -> None:
    with pytest.raises(DataError, match="3 pages") as caught:
        read_image(stack / "stack.tif")
    assert "--series N" in caught.value.hint
    assert read_image(stack / "stack.tif", series="2").array.tolist() == PAGES[1].tolist()
    assert read_header(stack / "stack.tif", series=3).shape == (8, 10)
    with pytest.raises(DataError, match="no page 4, it has 3"):
        read_image(stack / "stack.tif", series=4)
