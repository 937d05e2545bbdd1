"""A real Orthanc on this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

TITLE = "ARCHIVE"
_PLUGINS = [Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc")]


@dataclass(frozen=True)
class Orthanc:
    """Where it listens, and where it sends to when asked to send to ``us``."""

    http: int
    dicom: int
    inbox: int

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def web(self) -> str:
        return f"{self.rest}/dicom-web"

    @property
    def address(self) -> str:
        return f"{TITLE}@127.0.0.1:{self.dicom}"

    def send_to_us(self, series: str) -> None:
        """Have it send a series by C-STORE, and wait until it has."""
        query = {"Level": "Series", "Query": {"SeriesInstanceUID": series}}
        found = requests.post(f"{self.rest}/tools/find", json=query, timeout=60).json()
        answer = requests.post(f"{self.rest}/modalities/us/store", json=found, timeout=60)
        assert answer.ok, answer.text
        assert answer.json()["FailedInstancesCount"] == 0


def program() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


def plugin() -> Path | None:
    found = [file for folder in _PLUGINS for file in folder.glob("libOrthancDicomWeb.so*")]
    return found[0] if found else None


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """Run one, with its database in a folder."""
    server = Orthanc(*free_ports(3))
    configuration = folder / "orthanc.json"
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": server.http,
        "DicomPort": server.dicom,
        "DicomAet": TITLE,
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "OverwriteInstances": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(plugin())],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {"us": ["MEDWATERMARK", "127.0.0.1", server.inbox]},
    }
    configuration.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program()), str(configuration)], stdout=log, stderr=log)
        try:
            _wait(server, process, folder / "log")
            yield server
        finally:
            process.terminate()
            process.wait(60)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{server.web}/series", timeout=10).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise RuntimeError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def passed_on(
    web: str, change: Callable[[str, bytes], bytes], *, breaks: bool = False
) -> Iterator[str]:
    """Stand between a client and a server, and change its answers or break multipart ones off.

    `change` gets an answer with the path, without query, that it was given for.
    """

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            headers = {"Accept": self.headers["Accept"]}
            answer = requests.get(web + self.path, headers=headers, timeout=60)
            content = change(self.path.split("?")[0], answer.content)
            kind = answer.headers["Content-Type"]
            self.send_response(answer.status_code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = breaks and kind.startswith("multipart")
            self.wfile.write(content[: len(content) // 2] if half else content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
