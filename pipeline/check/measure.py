"""Files of one case to its facts; the only part of the check that reads voxels."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.check.facts import CaseFacts, ImageFacts, LabelFacts, Matrix
from pipeline.errors import GeometryError, PipelineError
from pipeline.io import (
    Affine,
    Volume,
    below_input,
    corner_distance,
    kind_of,
    patient_of,
    read_header,
    read_image,
    to_grid,
)
from pipeline.io.tolerances import GRID_TOLERANCE_VOXELS
from pipeline.manifests import Case, file_of_label, load_label

_AIR_HU = (-1100.0, -900.0)
_BODY_ABOVE_HU = -500.0
Array = npt.NDArray[np.generic]


def measure(case: Case) -> CaseFacts:
    """Return the facts of a case; what cannot be read stands in `problems`."""
    problems: list[str] = []
    notes: list[str] = []
    image = _read_images(case, problems, notes)
    label = _read_label(case, problems, notes)
    return CaseFacts(
        id=case.id,
        image=None if image is None else _image_facts(image, _dtype(case.images[0], case)),
        label=None if label is None else _label_facts(label, image, _label_dtype(label, case)),
        patient=None if image is None else _patient(case.images[0]),
        problems=tuple(problems),
        notes=tuple(dict.fromkeys(notes)),
    )


def measure_header(case: Case) -> CaseFacts:
    """Return what the headers of a case's images say; no voxel is read, and no label opened."""
    headers = []
    for path in case.images:
        try:
            headers.append(read_header(path, series=case.series))
        except PipelineError as error:
            return CaseFacts(case.id, problems=(_line(error),))
    first = headers[0]
    for path, other in zip(case.images[1:], headers[1:], strict=True):
        if other.shape != first.shape:
            problem = f"{path.name} has the shape {_by(other.shape)}, {case.images[0].name} "
            return CaseFacts(
                case.id, problems=(f"{problem}{_by(first.shape)}; give them one grid",)
            )
    image = ImageFacts(
        shape=first.shape,
        dtype=first.dtype,
        modality=first.modality,
        affine=_matrix(first.affine),
        channels=sum(header.channels for header in headers),
        hu=False if any(header.hu is False for header in headers) else first.hu,
    )
    return CaseFacts(case.id, image, patient=_patient(case.images[0]))


def _read_images(case: Case, problems: list[str], notes: list[str]) -> Volume | None:
    """The image of a case, several files as its last axis."""
    volumes = []
    for path in case.images:
        try:
            volume = read_image(path, series=case.series)
        except (PipelineError, MemoryError) as error:
            problems.append(_line(error))
            return None
        notes += [below_input(line, path) for line in volume.warnings]
        volumes.append(volume)
    first = volumes[0]
    for path, other in zip(case.images[1:], volumes[1:], strict=True):
        if other.array.shape != first.array.shape:
            problems.append(
                f"{path.name} has the shape {_by(other.array.shape)}, {case.images[0].name} "
                f"{_by(first.array.shape)}; channels need one grid"
            )
            return None
        apart = _distance(first, other)
        if apart is not None and apart > GRID_TOLERANCE_VOXELS:
            problems.append(f"{path.name} lies {apart:.3g} voxels off {case.images[0].name}")
            return None
    if len(volumes) == 1:
        return first
    array = np.stack([volume.array for volume in volumes], axis=-1)
    strange = any(volume.facts.get("hu") is False for volume in volumes)
    facts = {"hu": False} if strange else first.facts
    return Volume(array, first.affine, first.modality, (), facts)


def _read_label(case: Case, problems: list[str], notes: list[str]) -> Volume | None:
    """The label of a case."""
    if case.label is None:
        return None
    try:
        label = load_label(case.label)
    except (PipelineError, MemoryError) as error:
        problems.append(_line(error))
        return None
    notes += [below_input(line, file_of_label(case.label)) for line in label.warnings]
    return label


def _label_dtype(label: Volume, case: Case) -> str:
    """Name of a label's stored type; a drawing is stored as none, and gets the reader's."""
    if isinstance(case.label, Path):
        return _dtype(case.label, case)
    return label.array.dtype.name


def _dtype(path: Path, case: Case) -> str:
    """Name of the stored type; the readers' own where the header alone does not tell."""
    try:
        return read_header(path, series=case.series).dtype
    except PipelineError:
        return "unknown"


def _patient(path: Path) -> str | None:
    """Salted hash of the patient of a DICOM image; errors stay here, no process hands them on."""
    try:
        return patient_of(path) if kind_of(path) == "dicom" else None
    except PipelineError:
        return None


def _image_facts(image: Volume, dtype: str) -> ImageFacts:
    """Reduce an image."""
    dims = len(image.shape)
    flat = image.array.reshape(int(np.prod(image.shape)), -1)
    finite = np.isfinite(flat)
    whole = bool(finite.all())
    channels = [flat[:, c] if whole else flat[finite[:, c], c] for c in range(flat.shape[1])]
    filled = [channel if channel.size else np.zeros(1) for channel in channels]
    first = filled[0]
    air = np.mean(np.greater_equal(first, _AIR_HU[0]) & np.less_equal(first, _AIR_HU[1]))
    return ImageFacts(
        shape=image.shape,
        dtype=dtype,
        digest=_digest(image.array),
        modality=image.modality,
        affine=_matrix(image.affine),
        channels=1 if image.array.ndim == dims else flat.shape[1],
        grey=flat.shape[1] > 1 and bool((flat == flat[:, :1]).all()),
        not_finite=0 if whole else int((~finite).sum()),
        low=tuple(float(channel.min()) for channel in filled),
        high=tuple(float(channel.max()) for channel in filled),
        mean=tuple(float(channel.mean(dtype=np.float64)) for channel in filled),
        hounsfield_air=float(air),
        middle=_middle(image),
        hu=_hu(image.facts.get("hu")),
    )


def _hu(said: object) -> bool | None:
    """What a reader says of HU; it says nothing of most files."""
    return said if isinstance(said, bool) else None


def _label_facts(label: Volume, image: Volume | None, dtype: str) -> LabelFacts:
    """Reduce a label map, brought onto its image's grid where that takes only mirrors."""
    fits, apart = True, None
    placed = label
    if image is not None and (label.affine is None) != (image.affine is None):
        fits = False
    elif image is not None and image.affine is not None:
        try:
            placed = to_grid(label, image.affine, image.shape)
            apart = _distance_placed(label, image)
        except GeometryError:
            fits, apart = False, _distance(image, label)
    elif image is not None:
        fits = label.shape == image.shape
    array = placed.array
    integers, counts = np.unique(array, return_counts=True)
    inside = image if image is not None and fits and array.ndim == len(image.shape) else None
    found = [int(value) for value in integers if value]
    masks = {value: np.nonzero(array == value) for value in found}
    return LabelFacts(
        shape=label.shape,
        dtype=dtype,
        affine=_matrix(label.affine),
        counts=dict(zip(integers.tolist(), counts.tolist(), strict=True)),
        centres=_centres(masks, placed.affine),
        insides={} if inside is None else {v: _inside(inside.array, m) for v, m in masks.items()},
        fits=fits,
        distance=apart,
        ends=_ends(masks, placed),
    )


def _centres(
    masks: dict[int, tuple[npt.NDArray[np.intp], ...]], affine: Affine | None
) -> dict[int, float]:
    """Mean world x of each integer, in mm."""
    if affine is None:
        return {}
    return {
        value: float(affine[0, :3] @ [axis.mean() for axis in mask[:3]] + affine[0, 3])
        for value, mask in masks.items()
    }


def _ends(masks: dict[int, tuple[npt.NDArray[np.intp], ...]], label: Volume) -> tuple[int, ...]:
    """Integers in the first or last slice along z; none of a picture."""
    if label.affine is None:
        return ()
    axis = int(np.abs(label.affine[2, :3]).argmax())
    last = label.shape[axis] - 1
    return tuple(v for v, m in masks.items() if m[axis].min() == 0 or m[axis].max() == last)


def _inside(array: Array, mask: tuple[npt.NDArray[np.intp], ...]) -> float:
    """Mean of the first channel below a mask; NaN counts as 0, it is told elsewhere."""
    values = array[mask]
    values = values[:, 0] if values.ndim > 1 else values
    return float(np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0).mean())


def _middle(image: Volume) -> float | None:
    """World x in mm of the middle of what is no background: half between its two sides."""
    if image.affine is None:
        return None
    array = image.array if image.array.ndim == 3 else image.array[..., 0]
    array = np.nan_to_num(array, posinf=0, neginf=0)
    body = array > (_BODY_ABOVE_HU if array.min() < _BODY_ABOVE_HU else array.mean())
    axis = int(np.abs(image.affine[0, :3]).argmax())
    profile = body.sum(axis=tuple(n for n in range(3) if n != axis)).cumsum()
    if not profile[-1]:
        return None
    sides = np.searchsorted(profile, [0.01 * profile[-1], 0.99 * profile[-1]])
    index = (np.array(array.shape) - 1) / 2
    index[axis] = sides.mean()
    return float(image.affine[0, :3] @ index + image.affine[0, 3])


def _digest(array: Array) -> str:
    """Hash of shape and values; a copy stored with another type has the same."""
    values = np.ascontiguousarray(array, np.float32)
    return hashlib.blake2b(values.data, digest_size=16, key=str(array.shape).encode()).hexdigest()


def _distance(one: Volume, other: Volume) -> float | None:
    """Voxels between two grids at the worst corner, as they are stored."""
    if one.affine is None or other.affine is None or len(one.shape) != 3:
        return None
    return corner_distance(one.affine, other.affine, one.shape)


def _distance_placed(label: Volume, image: Volume) -> float | None:
    """Voxels between a label that fits and its image, mirrors and swaps of axes undone."""
    if label.affine is None or image.affine is None:
        return None
    one, other = (_corners(volume.affine, volume.shape) for volume in (image, label))
    nearest = np.linalg.norm(one[:, None] - other[None], axis=-1).min(axis=1).max()
    return float(nearest / np.linalg.norm(image.affine[:3, :3], axis=0).min())


def _corners(affine: Affine | None, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The eight corners in RAS mm."""
    if affine is None:
        return np.zeros((8, 3))
    signs = np.stack(np.meshgrid(*[(0, n - 1) for n in shape]), axis=-1).reshape(-1, 3)
    return np.asarray(signs @ affine[:3, :3].T + affine[:3, 3], np.float64)


def _matrix(affine: Affine | None) -> Matrix | None:
    """An affine as plain numbers."""
    return None if affine is None else tuple(tuple(row) for row in affine.tolist())


def _line(error: BaseException) -> str:
    """An error on one line."""
    return error.line() if isinstance(error, PipelineError) else "not enough memory to read it"


def _by(shape: tuple[int, ...]) -> str:
    """A shape as text."""
    return " x ".join(map(str, shape))
