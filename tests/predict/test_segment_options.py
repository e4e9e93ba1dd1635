from typing import Any

import pytest

from pipeline.errors import InvalidValueError, PipelineError, UnknownNameError
from pipeline.predict.options import SegmentOptions


@pytest.mark.parametrize(
    "given",
    [{"overlap": 1.0}, {"overlap": -0.1}, {"max_ram_gib": 0}, {"max_ram_gib": -1.0},
     {"agreement": (1.5, 0.9)}, {"agreement": (0.9, 0.0)}],
)  # fmt: skip
def test_a_number_outside_its_range_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        SegmentOptions(**given)


@pytest.mark.parametrize(
    "given",
    [{"level": "5"}, {"resample": "cubic"}, {"body_box": "yes"}, {"precision": "fp8"}],
)
def test_an_unknown_word_is_refused_with_those_there_are(given: dict[str, str]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        SegmentOptions(**given)  # type: ignore[arg-type]
    assert "use " in caught.value.hint


def test_what_is_left_out_is_the_default() -> None:
    options = SegmentOptions()
    assert options.engine == "auto"
    assert options.agreement == (0.9995, 0.995)
    assert options.resample == "label"
    assert issubclass(UnknownNameError, PipelineError)
