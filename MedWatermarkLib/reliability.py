"""How far symbols can be trusted: by their slice, and by the range of their block.

What a scan goes through seldom treats its blocks alike. A blur or a median leaves flat tissue as
it was and takes the mark from edges; a coarse JPEG takes it from flat tissue first. Symbols whose
bits are known tell how much each kind still says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.change import BOLD_LEVELS, FINE_LEVELS
from MedWatermarkLib.soft import likelihood_ratios

# Kinds of blocks: half an octave of the range each, from this many steps.
_LEAST_RANGE, _KINDS_PER_OCTAVE, KINDS = 0.5, 2, 10
#: Noise that the levels of a change leave, in steps: they share out a step evenly.
BOLD_NOISE, FINE_NOISE = (1 / (levels * np.sqrt(12)) for levels in (BOLD_LEVELS, FINE_LEVELS))
# Noise that is told apart, in steps; what of it may be even, and by range what is not, of blocks of
# the first kind; and how many of these noises a kind is usually away from the others' curve, and a
# slice at most from the others.
NOISES = 0.03 * 1.2 ** np.arange(18)
_EVEN, _UNEVEN = NOISES, np.append(0.0, 0.002 * 1.4 ** np.arange(16))
_LOOSE = 3
# Parts of a step; and steps beyond which a projection says little of how long they are.
_BINS, _FAR = 64, 32
# Shares of blocks without a mark that are told apart, the usual one first, and by how much likelier
# than it another has to be.
_UNMARKED, _CLEARLY = (0.05, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 3.0
# By what a lattice may be longer; how many blocks may tell, and how much likelier it is then to be.
_STRETCHES = 2.0 ** (np.arange(-12, 9) / 16)
_FEW, _BETTER = 30, 6.0
# The same where bits are not known: blocks, standard deviations of what is seen and by how many it
# is to be clearer; and by what symbols may be noisier than expected.
_FEW_BLIND, _SEEN, _CLEARER, _NOISIER = 200, 4.0, 2.0, 2.0 ** (np.arange(-8, 9) / 8)
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def kinds_of(ranges: FloatArray, step: float) -> IntArray:
    """Return the kinds of blocks.

    Parameters
    ----------
    ranges : (n,) array
        Greatest less least voxel of each block.
    step : float
        Lattice step of the tag.
    """
    octaves = np.log2(np.maximum(ranges / step, 1e-6) / _LEAST_RANGE)
    return np.asarray(np.clip(np.floor(_KINDS_PER_OCTAVE * octaves), 0, KINDS - 1), np.int64)


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far the symbols of a volume can be trusted.

    Attributes
    ----------
    deviation : (z, kinds) float64 array
        Noise of bold symbols, in steps.
    unmarked : float
        Share of the blocks that carry no mark, whatever their kind.
    """

    deviation: FloatArray
    unmarked: float


def reliability_of(
    phase: Floats, signs: Floats, slices: IntArray, kinds: IntArray, depth: int
) -> Reliability:
    """Learn from bold symbols, of which some bits are known.

    The noise of a kind is that of a curve with two parameters, noise that all blocks have and
    noise that grows with their range, and as far from it as what is seen of the kind says; and that
    of a slice is by a factor greater or less. All are the likeliest ones: a known bit says where
    its symbol should lie, an unknown one that it should lie at either place.

    Parameters
    ----------
    phase : (n,) float32 array
        Projections, in steps.
    signs : (n,) float32 array
        Their bits, 1 and -1, and 0 where a bit is not known.
    slices, kinds : (n,) int64 array
        Of each block.
    depth : int
        How many slices there are.
    """
    bins = ((phase - np.floor(phase)) * _BINS).astype(np.int64) % _BINS
    cells = ((slices * KINDS + kinds) * 3 + np.sign(signs).astype(np.int64) + 1) * _BINS + bins
    counts = np.bincount(cells, minlength=depth * KINDS * 3 * _BINS)
    counts = counts.reshape(depth, KINDS, 3 * _BINS).astype(np.float64)
    of_kinds = counts.sum(axis=0)
    # The curve: a share of the noise that is everywhere, and one that grows with the range.
    even, uneven = np.meshgrid(_EVEN, _UNEVEN, indexing="ij")
    ranges = 2.0 ** (np.arange(KINDS) / _KINDS_PER_OCTAVE)
    curves = _level(np.hypot(even[..., None], uneven[..., None] * ranges))
    fits = {}
    for share in _UNMARKED:
        likely = _log_likelihoods(share)
        fit = (of_kinds @ likely.T)[np.arange(KINDS), curves].sum(axis=2)
        fits[share] = float(fit.max()), curves[np.unravel_index(int(fit.argmax()), fit.shape)]
    # Noise may look like blocks without a mark; it is taken for the usual few of them.
    usual = _UNMARKED[0]
    unmarked = max(fits, key=lambda share: fits[share][0])
    if fits[unmarked][0] <= fits[usual][0] + _CLEARLY:
        unmarked = usual
    curve, likely = fits[unmarked][1], _log_likelihoods(unmarked)
    by_kind = of_kinds @ likely.T
    away = (np.arange(len(NOISES)) - curve[:, None]) / _LOOSE
    of_kind = np.argmax(by_kind - 0.5 * away**2, axis=1)
    factors = np.arange(-_LOOSE, _LOOSE + 1)
    levels = np.clip(of_kind + factors[:, None], 0, len(NOISES) - 1)
    by_slice = np.einsum("zkb,fkb->zf", counts, likely[levels], optimize=True)
    factor = factors[np.argmax(by_slice - 0.5 * (factors / (_LOOSE / 2)) ** 2, axis=1)]
    levels = np.clip(of_kind + factor[:, None], 0, len(NOISES) - 1)
    return Reliability(NOISES[levels], unmarked)


@cache
def _log_likelihoods(unmarked: float) -> FloatArray:
    """Return how likely noises make symbols: with a 0, any bit, and a 1; (noises, 3 * bins)."""
    phase = ((np.arange(_BINS) + 0.5) / _BINS).astype(np.float32)
    anywhere = np.full(_BINS, np.inf)
    found = []
    for noise in NOISES:
        zeros, ones = likelihood_ratios(phase, np.full(_BINS, noise), anywhere)
        found.append(np.hstack([zeros, (zeros + ones) / 2, ones]))
    likely = np.log((1 - unmarked) * np.array(found) + unmarked)
    likely.flags.writeable = False
    return likely


def _level(noise: FloatArray) -> IntArray:
    edges = np.sqrt(NOISES[1:] * NOISES[:-1])
    return np.searchsorted(edges, noise).astype(np.int64)


def stretches_of(
    phase: Floats, signs: Floats, kinds: IntArray, deviation: FloatArray, spread: FloatArray
) -> FloatArray:
    """Return by what the lattice of each kind is longer than it is taken to be.

    Parameters
    ----------
    phase, signs, kinds
        As for `reliability_of`.
    deviation, spread : (n,) float64 arrays
        Noise of each symbol, and how far it was spread before it was marked, in steps.

    Returns
    -------
    (kinds,) float64 array, 1 where chance could have told another.
    """
    found = np.ones(KINDS)
    for kind in np.flatnonzero(np.bincount(kinds, minlength=KINDS) >= _FEW):
        these = kinds == kind
        x, bits, noise, host = phase[these], signs[these], deviation[these], spread[these]
        likely = np.array(
            [_agreement(x / np.float32(f), bits, noise, host / f) for f in _STRETCHES]
        )
        best = int(likely.argmax())
        if likely[best] - likely[_STRETCHES == 1][0] > _BETTER:
            found[kind] = _STRETCHES[best]
    return found


def _agreement(phase: Floats, signs: Floats, noise: FloatArray, spread: FloatArray) -> float:
    zeros, ones = likelihood_ratios(phase, noise, spread)
    return float(np.log(np.maximum(np.where(signs > 0, ones, zeros), 1e-6)).sum())


def fine_of(
    phase: Floats, deviation: FloatArray, kinds: IntArray, unmarked: float
) -> tuple[FloatArray, FloatArray]:
    """Learn from symbols whose bits are not known.

    Whatever its bit, a symbol lies a quarter of a step from the lattice, so that the second
    harmonic shows it: of noise of deviation s its mean is exp(-8 pi² s²).

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections, in steps.
    deviation : (n, g) float64 array
        Their noise as it is expected, in steps.
    kinds : (n,) int64 array
        Of each block.
    unmarked : float
        Share of the blocks that carry no mark.

    Returns
    -------
    stretches : (kinds, g) float64 array
        By what the lattice is longer than it is taken to be, 1 where chance could have told
        another.
    noisier : (kinds, g) float64 array
        By what the noise is greater than expected, 1 where nothing is seen.
    """
    width = phase.shape[1]
    stretches, noisier = np.ones((KINDS, width)), np.ones((KINDS, width))
    usual = int(np.flatnonzero(_STRETCHES == 1)[0])
    enough = np.bincount(kinds, minlength=KINDS) >= _FEW_BLIND
    for g in range(width):
        place = np.floor(phase[:, g] * np.float32(_BINS)).astype(np.int64)
        seen = np.abs(place) < _FAR * _BINS
        cells = (2 * _FAR * kinds[seen] + _FAR) * _BINS + place[seen]
        counts = np.bincount(cells, minlength=2 * _FAR * _BINS * KINDS).reshape(KINDS, -1)
        of_kinds = counts.sum(axis=1)
        sums = counts @ _second_harmonics()
        for kind in np.flatnonzero(enough & (of_kinds > 0)):
            means = sums[kind] / of_kinds[kind]
            scores = means * np.sqrt(2 * of_kinds[kind])
            best = int(scores.argmax())
            if scores[best] < _SEEN or scores[best] - scores[usual] < _CLEARER:
                best = usual
            stretches[kind, g] = _STRETCHES[best]
            if scores[best] > _SEEN:
                noise, times = np.unique(deviation[kinds == kind, g], return_counts=True)
                expected = np.exp(-8 * (np.pi * _NOISIER[:, None] * noise) ** 2) @ times
                expected *= (1 - unmarked) / times.sum()
                noisier[kind, g] = _NOISIER[np.abs(expected - means[best]).argmin()]
    return stretches, noisier


@cache
def _second_harmonics() -> FloatArray:
    """Return the second harmonic of projections of each place, for each stretch, (places, m)."""
    phase = (np.arange(-_FAR * _BINS, _FAR * _BINS) + 0.5) / _BINS
    return np.asarray(-np.cos(4 * np.pi * phase[:, None] / _STRETCHES))
