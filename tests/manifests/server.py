"""A local HTTP server that serves bytes, well or badly."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server does, changed by a test while it runs.

    Args:
        files: Content by path.
        etag: Name of the content, which changes with it; None: none is sent.
        ranges: Answer ranges; else the whole file comes each time.
        drop_after: Bytes after which the connection is cut, for each answer in turn; an empty
            list no longer cuts.
        claims: Length to announce instead of the true one.
        redirect: Address to send the asker to.
        status: A state instead of the content, for each answer in turn.
        asked: `Range` of each request.
    """

    files: dict[str, bytes]
    etag: str | None = '"one"'
    ranges: bool = True
    drop_after: list[int] = field(default_factory=list)
    claims: int | None = None
    redirect: str | None = None
    status: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(**files: bytes) -> Iterator[Site]:
    """Serve `files` until the block ends; `site.url` is the root's address."""
    site = Site({f"/{name}": content for name, content in files.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, site)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    """Answer one request as the site says."""
    wanted = handler.headers.get("Range")
    site.asked.append(wanted)
    status = site.status.pop(0) if site.status else 0
    if site.redirect or status:
        handler.send_response(status or 302)
        if site.redirect:
            handler.send_header("Location", site.redirect)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    content, start = site.files[handler.path.removeprefix("/moved")], 0
    same = handler.headers.get("If-Range") == site.etag
    if wanted and site.ranges and same:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    else:
        handler.send_response(200)
    length = len(content) - start if site.claims is None else site.claims
    handler.send_header("Content-Length", str(length))
    if site.etag:
        handler.send_header("ETag", site.etag)
    handler.end_headers()
    cut = site.drop_after.pop(0) if site.drop_after else len(content)
    handler.wfile.write(content[start : start + cut])
    handler.close_connection = True
