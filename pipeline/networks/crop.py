"""Centre-cropping a skip to a smaller tensor, as unpadded convolutions need it."""

from collections.abc import Sequence

from torch import Tensor


def centre_crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """Cut `(B, C, *S)` to `size`; an odd difference is rounded half to even, as torchvision does.

    Source: article 000 (`torchvision.transforms.functional.center_crop`).
    """
    for axis, (long, short) in enumerate(zip(x.shape[2:], size, strict=True), start=2):
        if long != short:
            x = x.narrow(axis, round((long - short) / 2), short)
    return x
