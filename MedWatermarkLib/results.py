"""The results of a run over many scans: a file with one line for each, in JSON.

A line is there whole or not at all, wherever the run was stopped.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from MedWatermarkLib.output import write_private

Line = dict[str, Any]

FAILED = "failed"
"""Outcome of a scan that an error kept from being worked on."""


class ResultsError(ValueError):
    """A file that does not hold results."""


class Results:
    """The results file of a run; one program at a time may hold it.

    Parameters
    ----------
    path : pathlib.Path
        The file; it is made with the first line. What a crash left of a line is taken away then.

    Raises
    ------
    ResultsError
        If it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = False
        self._lines = {line["name"]: line for line in read_results(path)}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def get(self, name: str) -> Line | None:
        """Return the line of a scan, if it has one."""
        return self._lines.get(name)

    def append(self, line: Line) -> None:
        """Add the line of a scan, and return when it is on the disk."""
        data = _written(line)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if not self._whole:
                os.ftruncate(descriptor, _whole(self._path.read_bytes()))
                self._whole = True
            start = os.fstat(descriptor).st_size
            # On a full disk the system may take a part of it.
            if os.write(descriptor, data) != len(data):
                os.ftruncate(descriptor, start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._lines[line["name"]] = line

    def replace(self, lines: Iterable[Line]) -> None:
        """Write all lines anew, in one step."""
        by_name = {line["name"]: line for line in lines}
        write_private(self._path, b"".join(map(_written, by_name.values())))
        self._lines = by_name


def read_results(path: Path) -> list[Line]:
    """Read the lines of a results file; one that a crash broke off in the end is passed over.

    Raises
    ------
    ResultsError
        If it holds something else.
    """
    data = path.read_bytes() if path.exists() else b""
    lines = []
    for number, one in enumerate(data[: _whole(data)].splitlines(), start=1):
        try:
            line = json.loads(one)
            if not (isinstance(line["name"], str) and isinstance(line["outcome"], str)):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ResultsError(f"{path}, line {number}: it is no line of results.") from None
        lines.append(line)
    return lines


def _whole(data: bytes) -> int:
    """Return how many bytes are whole lines."""
    return data.rfind(b"\n") + 1


def _written(line: Line) -> bytes:
    return (json.dumps(line, allow_nan=False) + "\n").encode("ascii")
