"""Slices that are means of neighbours, as a thicker reformation makes them.

Each of the slices had its projections on points of a lattice, so a mean of m of them has its own
on a lattice of an m-th of the step, and what it says is the sum, modulo 2, of the bits that they
said at the same place. Sums of bits of a linear code are equations in the bits of the message:
the surest that are independent give it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.polar_code import PolarCode

#: How many neighbours a mean may be of.
MEANS = (2, 3)
# Selections of equations that are tried: the surest, and then with the order shaken.
_TRIALS = 24
# Bits of a message that sums may leave open.
_MOST_FREE = 3
# Share of what all equations say that has to agree with a solution; chance has half.
_AGREEING = 0.75

Bits = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def shift_of(mean: int) -> float:
    """Return by what the lattice of a mean of so many slices lies beside its own, in its steps.

    Points of slices lie a quarter of a step above (1) or below (0) its multiples. With k ones of
    m, the mean is at (2 k - m) / 4 of its own steps: the shift takes an odd k to a quarter above.
    """
    return (mean - 1) / 4


def solve(places: Sequence[IntArray], ratios: Floats, code: TurboCode | PolarCode) -> list[Bits]:
    """Return the messages whose code words have such sums of bits.

    After ordered statistics (M. Fossorier, S. Lin, IEEE Transactions on Information Theory 41(5),
    1995), of order 0.

    Parameters
    ----------
    places : sequence of (n,) int64 arrays
        Where the bits of each sum stand in the code word, an array for each term.
    ratios : (n,) float32 array
        Log ratio of each sum, positive for an odd one.
    code : TurboCode or PolarCode

    Returns
    -------
    list of (bits,) uint8 arrays, none where the sums agree with none that was tried. Several, where
    sums do not tell: those of two bits are the same of a word and its complement.
    """
    terms, says = _distinct(places, ratios)
    rows = np.bitwise_xor.reduce(_rows(code)[terms], axis=1)
    odd = (says > 0).astype(np.uint8)
    sure = np.abs(says).astype(np.float64)
    chance = np.random.default_rng(0)
    for trial in range(_TRIALS):
        shaken = sure * (chance.exponential(size=len(sure)) if trial else 1.0)
        order = np.argsort(-shaken, kind="stable")
        basis, value, filled = _eliminate(rows, odd, order, code.bits)
        free = np.flatnonzero(~filled)
        if len(free) > _MOST_FREE:
            return []
        found = []
        for guess in itertools.product((0, 1), repeat=len(free)):
            value[free] = guess
            found.append(_substituted(basis, value, filled))
        word = code.encode(found[0])
        agrees = (np.bitwise_xor.reduce(word[terms], axis=1) == odd) @ sure
        if agrees > _AGREEING * sure.sum():
            return found
    return []


def _distinct(places: Sequence[IntArray], ratios: Floats) -> tuple[IntArray, FloatArray]:
    """Return the sums that differ, (n, m), and what all that say the same say together."""
    terms = np.sort(np.stack([one.ravel() for one in places], axis=1), axis=1)
    terms, which = np.unique(terms, axis=0, return_inverse=True)
    says = np.bincount(which.ravel(), ratios.ravel(), len(terms))
    return terms, says.astype(np.float64)


def _rows(code: TurboCode | PolarCode) -> npt.NDArray[np.uint64]:
    """Return which bits of the message each bit of the code word is the sum of, 64 to a word."""
    columns = np.stack([code.encode(unit) for unit in np.eye(code.bits, dtype=np.uint8)])
    width = -(-code.bits // 64) * 64
    table = np.zeros((code.length, width), np.uint8)
    table[:, : code.bits] = columns.T
    return np.packbits(table, axis=1, bitorder="little").view(np.uint64)


@njit(cache=True)
def _eliminate(rows, odd, order, size):  # type: ignore[no-untyped-def]
    """Solve the first independent equations of an order, by Gaussian elimination modulo 2."""
    words = rows.shape[1]
    basis = np.zeros((size, words), np.uint64)
    value = np.zeros(size, np.uint8)
    filled = np.zeros(size, np.bool_)
    one = np.uint64(1)
    rank = 0
    row = np.empty(words, np.uint64)
    for n in order:
        if rank == size:
            break
        row[:] = rows[n]
        bit = odd[n]
        pivot = -1
        for w in range(words):
            while row[w]:
                low = row[w] & (~row[w] + one)
                at = np.uint64(0)
                while (low >> at) != one:
                    at += one
                place = w * 64 + int(at)
                if filled[place]:
                    for v in range(w, words):
                        row[v] ^= basis[place, v]
                    bit ^= value[place]
                else:
                    pivot = place
                    break
            if pivot >= 0:
                break
        if pivot >= 0:
            basis[pivot] = row
            value[pivot] = bit
            filled[pivot] = True
            rank += 1
    return basis, value, filled


@njit(cache=True)
def _substituted(basis, value, filled):  # type: ignore[no-untyped-def]
    """Return the bits, given those that equations leave open."""
    size = value.size
    bits = np.zeros(size, np.uint8)
    one = np.uint64(1)
    for place in range(size - 1, -1, -1):
        bit = value[place]
        if filled[place]:
            for other in range(place + 1, size):
                if basis[place, other >> 6] >> np.uint64(other & 63) & one:
                    bit ^= bits[other]
        bits[place] = bit
    return bits
