"""Downloads one file over HTTP; what an interrupted download has brought is kept and continued.

A server may drop the connection, ignore ranges, answer with less than it announced, or point
somewhere else. None of this may end in a file that looks whole and is not.
"""

import json
import math
import re
import shutil
import ssl
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from pipeline.errors import DataError, ResourceError
from pipeline.io import atomic_path
from pipeline.progress import progress

SCHEMES: Final = ("http", "https")
AGENT: Final = "unetworks (medical image segmentation; urllib)"
CHUNK: Final = 1 << 20  # bytes: one step of the progress bar
TIMEOUT_S: Final = 60
ATTEMPTS: Final = 5  # in a row, without a byte more than before
PASSING: Final = (408, 425, 429, 500, 502, 503, 504)  # states that a server gets over
GO_ON = "run it again: what has come is kept and continued"


@dataclass(frozen=True, slots=True)
class _State:
    """What a part of a file was loaded from; `validator` is an ETag or a date for `If-Range`."""

    url: str
    validator: str | None


class _DroppedError(Exception):
    """An attempt that ended early and may be made again; the text says how."""


def download(
    url: str, target: Path, *, size: int | None = None, quiet: bool = False, pause_s: float = 2.0
) -> Path:
    """Load `url` into `target`; a part that is there already is continued.

    Until it is whole the file is called `NAME.part`. It is continued only where the server still
    has the very file that it began with (`If-Range`), else loaded anew.

    Args:
        url: Address, http or https; so are those to which it may redirect.
        target: The file to write; if it is there, nothing is done.
        size: Bytes that the publisher states; None: what the server says.
        quiet: No progress bar.
        pause_s: Seconds between two attempts, doubled each time.

    Raises:
        DataError: Another scheme, refused by the server, another size than stated, or cut off
            too often in a row.
        ResourceError: Not enough space.
    """
    if target.is_file():
        return target
    _refuse_scheme(url, url)
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failures, most = 0, _size(part)
    while True:
        try:
            _attempt(url, part, size, quiet=quiet)
            break
        except _DroppedError as drop:
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= ATTEMPTS:
                raise DataError(f"{url}: {drop}, {failures} times in a row", hint=GO_ON) from None
            time.sleep(pause_s * 2**failures)
    part.replace(target)
    _state_file(part).unlink(missing_ok=True)
    return target


def _attempt(url: str, part: Path, size: int | None, *, quiet: bool) -> None:
    """Load the rest of a file, or all of it, over one connection."""
    state, start = _read_state(part, url), _size(part)
    request = Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if state is not None and state.validator and start:
        if start == size:
            return
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", state.validator)
    try:
        with _open(request) as response:
            begin = _begin(response, start)
            total = _total(response, begin)
            _refuse_size(url, total, size)
            total = size if total is None else total
            if begin == 0:
                _write_state(part, _State(url, _validator(response.headers)))
            _require_space(part, None if total is None else total - begin)
            _receive(response, part, begin, total, quiet=quiet)
    except HTTPError as error:
        with error:
            if not _is_whole(error, part):
                _refused(url, error, part)
    except (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _DroppedError(f"connection failed ({getattr(error, 'reason', error)})") from None
    except OSError as error:
        raise _disk_error(part, error) from error


def _receive(
    response: HTTPResponse, part: Path, begin: int, total: int | None, *, quiet: bool
) -> None:
    """Append what comes to the first `begin` bytes, and compare the end with `total`."""
    left = None if total is None else total - begin
    steps = None if total is None else math.ceil((total - begin) / CHUNK)
    name = f"{part.name.removesuffix('.part')} (MiB)"
    with part.open("r+b" if begin else "wb") as file:
        file.truncate(begin)
        file.seek(begin)
        for chunk in progress(_chunks(response, left), name, total=steps, quiet=quiet):
            file.write(chunk)
    if total is not None and _size(part) < total:
        raise _DroppedError(f"ended after {_size(part)} of {total} bytes")


def _chunks(response: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """What comes, piece by piece, and not more than `left` bytes of it."""
    while left is None or left > 0:
        chunk = response.read(CHUNK if left is None else min(CHUNK, left))
        if not chunk:
            return
        left = None if left is None else left - len(chunk)
        yield chunk


def _begin(response: HTTPResponse, start: int) -> int:
    """The byte from which an answer goes on: `start` for a range, 0 for the whole file."""
    if response.status != 206:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        raise _DroppedError("sent another range than asked for")
    return start


def _total(response: HTTPResponse, begin: int) -> int | None:
    """Bytes of the whole file, as the server says; None where it does not."""
    match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    if response.status == 206 and match:
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return begin + int(length) if length.isdecimal() else None


def _is_whole(error: HTTPError, part: Path) -> bool:
    """Whether a range was refused because nothing is missing."""
    match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    return error.code == 416 and match is not None and int(match[1]) == _size(part)


def _refused(url: str, error: HTTPError, part: Path) -> None:
    """Turn a state of the server into an error, or into another attempt."""
    if error.code == 416:  # no such range: the file is another one now
        part.unlink(missing_ok=True)
        raise _DroppedError("has no such range (416)") from None
    if error.code in PASSING:
        raise _DroppedError(f"answered {error.code} {error.reason}") from None
    raise DataError(
        f"{url}: the server answers {error.code} {error.reason}",
        hint="look at the set's page whether it has moved, or needs a login",
    ) from None


def _refuse_size(url: str, total: int | None, size: int | None) -> None:
    """Refuse a file of another size than its publisher states."""
    if size is not None and total is not None and total != size:
        raise DataError(
            f"{url}: {total} bytes, the publisher states {size}",
            hint="look at the set's page whether there is a new version",
        )


def _require_space(part: Path, needed: int | None) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(part.parent).free
    if needed is not None and needed > free:
        raise ResourceError(
            f"{part.parent}: {needed / 1e9:.1f} GB to load, {free / 1e9:.1f} GB are free",
            hint="free some space, or set UNETWORKS_DATA to a larger disk",
        )


def _disk_error(part: Path, error: OSError) -> ResourceError:
    """The error of a file that cannot be written."""
    return ResourceError(
        f"{part}: cannot be written ({error.strerror or error})",
        hint=f"free some space, or set UNETWORKS_DATA elsewhere; {GO_ON}",
    )


def _validator(headers: HTTPMessage) -> str | None:
    """What names this very file: a strong ETag, else its date."""
    tag: str | None = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _size(part: Path) -> int:
    """Bytes that are there."""
    return part.stat().st_size if part.is_file() else 0


def _state_file(part: Path) -> Path:
    """Where the state of a part lies."""
    return part.with_name(part.name + ".json")


def _read_state(part: Path, url: str) -> _State | None:
    """The state of a part of that address; None where nothing can be continued."""
    try:
        raw = json.loads(_state_file(part).read_text())
        state = _State(raw["url"], raw["validator"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return state if state.url == url else None


def _write_state(part: Path, state: _State) -> None:
    """Note what a part is loaded from, before its first byte."""
    part.unlink(missing_ok=True)
    with atomic_path(_state_file(part)) as draft:
        draft.write_text(json.dumps(asdict(state)))


def _refuse_scheme(address: str, url: str) -> None:
    """Refuse what is not fetched over HTTP: a redirection may name a file of this machine."""
    scheme = urlsplit(address).scheme.lower()
    downgraded = url.lower().startswith("https:") and scheme == "http"
    if scheme not in SCHEMES or downgraded:
        raise DataError(
            f"{url}: leads to {address}, which is not fetched",
            hint="only http and https are, and https stays https; look at the set's page",
        )


class _Redirect(HTTPRedirectHandler):
    """Follows a redirection where its scheme may be fetched."""

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> HTTPResponse | None:
        """Look at the address before urllib does."""
        address = urljoin(req.full_url, headers.get("Location", headers.get("URI", "")))
        _refuse_scheme(address, req.full_url)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _open(request: Request) -> HTTPResponse:
    """Send a request; urllib's handlers for files, FTP and data are left out."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler(),
        HTTPDefaultErrorHandler(), _Redirect(), HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    return response
