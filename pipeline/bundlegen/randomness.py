"""The random transforms of a training: patches, poses, intensities."""

from typing import Any

from pipeline.bundlegen.settings import BORDER, SLICES


def random_transforms() -> list[dict[str, Any]]:
    """Patches and their random changes."""
    both = ["image", "label"]
    augment = "$@plan['augment']"
    axes, turns = "len(@plan['patch'])", "(3 if len(@plan['patch']) == 3 else 1)"
    return [
        {
            "_target_": "pipeline.transforms.patches.PadToPatchd",
            "keys": both,
            "patch": "$@plan['patch']",
            "slice_axis": "$@plan['slice_axis']",
            "border": BORDER,
        },
        {
            "_target_": "pipeline.transforms.patches.ClassIndicesd",
            "keys": "label",
            "classes": "$len(@facts['classes'])",
            "head": "$@facts['head']",
        },
        {
            "_target_": "pipeline.transforms.patches.BalancedCropd",
            "keys": both,
            "patch": "$@plan['patch']",
            "sampling": "$@plan['sampling']",
            "slice_axis": "$@plan['slice_axis']",
            "border": BORDER,
            "slices": f"${SLICES}",
        },
        *(
            {
                "_target_": "RandFlipd",
                "keys": both,
                "prob": f"$0.5 if {axis} in @plan['augment']['flip'] else 0.0",
                "spatial_axis": axis,
            }
            for axis in range(3)
        ),
        {
            "_target_": "RandAffined",
            "keys": both,
            "prob": f"{augment}['probability']",
            "rotate_range": f"$[{augment[1:]}['rotate'] if axis in {augment[1:]}['rotate_axes'] "
            f"else 0.0 for axis in range({turns})]",
            "scale_range": f"$[@plan['augment']['scale']] * {axes}",
            "translate_range": "$[@plan['augment']['shift'] * n for n in @plan['patch']]",
            "mode": ["bilinear", "nearest"],
            "padding_mode": "border",
        },
        *_intensities(),
        {
            "_target_": "pipeline.transforms.patches.CropBorderd",
            "keys": "label",
            "border": BORDER,
        },
        {"_target_": "EnsureTyped", "keys": both, "track_meta": False},
    ]


def _intensities() -> list[dict[str, Any]]:
    """Random changes of the values alone."""
    augment, gamma = "$@plan['augment']", "@plan['augment']['gamma']"
    return [
        {
            "_target_": "RandAdjustContrastd",
            "keys": "image",
            "prob": f"$0.3 if {gamma} else 0.0",
            "gamma": f"${gamma} or [0.9, 1.1]",
        },
        {
            "_target_": "RandScaleIntensityd",
            "keys": "image",
            "prob": 0.5,
            "factors": f"{augment}['gain']",
        },
        {
            "_target_": "RandShiftIntensityd",
            "keys": "image",
            "prob": 0.5,
            "offsets": f"{augment}['offset']",
        },
        {
            "_target_": "RandGaussianNoised",
            "keys": "image",
            "prob": 0.2,
            "std": f"{augment}['noise']",
        },
    ]
