from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3.util.connection

from scminnet.datasets._sources import SOURCES


class FileServer:
    """Files over HTTP on this machine, whole or with a fault, and a record of what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        #: bytes left out at the end of a file, although its Content-Length counts them
        self.withheld: dict[str, int] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                outer.requests.append(name)
                outer.headers.append(dict(self.headers))
                if name not in outer.files:
                    self.send_error(404)
                    return
                data = outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) - outer.withheld.get(name, 0)])

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    connect = urllib3.util.connection.create_connection

    def only_here(address: tuple[str, int], *args: object, **kwargs: object) -> object:
        assert address[0] == "127.0.0.1", f"a test would have contacted {address}"
        return connect(address, *args, **kwargs)

    monkeypatch.setattr(urllib3.util.connection, "create_connection", only_here)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("SCMINNET_CACHE", raising=False)
    # a source that a test forgets to publish must not be asked for
    for name, source in SOURCES.items():
        monkeypatch.setitem(SOURCES, name, dataclasses.replace(source, url="http://127.0.0.1:9/unpublished"))
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def publish(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a file under the name of a source on the server."""

    def put(name: str, data: bytes | Path, *, known_hash: str | None = "right", ending: str = "") -> None:
        data = data.read_bytes() if isinstance(data, Path) else data
        server.files[name + ending] = data
        if known_hash == "right":
            known_hash = f"sha256:{hashlib.sha256(data).hexdigest()}"
        source = dataclasses.replace(SOURCES[name], url=server.url(name + ending), known_hash=known_hash)
        monkeypatch.setitem(SOURCES, name, source)

    return put
