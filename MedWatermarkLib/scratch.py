"""Scratch folders: for what is not whole yet, beside its place; they go when their programs do.

A program that is killed cannot clean up. So each folder has a lock, which the system takes back
then, and whoever makes the next one beside it removes those that nobody holds.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from MedWatermarkLib.lock import lock

_LOCK, _CONTENT = "lock", "content"
_NAME = re.compile(r"\.[0-9a-f]{12}\.part")
# So often another may take a new folder for one that was left, before it is locked.
_ATTEMPTS = 8


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    """Make a folder on the file system of a place, and remove it in the end.

    What killed programs left there is removed first.

    Parameters
    ----------
    place : pathlib.Path
        Beside which it is made. Nobody but the user sees what is in it.

    Yields
    ------
    pathlib.Path

    Raises
    ------
    OSError
        If it cannot be made.
    """
    parent = place.absolute().parent
    _remove_abandoned(parent)
    folder, descriptor = _make(parent)
    try:
        yield folder / _CONTENT
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def _make(parent: Path) -> tuple[Path, int]:
    """Return a new folder, and what its lock hangs on."""
    for _ in range(_ATTEMPTS):
        folder = parent / f".{secrets.token_hex(6)}.part"
        folder.mkdir(mode=0o700)
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            continue
        if _is_held(descriptor, folder / _LOCK):
            (folder / _CONTENT).mkdir()
            return folder, descriptor
        os.close(descriptor)
    raise BlockingIOError


def _is_held(descriptor: int, path: Path) -> bool:
    try:
        lock(descriptor)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: nobody can lock it to remove it either.
        return True
    return path.exists()


def _remove_abandoned(parent: Path) -> None:
    found = []
    with suppress(OSError), os.scandir(parent) as entries:
        found = [
            Path(entry.path)
            for entry in entries
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    for folder in found:
        # Of a program that was killed before it had locked it, or of another user: only if empty.
        with suppress(OSError):
            folder.rmdir()
        with suppress(OSError):
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder that nobody holds."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        lock(descriptor)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
    # Windows removes nothing that is open.
    shutil.rmtree(folder, ignore_errors=True)
