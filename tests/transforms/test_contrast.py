import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from pipeline.errors import UnknownNameError
from pipeline.transforms.contrast import Contrastd, clahe, equalise

RNG = np.random.default_rng(0)


def skewed(*shape: int) -> NDArray[np.float32]:
    values: NDArray[np.float32] = (RNG.gamma(2.0, 1.0, shape) / 5 - 1).astype(np.float32)
    return values


def plain_clahe(
    image: NDArray[np.float32], clip: float, tiles: int, bins: int
) -> NDArray[np.float64]:
    """The definition, voxel by voxel: slow, and nothing shared with the transform's arrays."""
    low, high = image.min(), image.max()
    level = np.rint((image - low) * ((bins - 1) / (high - low))).astype(int)
    edges = [np.rint(np.linspace(0, n, tiles + 1)).astype(int) for n in image.shape]
    curves, centres = {}, {}
    for tile in itertools.product(range(tiles), repeat=image.ndim):
        box = tuple(slice(e[t], e[t + 1]) for e, t in zip(edges, tile, strict=True))
        counts = np.array([(level[box] == b).sum() for b in range(bins)], float)
        limit = clip * counts.sum() / bins
        counts = np.minimum(counts, limit) + np.maximum(counts - limit, 0).sum() / bins
        curves[tile] = 2 * (np.cumsum(counts) - counts / 2) / counts.sum() - 1
        centres[tile] = [(s.start + s.stop - 1) / 2 for s in box]
    result = np.zeros(image.shape)
    for index in np.ndindex(image.shape):
        total = 0.0
        for tile, curve in curves.items():
            weight = 1.0
            for axis, (place, centre) in enumerate(zip(index, centres[tile], strict=True)):
                others = sorted({c[axis] for c in centres.values()})
                inside = min(max(place, others[0]), others[-1])
                step = others[1] - others[0] if len(others) > 1 else 1
                weight *= max(0.0, 1 - abs(inside - centre) / step)
            total += weight * curve[level[index]]
        result[index] = total
    return result


@pytest.mark.parametrize("shape", [(16, 24), (16, 16, 16)])
def test_clahe_is_the_mean_of_the_surrounding_tiles_clipped_curves(shape: tuple[int, ...]) -> None:
    image = skewed(*shape)
    wanted = plain_clahe(image, clip=1.5, tiles=2, bins=16)
    assert clahe(image, clip=1.5, tiles=2, bins=16) == pytest.approx(wanted, abs=1e-5)


def test_one_tile_without_a_limit_is_the_share_of_smaller_values() -> None:
    image = skewed(40, 40)
    ranks = image.ravel().argsort().argsort().reshape(image.shape)
    out = clahe(image, clip=np.inf, tiles=1, bins=4096)
    assert out == pytest.approx(2 * (ranks + 0.5) / image.size - 1, abs=0.01)


def test_a_lower_limit_leaves_a_flat_tile_flatter() -> None:
    image = np.full((64, 64), 0.5, np.float32)
    image += RNG.normal(0, 0.01, image.shape).astype(np.float32)
    image[0, 0], image[-1, -1] = -1, 1
    spreads = [clahe(image, clip=clip).std() for clip in (1.0, 2.0, 8.0, np.inf)]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 4 * spreads[0]


def test_clahe_of_the_negative_is_the_negative_of_clahe() -> None:
    image = skewed(64, 48)
    assert clahe(-image) == pytest.approx(-clahe(image), abs=1e-5)


def test_thin_axes_get_fewer_tiles_and_odd_sizes_are_fine() -> None:
    out = clahe(skewed(33, 29, 5))
    assert out.shape == (33, 29, 5)
    assert np.isfinite(out).all()
    assert -1 <= out.min() < out.max() <= 1


def test_equalised_values_are_spread_evenly_from_minus_one_to_one() -> None:
    out = equalise(skewed(128, 128))
    assert (out.min(), out.max()) == pytest.approx((-1, 1))
    assert np.quantile(out, (0.25, 0.5, 0.75)) == pytest.approx((-0.5, 0, 0.5), abs=0.03)


@pytest.mark.parametrize("contrast", ["equalise", "clahe"])
def test_each_channel_has_its_own_histogram_and_meta_data_stay(contrast: str) -> None:
    values = torch.from_numpy(np.stack([skewed(32, 32), 100 * skewed(32, 32)[::-1].copy()]))
    image = MetaTensor(values, meta={"filename_or_obj": "a.png"})
    out = Contrastd("image", contrast)({"image": image})["image"]
    alone = [Contrastd("image", contrast)({"image": c[None]})["image"][0] for c in values]
    assert torch.equal(torch.stack(alone), out.as_tensor())
    assert isinstance(out, MetaTensor)
    assert out.meta["filename_or_obj"] == "a.png"
    assert torch.equal(image.as_tensor(), values)


@pytest.mark.parametrize("contrast", ["equalise", "clahe"])
def test_a_channel_of_one_value_becomes_zero(contrast: str) -> None:
    out = Contrastd("image", contrast)({"image": torch.full((1, 9, 9), 7.0)})["image"]
    assert out.abs().max() == 0


def test_without_a_contrast_the_image_is_the_same_object() -> None:
    image = torch.zeros(1, 4, 4)
    assert Contrastd("image")({"image": image})["image"] is image


def test_an_unknown_contrast_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="contrast is 'clhae'") as caught:
        Contrastd("image", "clhae")
    assert "clahe" in caught.value.hint
