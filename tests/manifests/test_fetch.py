import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError, UnknownNameError
from pipeline.manifests import archive_extract, load_manifest
from pipeline.manifests.fetch import Fetched, fetch
from tests.manifests.server import Site, serving

Write = Callable[..., Path]
CASES = {"images": "i/{id}.nii.gz", "labels": "l/{id}.nii.gz", "split": "train"}


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


SET = packed(**{"top__i__a.nii.gz": b"image", "top__l__a.nii.gz": b"label", "top__notes": b"x"})
MD5 = f"md5:{hashlib.md5(SET).hexdigest()}"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(**{"set.tar": SET}) as running:
        yield running


@pytest.fixture
def published(write: Write, site: Site) -> Callable[..., Path]:
    """Write the manifest of a set of one archive, whose entry is changed by the arguments."""

    def _published(**changes: Any) -> Path:
        entry = {"url": f"{site.url}/set.tar", "checksum": MD5, "root": "top", **changes}
        entry = {key: value for key, value in entry.items() if value is not None}
        return write(training=None, cases=CASES, archives=[entry], citation="Someone, 2020.")

    return _published


def load(manifest: Path, *archives: Path) -> Fetched:
    return fetch(str(manifest), archives, quiet=True, pause_s=0)


def test_a_set_lies_where_its_manifest_looks_for_it(
    published: Callable[..., Path], tmp_path: Path
) -> None:
    done = load(published(bytes=len(SET)))
    assert done.folder == tmp_path / "data" / "set"
    assert (done.cases, done.seen) == (1, (("set.tar", MD5, True),))
    assert done.citation == "Someone, 2020."
    case = load_manifest(tmp_path / "set.json").cases[0]
    assert case.images[0].read_bytes() == b"image"
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"set", ".set.fetch.lock"}


def test_a_set_that_is_there_is_not_loaded_again(
    published: Callable[..., Path], site: Site
) -> None:
    load(published())
    assert load(published()).seen == ()
    assert len(site.asked) == 1


def test_without_a_publishers_checksum_what_was_seen_is_told(
    published: Callable[..., Path],
) -> None:
    seen = f"sha256:{hashlib.sha256(SET).hexdigest()}"
    assert load(published(checksum=None)).seen == (("set.tar", seen, None),)


def test_a_wrong_file_is_refused_before_extraction_and_deleted(
    published: Callable[..., Path], site: Site, tmp_path: Path
) -> None:
    site.files["/set.tar"] = packed(top__i__a=b"another")
    with pytest.raises(DataError, match=f"with md5:.*the publisher states {MD5}") as told:
        load(published())
    assert "new version" in told.value.hint
    assert not list((tmp_path / "data" / ".set.fetch").iterdir())
    site.files["/set.tar"] = SET
    assert load(published()).cases == 1


def test_a_page_instead_of_an_archive_is_told(published: Callable[..., Path], site: Site) -> None:
    site.files["/set.tar"] = b"<html>please log in</html>"
    with pytest.raises(DataError, match="neither tar nor zip"):
        load(published(checksum=None))


def test_an_interrupted_extraction_goes_on_without_loading_again(
    published: Callable[..., Path], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    whole = archive_extract._write
    written: list[str] = []

    def first_only(archive: Path, member: Any, content: Any, folder: Path) -> None:
        if written:
            stop()
        written.append(str(member.path))
        whole(archive, member, content, folder)

    manifest = published()
    monkeypatch.setattr(archive_extract, "_write", first_only)
    with pytest.raises(KeyboardInterrupt):
        load(manifest)
    assert not (tmp_path / "data" / "set").exists()
    (kept,) = (tmp_path / "data/.set.fetch").glob(f"content-*/{written[0]}")
    number = kept.stat().st_ino
    monkeypatch.setattr(archive_extract, "_write", whole)
    assert load(manifest).cases == 1
    assert (tmp_path / "data/set" / written[0]).stat().st_ino == number
    assert len(site.asked) == 1


def test_files_of_another_archive_are_not_mixed_in(
    published: Callable[..., Path], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = archive_extract._write

    def stop(archive: Path, member: Any, content: Any, folder: Path) -> None:
        whole(archive, member, content, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(archive_extract, "_write", stop)
    site.files["/set.tar"] = packed(**{"top__old.txt": b"of an older version"})
    with pytest.raises(KeyboardInterrupt):
        load(published(checksum=None))
    monkeypatch.setattr(archive_extract, "_write", whole)
    (tmp_path / "data/.set.fetch/set.tar").unlink()
    site.files["/set.tar"] = SET
    folder = load(published()).folder
    assert not (folder / "old.txt").exists()


def test_an_address_without_a_name_needs_one(published: Callable[..., Path], site: Site) -> None:
    for end in ("/", "/.."):
        with pytest.raises(DataError, match="ends in no file's name"):
            load(published(url=f"{site.url}{end}"))


def test_a_folder_that_holds_something_else_is_kept(
    published: Callable[..., Path], site: Site, tmp_path: Path
) -> None:
    (tmp_path / "data/set").mkdir(parents=True)
    (tmp_path / "data/set/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="does not hold what the manifest says"):
        load(published())
    assert (tmp_path / "data/set/mine.txt").read_text() == "mine"
    assert not site.asked


def test_an_archive_in_another_layout_is_told_not_hidden(published: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="no file below Task09"):
        load(published(root="Task09"))
    with pytest.raises(DataError, match=r"does not hold what .*: .*no file matches"):
        load(published(root=None))


def test_a_set_behind_a_login_says_what_to_do_and_takes_the_file(
    write: Write, tmp_path: Path
) -> None:
    entry = {"file": "set.tar", "checksum": MD5, "root": "top"}
    manifest = write(
        training=None, cases=CASES, archives=[entry], instructions="log in at https://x.org"
    )
    with pytest.raises(DataError, match="cannot be fetched by a command alone") as told:
        load(manifest)
    assert told.value.hint == (
        "log in at https://x.org; then: unetworks data fetch set --archive set.tar"
    )
    mine = tmp_path / "Downloads" / "set (1).tar"
    mine.parent.mkdir()
    mine.write_bytes(SET + b"x")
    with pytest.raises(DataError, match="the publisher states"):
        load(manifest, mine)
    mine.write_bytes(SET)
    assert load(manifest, mine).cases == 1
    assert mine.read_bytes() == SET


def test_several_archives_by_hand_are_told_apart_by_name(write: Write, tmp_path: Path) -> None:
    images, labels = packed(**{"a.nii.gz": b"i"}), packed(**{"a.nii.gz": b"l"})
    entries = [{"file": "images.tar", "into": "i"}, {"file": "labels.tar", "into": "l"}]
    manifest = write(training=None, cases=CASES, archives=entries)
    for name, content in (("images.tar", images), ("labels.tar", labels), ("other.tar", images)):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"the archive labels\.tar is not given"):
        load(manifest, tmp_path / "images.tar")
    with pytest.raises(DataError, match=r"has no archive other\.tar"):
        load(manifest, tmp_path / "images.tar", tmp_path / "other.tar")
    assert load(manifest, tmp_path / "labels.tar", tmp_path / "images.tar").cases == 1
    assert (tmp_path / "data/set/l/a.nii.gz").read_bytes() == b"l"


def test_what_cannot_be_fetched_is_told(write: Write) -> None:
    with pytest.raises(DataError, match="generated on first use"):
        fetch("phantom")
    with pytest.raises(DataError) as told:
        fetch("hippocampus")
    assert "unetworks data fetch Task04_Hippocampus" in told.value.hint
    with pytest.raises(DataError) as told:
        load(write(url="https://x.org"))
    assert told.value.hint.startswith("get it from https://x.org; it belongs into ")
    with pytest.raises(UnknownNameError) as unknown:
        fetch("Task09_Splen")
    assert "did you mean Task09_Spleen" in unknown.value.hint


def test_a_data_folder_that_cannot_be_written_is_told(
    published: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file in its place")
    with pytest.raises(Exception, match="cannot be written") as told:
        load(published())
    assert "UNETWORKS_DATA" in told.value.hint  # type: ignore[attr-defined]
