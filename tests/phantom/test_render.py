from collections.abc import Mapping

import numpy as np
import pytest
from scipy import ndimage

from pipeline.errors import InvalidValueError
from pipeline.phantom import LABELS, SPACING_MM, Member, Rendering, draw_patient, render
from pipeline.phantom.patient import Paint, Patient
from pipeline.phantom.shapes import Column, Ellipsoid

Scans = Mapping[Member, Rendering]


def volumes_ml(rendering: Rendering) -> list[float]:
    voxel_ml = float(np.prod(np.diag(rendering.affine)[:3])) / 1000.0
    return [float((rendering.label == value).sum()) * voxel_ml for value in LABELS.values()]


def bare(paints: tuple[Paint, ...]) -> Patient:
    """A patient of the given paints alone, without bend and noise."""
    whole = draw_patient(1)
    still = type(whole.bend)((1.0,) * 3, (0.0,) * 3, whole.bend.displacement, (0.0,) * 3)
    return Patient(1, paints, still, whole.edge, whole.tissue, noise_hu=0.0, cupping_hu=0.0)


def test_all_scans_share_one_anisotropic_grid_centred_on_the_origin(scans: Scans) -> None:
    for scan in scans.values():
        assert scan.image.shape == scan.label.shape == (48, 40, 30)
        assert (scan.image.dtype.name, scan.label.dtype.name) == ("int16", "uint8")
        assert np.diag(scan.affine).tolist() == [*SPACING_MM, 1.0]
        middle = scan.affine @ [23.5, 19.5, 14.5, 1.0]
        assert middle[:3] == pytest.approx([0.0, 0.0, 0.0])


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(scans: Scans) -> None:
    first, second = list(scans)[:2]
    again = render(draw_patient(first.seed))
    assert np.array_equal(again.image, scans[first].image)
    assert np.array_equal(again.label, scans[first].label)
    assert not np.array_equal(scans[second].label, scans[first].label)


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.5), (2.0, 2.0, 5.0), (8.0, 5.0, 4.0)])
def test_a_patient_has_the_same_volumes_whatever_the_voxels(
    spacing: tuple[float, float, float],
) -> None:
    totals = np.zeros((2, len(LABELS)))
    for seed in (11, 12, 13):
        patient = draw_patient(seed)
        coarse, other = volumes_ml(render(patient)), volumes_ml(render(patient, spacing))
        assert other == pytest.approx(coarse, rel=0.10)
        totals += coarse, other
    assert totals[1] == pytest.approx(totals[0], rel=0.03)


def test_a_fine_grid_shows_the_same_anatomy_at_the_same_places() -> None:
    patient = draw_patient(14)
    # three fine voxels to a coarse one: their middle ones lie where the coarse ones do
    fine, coarse = render(patient, (2.0, 2.0, 7.0 / 3.0)), render(patient)
    middle = fine.label[1::3, 1::3, 1::3]
    assert middle.shape == coarse.label.shape
    assert np.array_equal(middle, coarse.label)


def test_the_size_of_slabs_changes_nothing() -> None:
    for seed in (15, 16):
        patient = draw_patient(seed)
        whole = render(patient)
        for slab_voxels in (1, 7 * 48 * 40):
            slabs = render(patient, slab_voxels=slab_voxels)
            assert np.array_equal(slabs.image, whole.image)
            assert np.array_equal(slabs.label, whole.label)


def test_any_number_of_voxels_can_be_asked_for() -> None:
    scan = render(draw_patient(17), (4.0, 5.0, 6.0), (20, 31, 12))
    assert scan.image.shape == (20, 31, 12)
    assert scan.affine @ [9.5, 15.0, 5.5, 1.0] == pytest.approx([0.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize("spacing", [(0.0, 6.0, 7.0), (6.0, -6.0, 7.0), (6.0, 6.0, np.nan)])
def test_a_voxel_size_that_is_not_positive_is_refused(
    spacing: tuple[float, float, float],
) -> None:
    with pytest.raises(InvalidValueError, match="mm"):
        render(draw_patient(1), spacing)


def test_a_grid_without_voxels_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"\(4, 0, 4\)"):
        render(draw_patient(1), shape=(4, 0, 4))


def test_a_voxel_that_a_surface_halves_has_half_the_attenuation() -> None:
    # the plane face of a huge tube runs through the voxel centres at x = 4.5
    patient = bare((Paint(Column(-50_000.0, 0.0, 50_004.5), hu=200.0, label=1),))
    scan = render(patient, (1.0, 1.0, 1.0), (20, 3, 3))
    row = scan.image[:, 1, 1]
    at = int(np.flatnonzero(np.arange(20) - 9.5 == 4.5)[0])
    assert row[at] == pytest.approx(-400, abs=2)
    assert row[at - 3] == 200
    assert row[at + 3] == -1000


def test_later_paint_covers_earlier_and_none_keeps_the_label() -> None:
    centre = (0.0, 0.0, 0.0)
    large, middle, small = (Ellipsoid(centre, (size,) * 3) for size in (12.0, 8.0, 4.0))
    patient = bare((Paint(large, 10.0, 1), Paint(middle, 20.0, None), Paint(small, 30.0, 3)))
    label = render(patient, (1.0, 1.0, 1.0), (31, 31, 31)).label
    assert label[15, 15, [15, 21, 25, 29]].tolist() == [3, 1, 1, 0]


def test_noise_has_the_drawn_deviation_and_neighbours_share_it() -> None:
    patient = bare(())
    noisy = Patient(1, (), patient.bend, patient.edge, patient.tissue, 8.0, 0.0)
    noise = render(noisy, (1.0, 1.0, 1.0), (60, 60, 60)).image.astype(float) + 1000.0
    # the floor of -1024 HU cuts three deviations below air
    assert float(noise.std()) == pytest.approx(8.0, rel=0.03)
    inner = noise[1:] * noise[:-1]
    assert 0.15 < float(inner.mean()) / 64.0 < 0.5


def test_left_and_right_are_the_patients_own(scans: Scans) -> None:
    for scan in scans.values():
        x = {
            name: (scan.affine @ [*np.argwhere(scan.label == value).mean(axis=0), 1.0])[0]
            for name, value in LABELS.items()
        }
        assert x["left kidney"] < x["aorta"] < x["right kidney"]
        assert x["spleen"] < x["aorta"] < x["liver"]


def test_no_labelled_structure_has_a_hole_of_one_voxel(scans: Scans) -> None:
    for scan in scans.values():
        for name in ("liver tumour", "aorta", "spleen"):
            mask = scan.label == LABELS[name]
            assert np.array_equal(ndimage.binary_fill_holes(mask), mask), name
