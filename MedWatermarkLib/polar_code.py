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
# Penalty of a path that there is not.
_NEVER = 1e30

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
        self._nodes = _nodes(self._frozen)

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
        _decode_all(received, self._frozen, self._nodes, self._exponent, found)
        return found[:, :, ~self._frozen]


@cache
def _frozen(bits: int, exponent: int) -> npt.NDArray[np.bool_]:
    index = np.arange(1 << exponent)
    weight = sum((index >> j & 1) * _BETA**j for j in range(exponent))
    frozen = np.ones(len(index), bool)
    frozen[np.argsort(weight, kind="stable")[len(index) - bits :]] = False
    return frozen


def _nodes(frozen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return how many bits are decided at once from each on: all are frozen but maybe the last."""
    sizes = np.ones(len(frozen), np.int64)
    for n in range(len(frozen)):
        size = 1
        while n % (2 * size) == 0 and n + 2 * size <= len(frozen):
            if not frozen[n : n + 2 * size - 1].all():
                break
            size *= 2
        sizes[n] = size
    return sizes


@njit(cache=True, parallel=True)
def _decode_all(received, frozen, nodes, exponent, found):  # type: ignore[no-untyped-def]
    for n in prange(received.shape[0]):
        _decode(received[n], frozen, nodes, exponent, found[n])


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


@njit(cache=True)
def _least(offered, count):  # type: ignore[no-untyped-def]
    """Return which are the least, so many of them at most, and none that is never to be."""
    limit = np.partition(offered, count - 1)[count - 1]
    kept = offered < limit
    more = count - kept.sum()
    for m in range(len(offered)):
        if more > 0 and offered[m] == limit and limit < _NEVER:
            kept[m] = True
            more -= 1
    return kept


@njit(cache=True, fastmath=True)
def _decode(received, frozen, nodes, exponent, found):  # type: ignore[no-untyped-def]
    """Follow the likeliest paths through the bits of a word, positive for a 0."""
    length = 1 << exponent
    paths = found.shape[0]
    # Layers lie behind each other, each half as long as the one before.
    start = np.zeros(exponent + 2, np.int64)
    for layer in range(exponent + 1):
        start[layer + 1] = start[layer] + (length >> layer)
    ratios = np.empty((paths, start[exponent + 1]), np.float32)
    sums = np.zeros((paths, 2, start[exponent + 1]), np.uint8)
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
    worst = np.float32(_NEVER)
    offered = np.empty(2 * paths, np.float32)
    n = 0
    while n < length:
        node = nodes[n]
        bottom, last = exponent, n + node - 1
        while length >> bottom < node:
            bottom -= 1
        place = n // node
        first = bottom
        while first > 1 and (place >> (bottom - first)) % 2 == 0:
            first -= 1
        for layer in range(first, bottom + 1):
            size = length >> layer
            at, above = start[layer], start[layer - 1]
            odd = (place >> (bottom - layer)) % 2
            for p in range(paths):
                if not alive[p]:
                    continue
                own, shared = _own(of, uses, spare, left, layer, p)
                if own != shared:
                    for b in range(at, at + size):
                        sums[own, 0, b] = sums[shared, 0, b]
                parent = of[layer - 1, p]
                if odd:
                    for b in range(size):
                        one, other = ratios[parent, above + b], ratios[parent, above + size + b]
                        ratios[own, at + b] = other - one if sums[own, 0, at + b] else other + one
                else:
                    for b in range(size):
                        one, other = ratios[parent, above + b], ratios[parent, above + size + b]
                        least = min(abs(one), abs(other))
                        ratios[own, at + b] = least if (one >= 0) == (other >= 0) else -least
        leaf, side = start[bottom], place % 2
        for p in range(paths):
            offered[2 * p] = offered[2 * p + 1] = worst
            if not alive[p]:
                continue
            zeros = ones = penalty[p]
            for b in range(leaf, leaf + node):
                ratio = ratios[of[bottom, p], b]
                zeros += max(-ratio, np.float32(0))
                ones += max(ratio, np.float32(0))
            offered[2 * p], offered[2 * p + 1] = zeros, worst if frozen[last] else ones
        kept = _least(offered, paths)
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
                own, shared = _own(of, uses, spare, left, bottom, free)
                sums[own, :, leaf : leaf + node] = sums[shared, :, leaf : leaf + node]
                bits[free, :n] = bits[p, :n]
                sums[own, side, leaf : leaf + node] = bits[free, last] = 1
                penalty[free] = offered[2 * p + 1]
            bit = 0 if kept[2 * p] else 1
            sums[of[bottom, p], side, leaf : leaf + node] = bits[p, last] = bit
            penalty[p] = offered[2 * p + bit]
        layer = bottom
        while place % 2 == 1 and layer > 0:
            size, above = length >> layer, start[layer - 1]
            for p in range(paths):
                if not alive[p]:
                    continue
                own, shared = _own(of, uses, spare, left, layer - 1, p)
                if own != shared:
                    for b in range(above, above + 2 * size):
                        ratios[own, b] = ratios[shared, b]
                        sums[own, 0, b] = sums[shared, 0, b]
                child, side = of[layer, p], (place >> 1) % 2
                for b in range(size):
                    second = sums[child, 1, start[layer] + b]
                    sums[own, side, above + b] = sums[child, 0, start[layer] + b] ^ second
                    sums[own, side, above + size + b] = second
            layer, place = layer - 1, place >> 1
        n += node
    order = np.argsort(np.where(alive, penalty, worst))
    for m in range(paths):
        found[m] = bits[order[m]]


#: The code of tags.
TAG_CODE = PolarCode(TAG_BITS, 9)
