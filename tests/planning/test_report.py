import json
from pathlib import Path

import numpy as np

from pipeline.io import write_nifti
from pipeline.manifests import load_manifest
from pipeline.planning import report


def test_a_report_shows_facts_and_plan_each_with_its_rule(tmp_path: Path) -> None:
    label = np.zeros((16, 16, 8), np.uint8)
    label[4:8, 4:8, 2:4] = 1
    affine = np.diag([1.5, 1.5, 4.0, 1.0])
    write_nifti(tmp_path / "i.nii.gz", label.astype(np.int16) * 50, affine)
    write_nifti(tmp_path / "l.nii.gz", label, affine)
    cases = [{"image": "i.nii.gz", "label": "l.nii.gz", "patient": "p", "split": "train"}]
    content = {"name": "tiny", "modality": "CT", "labels": {"cube": 1}, "cases": cases}
    (tmp_path / "tiny.json").write_text(json.dumps(content))
    lines = report(load_manifest(tmp_path / "tiny.json"), spatial_dims=3, divisor=8)
    text = "\n".join(lines)
    assert "1 of 1 patients" in text
    assert "[16, 16, 8]" in text
    assert "[1.5, 1.5, 4] mm" in text
    assert "share of cube" in text
    assert "1.56 %" in text  # 32 of 2048 voxels
    assert "plan, compact, 3D:" in lines
    assert "median of the training cases" in text
