"""Windows for volumes, for slices of volumes and for pictures: MONAI's, or tiles that overlap."""

from collections.abc import Sequence

from monai.inferers import Inferer, SlidingWindowInfererAdapt

from pipeline.inferers.adjacent import AdjacentSliceInferer
from pipeline.inferers.overlap_tile import OverlapTileInferer


def window_inferer(
    patch: Sequence[int],
    overlap: float = 0.5,
    slice_axis: int | None = None,
    sw_batch_size: int | None = None,
    border: int = 0,
    slices: int = 1,
) -> Inferer:
    """Return an inferer with Gaussian weights; what is smaller than a window repeats its edge.

    Where a GPU's memory holds the windows and not the whole logits, these are put together on the
    CPU, and stay there.

    Args:
        patch: Window in voxels; two numbers for pictures and for slices.
        overlap: Share of a window that the next one covers again.
        slice_axis: For a 2D network on volumes, the axis that it walks along; None otherwise.
        sw_batch_size: Windows per forward; None: 2 for volumes, 16 for slices. A batch of one 3D
            window takes a slow path on CPUs when the window is small.
        border: Voxels per axis that the network loses: its tiles see more than they give.
        slices: Adjacent slices that a 2D network sees as channels, its own in their middle.
    """
    if border:
        return OverlapTileInferer(patch, border, slice_axis, sw_batch_size or 1, slices)
    batch = sw_batch_size or (2 if len(patch) == 3 else 16)
    kwargs = {"overlap": overlap, "mode": "gaussian", "padding_mode": "replicate"}
    if slice_axis is not None:
        return AdjacentSliceInferer(
            slices, roi_size=tuple(patch), spatial_dim=slice_axis, sw_batch_size=batch, **kwargs
        )
    return SlidingWindowInfererAdapt(roi_size=tuple(patch), sw_batch_size=batch, **kwargs)  # type: ignore[arg-type]
