"""Manifests that a test writes, with as little as it needs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


def listed(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"image": f"i/c{n}.nii.gz", "label": f"l/c{n}.nii.gz", **more} for n in range(count)]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a manifest of two training cases, changed by the arguments; None takes a key out."""
    monkeypatch.setenv("UNETWORKS_DATA", str(tmp_path / "data"))

    def _write(file: str = "set.json", **changes: Any) -> Path:
        content = {"modality": "CT", "labels": {"liver": 1}, "training": listed(2), **changes}
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        return path

    return _write


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., None]:
    """Make empty files below the test's folder."""

    def _touch(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()

    return _touch
