"""Downloads that go on where they broke off, beside the place where the file will be."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from types import TracebackType

from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.lock import lock
from MedWatermarkLib.output import OutputError, OutputExistsError

_PIECE_SIZE = 1 << 20


class Download:
    """A file that arrives in pieces, and is hashed as it does.

    What has arrived stays, when an error comes, under the name ``.<hash>.part``.

    Parameters
    ----------
    name : str
        SHA-256 of the whole file, in hexadecimal.
    place : pathlib.Path
        Where the file will be.

    Raises
    ------
    OutputError
        If the file cannot be written, or another process is downloading it there.
    """

    def __init__(self, name: str, place: Path) -> None:
        self._name, self._place = name, place
        self._part = place.absolute().parent / f".{name}.part"
        # Not through a link that somebody else laid there.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._file = os.fdopen(os.open(self._part, flags, 0o666), "r+b")
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._take()
            self._read_what_is_there()
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        """How many bytes have arrived."""
        return self._file.tell()

    @property
    def is_whole(self) -> bool:
        """Whether what has arrived is the file."""
        return self._hasher.hexdigest() == self._name

    def write(self, piece: bytes) -> None:
        """Add what arrived next."""
        try:
            self._file.write(piece)
        except OSError as error:
            raise self._unwritable(error) from error
        self._hasher.update(piece)

    def restart(self) -> None:
        """Forget what has arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._hasher = hashlib.sha256()

    def place(self) -> None:
        """Move the file to its place.

        Raises
        ------
        OutputError
            If something is there by now, or it cannot be moved.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            if sys.platform == "win32":
                self._file.close()  # There an open file cannot be moved.
            if os.path.lexists(self._place):
                raise OutputExistsError(f"{self._place} exists already; choose another name.")
            os.replace(self._part, self._place)
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Download:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        empty = not self._file.closed and self.size == 0
        self._file.close()
        if empty:
            self._part.unlink(missing_ok=True)

    def _take(self) -> None:
        """Take the part for this process, until it is closed."""
        try:
            lock(self._file.fileno())
            # It may have been placed, by the process that had it, after it was opened here.
            is_taken = os.fstat(self._file.fileno()).st_ino == self._part.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            is_taken = False
        if not is_taken:
            raise OutputError(
                f"Another process is downloading the same file to {self._part.parent}; wait for it."
            )

    def _read_what_is_there(self) -> None:
        self._hasher = hashlib.sha256()
        while piece := self._file.read(_PIECE_SIZE):
            self._hasher.update(piece)

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"{self._place} cannot be written: {reason_of(error)}.")
