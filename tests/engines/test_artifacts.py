"""The cache of exported models: whole or not at all, checked, made once."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.contract import Network
from pipeline.engines import open_engine
from pipeline.engines.artifacts import ENTRY, cached, intact
from pipeline.engines.subject import Subject
from pipeline.errors import ResourceError


class Maker:
    """Writes a model and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "model.bin").write_bytes(b"weights")


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def subject(network: Network) -> Subject:
    return Subject(network, "a" * 64, (12, 12, 12))


def test_a_model_is_made_once(subject: Subject, make: Maker, cache: Path) -> None:
    folder = cached("form", subject, (), make)
    assert cached("form", subject, (), make) == folder
    assert make.calls == 1
    assert folder.parent == cache / "engines"
    assert sorted(p.name for p in folder.iterdir()) == [ENTRY, "model.bin"]


def test_another_form_hash_network_window_or_option_is_another_model(
    subject: Subject,
    make: Maker,
    cache: Path,
    blobs_of: Callable[..., Network],
    network: Network,
) -> None:
    folders = [
        cached("form", subject, (), make),
        cached("other", subject, (), make),
        cached("form", Subject(network, "b" * 64, (12, 12, 12)), (), make),
        cached("form", Subject(blobs_of(classes=2), "a" * 64, (12, 12, 12)), (), make),
        cached("form", Subject(network, "a" * 64, (16, 12, 12)), (), make),
        cached("form", Subject(network, "a" * 64, (12, 12, 12), batch=2), (), make),
        cached("form", subject, (), make, gpu="A"),
        cached("form", subject, ("numpy",), make),
    ]
    assert len(set(folders)) == make.calls == len(folders)


@pytest.mark.parametrize("file", ["model.bin", ENTRY])
@pytest.mark.parametrize("content", [b"", b"weightS", b"\xff{"])
def test_a_damaged_model_is_made_again(
    file: str, content: bytes, subject: Subject, make: Maker, cache: Path
) -> None:
    folder = cached("form", subject, (), make)
    (folder / file).write_bytes(content)
    assert not intact(folder)
    assert cached("form", subject, (), make) == folder
    assert make.calls == 2
    assert (folder / "model.bin").read_bytes() == b"weights"


def test_a_model_without_a_file_is_made_again(subject: Subject, make: Maker, cache: Path) -> None:
    folder = cached("form", subject, (), make)
    (folder / "model.bin").unlink()
    cached("form", subject, (), make)
    assert make.calls == 2


def test_an_engine_opens_from_a_damaged_entry(
    network: Network, windows: list[Tensor], cache: Path
) -> None:
    open_engine("openvino", "fp32", network, "a" * 64, (12, 12, 12)).close()
    (model,) = (cache / "engines").glob("*/model.xml")
    model.write_text("<net")
    engine = open_engine("openvino", "fp32", network, "a" * 64, (12, 12, 12))
    (logits,) = engine.run([windows[0][None]])
    with torch.no_grad():
        assert torch.allclose(logits, network(windows[0][None]), atol=1e-4)


def test_nothing_is_left_of_what_failed(subject: Subject, make: Maker, cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached("form", subject, (), fail)
    assert [p.name for p in (cache / "engines").iterdir() if p.suffix != ".lock"] == []
    assert cached("form", subject, (), make).is_dir()


def test_a_full_disk_is_one_line(subject: Subject, cache: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ResourceError, match="No space left on device") as refused:
        cached("form", subject, (), full)
    assert "UNETWORKS_CACHE" in refused.value.hint


def test_a_cache_that_cant_be_written_is_one_line(
    subject: Subject, make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("UNETWORKS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="can't be written"):
        cached("form", subject, (), make)


def test_who_comes_second_waits_for_the_first(subject: Subject, make: Maker, cache: Path) -> None:
    begun = threading.Event()

    def slow(folder: Path) -> None:
        begun.set()
        time.sleep(0.2)
        make(folder)

    first = threading.Thread(target=cached, args=("form", subject, (), slow))
    first.start()
    begun.wait(10)
    folder = cached("form", subject, (), make)
    first.join()
    assert make.calls == 1
    assert intact(folder)
