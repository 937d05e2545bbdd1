"""The tag's error-correcting code: a polar code, decoded by lists.

A tag is short, and has a check of its own. For so few bits no code is known that comes nearer to
what a channel allows than a polar code of which the likeliest words are held against a check:

- E. Arıkan, "Channel polarization", IEEE Transactions on Information Theory 55(7), 2009.
- I. Tal, A. Vardy, "List decoding of polar codes", ibid. 61(5), 2015; in log ratios after
  A. Balatsoukas-Stimming, M. Bastani Parizi, A. Burg, IEEE Transactions on Signal Processing
  63(19), 2015.
- G. He et al., "Beta-expansion: a theoretical framework for fast and recursive construction of
  polar codes", GLOBECOM 2017 (which bits are frozen, whatever the channel).

What a channel drops arrives as zeros, and slices add up. The code is linear.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from MedWatermarkLib.tag import TAG_BITS

_BETA = 2.0**0.25

Bits = npt.NDArray[np.uint8]


class PolarCode:
    """The code for messages of one length.

    Parameters
    ----------
    bits : int
        Length of a message.
    exponent : int
        Binary logarithm of the length of a code word.

    Attributes
    ----------
    bits, length : int
    """

    def __init__(self, bits: int, exponent: int) -> None:
        self.bits, self.length = bits, 1 << exponent
        self._exponent = exponent
        self._frozen = _frozen(bits, exponent)

    def encode(self, message: Bits) -> Bits:
        """Encode a message.

        Parameters
        ----------
        message : (bits,) uint8 array of 0 and 1

        Returns
        -------
        (length,) uint8 array
        """
        word = np.zeros(self.length, np.uint8)
        word[~self._frozen] = message
        half = 1
        while half < self.length:
            pairs = word.reshape(-1, 2, half)
            pairs[:, 0] ^= pairs[:, 1]
            half *= 2
        return word

    def decode(self, llrs: npt.NDArray[np.float32], candidates: int) -> Bits:
        """Return the likeliest messages of many received words.

        Parameters
        ----------
        llrs : (n, length) float32 array
            Log likelihood ratios, positive for a 1, 0 for what was not received.
        candidates : int
            How many to follow: the more, the weaker may be what was received.

        Returns
        -------
        (n, candidates, bits) uint8 array, the likeliest first. Which is right is for a check in
        the message to say.
        """
        received = np.ascontiguousarray(-np.clip(llrs, -30, 30), np.float32)
        found = np.zeros((len(received), candidates, self.length), np.uint8)
        _decode_all(received, self._frozen, self._exponent, found)
        return found[:, :, ~self._frozen]


@cache
def _frozen(bits: int, exponent: int) -> npt.NDArray[np.bool_]:
    index = np.arange(1 << exponent)
    weight = sum((index >> j & 1) * _BETA**j for j in range(exponent))
    frozen = np.ones(len(index), bool)
    frozen[np.argsort(weight, kind="stable")[len(index) - bits :]] = False
    return frozen


@njit(cache=True, parallel=True)
def _decode_all(received, frozen, exponent, found):  # type: ignore[no-untyped-def]
    for n in prange(received.shape[0]):
        _decode(received[n], frozen, exponent, found[n])


@njit(cache=True)
def _own(of, uses, spare, left, layer, path):  # type: ignore[no-untyped-def]
    """Give a path an array of a layer to write to; return it and the one it had shared."""
    shared = of[layer, path]
    if uses[layer, shared] == 1:
        return shared, shared
    uses[layer, shared] -= 1
    left[layer] -= 1
    own = spare[layer, left[layer]]
    uses[layer, own] = 1
    of[layer, path] = own
    return own, shared


@njit(cache=True, fastmath=True)
def _decode(received, frozen, exponent, found):  # type: ignore[no-untyped-def]
    """Follow the likeliest paths through the bits of a word, positive for a 0."""
    length = 1 << exponent
    paths = found.shape[0]
    # Layers lie behind each other, each half as long as the one before.
    start = np.zeros(exponent + 2, np.int64)
    for layer in range(exponent + 1):
        start[layer + 1] = start[layer] + (length >> layer)
    ratios = np.empty((paths, start[exponent + 1]), np.float32)
    sums = np.zeros((paths, start[exponent + 1], 2), np.uint8)
    # Paths share arrays until one of them writes: which each has, who uses it, which are spare.
    of = np.zeros((exponent + 1, paths), np.int64)
    uses = np.zeros((exponent + 1, paths), np.int64)
    spare = np.empty((exponent + 1, paths), np.int64)
    left = np.full(exponent + 1, paths - 1)
    for layer in range(exponent + 1):
        uses[layer, 0] = 1
        for n in range(paths):
            spare[layer, n] = paths - 1 - n
    alive = np.zeros(paths, np.bool_)
    alive[0] = True
    penalty = np.zeros(paths, np.float32)
    bits = np.zeros((paths, length), np.uint8)
    ratios[0, :length] = received
    worst = np.float32(np.inf)
    offered = np.empty(2 * paths, np.float32)
    for n in range(length):
        first = exponent
        while first > 1 and (n >> (exponent - first)) % 2 == 0:
            first -= 1
        for layer in range(first, exponent + 1):
            size = length >> layer
            at, above = start[layer], start[layer - 1]
            odd = (n >> (exponent - layer)) % 2
            for p in range(paths):
                if not alive[p]:
                    continue
                own, shared = _own(of, uses, spare, left, layer, p)
                if own != shared:
                    sums[own, at : at + size] = sums[shared, at : at + size]
                parent = of[layer - 1, p]
                for b in range(size):
                    one, other = ratios[parent, above + b], ratios[parent, above + size + b]
                    if odd:
                        ratios[own, at + b] = other - one if sums[own, at + b, 0] else other + one
                    else:
                        least = min(abs(one), abs(other))
                        ratios[own, at + b] = least if (one >= 0) == (other >= 0) else -least
        leaf = start[exponent]
        if frozen[n]:
            for p in range(paths):
                if alive[p]:
                    penalty[p] += max(-ratios[of[exponent, p], leaf], np.float32(0))
                    sums[of[exponent, p], leaf, n % 2] = 0
        else:
            for p in range(paths):
                ratio = ratios[of[exponent, p], leaf]
                offered[2 * p] = penalty[p] + max(-ratio, np.float32(0)) if alive[p] else worst
                offered[2 * p + 1] = penalty[p] + max(ratio, np.float32(0)) if alive[p] else worst
            kept = np.zeros(2 * paths, np.bool_)
            for m in np.argsort(offered)[: min(paths, 2 * alive.sum())]:
                kept[m] = True
            was = alive.copy()
            for p in range(paths):
                if was[p] and not (kept[2 * p] or kept[2 * p + 1]):
                    alive[p] = False
                    for layer in range(exponent + 1):
                        mine = of[layer, p]
                        uses[layer, mine] -= 1
                        if uses[layer, mine] == 0:
                            spare[layer, left[layer]] = mine
                            left[layer] += 1
            was &= alive
            free = 0
            for p in range(paths):
                if not was[p]:
                    continue
                if kept[2 * p] and kept[2 * p + 1]:
                    while alive[free]:
                        free += 1
                    alive[free] = True
                    for layer in range(exponent + 1):
                        of[layer, free] = of[layer, p]
                        uses[layer, of[layer, p]] += 1
                    own, shared = _own(of, uses, spare, left, exponent, free)
                    sums[own, leaf] = sums[shared, leaf]
                    bits[free, :n] = bits[p, :n]
                    sums[own, leaf, n % 2] = bits[free, n] = 1
                    penalty[free] = offered[2 * p + 1]
                bit = 0 if kept[2 * p] else 1
                sums[of[exponent, p], leaf, n % 2] = bits[p, n] = bit
                penalty[p] = offered[2 * p + bit]
        layer, place = exponent, n
        while place % 2 == 1 and layer > 0:
            size, above = length >> layer, start[layer - 1]
            for p in range(paths):
                if not alive[p]:
                    continue
                own, shared = _own(of, uses, spare, left, layer - 1, p)
                if own != shared:
                    both = slice(above, above + 2 * size)
                    sums[own, both] = sums[shared, both]
                    ratios[own, both] = ratios[shared, both]
                child, side = of[layer, p], (place >> 1) % 2
                for b in range(size):
                    second = sums[child, start[layer] + b, 1]
                    sums[own, above + b, side] = sums[child, start[layer] + b, 0] ^ second
                    sums[own, above + size + b, side] = second
            layer, place = layer - 1, place >> 1
    order = np.argsort(np.where(alive, penalty, worst))
    for m in range(paths):
        found[m] = bits[order[m]]


#: The code of tags.
TAG_CODE = PolarCode(TAG_BITS, 9)
