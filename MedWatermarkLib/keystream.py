"""The cipher of a sale: chunks under a keystream that a contract can compute for any one of them.

The twin of `contracts/src/Keystream.sol`; `Docs/formats.md` describes it, and both are held to
`contracts/test/vectors.json`. What lies under this cipher is sealed already: it is there so that a
key can be sold, not to keep a secret for long.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from eth_utils.crypto import keccak

from MedWatermarkLib.chunks import CHUNK_SIZE as CHUNK_SIZE
from MedWatermarkLib.chunks import pieces
from MedWatermarkLib.sha256 import INITIAL, compress

KEY_SIZE = 32

_BLOCKS = CHUNK_SIZE // 32
# Chunks whose keystream is made at a time, so that it is still in the cache when it is used.
_CHUNKS_AT_ONCE = 64

Buffer = bytes | bytearray | memoryview


class KeystreamError(ValueError):
    """A key, a chunk or its number that the cipher of a sale does not take."""


def new_key() -> bytes:
    """Return a key for one sale: 32 bytes of the system's randomness."""
    return secrets.token_bytes(KEY_SIZE)


def key_commitment(key: bytes) -> bytes:
    """Return what a sale's terms hold of its key before it is revealed: keccak256 of it.

    Raises
    ------
    KeystreamError
        If the key has not 32 bytes.
    """
    _check_key(key)
    return keccak(key)


def cipher(key: bytes, index: int, data: Buffer) -> bytes:
    """Put the cipher on chunks, or take it off: both are the same.

    Parameters
    ----------
    key : bytes
        The key of the sale.
    index : int
        The number of the first chunk, from 0.
    data : bytes-like
        One chunk of 1,024 bytes or several that follow each other.

    Returns
    -------
    bytes
        As many as `data` has.

    Raises
    ------
    KeystreamError
        If the key has not 32 bytes, `data` is not whole chunks, or their numbers are not from 0 to
        2^64 - 1.
    """
    _check_key(key)
    chunks = np.frombuffer(data, np.uint8)
    if chunks.size % CHUNK_SIZE:
        raise KeystreamError(
            f"The cipher takes whole chunks of {CHUNK_SIZE:,} bytes, not {chunks.size:,} bytes."
        )
    count = chunks.size // CHUNK_SIZE
    if not 0 <= index <= 2**64 - count:
        raise KeystreamError("The numbers of chunks go from 0 to 2^64 - 1.")
    result = np.empty_like(chunks)
    for start in range(0, count, _CHUNKS_AT_ONCE):
        stop = min(count, start + _CHUNKS_AT_ONCE)
        part = slice(start * CHUNK_SIZE, stop * CHUNK_SIZE)
        stream = _keystream(key, index + start, stop - start)
        np.bitwise_xor(chunks[part], stream, out=result[part])
    return result.tobytes()


def cipher_file(
    key: bytes,
    source: BinaryIO,
    target: BinaryIO,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Put the cipher on a file's chunks, the first being number 0, or take it off.

    Parameters
    ----------
    key : bytes
        The key of the sale.
    source : binary file
        Read from where it stands to its end, the last chunk filled up with zeros; seekable, if
        progress is to be told.
    target : binary file
        Where the chunks are written. Zeros at the end of the last stay there when the cipher is
        taken off again: the true length is known elsewhere.
    progress : callable, optional
        Told the share that is done, from 0 to 1.

    Raises
    ------
    KeystreamError
        If the key has not 32 bytes.
    """
    _check_key(key)
    index = 0
    for piece in pieces(source, CHUNK_SIZE, progress):
        target.write(cipher(key, index, piece))
        index += len(piece) // CHUNK_SIZE


def _keystream(key: bytes, index: int, count: int) -> npt.NDArray[np.uint8]:
    """Return the keystream of `count` chunks from number `index` on: uint8 array."""
    numbers = np.uint64(index) + np.arange(count, dtype=np.uint64)
    # SHA-256(key ‖ chunk ‖ block) is of one block: 48 bytes, a one bit, and their number in bits.
    words = np.zeros((16, count, _BLOCKS), np.uint32)
    words[:8] = np.frombuffer(key, ">u4")[:, None, None]
    words[8:10] = numbers.astype(">u8").view(">u4").reshape(-1, 2).T[..., None]
    words[11] = np.arange(_BLOCKS)
    words[12] = 1 << 31
    words[15] = 48 * 8
    state = np.repeat(INITIAL, count * _BLOCKS, axis=1)
    compress(state, words.reshape(16, -1))
    return np.ascontiguousarray(state.T, ">u4").view(np.uint8).ravel()


def _check_key(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise KeystreamError(f"The key of a sale has {KEY_SIZE} bytes, and this has {len(key):,}.")
