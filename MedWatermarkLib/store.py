"""Stores: where sealed packages lie, each under the name of its own hash.

Any URL that `fsspec <https://filesystem-spec.readthedocs.io>`_ understands is one: a folder, HTTP,
S3, IPFS where its software is installed. Nothing that lies there is secret or trusted: it is
sealed, and what comes back is checked against its name.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from MedWatermarkLib.download import Download
from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.output import check_new
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.remote_folder import Reading, remote_folder
from MedWatermarkLib.store_errors import (
    DamagedDownloadError,
    NotInStoreError,
    OversizeError,
    StoreAccessError,
    StoreError,
    StoreUnreachableError,
    without_secrets,
)

T = TypeVar("T")

#: The greatest file that is fetched, unless a lesser limit is given.
GREATEST_SIZE = 1 << 40

_NAME = re.compile(r"[0-9a-f]{64}")
_PIECE_SIZE = 1 << 20
# Seconds before what failed is tried again; after the last it is given up.
_WAITS = (0.5, 1.0, 2.0)
# Of HTTP (RFC 9110, RFC 6585): those that say who may, and those that say to come back later.
_FORBIDDEN, _MISSING, _LATER = (401, 403, 407), (404, 410), (408, 425, 429)


def name_of(file: str | os.PathLike[str]) -> str:
    """Return under which name a file lies in stores: its SHA-256, in hexadecimal."""
    with Path(file).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


class Store:
    """A place where files lie under the names of their hashes.

    Parameters
    ----------
    url : str
        The folder: a path, or a URL with any protocol of fsspec. Keys for S3 are not part of it,
        but stand in the environment.
    timeout : float
        Seconds for which a server may be silent.

    Raises
    ------
    StoreURLError
        If there can be no store at that URL.
    """

    def __init__(self, url: str | os.PathLike[str], *, timeout: float = 30.0) -> None:
        url = os.fspath(url)
        self._shown = without_secrets(url)
        self._folder = remote_folder(url, timeout)

    def __repr__(self) -> str:
        return f"Store({self._shown!r})"

    def exists(self, name: str) -> bool:
        """Tell whether a file is there.

        Raises
        ------
        StoreError
            If the store does not say.
        """
        return self._size(name) is not None

    def put(self, file: str | os.PathLike[str], *, progress: Progress | None = None) -> str:
        """Store a file, unless it is there already.

        Parameters
        ----------
        file : path
        progress : callable, optional
            Called with the share that is done, from 0 to 1.

        Returns
        -------
        str
            Its name.

        Raises
        ------
        StoreError
            If it cannot be stored; another try does no harm.
        OSError
            If it cannot be read.
        """
        path = Path(file)
        name, size = name_of(path), path.stat().st_size
        if self._size(name) not in (size, -1):
            try:
                self._tried(lambda: self._folder.write(name, path, _teller(size, progress)))
            except _StoppedError as stopped:
                raise stopped.error from None
        if progress is not None:
            progress(1.0)
        return name

    def get(
        self,
        name: str,
        place: str | os.PathLike[str],
        *,
        limit: int = GREATEST_SIZE,
        progress: Progress | None = None,
    ) -> None:
        """Fetch a file; what an earlier try has fetched into the same folder is not fetched again.

        Parameters
        ----------
        name : str
        place : path
            A new file. Until it is whole, what has arrived lies beside it as ``.<name>.part``.
        limit : int
            Bytes that the file can have at most.
        progress : callable, optional
            Called with the share that is done, from 0 to 1, where the store tells the size.

        Raises
        ------
        NotInStoreError
            If it is not there.
        DamagedDownloadError
            If what is there is not what its name says.
        OversizeError
            If it is larger than the limit.
        StoreUnreachableError
            If the connection breaks off time and again without getting any further.
        StoreError
            If the store refuses for another reason.
        OutputError
            If the place is taken or cannot be written to.
        """
        _check_name(name)
        place = Path(place)
        check_new(place)
        with Download(name, place) as download:
            resumed = download.size > 0
            if not download.is_whole:
                self._fetch(name, download, limit, progress)
            if not download.is_whole and resumed:
                # What was there before may have been damaged.
                download.restart()
                self._fetch(name, download, limit, progress)
            if not download.is_whole:
                download.restart()
                raise DamagedDownloadError(
                    f"What {self._shown} sends as {name} is something else: the file there is "
                    "damaged, or was replaced."
                )
            download.place()
        if progress is not None:
            progress(1.0)

    def _size(self, name: str) -> int | None:
        """Return the size of a file, -1 if the store does not tell, None if it is not there."""
        _check_name(name)
        try:
            size = self._tried(lambda: self._folder.size(name))
        except NotInStoreError:
            return None
        return -1 if size is None else size

    def _tried(self, work: Callable[[], T]) -> T:
        """Do what can be done twice, again if it fails for a reason that may pass."""
        for wait in (*_WAITS, None):
            try:
                return work()
            except Exception as error:
                failure = self._understood(error)
            # Not raised where the error is at hand: it quotes the URL.
            if not isinstance(failure, StoreUnreachableError) or wait is None:
                raise failure
            time.sleep(wait)
        raise AssertionError

    def _fetch(self, name: str, download: Download, limit: int, progress: Progress | None) -> None:
        """Read a file to its end, and on where the connection breaks off."""
        waits = iter(_WAITS)
        while True:
            before = download.size
            try:
                reading = self._folder.read(name, before)
                failure = None
            except Exception as error:
                failure = self._understood(error)
            failure = failure or self._read_on(reading, download, limit, progress)
            if failure is None:
                return
            if download.size > before:
                waits = iter(_WAITS)
            wait = next(waits, None)
            if not isinstance(failure, StoreUnreachableError) or wait is None:
                raise failure
            time.sleep(wait)

    def _read_on(
        self, reading: Reading, download: Download, limit: int, progress: Progress | None
    ) -> StoreError | None:
        """Read to the end, or to what is returned."""
        while True:
            if max(download.size, reading.size or 0) > limit:
                download.restart()
                return OversizeError(
                    f"A file in {self._shown} is larger than the {limit:,} bytes that it can have."
                )
            try:
                piece = next(reading.pieces, None)
            except Exception as error:
                return self._understood(error)
            if piece is None:
                return None
            download.write(piece)
            if progress is not None and reading.size:
                progress(min(1.0, download.size / reading.size))

    def _understood(self, error: Exception) -> StoreError:
        """Make words of what a file system raised, without what it quotes."""
        status = getattr(error, "status", 0)
        if isinstance(error, FileNotFoundError) or status in _MISSING:
            return NotInStoreError(
                f"There is no such file in {self._shown}, or no such folder or bucket."
            )
        if (
            isinstance(error, PermissionError)
            or status in _FORBIDDEN
            or type(error).__name__ == "NoCredentialsError"
        ):
            return StoreAccessError(
                f"{self._shown} does not let you in; check your keys for it and your rights there."
            )
        if isinstance(error, NotImplementedError) or status == 405:
            return StoreAccessError(f"{self._shown} cannot be written to; it is there to read.")
        if 400 <= status < 500 and status not in _LATER:
            return StoreError(f"{self._shown} refuses the request (HTTP {status}).")
        reason = f"HTTP {status}" if status else reason_of(error) or type(error).__name__
        return StoreUnreachableError(f"{self._shown} cannot be reached, or breaks off: {reason}.")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StoreError("The name of a file in a store is 64 digits from 0 to f.")


class _StoppedError(BaseException):
    """What a progress raised; nothing that is tried again."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _teller(size: int, progress: Progress | None) -> Callable[[int], None]:
    """Make of a progress one that is told how many bytes more are done."""
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        try:
            if progress is not None:
                progress(min(1.0, done / max(1, size)))
        except BaseException as error:
            raise _StoppedError(error) from None

    return tell
