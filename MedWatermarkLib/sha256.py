"""SHA-256 of many short messages at once, compiled.

For messages of a block or two `hashlib` spends its time on making objects. Here the messages are
lanes: every step is done to all of them before the next, in loops that the compiler turns into
vector instructions, whatever of them the machine has. It runs on one thread without the lock of
the interpreter.

References
----------
FIPS PUB 180-4, Secure Hash Standard, 2015.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

DIGEST_SIZE = 32

_BLOCK_SIZE = 64
# So many messages side by side that what is read and written at each step stays in the first cache.
_LANES = 256


def _first_bits(root: float) -> npt.NDArray[np.uint32]:
    """Return the first 32 bits of the fractional parts of a root of the first 64 primes."""
    primes = [n for n in range(2, 312) if all(n % divisor for divisor in range(2, n))]
    return np.array([int(prime**root % 1 * 2**32) for prime in primes], np.uint32)


# FIPS 180-4, sections 4.2.2 and 5.3.3. Double precision leaves 18 bits to spare.
_CONSTANTS = _first_bits(1 / 3)
_INITIAL = _first_bits(1 / 2)[:8]


def digests(messages: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the SHA-256 of each of several messages of one length.

    Parameters
    ----------
    messages : (n, length) uint8 array

    Returns
    -------
    (n, 32) uint8 array

    Raises
    ------
    ValueError
        If `messages` is no such array.
    """
    if messages.ndim != 2 or messages.dtype != np.uint8:
        raise ValueError("Messages to be hashed are the rows of an array of bytes.")
    count, length = messages.shape
    # FIPS 180-4, section 5.1.1: a one bit, zeros, and the number of bits in the last 8 bytes.
    padded = np.zeros((count, -(-(length + 9) // _BLOCK_SIZE) * _BLOCK_SIZE), np.uint8)
    padded[:, :length] = messages
    padded[:, length] = 0x80
    padded[:, -8:] = np.frombuffer((8 * length).to_bytes(8, "big"), np.uint8)
    results = np.empty((count, DIGEST_SIZE), np.uint8)
    _hash(padded, results)
    return results


@njit(cache=True, nogil=True)
def _hash(padded, results):  # type: ignore[no-untyped-def]
    words = np.empty((16, _LANES), np.uint32)
    state = np.empty((8, _LANES), np.uint32)
    for first in range(0, padded.shape[0], _LANES):
        lanes = min(_LANES, padded.shape[0] - first)
        for i in range(8):
            state[i] = _INITIAL[i]
        for start in range(0, padded.shape[1], _BLOCK_SIZE):
            for lane in range(lanes):
                block = padded[first + lane, start : start + _BLOCK_SIZE]
                for i in range(16):
                    words[i, lane] = (
                        np.uint32(block[4 * i]) << np.uint32(24)
                        | np.uint32(block[4 * i + 1]) << np.uint32(16)
                        | np.uint32(block[4 * i + 2]) << np.uint32(8)
                        | np.uint32(block[4 * i + 3])
                    )
            _compress(state, words)
        for lane in range(lanes):
            for i in range(DIGEST_SIZE):
                results[first + lane, i] = state[i // 4, lane] >> np.uint32(24 - i % 4 * 8)


@njit(cache=True, nogil=True)
def _compress(state, words):  # type: ignore[no-untyped-def]
    """Take one block of each lane into its state (FIPS 180-4, section 6.2.2).

    Parameters
    ----------
    state : (8, lanes) uint32 array, altered
    words : (16, lanes) uint32 array, altered
        The block; in the end the last 16 words of its schedule.
    """
    work = state.copy()
    for t in range(64):
        # Rather than handing eight variables on, their rows change names.
        a, b, c, d = work[-t % 8], work[(1 - t) % 8], work[(2 - t) % 8], work[(3 - t) % 8]
        e, f, g, h = work[(4 - t) % 8], work[(5 - t) % 8], work[(6 - t) % 8], work[(7 - t) % 8]
        word, constant = words[t % 16], _CONSTANTS[t]
        for lane in range(state.shape[1]):
            x, y = e[lane], a[lane]
            choice = (x & f[lane]) ^ (~x & g[lane])
            majority = (y & b[lane]) ^ (y & c[lane]) ^ (b[lane] & c[lane])
            turned = _turn(x, 6) ^ _turn(x, 11) ^ _turn(x, 25)
            first = np.uint32(h[lane] + turned + choice + constant + word[lane])
            d[lane] += first
            h[lane] = first + (_turn(y, 2) ^ _turn(y, 13) ^ _turn(y, 22)) + majority
        after, seventh, second = words[(t + 1) % 16], words[(t + 9) % 16], words[(t + 14) % 16]
        for lane in range(state.shape[1]):
            x, y = after[lane], second[lane]
            word[lane] += (
                (_turn(x, 7) ^ _turn(x, 18) ^ x >> np.uint32(3))
                + seventh[lane]
                + (_turn(y, 17) ^ _turn(y, 19) ^ y >> np.uint32(10))
            )
    state += work


@njit(cache=True, nogil=True, inline="always")
def _turn(word, places):  # type: ignore[no-untyped-def]
    """Turn a word of 32 bits to the right."""
    return word >> np.uint32(places) | np.uint32(word << np.uint32(32 - places))
