"""From a case's files to what a model's windows are cut out of, and how they are laid."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch import Tensor

from pipeline.contract import Network
from pipeline.errors import DataError, GeometryError, InvalidValueError
from pipeline.inferers.body import MARGIN_MM, body_box
from pipeline.inferers.layout import (
    Box,
    Layout,
    lay_evenly,
    lay_on_lattice,
    lay_tiles,
    lay_windows,
)
from pipeline.inferers.target import Target
from pipeline.io import spacing_of
from pipeline.manifests.modality import usual_spelling
from pipeline.predict.inputs import InputCase
from pipeline.predict.model import Model
from pipeline.predict.options import SegmentOptions
from pipeline.predict.room import refuse_preparing
from pipeline.transforms.grid import index_maps
from pipeline.transforms.preparation import image_preparation
from pipeline.transforms.reader import ReadVolumed

GRID = 2  # steps of the preparation up to the network's grid, values still the file's


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A case as one model sees it.

    Attributes:
        image: The network's input `(C, *S)`.
        affine: Of the network's grid, index to RAS mm.
        layout: Where windows lie.
        target: The source's grid; None where it is sheared against the network's.
        box: Where the body is; None where everything is computed.
    """

    image: Tensor
    affine: np.ndarray[Any, np.dtype[np.float64]]
    layout: Layout
    target: Target | None
    box: Box | None

    @property
    def window_values(self) -> int:
        """Numbers in one window of the network's input."""
        return self.layout.channels(len(self.image)) * prod(self.layout.seen)


def read_case(case: InputCase) -> MetaTensor:
    """Read a case's files: `(C, *S)` on the source's grid, in the files' own units.

    Raises:
        DataError: A file can't be read.
    """
    files: dict[Hashable, Any] = {
        "image": [str(path) for path in case.images],
        "series": case.series,
    }
    image = ReadVolumed("image", stored=True, reading=case.reading)(files)["image"]
    assert isinstance(image, MetaTensor)
    return image


def prepare(case: str, image: MetaTensor, model: Model, options: SegmentOptions) -> Prepared:
    """Bring a case to a model's grid and values, and lay the windows.

    Raises:
        DataError: The image is not what the model was made for.
        InvalidValueError: A box of the body was asked for where there can be none.
        ResourceError: The limit of memory is too low.
    """
    force = options.force_modality
    refuse_other_input(case, image.shape, image.meta, model.facts, force=force)
    affine = np.asarray(image.affine, dtype=np.float64)
    refuse_preparing(case, image.shape, affine, model, options.max_ram_gib)
    steps = image_preparation(model.plan, any_unit=force)
    gridded = steps({"image": image}, start=1, end=GRID)
    kind = _box_kind(model, options)
    box, margin = None, (0,) * (image.ndim - 1)
    if kind != "off":
        spacing = spacing_of(np.asarray(gridded["image"].affine, dtype=np.float64))
        box = body_box(gridded["image"].as_tensor()[0].numpy(), spacing)
        margin = tuple(round(MARGIN_MM / mm) for mm in spacing)
    ready = steps(gridded, start=GRID)["image"]
    values = ready.as_tensor().to(torch.float32)
    return Prepared(
        values.contiguous(),
        np.asarray(ready.affine, dtype=np.float64),
        lay(tuple(values.shape[1:]), model, options, box, () if kind == "lattice" else margin),
        target_of(ready),
        box,
    )


def lay(
    shape: tuple[int, ...],
    model: Model,
    options: SegmentOptions,
    box: Box | None,
    margin: tuple[int, ...],
) -> Layout:
    """Lay a model's windows over a grid, or over the body's box in it.

    Args:
        shape: Of the grid.
        model: Its patch and overlap.
        options: Another overlap.
        box: Of the body; None: all of the grid.
        margin: Voxels around the box that are covered where they cost no window; none at all:
            windows stay where they lie on the whole grid.
    """
    network, plan = model.network, model.plan
    patch = network.next_size(plan["patch"])
    given = tuple(network.output_size(n) for n in patch)
    flat, slices = plan["slice_axis"], plan.get("slices", 1)
    if given != patch:  # every voxel of a tile has its whole context: no overlap unless asked for
        return lay_tiles(shape, patch, given, options.overlap or 0.0, flat, slices)
    overlap = plan["overlap"] if options.overlap is None else options.overlap
    if box is None:
        return lay_windows(shape, patch, overlap, flat, slices)
    if not margin:
        return lay_on_lattice(shape, patch, overlap, box)
    return lay_evenly(shape, patch, overlap, box, margin)


def _box_kind(model: Model, options: SegmentOptions) -> str:
    """Which box of the body a model's windows are laid over."""
    network: Network = model.network
    patch = network.next_size(model.plan["patch"])
    possible = (
        set(model.facts["modality"]) == {"CT"}
        and network.spatial_dims == 3
        and tuple(network.output_size(n) for n in patch) == patch
    )
    if options.body_box is None:
        # values of a forced modality may be no HU
        return "even" if possible and not options.force_modality else "off"
    if options.body_box != "off" and not possible:
        raise InvalidValueError(
            f"{model.name}: no box of the body, which 3D networks with padding find in CT alone",
            hint="leave --body-box out",
        )
    return options.body_box


def target_of(image: MetaTensor) -> Target | None:
    """The source's grid as seen from the network's; None where one is sheared."""
    if image.ndim == 3:
        return Target.same(image.shape[1:])
    affine = np.asarray(image.affine, dtype=np.float64)
    source = np.asarray(image.meta["original_affine"], dtype=np.float64)
    shape = [int(n) for n in image.meta["spatial_shape"]]
    try:
        axes, nearest = index_maps(affine, image.shape[1:], source, shape)
    except GeometryError:
        return None
    step = np.linalg.inv(affine) @ source
    places = [
        step[axis, own] * np.arange(shape[own]) + step[axis, 3] for own, axis in enumerate(axes)
    ]
    order = tuple(axes.index(axis) for axis in range(3))
    return Target(order, tuple(nearest[s] for s in order), tuple(places[s] for s in order))


def refuse_other_input(
    case: str,
    shape: Sequence[int],
    meta: Mapping[str, Any],
    facts: Mapping[str, Any],
    *,
    force: bool = False,
) -> None:
    """Refuse an image `(C, *S)` that a model was not made for.

    Args:
        case: Its id.
        shape: Of the image.
        meta: Of the image; `modality` where its file tells it.
        facts: The model's.
        force: Accept another modality.

    Raises:
        DataError: Another number of channels or axes, or another modality.
    """
    wanted = len(facts["modality"])
    # of a set that mixes grey and coloured pictures, either will do
    if shape[0] != wanted and not (facts.get("mixed") and shape[0] in (1, 3)):
        raise DataError(
            f"{case} has {shape[0]} channels, the model takes {wanted}",
            hint=f"give {', '.join(facts['modality'])}",
        )
    if len(shape) - 1 != facts["dims"]:
        kinds = {2: "a picture", 3: "a volume"}
        raise DataError(
            f"{case} is {kinds.get(len(shape) - 1, 'no image')}, the model was trained on "
            f"{'volumes' if facts['dims'] == 3 else 'pictures'}",
            hint="use a model of the right kind",
        )
    modality = usual_spelling(str(meta.get("modality") or ""))  # DICOM calls PET PT
    if modality and not force and modality not in facts["modality"]:
        raise DataError(
            f"{case} is {modality}, the model was trained on {', '.join(facts['modality'])}",
            hint="give --force-modality to predict all the same",
        )
