"""What the fingerprint says of pictures: their polarity, and grey ones beside coloured ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.io import write_picture
from pipeline.manifests import load_manifest
from pipeline.planning import fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "cache"))


def picture_set(folder: Path, pictures: list[np.ndarray], **changes: Any) -> Path:
    """A manifest of pictures with a square in the middle as their label."""
    cases = []
    for n, picture in enumerate(pictures):
        label = np.zeros(picture.shape[:2], np.uint8)
        label[8:16, 8:16] = 1
        write_picture(folder / f"i{n}.png", picture)
        write_picture(folder / f"l{n}.png", label)
        cases.append({"image": f"i{n}.png", "label": f"l{n}.png", "split": "train"})
    content = {"name": "p", "modality": "microscopy", "labels": {"blob": 1}, "cases": cases}
    (folder / "p.json").write_text(json.dumps(content | changes))
    return folder / "p.json"


def square(inside: int, outside: int) -> np.ndarray:
    """A square on a ground; the ground has the larger share."""
    picture = np.full((24, 24), outside, np.uint8)
    picture[8:16, 8:16] = inside
    return picture


def test_polarity_counts_dark_foregrounds_and_whether_the_ground_tells(tmp_path: Path) -> None:
    pictures = [square(200, 20), square(180, 10), square(30, 220), square(40, 250)]
    polarity = fingerprint(load_manifest(picture_set(tmp_path, pictures))).polarity
    assert polarity is not None
    assert (polarity.darker, polarity.told) == (0.5, 1.0)


def test_a_ground_of_both_shades_does_not_tell_the_polarity(tmp_path: Path) -> None:
    bright = np.full((24, 24), 200, np.uint8)  # light all over, with a light square and a dark rim
    bright[:2] = 0
    bright[8:16, 8:16] = 220
    polarity = fingerprint(load_manifest(picture_set(tmp_path, [bright, square(9, 90)]))).polarity
    assert polarity is not None
    assert (polarity.darker, polarity.told) == (0.5, 0.5)


def test_grey_and_coloured_pictures_count_as_three_channels(tmp_path: Path) -> None:
    coloured = np.stack([square(200, 20), square(100, 20), square(50, 20)], axis=-1)
    found = fingerprint(load_manifest(picture_set(tmp_path, [square(90, 20), coloured])))
    assert found.mixed
    assert found.channels == 3
    assert [i.mean for i in found.intensity] == [(90 + 200) / 2, (90 + 100) / 2, (90 + 50) / 2]
