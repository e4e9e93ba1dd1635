from pathlib import Path

import numpy as np
import pytest

from pipeline.check.measure import measure
from pipeline.io import write_nifti, write_picture
from pipeline.manifests import Case

LPS = np.diag([-2.0, -2.0, 3.0, 1.0])


@pytest.fixture
def body(tmp_path: Path) -> Case:
    """A body from i = 4 to 9 of 20 in air, with a label in its first slice; x falls with i."""
    image = np.full((20, 10, 6), -1000, np.int16)
    image[4:10] = 40
    label = np.zeros((20, 10, 6), np.uint8)
    label[5, 2:4, :2] = 1
    write_nifti(tmp_path / "i.nii.gz", image, LPS)
    write_nifti(tmp_path / "l.nii.gz", label, LPS)
    return Case("x", tmp_path / "i.nii.gz", tmp_path / "l.nii.gz", "p")


def test_the_middle_is_that_of_the_body_and_not_of_the_frame(body: Case) -> None:
    facts = measure(body)
    assert facts.image is not None
    assert facts.image.middle == -2 * 6.5
    assert facts.image.hounsfield_air == pytest.approx(0.7)
    assert (facts.image.low, facts.image.high) == ((-1000.0,), (40.0,))


def test_a_label_is_counted_placed_and_compared_with_its_image(body: Case) -> None:
    label = measure(body).label
    assert label is not None
    assert label.counts == {0: 1196, 1: 4}
    assert label.centres == {1: -10.0}
    assert label.insides == {1: 40.0}
    assert label.ends == (1,)
    assert (label.fits, label.distance) == (True, 0.0)


def test_a_copy_with_another_type_has_the_same_digest(body: Case, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    digests = []
    for name, array in (("a", image), ("b", image.astype(np.float32)), ("c", image + 1)):
        write_nifti(tmp_path / f"{name}.nii.gz", array, LPS)
        facts = measure(Case(name, tmp_path / f"{name}.nii.gz", None, "p")).image
        assert facts is not None
        digests.append(facts.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_picture_has_no_place_and_tells_grey_from_coloured(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    write_picture(tmp_path / "colour.png", picture)
    write_picture(tmp_path / "grey.png", np.repeat(picture[..., :1], 3, axis=2))
    grey = []
    for name in ("colour", "grey"):
        facts = measure(Case(name, tmp_path / f"{name}.png", None, "p")).image
        assert facts is not None
        assert (facts.shape, facts.channels, facts.affine, facts.middle) == ((8, 9), 3, None, None)
        grey.append(facts.grey)
    assert grey == [False, True]


def test_channels_on_two_grids_are_a_problem(body: Case, tmp_path: Path) -> None:
    moved = LPS.copy()
    moved[0, 3] = 1
    write_nifti(tmp_path / "j.nii.gz", np.zeros((20, 10, 6), np.int16), moved)
    facts = measure(Case("x", (tmp_path / "i.nii.gz", tmp_path / "j.nii.gz"), None, "p"))
    assert facts.image is None
    assert facts.problems == ("j.nii.gz lies 0.5 voxels off i.nii.gz",)
