"""The table of networks: a new one is a file beside this one and a row below."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pipeline.errors import UnknownNameError

PRESETS: Final = ("compact", "full")
SPATIAL_DIMS: Final = (2, 3)

SMALL_2D: Final = {"widths": (16, 32, 64, 128)}
SMALL_3D: Final = {"widths": (8, 16, 32, 64)}


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """Where the class is, where it comes from, what it is tested with and what it counts.

    Attributes:
        target: Module and class, imported when a network is built.
        source: The paper or article, in a few words.
        channels: C and K with which `parameters` was published.
        parameters: In 2D and in 3D, with these channels and default options.
        compact: Options in 2D and in 3D with which it learns on a laptop's CPU.
    """

    target: str
    source: str
    channels: tuple[int, int]
    parameters: tuple[int, int]
    compact: tuple[dict[str, Any], dict[str, Any]] = (SMALL_2D, SMALL_3D)


FIVE_LEVELS: Final = ({"widths": (16, 32, 64, 128, 256)}, {"widths": (8, 16, 32, 64, 128)})
FIVE_NARROW_LEVELS: Final = ({"widths": (8, 16, 32, 64, 128)},) * 2
SMALL_TOKENS: Final = {"feature_size": 8, "hidden_size": 96, "mlp_dim": 192, "num_heads": 4}

NETWORKS: Final = {
    "unet": NetworkRow(
        "pipeline.networks.unet:UNet",
        "U-Net with batch norm (article 001)",
        (1, 1),
        (31_036_481, 90_298_561),
    ),
    "unet_plain": NetworkRow(
        "pipeline.networks.unet_plain:UNetPlain",
        "U-Net without a norm (article 000)",
        (1, 1),
        (31_030_593, 90_292_673),
    ),
    "unet_bilinear": NetworkRow(
        "pipeline.networks.unet_bilinear:UNetBilinear",
        "U-Net with interpolation and dropout (article 002)",
        (1, 1),
        (28_953_409, 85_430_209),
    ),
    "unet_compact": NetworkRow(
        "pipeline.networks.unet_compact:UNetCompact",
        "U-Net of three poolings (article 004)",
        (1, 1),
        (1_946_305, 5_836_033),
    ),
    "unet_vgg": NetworkRow(
        "pipeline.networks.unet_vgg:UNetVGG",
        "U-Net of VGG blocks (article 004)",
        (3, 1),
        (7_852_545, 23_539_905),
    ),
    "unet_valid": NetworkRow(
        "pipeline.networks.unet_valid:UNetValid",
        "U-Net, unpadded (Ronneberger 2015)",
        (1, 2),
        (31_030_658, 90_292_738),
        compact=({"widths": (16, 32, 64, 128, 256)}, {"widths": (4, 8, 16, 32, 64)}),
    ),
    "unet3d": NetworkRow(
        "pipeline.networks.unet3d:UNet3D",
        "3D U-Net, unpadded by default (Cicek 2016)",
        (3, 3),
        (6_821_763, 19_074_627),
    ),
    "unetpp": NetworkRow(
        "pipeline.networks.unetpp:UNetPP",
        "UNet++ (article 004; Zhou 2018)",
        (3, 1),
        (9_163_329, 27_468_033),
        compact=FIVE_LEVELS,
    ),
    "unetpp_zhou": NetworkRow(
        "pipeline.networks.unetpp_zhou:UNetPPZhou",
        "UNet++, the authors' own (Zhou 2020)",
        (3, 1),
        (9_042_276, 26_200_100),
        compact=FIVE_LEVELS,
    ),
    "unet3plus": NetworkRow(
        "pipeline.networks.unet3plus:UNet3Plus",
        "UNet 3+ (Huang 2020)",
        (3, 1),
        (26_971_777, 80_876_161),
        compact=FIVE_LEVELS,
    ),
    "attunet": NetworkRow(
        "pipeline.networks.attunet:AttUNet",
        "Attention U-Net, same-resolution gates (article 004; Oktay 2018)",
        (3, 1),
        (34_878_573, 103_891_437),
    ),
    "attunet_grid": NetworkRow(
        "pipeline.networks.attunet_grid:AttUNetGrid",
        "Attention U-Net, coarser gates (Oktay 2018)",
        (1, 1),
        (2_205_644, 6_213_356),
        compact=FIVE_NARROW_LEVELS,
    ),
    "r2unet": NetworkRow(
        "pipeline.networks.r2unet:R2UNet",
        "Recurrent residual U-Net (article 004; Alom 2018)",
        (3, 1),
        (39_091_393, 114_441_409),
    ),
    "r2attunet": NetworkRow(
        "pipeline.networks.r2attunet:R2AttUNet",
        "Recurrent residual U-Net with gates (article 004)",
        (3, 1),
        (39_442_925, 114_792_941),
    ),
    "resunet": NetworkRow(
        "pipeline.networks.resunet:ResUNet",
        "Residual U-Net (Zhang 2018)",
        (3, 1),
        (8_220_993, 23_781_057),
    ),
    "resunetpp": NetworkRow(
        "pipeline.networks.resunetpp:ResUNetPP",
        "ResUNet++ (Jha 2019)",
        (3, 1),
        (4_062_993, 11_883_633),
        compact=FIVE_NARROW_LEVELS,
    ),
    "multiresunet": NetworkRow(
        "pipeline.networks.multiresunet:MultiResUNet",
        "MultiResUNet (Ibtehaz 2020)",
        (3, 1),
        (7_238_228, 18_632_900),
        compact=FIVE_NARROW_LEVELS,
    ),
    "bionet": NetworkRow(
        "pipeline.networks.bionet:BiONet",
        "BiO-Net, bidirectional skips (Xiang 2020)",
        (3, 1),
        (14_996_289, 44_931_585),
        compact=FIVE_NARROW_LEVELS,
    ),
    "bcdunet": NetworkRow(
        "pipeline.networks.bcdunet:BCDUNet",
        "BCDU-Net, convolutional LSTMs (Azad 2019)",
        (1, 1),
        (20_658_821, 61_274_117),
    ),
    "crunet": NetworkRow(
        "pipeline.networks.crunet:CRUNet",
        "U-Net with spatial RNNs in the skips (article 004)",
        (1, 3),
        (31_786_700, 91_377_996),
    ),
    "vnet": NetworkRow(
        "pipeline.networks.vnet:VNet",
        "V-Net (Milletari 2016)",
        (1, 2),
        (9_358_730, 45_597_898),
        compact=({"width": 8}, {"width": 4}),
    ),
    "nnunet": NetworkRow(
        "pipeline.networks.nnunet:NNUNet",
        "nnU-Net, plain (Isensee 2021)",
        (1, 2),
        (46_324_558, 31_195_594),
    ),
    "nnunet_resenc": NetworkRow(
        "pipeline.networks.nnunet_resenc:NNUNetResEnc",
        "nnU-Net, residual encoder (Isensee 2024)",
        (1, 2),
        (140_017_038, 102_349_770),
    ),
    "segresnet": NetworkRow(
        "pipeline.networks.segresnet:SegResNet",
        "SegResNet (Myronenko 2018)",
        (1, 2),
        (1_576_402, 4_700_914),
        compact=({"filters": 8}, {"filters": 8}),
    ),
    "mednext": NetworkRow(
        "pipeline.networks.mednext:MedNeXt",
        "MedNeXt (Roy 2023)",
        (1, 2),
        (5_472_002, 5_550_914),
        compact=({"filters": 16}, {"filters": 8}),
    ),
    "swin_unetr": NetworkRow(
        "pipeline.networks.swin_unetr:SwinUNETR",
        "Swin UNETR (Hatamizadeh 2022)",
        (1, 2),
        (6_302_228, 15_703_004),
        compact=({"feature_size": 12}, {"feature_size": 12}),
    ),
    "unetr": NetworkRow(
        "pipeline.networks.unetr:UNETR",
        "UNETR (Hatamizadeh 2021)",
        (1, 2),
        (87_164_866, 92_802_274),
        compact=({"img_size": 96, **SMALL_TOKENS}, {"img_size": 48, **SMALL_TOKENS}),
    ),
    "dynunet": NetworkRow(
        "pipeline.networks.dynunet:DynUNet",
        "nnU-Net as MONAI has it (Isensee 2021)",
        (1, 2),
        (20_611_170, 31_189_410),
    ),
}


def row_of(name: str) -> NetworkRow:
    """Return the row called `name`.

    Raises:
        UnknownNameError: There is none; the hint has the nearest ones.
    """
    if name not in NETWORKS:
        raise UnknownNameError(f"no network {name!r}", hint=near(name, NETWORKS))
    return NETWORKS[name]


def near(name: str, known: Iterable[str]) -> str:
    """Suggest the names nearest to `name`; all where none is near."""
    names = sorted(known)
    return f"did you mean {', '.join(get_close_matches(name, names) or names)}?"
