import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import correlate1d, uniform_filter
from torch import Tensor

from pipeline.losses import ms_ssim
from pipeline.losses.ms_ssim import scales_for

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the paper's five scales
Array = npt.NDArray[np.float64]


def blurred(x: Array) -> Array:
    """Gaussian of 11 voxels, sigma 1.5, without the border."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    for axis in range(x.ndim):
        x = correlate1d(x, window / window.sum(), axis=axis)
    return x[(slice(5, -5),) * x.ndim]


def halved(x: Array) -> Array:
    """Mean of each block of two voxels a side."""
    even = x[tuple(slice(0, n // 2 * 2) for n in x.shape)]
    return np.asarray(uniform_filter(even, 2)[(slice(1, None, 2),) * x.ndim])


def by_the_paper(a: Array, b: Array, scales: int) -> float:
    weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
    product = 1.0
    for scale in range(scales):
        if scale:
            a, b = halved(a), halved(b)
        ma, mb = blurred(a), blurred(b)
        va, vb, cov = blurred(a * a) - ma**2, blurred(b * b) - mb**2, blurred(a * b) - ma * mb
        term = (2 * cov + 9e-4) / (va + vb + 9e-4)
        if scale == scales - 1:
            term = term * (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
        product *= term.mean() ** weights[scale]
    return float(product)


def pair(size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A smooth map and a noisier one like it, values 0 to 1, `(2, 2, *S)`."""
    generator = torch.Generator().manual_seed(0)
    a = torch.rand((2, 2, *size), generator=generator, dtype=torch.float64)
    noise = torch.rand(a.shape, generator=generator, dtype=torch.float64)
    return a, 0.6 * a + 0.4 * noise


@pytest.mark.parametrize(
    ("size", "scales"),
    [((176, 181), 5), ((96, 50), 3), ((20, 12), 1), ((44, 47, 50), 3), ((12, 30, 22), 1)],
)
def test_is_the_papers_in_two_and_three_axes(size: tuple[int, ...], scales: int) -> None:
    a, b = pair(size)
    assert scales_for(size) == scales
    similarity = ms_ssim(a, b)
    assert similarity.shape == (2, 2)
    for case in range(2):
        for channel in range(2):
            expected = by_the_paper(a[case, channel].numpy(), b[case, channel].numpy(), scales)
            assert similarity[case, channel].item() == pytest.approx(expected, abs=1e-9)


def test_is_one_for_equal_maps_and_the_same_in_a_mirror() -> None:
    a, b = pair((24, 25, 26))
    assert torch.allclose(ms_ssim(a, a), torch.ones(2, 2, dtype=torch.float64))
    assert torch.allclose(ms_ssim(a, b), ms_ssim(b, a))
    assert torch.allclose(ms_ssim(a, b), ms_ssim(a.flip(2), b.flip(2)))
    turned = ms_ssim(a.transpose(2, 4), b.transpose(2, 4))  # no axis is special
    assert torch.allclose(ms_ssim(a, b), turned)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (2, 5, 9)])
def test_patches_below_the_window_have_a_value_from_zero_to_one(size: tuple[int, ...]) -> None:
    similarity = ms_ssim(*pair(size))
    assert ((similarity > 0) & (similarity <= 1)).all()


def test_opposite_maps_are_finite_with_a_finite_gradient() -> None:
    a = pair((48, 48))[0].requires_grad_()
    (gradient,) = torch.autograd.grad(ms_ssim(a, 1 - a.detach()).sum(), a)
    assert gradient.isfinite().all()
