"""A web server for tests, with the faults that a test asks for."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit


class Page(NamedTuple):
    """The response for a path.

    Attributes:
        parts: whether a client can request parts of it.
        sized: whether a header has its size.
        cut: how many bytes are sent before the connection is dropped.
        status: the status of every response.
        careless: HEAD answers that there is nothing.
        location: the target of a redirect.
    """

    data: bytes
    parts: bool = False
    sized: bool = True
    cut: int | None = None
    status: int = 200
    etag: str = "1"
    careless: bool = False
    location: str | None = None


class Web:
    """A running server and its pages by path; a test may change them at any time."""

    def __init__(self, url: str, pages: dict[str, Page]) -> None:
        self.url = url
        self.pages = pages
        self.requests: list[str] = []
        self.accepted: list[str | None] = []


@contextmanager
def serving(pages: Mapping[str, Page | bytes]) -> Iterator[Web]:
    """Serve pages on a local port; other paths get 404."""
    server = _Server(("127.0.0.1", 0), _Handler)
    known = {path: page if isinstance(page, Page) else Page(page) for path, page in pages.items()}
    server.web = Web(f"http://127.0.0.1:{server.server_port}", known)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.web  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: clients may disconnect at any time."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        web: Web = self.server.web  # type: ignore[attr-defined]
        web.requests.append(f"{self.command} {self.path}")
        web.accepted.append(self.headers.get("Accept-Encoding"))
        page = web.pages.get(urlsplit(self.path).path)
        if page is None or page.status != 200:
            self.send_error(page.status if page else 404)
            return
        if page.location:
            self.send_response(302)
            self.send_header("Location", page.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data, status = page.data, 200
        if page.parts and (wanted := self.headers.get("Range")):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            data, status = data[int(first) : int(last) + 1], 206
        self.send_response(status)
        self.send_header("ETag", page.etag)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        if page.sized:
            self.send_header("Content-Length", "0" if page.careless and self.command == "HEAD" else str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: page.cut])

    do_HEAD = do_GET

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""
