"""The message's error-correcting code: a turbo code of rate 1/5, decoded by soft decisions.

Two recursive systematic convolutional encoders of eight states (generators 13, 15 and 17 octal,
those of 3GPP2 C.S0002), joined by an S-random interleaver and decoded by constant-log-MAP with
scaled extrinsic information:

- C. Berrou, A. Glavieux, P. Thitimajshima, "Near Shannon limit error-correcting coding and
  decoding: turbo-codes", ICC 1993, 1064-1070.
- S. Dolinar, D. Divsalar, "Weight distributions for turbo codes using random and nonrandom
  permutations", TDA Progress Report 42-122, 1995 (the S-random interleaver).
- W. J. Gross, P. G. Gulak, "Simplified MAP algorithm suitable for implementation of turbo
  decoders", Electronics Letters 34(16), 1998 (a sum of exponentials is the greater, and a constant
  more where both are near each other).

The code is systematic and low in rate, and what a channel drops simply arrives as zeros: a slice
that holds a quarter of the code word reads alone, and slices add up.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit, prange

_STATES = 8
_MEMORY = 3
_TAIL = 6 * _MEMORY
_ITERATIONS = 24
_SCALE = np.float32(0.95)
# What two exponents add to the greater one, and how near each other they are then.
_BOTH, _NEAR = np.float32(0.375), np.float32(2)
_SEED = 0x4D_57_31
# Share of the bound on the spread of a permutation that a greedy choice still reaches.
_SPREAD = 0.4


def _trellis() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return next state and the two parity bits for each state and input bit."""
    following = np.zeros((_STATES, 2), np.int64)
    parity = np.zeros((_STATES, 2, 2), np.int64)
    for state in range(_STATES):
        a, b, c = state >> 2 & 1, state >> 1 & 1, state & 1
        for bit in (0, 1):
            feedback = bit ^ b ^ c
            following[state, bit] = feedback << 2 | a << 1 | b
            parity[state, bit] = feedback ^ a ^ c, feedback ^ a ^ b ^ c
    return following, parity


_FOLLOWING, _PARITY = _trellis()


@njit(cache=True)
def _s_random(size, spread, seed):  # type: ignore[no-untyped-def]
    """Return an S-random permutation, or one with -1 at its end where the spread is too great."""
    pool = np.arange(size)
    state = np.uint64(seed)
    for i in range(size - 1, 0, -1):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        j = np.int64(state % np.uint64(i + 1))
        pool[i], pool[j] = pool[j], pool[i]
    chosen = np.full(size, -1, np.int64)
    left = size
    for i in range(size):
        found = -1
        for t in range(left):
            good = True
            for back in range(max(0, i - spread), i):
                if abs(chosen[back] - pool[t]) < spread:
                    good = False
                    break
            if good:
                found = t
                break
        if found < 0:
            return chosen
        chosen[i] = pool[found]
        for t in range(found, left - 1):
            pool[t] = pool[t + 1]
        left -= 1
    return chosen


@njit(cache=True)
def _convolve(bits, following, parity, first, second, tail):  # type: ignore[no-untyped-def]
    """Encode one constituent: parities of the bits, then the tail that drives the state to 0."""
    state = 0
    for t in range(bits.size):
        first[t] = parity[state, bits[t], 0]
        second[t] = parity[state, bits[t], 1]
        state = following[state, bits[t]]
    for t in range(3):
        bit = (state >> 1 & 1) ^ (state & 1)
        tail[t] = bit
        tail[3 + t] = parity[state, bit, 0]
        tail[6 + t] = parity[state, bit, 1]
        state = following[state, bit]


@njit(cache=True, fastmath=True)
def _map_pass(systematic, first, second, following, parity, alpha, extrinsic):  # type: ignore[no-untyped-def]
    """One constant-log-MAP pass; `extrinsic` is what the parities say of each bit."""
    steps = systematic.size
    lowest = np.float32(-1e9)
    gamma = np.empty(4, np.float32)
    for s in range(8):
        alpha[0, s] = lowest
    alpha[0, 0] = 0
    for t in range(steps):
        for s in range(8):
            alpha[t + 1, s] = lowest
        half = np.float32(0.5) * systematic[t]
        for p in range(4):
            a = np.float32(0.5) if p & 1 else np.float32(-0.5)
            b = np.float32(0.5) if p & 2 else np.float32(-0.5)
            gamma[p] = a * first[t] + b * second[t]
        best = lowest
        for s in range(8):
            for u in range(2):
                g = gamma[parity[s, u, 0] + 2 * parity[s, u, 1]]
                m = alpha[t, s] + g + (half if u else -half)
                n = following[s, u]
                old = alpha[t + 1, n]
                top = max(m, old)
                if abs(m - old) < _NEAR:
                    top += _BOTH
                alpha[t + 1, n] = top
        for s in range(8):
            best = max(best, alpha[t + 1, s])
        for s in range(8):
            alpha[t + 1, s] -= best
    beta = np.full(8, lowest, np.float32)
    beta[0] = 0
    before = np.empty(8, np.float32)
    for t in range(steps - 1, -1, -1):
        half = np.float32(0.5) * systematic[t]
        for p in range(4):
            a = np.float32(0.5) if p & 1 else np.float32(-0.5)
            b = np.float32(0.5) if p & 2 else np.float32(-0.5)
            gamma[p] = a * first[t] + b * second[t]
        one = lowest
        zero = lowest
        top = lowest
        for s in range(8):
            b0 = beta[following[s, 0]] + gamma[parity[s, 0, 0] + 2 * parity[s, 0, 1]]
            b1 = beta[following[s, 1]] + gamma[parity[s, 1, 0] + 2 * parity[s, 1, 1]]
            y0 = alpha[t, s] + b0
            y1 = alpha[t, s] + b1
            near0 = abs(y0 - zero) < _NEAR
            near1 = abs(y1 - one) < _NEAR
            zero = max(zero, y0)
            one = max(one, y1)
            if near0:
                zero += _BOTH
            if near1:
                one += _BOTH
            x0 = b0 - half
            x1 = b1 + half
            before[s] = max(x0, x1)
            if abs(x0 - x1) < _NEAR:
                before[s] += _BOTH
            top = max(top, before[s])
        for s in range(8):
            beta[s] = before[s] - top
        extrinsic[t] = one - zero


@njit(cache=True, fastmath=True)
def _decode(llr, order, following, parity, iterations, posterior):  # type: ignore[no-untyped-def]
    """Iterate the two passes until the bits rest, and write the posterior log ratios."""
    size = order.size
    a = np.zeros(size, np.float32)
    e = np.zeros(size + 3, np.float32)
    e1 = np.zeros(size, np.float32)
    systematic = np.empty(size + 3, np.float32)
    first = np.empty((2, size + 3), np.float32)
    second = np.empty((2, size + 3), np.float32)
    alpha = np.empty((size + 4, 8), np.float32)
    tail = llr[5 * size :]
    for c in range(2):
        first[c, :size] = llr[(1 + 2 * c) * size : (2 + 2 * c) * size]
        second[c, :size] = llr[(2 + 2 * c) * size : (3 + 2 * c) * size]
        first[c, size:] = tail[9 * c + 3 : 9 * c + 6]
        second[c, size:] = tail[9 * c + 6 : 9 * c + 9]
    for iteration in range(iterations):
        for i in range(size):
            systematic[i] = llr[i] + a[i]
        systematic[size:] = tail[0:3]
        _map_pass(systematic, first[0], second[0], following, parity, alpha, e)
        for i in range(size):
            e1[i] = e[i] * _SCALE
        for i in range(size):
            systematic[i] = llr[order[i]] + e1[order[i]]
        systematic[size:] = tail[9:12]
        _map_pass(systematic, first[1], second[1], following, parity, alpha, e)
        changed = 0
        for i in range(size):
            j = order[i]
            a[j] = e[i] * _SCALE
            value = llr[j] + e1[j] + a[j]
            if (value > 0) != (posterior[j] > 0):
                changed += 1
            posterior[j] = value
        if changed == 0 and iteration > 0:
            break


@njit(cache=True, parallel=True)
def _decode_all(llrs, order, following, parity, iterations, posteriors):  # type: ignore[no-untyped-def]
    for n in prange(llrs.shape[0]):
        _decode(llrs[n], order, following, parity, iterations, posteriors[n])


@cache
def _interleaver(size: int) -> npt.NDArray[np.int64]:
    spread = int(_SPREAD * np.sqrt(size / 2)) + 2
    while True:
        order = _s_random(size, spread, _SEED + size)
        if order[-1] >= 0:
            return np.asarray(order)
        spread -= 1


class TurboCode:
    """The code for messages of one length.

    Parameters
    ----------
    bits : int
        Length of a message in bits, at least 1.

    Attributes
    ----------
    bits, length : int
        Bits of a message and of its code word, ``5 * bits + 18``.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.length = self.length_of(bits)
        self._order = _interleaver(bits)

    @staticmethod
    def length_of(bits: int) -> int:
        """Return the length of the code word of so many bits."""
        return 5 * bits + _TAIL

    def encode(self, message: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Encode a message.

        Parameters
        ----------
        message : (bits,) uint8 array of 0 and 1

        Returns
        -------
        (length,) uint8 array; its first `bits` are the message itself.
        """
        size = self.bits
        word = np.zeros(self.length, np.uint8)
        word[:size] = message
        tail = word[5 * size :]
        for c, bits in enumerate((message, message[self._order])):
            first = word[(1 + 2 * c) * size : (2 + 2 * c) * size]
            second = word[(2 + 2 * c) * size : (3 + 2 * c) * size]
            _convolve(bits, _FOLLOWING, _PARITY, first, second, tail[9 * c : 9 * c + 9])
        return word

    def decode(self, llrs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Decode many received words at once.

        Parameters
        ----------
        llrs : (n, length) float32 array
            Log likelihood ratios, positive for a 1, 0 for what was not received.

        Returns
        -------
        (n, bits) float32 array of posterior log ratios of the message's bits. Whether they are
        right is for a check in the message to say.
        """
        posteriors = np.zeros((len(llrs), self.bits), np.float32)
        received = np.ascontiguousarray(np.clip(llrs, -30, 30), np.float32)
        _decode_all(received, self._order, _FOLLOWING, _PARITY, _ITERATIONS, posteriors)
        return posteriors
