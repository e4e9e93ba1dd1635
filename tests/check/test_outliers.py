import numpy as np

from pipeline.check import CaseFacts, ImageFacts, LabelFacts
from pipeline.check.facts import Matrix, orientation
from pipeline.check.outliers import (
    check_colours,
    check_ends,
    check_insides,
    check_orientation,
    check_scale,
    check_shape,
    check_spacing,
    check_types,
)


def _affine(*spacing: float) -> Matrix:
    return tuple(tuple(row) for row in np.diag([*spacing, 1.0]).tolist())


def _set(images: list[ImageFacts]) -> list[CaseFacts]:
    return [CaseFacts(str(n), image) for n, image in enumerate(images)]


def test_orientation_is_the_axis_codes() -> None:
    assert orientation(_affine(-1, 2, -3)) == "LAI"
    assert orientation(((0, 2, 0, 5), (-1, 0, 0, 5), (0, 0.1, 3, 5), (0, 0, 0, 1))) == "PRS"
    assert orientation(None) is None


def test_axes_of_a_fifth_or_more_of_the_set_are_no_outlier() -> None:
    ras, lps = (ImageFacts((2, 2, 2), affine=_affine(s, s, 1)) for s in (1, -1))
    assert [f.case for f in check_orientation(_set([ras] * 9 + [lps]))] == ["9"]
    assert not list(check_orientation(_set([ras] * 8 + [lps] * 2)))


def test_spacing_is_compared_along_the_world_axes() -> None:
    swapped = ((0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0), (0.0, 0, 0, 1.0))
    usual = ImageFacts((2, 2, 2), affine=_affine(1, 1, 5))
    assert not list(check_spacing(_set([usual] * 5 + [ImageFacts((2, 2, 2), affine=swapped)])))
    far = ImageFacts((2, 2, 2), affine=_affine(1, 1, 1))
    (finding,) = check_spacing(_set([usual] * 5 + [far]))
    assert finding.measured == "1 x 1 x 1 mm, median 1 x 1 x 5 (factor 5.00)"


def test_a_set_of_wide_spread_has_no_outlier_within_it() -> None:
    spread = [ImageFacts((n, 10)) for n in (10, 20, 40, 80, 160)]
    assert not list(check_shape(_set(spread)))
    assert [f.case for f in check_shape(_set([ImageFacts((10, 10))] * 5 + spread[3:4]))] == ["5"]


def test_three_cases_have_no_outlier() -> None:
    assert not list(check_shape(_set([ImageFacts((10, 10))] * 2 + [ImageFacts((90, 10))])))


def test_a_mean_thirty_times_the_median_is_another_unit() -> None:
    means = [100.0, 110, 90, 120, 3500]
    found = list(check_scale(_set([ImageFacts((2, 2), mean=(mean,)) for mean in means])))
    assert [f.case for f in found] == ["4"]


def test_several_stored_types_are_told_with_their_numbers() -> None:
    found = list(check_types(_set([ImageFacts((2, 2), t) for t in ("int16", "int16", "uint8")])))
    assert [(f.case, f.measured) for f in found] == [("-", "int16 in 2, uint8 in 1")]


def test_grey_among_coloured_pictures_is_told() -> None:
    grey, coloured = (ImageFacts((2, 2), channels=3, grey=g) for g in (True, False))
    assert [f.measured for f in check_colours(_set([grey, coloured]))] == [
        "equal channels in 1 of 2"
    ]
    assert not list(check_colours(_set([grey, grey])))


def test_a_label_on_other_tissue_stands_out() -> None:
    cases = [
        CaseFacts(str(n), label=LabelFacts((2, 2, 2), insides={1: hu}))
        for n, hu in enumerate([30.0, 40, 35, 20, 115])
    ]
    assert [f.case for f in check_insides(cases, {"tumour": 1})] == ["4"]


def test_a_label_at_the_end_is_told_where_it_is_rare() -> None:
    def _cases(cut: int) -> list[CaseFacts]:
        ends = [(1,)] * cut + [()] * (10 - cut)
        return [
            CaseFacts(str(n), label=LabelFacts((2, 2, 2), affine=_affine(1, 1, 1), ends=end))
            for n, end in enumerate(ends)
        ]

    assert [f.case for f in check_ends(_cases(1), {"a": 1})] == ["0"]
    assert not list(check_ends(_cases(4), {"a": 1}))
