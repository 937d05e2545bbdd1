"""SHA-256 of many short messages at once, compiled.

For messages of a block `hashlib` spends most of its time on making objects. Here blocks are lanes:
every step is done to all of them before the next, in loops that the compiler turns into vector
instructions, whatever of them the machine has. One thread does it, without the interpreter's lock.

References
----------
FIPS PUB 180-4, Secure Hash Standard, 2015.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

# So many lanes at a time that what a step reads and writes stays in the first cache.
_LANES = 256


def _first_bits(root: float) -> npt.NDArray[np.uint32]:
    """Return the first 32 bits of the fractional parts of a root of the first 64 primes."""
    primes = [n for n in range(2, 312) if all(n % divisor for divisor in range(2, n))]
    return np.array([int(prime**root % 1 * 2**32) for prime in primes], np.uint32)


# Sections 4.2.2 and 5.3.3. Double precision leaves 18 bits to spare.
_CONSTANTS = _first_bits(1 / 3)
#: The state before the first block: (8, 1) uint32 array.
INITIAL = _first_bits(1 / 2)[:8, None]


def digests(*columns: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of messages of one length.

    Parameters
    ----------
    *columns : (n, length) or (1, length) uint8 arrays
        What stands behind each other in each message; of one row the same in all.

    Returns
    -------
    (n, 32) uint8 array
    """
    count = max(len(column) for column in columns)
    length = sum(column.shape[1] for column in columns)
    # Section 5.1.1: a one bit, zeros, and the number of bits in the last 8 bytes.
    blocks = -(-(length + 9) // 64)
    messages = np.zeros((count, 64 * blocks), np.uint8)
    start = 0
    for column in columns:
        messages[:, start : start + column.shape[1]] = column
        start += column.shape[1]
    messages[:, length] = 0x80
    messages[:, -8:] = np.frombuffer((8 * length).to_bytes(8), np.uint8)
    words = messages.view(">u4").reshape(count, blocks, 16)
    state = np.repeat(INITIAL, count, axis=1)
    for block in range(blocks):
        compress(state, np.ascontiguousarray(words[:, block].T, np.uint32))
    return np.ascontiguousarray(state.T, ">u4").view(np.uint8)


@njit(cache=True, nogil=True)
def compress(state, words):  # type: ignore[no-untyped-def]
    """Take one block of each message into its state (section 6.2.2).

    Parameters
    ----------
    state : (8, n) uint32 array, altered
        What came of the blocks before, `INITIAL` for the first; after the last, the digest.
    words : (16, n) uint32 array, altered
        The block of each message, whose bytes are big-endian; in the end the last 16 words of its
        schedule.
    """
    for start in range(0, state.shape[1], _LANES):
        stop = min(state.shape[1], start + _LANES)
        work = state[:, start:stop].copy()
        for t in range(64):
            _round(work, t, words[t % 16, start:stop])
            _schedule(
                words[t % 16, start:stop],
                words[(t + 1) % 16, start:stop],
                words[(t + 9) % 16, start:stop],
                words[(t + 14) % 16, start:stop],
            )
        state[:, start:stop] += work


@njit(cache=True, nogil=True)
def _round(work, t, word):  # type: ignore[no-untyped-def]
    # Rather than handing eight variables on, their rows change names.
    a, b, c, d = work[-t % 8], work[(1 - t) % 8], work[(2 - t) % 8], work[(3 - t) % 8]
    e, f, g, h = work[(4 - t) % 8], work[(5 - t) % 8], work[(6 - t) % 8], work[(7 - t) % 8]
    constant = _CONSTANTS[t]
    for lane in range(word.size):
        x, y = e[lane], a[lane]
        choice = (x & f[lane]) ^ (~x & g[lane])
        majority = (y & b[lane]) ^ (y & c[lane]) ^ (b[lane] & c[lane])
        turned = _turn(x, 6) ^ _turn(x, 11) ^ _turn(x, 25)
        first = np.uint32(h[lane] + turned + choice + constant + word[lane])
        d[lane] += first
        h[lane] = first + (_turn(y, 2) ^ _turn(y, 13) ^ _turn(y, 22)) + majority


@njit(cache=True, nogil=True)
def _schedule(word, second, tenth, fifteenth):  # type: ignore[no-untyped-def]
    """Put the word that comes 16 later in a word's place."""
    for lane in range(word.size):
        x, y = second[lane], fifteenth[lane]
        word[lane] += (
            (_turn(x, 7) ^ _turn(x, 18) ^ x >> np.uint32(3))
            + tenth[lane]
            + (_turn(y, 17) ^ _turn(y, 19) ^ y >> np.uint32(10))
        )


@njit(cache=True, nogil=True, inline="always")
def _turn(word, places):  # type: ignore[no-untyped-def]
    """Turn a word of 32 bits to the right."""
    return word >> np.uint32(places) | np.uint32(word << np.uint32(32 - places))
