"""The peers of `benchmarks/predict.py`: MONAI's stock pipeline and nnU-Net's predictor."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    ScaleIntensityRanged,
    Spacingd,
)
from torch import Tensor, nn

from benchmarks.reference import SPACING, WINDOW_HU
from pipeline.phantom import LABELS

PATCH, OVERLAP = (96, 96, 96), 0.5


def preparation() -> Compose:
    """Return the stock transforms from a file to the network's input."""
    low, high = WINDOW_HU
    return Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=SPACING, mode="bilinear"),
            ScaleIntensityRanged("image", low, high, -1.0, 1.0, clip=True),
        ]
    )


def finish(prepared: Compose, folder: Path) -> Compose:
    """Return the stock transforms from logits to a mask file: argmax first, nearest labels."""
    return Compose(
        [
            Activationsd("pred", softmax=True),
            AsDiscreted("pred", argmax=True),
            Invertd("pred", prepared, orig_keys="image", nearest_interp=True, to_tensor=True),
            SaveImaged(
                "pred",
                output_dir=str(folder),
                output_postfix="stock",
                separate_folder=False,
                output_dtype=np.uint8,
                print_log=False,
            ),
        ]
    )


@torch.inference_mode()
def file_to_file(scan: Path, mask: Path, logits_of: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Predict as MONAI's model zoo does; seconds in all and of the window loop.

    Args:
        scan: `.nii.gz`.
        mask: To be written.
        logits_of: Image `(1, *S)` to logits `(K, *S)`.
    """
    began = time.perf_counter()
    prepare = preparation()
    case: dict[str, Any] = dict(prepare({"image": str(scan)}))
    ready = time.perf_counter()
    logits = logits_of(case["image"].as_tensor())
    computed = time.perf_counter()
    case["pred"] = MetaTensor(logits, meta=case["image"].meta)
    del logits
    finish(prepare, mask.parent)(case)
    seconds = time.perf_counter() - began
    (mask.parent / scan.name.replace(".nii.gz", "_stock.nii.gz")).replace(mask)
    return {"seconds": seconds, "stages": {"network": computed - ready}, "engine": "torch fp32"}


def run_stock(network: nn.Module, scan: Path, mask: Path) -> dict[str, Any]:
    """Predict with MONAI's sliding window, one window per forward."""
    inferer = SlidingWindowInferer(PATCH, 1, OVERLAP, mode="gaussian")

    def logits_of(image: Tensor) -> Tensor:
        logits = inferer(image[None], network)
        assert isinstance(logits, Tensor)
        return logits[0]

    return file_to_file(scan, mask, logits_of)


def run_nnunet(network: nn.Module, scan: Path, mask: Path) -> dict[str, Any]:
    """Stitch with nnU-Net's predictor between the stock transforms: its windows, its fp16 sums.

    Raises:
        ImportError: nnunetv2 is not installed.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=1 - OVERLAP,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network
    predictor.allowed_mirroring_axes = None
    predictor.configuration_manager = SimpleNamespace(patch_size=list(PATCH))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=len(LABELS) + 1)

    def logits_of(image: Tensor) -> Tensor:
        logits: Tensor = predictor.predict_sliding_window_return_logits(image)
        return logits.float()

    return file_to_file(scan, mask, logits_of)
