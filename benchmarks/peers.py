"""Public implementations of the networks: of the same architecture, or of the same kind."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import monai.networks.nets as monai
from monai.networks.nets.mednext import MedNeXt
from torch import nn

Make = Callable[[int, tuple[int, ...]], nn.Module]  # axes and size; 1 channel, 2 classes

WIDTHS_2D: Final = (32, 64, 128, 256, 512, 512, 512, 512)
WIDTHS_3D: Final = (32, 64, 128, 256, 320, 320)


def package_nnunet(kind: str) -> Make:
    """A network of `dynamic-network-architectures`; ImportError where it can't be loaded."""

    def make(dims: int, _: tuple[int, ...]) -> nn.Module:
        unet = import_module("dynamic_network_architectures.architectures.unet")

        widths = WIDTHS_2D if dims == 2 else WIDTHS_3D
        stages = len(widths)
        plain: dict[str, Any] = {"n_conv_per_stage": 2, "n_conv_per_stage_decoder": 2}
        blocks = (1, 3, 4, *[6] * (stages - 3))
        residual = {"n_blocks_per_stage": blocks, "n_conv_per_stage_decoder": 1}
        network: nn.Module = getattr(unet, kind)(
            input_channels=1,
            n_stages=stages,
            features_per_stage=widths,
            conv_op=nn.Conv2d if dims == 2 else nn.Conv3d,
            kernel_sizes=3,
            strides=[1, *[2] * (stages - 1)],
            num_classes=2,
            conv_bias=True,
            norm_op=nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
            deep_supervision=True,
            **(plain if kind == "PlainConvUNet" else residual),
        )
        return network

    return make


def package_unet(kind: str) -> Make:
    """A network of `segmentation-models-pytorch`, 2D; ImportError where it can't be loaded."""

    def make(dims: int, _: tuple[int, ...]) -> nn.Module:
        package = import_module("segmentation_models_pytorch")
        if dims == 3:
            raise ImportError("segmentation_models_pytorch has no 3D networks")
        network: nn.Module = getattr(package, kind)(
            "resnet34", encoder_weights=None, in_channels=1, classes=2
        )
        return network

    return make


def monai_dynunet(dims: int, _: tuple[int, ...]) -> nn.Module:
    """MONAI's with six levels; affine norms, as in nnU-Net."""
    norm = ("instance", {"affine": True})
    steps = [2] * 5
    return monai.DynUNet(dims, 1, 2, [3] * 6, [1, *steps], steps, norm_name=norm)


def monai_mednext(dims: int, _: tuple[int, ...]) -> nn.Module:
    """MONAI's of size S."""
    return MedNeXt(
        dims,
        32,
        1,
        2,
        encoder_expansion_ratio=2,
        decoder_expansion_ratio=2,
        bottleneck_expansion_ratio=2,
        kernel_size=3,
        use_residual_connection=True,
        blocks_down=(2, 2, 2, 2),
        blocks_bottleneck=2,
        blocks_up=(2, 2, 2, 2),
    )


SAME: Final[dict[str, tuple[str, Make]]] = {
    "vnet": ("MONAI VNet", lambda dims, _: monai.VNet(dims, 1, 2)),
    "segresnet": ("MONAI SegResNet", lambda dims, _: monai.SegResNet(dims, 16)),
    "mednext": ("MONAI MedNeXt", monai_mednext),
    "swin_unetr": (
        "MONAI SwinUNETR",
        lambda dims, _: monai.SwinUNETR(1, 2, feature_size=24, spatial_dims=dims),
    ),
    "unetr": ("MONAI UNETR", lambda dims, size: monai.UNETR(1, 2, size, spatial_dims=dims)),
    "dynunet": ("MONAI DynUNet", monai_dynunet),
    "nnunet": ("dynamic-network-architectures", package_nnunet("PlainConvUNet")),
    "nnunet_resenc": ("dynamic-network-architectures", package_nnunet("ResidualEncoderUNet")),
}
"""Architecture and count are ours: times and memory are compared."""

WIDE: Final = (64, 128, 256, 512, 1024)
KIN: Final[dict[str, Make]] = {
    "MONAI BasicUNet": lambda dims, _: monai.BasicUNet(dims, 1, 2),
    "MONAI BasicUNetPlusPlus": lambda dims, _: monai.BasicUNetPlusPlus(dims, 1, 2),
    "MONAI AttentionUnet": lambda dims, _: monai.AttentionUnet(dims, 1, 2, WIDE, [2] * 4),
    "smp Unet": package_unet("Unet"),
    "smp UnetPlusPlus": package_unet("UnetPlusPlus"),
}
"""Of a kind with some of ours, but not the same: only the time per multiply-add is compared."""
