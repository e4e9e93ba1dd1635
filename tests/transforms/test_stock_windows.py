"""Several windows of one channel, and a contrast, from the command line to the masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bundles import settings
from pipeline.io import read_label
from pipeline.transforms.preparation import image_preparation
from tests.tiny import Outcome, base, stock, tiny, train

__all__ = ["base", "tiny"]


@pytest.fixture(scope="module")
def windowed(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("windowed")
    return train(folder, tiny, window=["abdomen", [0, 2000]], contrast="clahe", max_epochs=1)


def record(outcome: Outcome) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((outcome.run / "models" / "model.json").read_text())
    return loaded


@pytest.mark.slow
def test_two_windows_make_a_network_of_two_channels(windowed: Outcome) -> None:
    assert windowed.code == 0, windowed.err
    described = record(windowed)
    assert described["network"]["in_channels"] == 2
    assert described["plan"]["window"] == [[-160, 240], [-1000, 1000]]
    meta = json.loads((windowed.run / "configs" / "metadata.json").read_text())
    image = meta["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 2
    assert image["channel_def"] == {"0": "CT -160 to 240", "1": "CT -1000 to 1000"}


@pytest.mark.slow
def test_a_prediction_windows_and_spreads_as_the_training_did(
    windowed: Outcome, tiny: Path
) -> None:
    scan = tiny.parent / "images" / "c4.nii.gz"
    image = image_preparation(record(windowed)["plan"])({"image": [str(scan)]})["image"]
    assert image.shape[0] == 2
    assert float(image.min()) < -0.9
    done = stock(
        windowed.folder,
        "inferring",
        windowed.run / "configs" / "inference.json",
        input=str(scan),
        output_dir="masks",
    )
    assert done.code == 0, done.err
    mask = read_label(windowed.folder / "masks" / "c4.nii.gz")
    assert mask.array.shape == (20, 22, 14)
    assert set(np.unique(mask.array)) <= {0, 1, 4}


def test_a_ct_window_for_mr_is_refused_before_any_case_is_prepared(
    tiny: Path, tmp_path: Path
) -> None:
    content = json.loads(tiny.read_text()) | {"modality": "MR", "name": "magnetic"}
    manifest = tmp_path / "magnetic.json"
    manifest.write_text(json.dumps(content))
    refused = train(tmp_path, manifest, window="liver", dataset_dir=str(tiny.parent))
    assert refused.code == 2
    assert "the CT window 'liver' for MR, whose values are no HU" in refused.line
    assert "--normalisation window" in refused.line
    assert refused.runs == []
    facts = settings.facts(str(manifest), str(tiny.parent))
    forced = settings.plan(facts, "unet", window="liver", normalisation="window")
    assert forced["window"] == [[-45, 105]]
