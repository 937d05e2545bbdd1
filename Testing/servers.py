"""Servers on this machine, for stores: of the web, as bad as is wanted, and of S3."""

from __future__ import annotations

import contextlib
import gzip
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

S3_SECRET = "hunter2secret"


@dataclass
class Shelf:
    """What a web server serves, and how badly."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    ranges: bool = True
    sized: bool = True
    # Bytes after which each answer breaks off.
    breaks_after: int | None = None
    # Answers of this kind come first, so many times.
    first: list[int] = field(default_factory=list)
    silent: bool = False
    compressed: bool = False
    endless: bool = False
    authorization: list[str | None] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        shelf = self.server.shelf
        wanted = self.headers.get("Range")
        shelf.requests.append((self.command, self.path, wanted))
        shelf.authorization.append(self.headers.get("Authorization"))
        if shelf.silent:
            time.sleep(5)
        content = shelf.files.get(self.path.split("?")[0])
        status = shelf.first.pop(0) if shelf.first else 200 if content is not None else 404
        if status != 200 or content is None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and shelf.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        content = content[start:]
        if shelf.compressed:
            content = gzip.compress(content)
            self.send_header("Content-Encoding", "gzip")
        if shelf.sized and not shelf.endless:
            self.send_header("Content-Length", str(len(content)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content[: shelf.breaks_after])
            if shelf.breaks_after is not None:
                time.sleep(0.1)  # What was sent arrives before the line breaks.
            while shelf.endless:
                self.wfile.write(bytes(100_000))
        if shelf.breaks_after is not None or not shelf.sized or shelf.endless:
            self.close_connection = True

    def do_PUT(self) -> None:
        shelf = self.server.shelf
        shelf.requests.append(("PUT", self.path, None))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        status = shelf.first.pop(0) if shelf.first else 201
        if status == 201:
            shelf.files[self.path] = content
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    shelf: Shelf
    daemon_threads = True

    def handle_error(self, request: object, address: object) -> None:
        pass  # clients that went away


@contextmanager
def web_server(shelf: Shelf) -> Iterator[str]:
    """Serve a shelf at a URL."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.shelf = shelf
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/shelf"
        server.shutdown()
        thread.join()


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's server, and give its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_environment(endpoint: str) -> dict[str, str]:
    """Return what is to stand in the environment for the server at an endpoint."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def new_bucket() -> str:
    """Make a bucket at the server that the environment names, and return a URL in it."""
    import s3fs

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    if not files.exists("scans"):
        files.mkdir("scans")
    return "s3://scans/shared"
