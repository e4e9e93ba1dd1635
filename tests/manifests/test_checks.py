from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.manifests import check_labels, load_manifest

Write = Callable[..., Path]


def test_declared_integers_and_background_pass(write: Write) -> None:
    manifest = load_manifest(write(labels={"liver": 1, "tumour": 4}))
    check_labels(np.array([[0, 4], [4, 0]], np.uint8), manifest, manifest.cases[0])
    check_labels({0, 1}, manifest, manifest.cases[0])
    check_labels([], manifest, manifest.cases[0])


def test_stray_integers_are_named_with_the_case_and_the_declared_ones(write: Write) -> None:
    manifest = load_manifest(write(labels={"liver": 1, "tumour": 4}))
    with pytest.raises(DataError) as caught:
        check_labels([0, 1, 2, 255, 2], manifest, manifest.cases[1])
    text = str(caught.value)
    assert 'case "c1"' in text
    assert "values 2, 255 that" in text
    assert "background 0, liver 1, tumour 4" in text


def test_many_stray_integers_are_counted(write: Write) -> None:
    manifest = load_manifest(write())
    with pytest.raises(DataError, match="values 2, 3, 4, 5, 6, 7, 8, 9 and 12 more"):
        check_labels(np.arange(22), manifest, manifest.cases[0])


def test_the_integers_of_regions_are_declared(write: Write) -> None:
    manifest = load_manifest(write(labels=None, regions={"whole": [1, 2], "core": [2]}))
    check_labels([1, 2], manifest, manifest.cases[0])
    with pytest.raises(DataError, match="values 3 that"):
        check_labels([3], manifest, manifest.cases[0])
