"""Files in chunks of one size, the last filled up with zeros."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

#: Bytes of a chunk of a sealed package.
CHUNK_SIZE = 1024

# Many chunks, so that time goes into the work, but few enough to stay in the cache meanwhile.
_PIECE_SIZE = 1 << 18


def pieces(
    file: BinaryIO, size: int = CHUNK_SIZE, progress: Callable[[float], None] | None = None
) -> Iterator[bytes]:
    """Read a file from where it stands to its end, many chunks at a time.

    Parameters
    ----------
    file : binary file
        Open for reading; seekable, if progress is to be told.
    size : int
        Bytes of a chunk, at least 1.
    progress : callable, optional
        Told the share of the file that is done, from 0 to 1.

    Yields
    ------
    bytes
        One chunk or more, all of `size`; the last of the file is filled up with zeros.
    """
    start = end = 0
    if progress is not None:
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
    piece_size = max(1, _PIECE_SIZE // size) * size
    done = 0
    while piece := _read(file, piece_size):
        done += len(piece)
        yield piece + bytes(-len(piece) % size)
        if progress is not None:
            progress(min(1.0, done / (end - start)))


def _read(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or all up to the end; pipes and sockets may give less at once."""
    piece = file.read(size)
    while 0 < len(piece) < size and (more := file.read(size - len(piece))):
        piece += more
    return piece
