"""The one seam between our own reading of files and MONAI's transforms.

MONAI's `LoadImage` swallows every error of a reader and goes on to the next one it knows, so a
refused file would come back wrong from another reader. Here `read` only notes the paths; the
work is done, and refused, in `get_data`, which MONAI does not guard.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, MetaTensor
from monai.transforms import MapTransform
from monai.utils.enums import MetaKeys, SpaceKeys

from pipeline.errors import GeometryError, InvalidValueError
from pipeline.io import (
    Affine,
    LabelChoice,
    Reading,
    Volume,
    corner_distance,
    kind_of,
    read_dicom_label,
    read_image,
    read_label,
    to_grid,
    without_padding,
)
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import file_of_label, label_of_row, load_label

Files = str | Path | Sequence[str | Path]


class VolumeReader(ImageReader):
    """Read NIfTI, DICOM series and pictures through `pipeline.io`, for `LoadImage(reader=...)`.

    Arrays keep our order: `(i, j, k)` in RAS mm, and rows first for a picture. Several files
    become channels of one case, last in the array.

    Args:
        label: Read label maps: whole numbers or refused. Give `LoadImage` an integer `dtype`
            too, as its default would turn them into float32.
        series: For DICOM folders: the number of the series, or its UID.
        reading: Further choices of reading; `series`, where given, goes before its own.
    """

    def __init__(
        self,
        label: bool = False,
        series: str | int | None = None,
        reading: Reading | None = None,
    ) -> None:
        self.label = label
        self.series = series
        self.reading = reading

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether all paths hold something that we read, told by their content."""
        return all(kind_of(path) is not None for path in _paths(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> tuple[Path, ...]:
        """Return the paths; the files are opened in `get_data`, whose errors MONAI lets through.

        Raises:
            InvalidValueError: No path, or options, which belong into the constructor.
        """
        if kwargs:
            raise InvalidValueError(
                f"VolumeReader.read was given {', '.join(kwargs)}",
                hint="give label and series to the reader itself",
            )
        return _paths(data)

    def get_data(self, img: Files) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Return the array, channels last if any, and MONAI's metadata.

        Raises:
            DataError: A file is missing, damaged or no label map.
            GeometryError: Several files do not share one grid.
        """
        paths = _paths(img)
        volume = load(paths, label=self.label, series=self.series, reading=self.reading)
        return volume.array, metadata(volume, paths[0])


class ReadVolumed(MapTransform):
    """Replace paths by MetaTensors `(C, *S)`: images float32, label maps int32, affine kept.

    A label map gets uint8 where it fits; the metadata says which file it was.

    Args:
        keys: Keys of a path, or of several paths that become channels. A label may also be
            `{"rtstruct": FILE, "structures": [...]}` or `{"seg": FILE, ...}`, drawn on the
            first image, or what a manifest's drawn label is in a data list.
        label_keys: Those of `keys` that hold label maps.
        series_key: Key of the case that names the DICOM series of its images, if there is one.
        allow_missing_keys: Skip keys that a case does not have.
        stored: Keep images in the type that the reader gives, often int16: half the memory where
            a later step makes floats of them.
        reading: Choices of reading for images; the case's series goes before its own.

    Raises:
        DataError: A file is missing, damaged or no label map.
        GeometryError: Several files of a key do not share one grid, or a label map is not on
            that of the image (other axis codes over the same box are turned to it).
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_keys: Sequence[Hashable] = ("label",),
        series_key: str = "series",
        allow_missing_keys: bool = False,
        stored: bool = False,
        reading: Reading | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.label_keys = (label_keys,) if isinstance(label_keys, str) else tuple(label_keys)
        self.series_key = series_key
        self.stored, self.reading = stored, reading

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of the case with its files read."""
        case = dict(data)
        series = case.get(self.series_key)
        image: Volume | None = None
        source: Path | None = None
        # images first: a label is drawn on one of them
        for key in sorted(self.key_iterator(case), key=lambda key: key in self.label_keys):
            value = case[key]
            if key in self.label_keys:
                label, path = _label(value, source, series)
                if image is not None and image.affine is not None:
                    label = _on_grid(label, path, image.affine, image.shape)
                wanted = np.uint8 if label.array.dtype == np.uint8 else np.int32
                case[key] = _tensor(label, path, wanted)
                continue
            paths = _paths(value)
            volume = load(paths, series=series, reading=self.reading)
            if image is None:
                image, source = volume, paths[0]
            own = volume.array.dtype
            # torch has no full set of operations on unsigned types beyond uint8
            keep = self.stored and own in (np.uint8, np.int16, np.int32, np.float32)
            case[key] = _tensor(volume, paths[0], own if keep else np.float32)
        return case


def _on_grid(label: Volume, path: Path, affine: Affine, shape: tuple[int, ...]) -> Volume:
    """Return the label map on the image's grid; a refusal names its file."""
    try:
        return to_grid(label, affine, shape)
    except GeometryError as error:
        raise GeometryError(f"{path}: {error}", hint=error.hint) from None


def _label(value: Any, source: Path | None, series: str | int | None) -> tuple[Volume, Path]:
    """Return a label map from files, or from `{"rtstruct": FILE, "structures": [...]}`."""
    if not isinstance(value, Mapping):
        paths = _paths(value)
        return load(paths, label=True), paths[0]
    if "integers" in value:
        label = label_of_row(value)
        return load_label(label), file_of_label(label)
    file = value.get("rtstruct") or value.get("seg")
    if file is None or source is None:
        raise InvalidValueError(
            f"a label of {', '.join(map(str, value))}",
            hint='give {"rtstruct": FILE} or {"seg": FILE} beside the image it was drawn on',
        )
    choice = LabelChoice(
        rois=tuple(value.get("structures", ())),
        threshold=float(value.get("threshold", 0.5)),
        priority=tuple(value.get("priority", ())),
        channels=bool(value.get("channels", False)),
    )
    drawn = read_dicom_label(file, source, choice, Reading(series=series))
    return drawn.volume, Path(file)


def load(
    paths: Sequence[str | Path],
    *,
    label: bool = False,
    series: str | int | None = None,
    reading: Reading | None = None,
) -> Volume:
    """Return one volume `(*S[, C])` from one file, or from several of one grid as channels.

    Padding outside the scanner's field, which `read_image` keeps, gets the lowest valid value.

    Raises:
        DataError: As `pipeline.io.read_image` and `read_label`.
        GeometryError: The files do not share one grid.
    """
    volumes = [
        read_label(path, channels=True, reading=reading)
        if label
        else without_padding(read_image(path, series=series, reading=reading))
        for path in paths
    ]
    first = volumes[0]
    if len(volumes) == 1:
        return first
    for path, volume in zip(paths[1:], volumes[1:], strict=True):
        _refuse_other_grid(first, volume, paths[0], path)
    parts = [_channels_last(volume) for volume in volumes]
    warnings = tuple(dict.fromkeys(line for volume in volumes for line in volume.warnings))
    facts = dict(first.facts)
    if any(volume.facts.get("hu") is False for volume in volumes):
        facts["hu"] = False
    return Volume(np.concatenate(parts, axis=-1), first.affine, first.modality, warnings, facts)


def metadata(volume: Volume, path: str | Path) -> dict[str, Any]:
    """Return what MONAI's transforms look for beside an array; pictures count as 1 mm pixels."""
    affine = np.eye(4) if volume.affine is None else volume.affine
    has_channels = volume.array.ndim > volume.spatial_dims
    return {
        MetaKeys.AFFINE: affine.copy(),
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.array(volume.shape),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_CHANNEL_DIM: -1 if has_channels else "no_channel",
        "filename_or_obj": str(path),
        "modality": volume.modality or "",
        "facts": dict(volume.facts),
        "warnings": "; ".join(volume.warnings),
    }


def warnings_of(meta: Mapping[Any, Any]) -> list[str]:
    """Return the lines that `metadata` put together."""
    return [line for line in str(meta.get("warnings") or "").split("; ") if line]


def _paths(files: Any) -> tuple[Path, ...]:
    """Return one or several paths as a tuple."""
    paths = (files,) if isinstance(files, str | Path) else tuple(files)
    if not paths:
        raise InvalidValueError("a case without a file", hint="name at least one file")
    return tuple(Path(path) for path in paths)


def _tensor(volume: Volume, path: Path, dtype: npt.DTypeLike) -> MetaTensor:
    """Return a volume as a channel-first tensor that owns its memory, in the file's layout.

    A scan's first axis is the fastest in its file: turning 500 MB round here would cost more
    than reading them, and the next step looks values up anyway.
    """
    first = np.moveaxis(_channels_last(volume), -1, 0)
    usable = first.flags.writeable and min(first.strides) > 0  # torch takes no other
    own = np.asarray(first, dtype) if usable else np.array(first, dtype, order="K")
    tensor = torch.from_numpy(own)
    meta = metadata(volume, path)
    meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = 0
    affine = torch.as_tensor(meta.pop(MetaKeys.AFFINE), dtype=torch.float64)
    return MetaTensor(tensor, affine=affine, meta=meta)


def _channels_last(volume: Volume) -> np.ndarray[Any, Any]:
    """Return `(*S, C)`, also for one channel."""
    plain = volume.array.ndim == volume.spatial_dims
    return volume.array[..., np.newaxis] if plain else volume.array


def _refuse_other_grid(
    first: Volume, other: Volume, first_path: str | Path, path: str | Path
) -> None:
    """Refuse a channel of another shape or place than the first."""
    hint = "resample the channels of a case to one grid first"
    if first.shape != other.shape:
        raise GeometryError(
            f"{path}: shape {'x'.join(map(str, other.shape))}, "
            f"{'x'.join(map(str, first.shape))} in {Path(first_path).name}",
            hint=hint,
        )
    if first.affine is None or other.affine is None:
        return
    apart = corner_distance(first.affine, other.affine, first.shape)
    if apart > GRID_TOLERANCE_VOXELS:
        raise GeometryError(
            f"{path}: {apart:.2f} voxels away from {Path(first_path).name} at a corner", hint=hint
        )
