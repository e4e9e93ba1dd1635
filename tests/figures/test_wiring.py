from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.figures.palette import PALETTE
from pipeline.figures.wiring import COLOURS, Block, Wiring, columns, draw_wiring

ENCODER = [Block(level, 8 * 2**level, "encoder", 2) for level in range(3)]
DECODER = [Block(1, 16, "decoder", 2), Block(0, 8, "decoder", 3, output=True)]
LETTER_U = Wiring((*ENCODER, *DECODER), ((0, 1), (0, 4), (1, 2), (1, 3), (2, 3), (3, 4)))


def has_colour(path: Path, colour: str) -> bool:
    with Image.open(path) as page:
        pixels: Any = np.asarray(page.convert("RGB")).astype(int)
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.abs(pixels - wanted).max(axis=-1) < 3).sum() > 20)


def test_a_block_stands_right_of_all_that_feed_it() -> None:
    assert columns(LETTER_U) == (0, 1, 2, 3, 4)
    assert LETTER_U.levels == 3


def test_no_two_blocks_stand_at_one_place() -> None:
    twins = Wiring(tuple(Block(0, 4, "a", 1) for _ in range(3)), ())
    assert columns(twins) == (0, 1, 2)
    both = Wiring((*ENCODER[:1], ENCODER[1], ENCODER[1]), ((0, 1), (0, 2)))
    assert columns(both) == (0, 1, 2)


def test_the_picture_has_boxes_of_each_kind_and_arrows_along_a_level(tmp_path: Path) -> None:
    path = draw_wiring(LETTER_U, tmp_path / "u.png", "a U-Net")
    assert list(tmp_path.iterdir()) == [path]
    assert has_colour(path, PALETTE[0])
    assert has_colour(path, PALETTE[1])
    assert has_colour(path, COLOURS["down"])
    with Image.open(path) as page:
        assert set(page.info) == {"dpi"}


def test_skips_are_drawn_in_a_colour_of_their_own(tmp_path: Path) -> None:
    without = Wiring((*ENCODER, *DECODER), ((0, 1), (1, 2), (2, 3), (3, 4)))
    draws = [draw_wiring(w, tmp_path / f"{n}.png", "") for n, w in enumerate((LETTER_U, without))]
    blue = []
    for path in draws:
        with Image.open(path) as page:
            pixels: Any = np.asarray(page.convert("RGB")).astype(int)
        blue.append(int((np.abs(pixels - [0x8A, 0xB4, 0xF8]).max(axis=-1) < 9).sum()))
    assert blue[0] > blue[1] + 50


@pytest.mark.parametrize("length", [2, 12])
def test_longer_networks_make_wider_pictures(length: int, tmp_path: Path) -> None:
    blocks = tuple(Block(0, 4, "a", 1) for _ in range(length))
    path = draw_wiring(Wiring(blocks, tuple(pairwise(range(length)))), tmp_path / "a.png", "")
    with Image.open(path) as page:
        assert (page.width > 700) == (length == 12)
