"""Folders at any URL: what the file systems of fsspec do, each in the way that is safe there.

Their errors are let through as they are; `store` makes words of them. They must not go further:
they quote URLs, and with these what is secret in them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from fsspec.callbacks import Callback
from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.store_errors import StoreURLError, without_secrets

Tell = Callable[[int], None]

_PIECE_SIZE = 1 << 20
# Of an upload or download in parts, and how many of them are under way at a time.
_BLOCK_SIZE, _BLOCKS_AT_ONCE = 8 << 20, 4
# There a file appears when all of it has arrived, and not before.
_OBJECT_STORES = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory", "ipfs"}
)


@dataclass(frozen=True)
class Reading:
    """A file that is being read.

    Attributes
    ----------
    size : int or None
        Bytes of the whole file, where that is told.
    pieces : iterator of bytes
        From where it was asked for.
    """

    size: int | None
    pieces: Iterator[bytes]


class RemoteFolder:
    """A folder.

    Parameters
    ----------
    url : str
    timeout : float
        Seconds after which nothing is waited for any more.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._protocol = get_protocol(url)
        self._fs, self._root = _file_system(url, self._options(timeout))

    def _options(self, timeout: float) -> dict[str, Any]:
        return {}

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """Return how long a file is, None if that is not told.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        size = self._fs.info(self._path(name)).get("size")
        return None if size is None else int(size)

    def read(self, name: str, offset: int) -> Reading:
        """Read a file from an offset on."""
        size = self.size(name)
        return Reading(size, self._pieces(name, offset))

    def write(self, name: str, source: Path, tell: Tell) -> None:
        """Write a file, so that it is there whole or not at all."""
        path = self._path(name)
        if self._protocol in _OBJECT_STORES:
            self._put(source, path, tell)
            return
        temporary = self._path(f".{secrets.token_hex(6)}.part")
        try:
            self._put(source, temporary, tell)
            self._fs.mv(temporary, path)
        except BaseException:
            if self._fs.exists(temporary):
                self._fs.rm(temporary)
            raise

    def _put(self, source: Path, path: str, tell: Tell, **options: Any) -> None:
        told = _Told(tell)
        try:
            self._fs.put_file(str(source), path, callback=told, **options)
        finally:
            if told.error is not None:
                raise told.error

    def _pieces(self, name: str, offset: int) -> Iterator[bytes]:
        with self._fs.open(self._path(name), "rb", block_size=_BLOCK_SIZE) as file:
            file.seek(offset)
            while piece := file.read(_PIECE_SIZE):
                yield piece


class LocalFolder(RemoteFolder):
    """A folder of this machine."""

    def write(self, name: str, source: Path, tell: Tell) -> None:
        """Write a file beside its place, and move it there."""
        place = Path(self._path(name))
        with scratch(place) as folder:
            temporary = folder / name
            with source.open("rb") as there, temporary.open("xb") as here:
                while piece := there.read(_PIECE_SIZE):
                    here.write(piece)
                    tell(len(piece))
                here.flush()
                os.fsync(here.fileno())
            os.replace(temporary, place)


class HTTPFolder(RemoteFolder):
    """A folder of a web server; written to by PUT, where the server takes it."""

    def _options(self, timeout: float) -> dict[str, Any]:
        # Not a limit on the whole, which may take hours.
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        # Hospitals are behind proxies, which the environment names.
        return {"client_kwargs": {"timeout": limits, "trust_env": True}}

    def _path(self, name: str) -> str:
        parts = urlsplit(self._root)
        path = f"{parts.path.rstrip('/')}/{name}"
        return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))

    def size(self, name: str) -> int | None:
        """Return how long a file is, None if the server does not tell."""
        # fsspec's own look-up takes any failure for a file that is not there.
        with self._request(name, 0) as file:
            return _length(file.r)

    def read(self, name: str, offset: int) -> Reading:
        """Read a file from an offset on, also where the server can only send all of it."""
        try:
            file = self._request(name, offset)
        except aiohttp.ClientResponseError as error:
            if error.status != 416:  # Range Not Satisfiable: there is no more
                raise
            return Reading(None, iter(()))
        skip = 0 if file.r.status == 206 else offset
        length = _length(file.r)
        size = length if length is None or skip else length + offset
        return Reading(size, _after(skip, _read_on(file)))

    def write(self, name: str, source: Path, tell: Tell) -> None:
        """Send a file; that it appears when it is whole is the server's part."""
        self._put(source, self._path(name), tell, method="put")

    def _request(self, name: str, offset: int) -> Any:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        # With a size given nothing is asked beforehand, and with blocks of 0 the answer streams.
        return self._fs.open(self._path(name), "rb", block_size=0, size=1, headers=headers)


class S3Folder(RemoteFolder):
    """A folder of a bucket. Keys and endpoint are those of the environment, as for other tools."""

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, timeout)
        self._fs.retries = 1

    def _options(self, timeout: float) -> dict[str, Any]:
        # Retries multiply with those of the store, and with the time-out.
        retries = {"total_max_attempts": 2}
        limits = {"connect_timeout": timeout, "read_timeout": timeout, "retries": retries}
        return {"config_kwargs": limits, "default_block_size": _BLOCK_SIZE}

    def write(self, name: str, source: Path, tell: Tell) -> None:
        """Send a file in parts, which S3 makes one when all are there."""
        options = {"chunksize": _BLOCK_SIZE, "max_concurrency": _BLOCKS_AT_ONCE}
        self._put(source, self._path(name), tell, **options)


def remote_folder(url: str, timeout: float) -> RemoteFolder:
    """Return the folder at a URL; nothing is asked of it yet.

    Parameters
    ----------
    url : str
        A URL that fsspec understands, or the path of a folder.
    timeout : float
        Seconds after which nothing is waited for any more.

    Raises
    ------
    StoreURLError
        If there can be none.
    """
    shown = without_secrets(url)
    if "::" in url:
        raise StoreURLError(f"{shown} is a chain of URLs; a store has one.")
    protocol = get_protocol(url)
    if protocol in ("s3", "s3a") and "@" in url:
        raise StoreURLError(
            f"The URL {shown} holds a key; give it in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    kinds: dict[str, type[RemoteFolder]] = {
        "file": LocalFolder,
        "local": LocalFolder,
        "http": HTTPFolder,
        "https": HTTPFolder,
        "s3": S3Folder,
        "s3a": S3Folder,
    }
    try:
        return kinds.get(protocol, RemoteFolder)(url, timeout)
    except ImportError:
        reason = f"the Python package for {protocol}:// is not installed"
    except Exception as error:  # of a bad URL each file system raises what it stumbles on
        reason = f"it cannot be understood ({type(error).__name__})"
    raise StoreURLError(f"{shown} is no place for a store: {reason}.")


class _Told(Callback):  # type: ignore[misc]
    """Tells how many bytes more were sent, and keeps what that raised.

    It is raised again on the caller's own thread: fsspec's would end of some errors, and hide them.
    """

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self.error: BaseException | None = None

    def relative_update(self, inc: int = 1) -> None:
        try:
            self._tell(inc)
        except BaseException as error:
            self.error = error
            raise InterruptedError from None


def _file_system(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    fs, root = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False, **options)
    return fs, str(root)


def _read_on(file: Any) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_SIZE):
            yield piece


def _after(skip: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out the first bytes."""
    for piece in pieces:
        if skip < len(piece):
            yield piece[skip:]
        skip = max(0, skip - len(piece))


def _length(response: Any) -> int | None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    length: int | None = response.content_length
    return length
