import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.bundles.record import FORMAT, read_record, record_beside, write_record
from pipeline.bundles.weights import save_weights
from pipeline.errors import DataError

Record = dict[str, Any]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A record that belongs to the weights in the test's folder."""
    digest = save_weights({"w": torch.zeros(3)}, tmp_path)
    return {
        "format": FORMAT,
        "bundle": "attunet",
        "network": {},
        "facts": {},
        "plan": {},
        "weights": {"file": "model.safetensors", "sha256": digest},
    }


def test_a_record_comes_back(tmp_path: Path, record: Record) -> None:
    write_record(tmp_path, record)
    assert read_record(tmp_path, check=True) == record
    assert record_beside(tmp_path / "model.pt") == record


def test_weights_without_a_record_have_none(tmp_path: Path) -> None:
    assert record_beside(tmp_path / "model.pt") is None


def test_weights_that_were_exchanged_are_found_by_their_hash(
    tmp_path: Path, record: Record
) -> None:
    write_record(tmp_path, record)
    save_weights({"w": torch.ones(3)}, tmp_path)
    assert read_record(tmp_path) == record
    with pytest.raises(DataError, match=r"model\.safetensors is not the one"):
        read_record(tmp_path, check=True)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no model\.json"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\x00\xff"])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_json_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError, match="has no format"):
        read_record(tmp_path)


@pytest.mark.parametrize("key", ["format", "bundle", "network", "facts", "plan", "weights"])
def test_a_missing_part_is_named(tmp_path: Path, record: Record, key: str) -> None:
    del record[key]
    (tmp_path / "model.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"has no {key}"):
        read_record(tmp_path)


def test_a_newer_format_asks_for_an_update(tmp_path: Path, record: Record) -> None:
    write_record(tmp_path, record | {"format": FORMAT + 1})
    with pytest.raises(DataError, match=f"has the format {FORMAT + 1}") as caught:
        read_record(tmp_path)
    assert caught.value.hint == "update unetworks"


@pytest.mark.parametrize(
    "file", ["../model.safetensors", "/etc/passwd", "model.pt", None, "a/b.safetensors"]
)
def test_weights_elsewhere_or_of_another_kind_are_refused(
    tmp_path: Path, record: Record, file: str | None
) -> None:
    record["weights"]["file"] = file
    write_record(tmp_path, record)
    with pytest.raises(DataError, match="names the weights"):
        read_record(tmp_path)
