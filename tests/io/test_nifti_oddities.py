"""NIfTI headers with odd fields that other readers stumble over."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, GeometryError
from pipeline.io import read_image, write_nifti

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.array([[-2.0, 0, 0, -5], [0, 3, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A file whose header bytes are changed at some offsets."""

    def write(*changes: tuple[int, str, tuple[float, ...]]) -> Path:
        file = tmp_path / "a.nii"
        write_nifti(file, ARRAY, AFFINE)
        data = bytearray(file.read_bytes())
        for offset, kind, values in changes:
            struct.pack_into(f"<{kind}", data, offset, *values)
        file.write_bytes(data)
        return file

    return write


QFORM_ALONE = (252, "2h", (1, 0))
QFAC = 76


def test_a_handedness_of_0_means_1(written: Callable[..., Path]) -> None:
    assert struct.unpack_from("<f", written(QFORM_ALONE).read_bytes(), QFAC) == (-1.0,)
    volume = read_image(written(QFORM_ALONE, (QFAC, "f", (0.0,))))
    assert volume.affine is not None
    with_one = read_image(written(QFORM_ALONE, (QFAC, "f", (1.0,)))).affine
    assert volume.affine == pytest.approx(with_one)
    assert np.array_equal(volume.array, ARRAY)


@pytest.mark.parametrize(
    "change",
    [
        (QFAC, "f", (0.5,)),
        (80, "f", (-2.0,)),
        (80, "f", (float("nan"),)),
        (256, "3f", (0.9, 0.9, 0.9)),
        (256, "f", (float("nan"),)),
    ],
    ids=["handedness", "negative spacing", "no spacing", "quaternion", "no quaternion"],
)
def test_a_qform_that_is_no_place_is_refused(
    written: Callable[..., Path], change: tuple[int, str, tuple[float, ...]]
) -> None:
    with pytest.raises(GeometryError, match="qform"):
        read_image(written(QFORM_ALONE, change))


def test_sizes_beyond_the_number_of_axes_do_not_matter(written: Callable[..., Path]) -> None:
    volume = read_image(written((48, "4h", (5, -7, 9, 0))))
    assert np.array_equal(volume.array, ARRAY)
    assert volume.warnings == ()


def test_an_unknown_unit_is_taken_as_mm_and_told(written: Callable[..., Path]) -> None:
    volume = read_image(written((123, "B", (7,))))
    assert volume.affine == pytest.approx(AFFINE)
    assert volume.warnings == ("unit code 7 is unknown: lengths taken as mm",)


@pytest.mark.parametrize(("code", "bits", "words"), [(1536, 128, "unread"), (1, 1, "unread")])
def test_types_that_are_not_read_are_named_as_they_are(
    written: Callable[..., Path], code: int, bits: int, words: str
) -> None:
    with pytest.raises(DataError, match=rf"{words} voxels \(datatype {code}\)"):
        read_image(written((70, "2h", (code, bits))))
