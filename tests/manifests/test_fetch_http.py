import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import DataError, ResourceError
from pipeline.manifests import fetch_http
from pipeline.manifests.fetch_http import ATTEMPTS, download
from tests.manifests.server import Site, serving

CONTENT = os.urandom(5000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(**{"set.tar": CONTENT}) as running:
        yield running


def load(site: Site, folder: Path, size: int | None = None) -> Path:
    return download(f"{site.url}/set.tar", folder / "set.tar", size=size, quiet=True, pause_s=0)


def test_a_file_is_loaded_and_nothing_else_is_left(site: Site, tmp_path: Path) -> None:
    assert load(site, tmp_path, 5000).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["set.tar"]
    load(site, tmp_path)
    assert site.asked == [None]


def test_dropped_connections_are_taken_up_where_they_broke(site: Site, tmp_path: Path) -> None:
    site.drop_after = [1000, 500, 2000]
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=1000-", "bytes=1500-", "bytes=3500-"]


def test_an_interrupted_download_goes_on_in_another_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_http, "ATTEMPTS", 1)
    site.drop_after = [1200, 0]
    with pytest.raises(DataError, match="ended after 1200 of 5000 bytes, 1 times in a row") as told:
        load(site, tmp_path)
    assert "continued" in told.value.hint
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=1200-"


def test_a_part_of_a_file_that_has_changed_is_not_continued(site: Site, tmp_path: Path) -> None:
    site.drop_after = [1000] + [0] * ATTEMPTS
    with pytest.raises(DataError):
        load(site, tmp_path)
    site.drop_after, site.etag = [], '"two"'
    site.files["/set.tar"] = CONTENT[::-1]
    assert load(site, tmp_path).read_bytes() == CONTENT[::-1]


def test_without_a_name_of_the_content_nothing_is_continued(site: Site, tmp_path: Path) -> None:
    site.etag, site.drop_after = None, [1000]
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, None]


def test_a_part_from_another_address_is_not_continued(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.part").write_bytes(b"x" * 100)
    (tmp_path / "set.tar.part.json").write_text('{"url": "http://other", "validator": "\\"one\\""}')
    assert load(site, tmp_path).read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_gives_the_whole_file(site: Site, tmp_path: Path) -> None:
    site.ranges, site.drop_after = False, [1000]
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == [None, "bytes=1000-"]


def test_a_server_that_announces_more_than_it_has_is_given_up(site: Site, tmp_path: Path) -> None:
    site.claims, site.ranges = 9000, False
    with pytest.raises(DataError, match=f"ended after 5000 of 9000 bytes, {ATTEMPTS} times"):
        load(site, tmp_path)
    assert not (tmp_path / "set.tar").exists()


def test_another_size_than_the_publishers_is_refused_before_a_byte(
    site: Site, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="5000 bytes, the publisher states 4000"):
        load(site, tmp_path, 4000)
    assert not list(tmp_path.glob("*"))


def test_a_part_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "set.tar.part").write_bytes(b"x" * 6000)
    state = f'{{"url": "{site.url}/set.tar", "validator": "\\"one\\""}}'
    (tmp_path / "set.tar.part.json").write_text(state)
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["bytes=6000-", None]


def test_a_part_that_is_whole_but_for_its_name_is_not_loaded_again(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "set.tar.part").write_bytes(CONTENT)
    state = f'{{"url": "{site.url}/set.tar", "validator": "\\"one\\""}}'
    (tmp_path / "set.tar.part.json").write_text(state)
    assert load(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["bytes=5000-"]


def test_redirections_in_a_circle_end(site: Site, tmp_path: Path) -> None:
    site.redirect = f"{site.url}/set.tar"
    with pytest.raises(DataError, match="answers 302"):
        load(site, tmp_path)
    assert len(site.asked) < 20


def test_a_busy_server_is_asked_again_and_a_refusal_is_told(site: Site, tmp_path: Path) -> None:
    site.status = [503, 429]
    assert load(site, tmp_path / "a").read_bytes() == CONTENT
    site.status = [403]
    with pytest.raises(DataError, match="answers 403 Forbidden") as told:
        load(site, tmp_path / "b")
    assert "login" in told.value.hint


def test_a_redirection_over_http_is_followed(site: Site, tmp_path: Path) -> None:
    with serving(**{"set.tar": b""}) as first:
        first.redirect = f"{site.url}/moved/set.tar"
        assert load(first, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://host/x", "data:,x", "gopher:x"])
def test_a_redirection_to_another_scheme_is_refused(
    site: Site, tmp_path: Path, target: str
) -> None:
    site.redirect = target
    with pytest.raises(DataError, match=f"leads to {target}, which is not fetched"):
        load(site, tmp_path)
    assert not (tmp_path / "set.tar").exists()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "/etc/passwd"])
def test_only_http_addresses_are_loaded(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="not fetched"):
        download(url, tmp_path / "x", quiet=True, pause_s=0)


def test_a_host_that_does_not_answer_is_told_in_one_line(site: Site, tmp_path: Path) -> None:
    url = site.url.rpartition(":")[0] + ":1/set.tar"
    with pytest.raises(DataError, match=r"connection failed .*refused.*, 5 times in a row"):
        download(url, tmp_path / "x", quiet=True, pause_s=0)


def test_a_disk_that_cannot_hold_the_file_is_told_before_loading(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Use", (), {"free": 4999}))
    with pytest.raises(ResourceError, match="GB to load"):
        load(site, tmp_path)
    assert not (tmp_path / "set.tar.part").exists()
