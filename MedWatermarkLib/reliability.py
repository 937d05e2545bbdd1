"""How far symbols can be trusted: by their slice, by the range of their block, by their pattern.

What a scan goes through seldom treats its blocks alike. A blur or a median leaves flat tissue as
it was and takes the mark from edges; a coarse JPEG takes it from flat tissue first, and from fine
patterns. Symbols whose bits are known tell how much each kind still says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.soft import USUALLY_UNMARKED, deviation_of, unmarked_share

# Kinds of blocks: half an octave of the range each, from this many steps.
_LEAST_RANGE, _KINDS_PER_OCTAVE, KINDS = 0.5, 2, 10
# Weight, in symbols, of what the volume says of the noise against what a slice says of its own.
_VOLUME_WEIGHT = 100.0
# By what a lattice may be longer; how many blocks may tell; the score, in standard deviations, at
# which it is seen, and by how much it is then to be better.
_STRETCHES = 2.0 ** (np.arange(-12, 9) / 16)
_FEW, _SEEN, _BETTER = 30, 4.0, 2.0
# Variance of the sine of a symbol that says little.
_VARIANCE = 0.5

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
    coherence : (z, kinds, g) float64 array
        Mean correlation of symbols with their bits: 1 without noise, 0 without a mark.
    unmarked : float
        Share of the blocks that carry no mark, whatever their kind.
    """

    coherence: FloatArray
    unmarked: float

    def deviation(self, width: int, ratio: float = 1.0) -> FloatArray:
        """Return the noise of symbols of so many patterns, in steps that are longer by a ratio.

        Patterns of which nothing is known are taken for as good as the last.
        """
        patterns = np.minimum(np.arange(width), self.coherence.shape[2] - 1)
        return deviation_of(self.coherence[:, :, patterns], self.unmarked) / ratio


def reliability_of(
    phase: Floats, signs: Floats, slices: IntArray, kinds: IntArray, depth: int
) -> Reliability:
    """Learn from symbols whose bits are known.

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections, in steps.
    signs : (n, g) float32 array
        Their bits, 1 and -1.
    slices, kinds : (n,) int64 array
        Of each block.
    depth : int
        How many slices there are.
    """
    waves = np.sin(2 * np.pi * phase) * signs
    width = phase.shape[1]
    volume = float(waves.mean()) if waves.size else 0.0
    counts = np.bincount(slices, minlength=depth) * float(width)
    sums = np.bincount(slices, waves.sum(axis=1), depth)
    weight = counts / (counts + _VOLUME_WEIGHT)
    by_slice = weight * sums / np.maximum(counts, 1) + (1 - weight) * volume
    share = np.clip(by_slice / volume, 0, None) if volume > 0 else np.ones(depth)
    # What is peculiar to a kind, and then to a pattern in it, beside what is to the slice.
    expected: FloatArray = np.bincount(kinds, share[slices], KINDS).astype(np.float64)
    sums_of = [np.bincount(kinds, waves[:, g], KINDS) for g in range(width)]
    found = np.stack(sums_of, axis=1).astype(np.float64)
    by_kind = _drawn(found.sum(axis=1), expected * float(width), np.full(KINDS, volume))
    by_pattern = _drawn(
        found.ravel(), np.repeat(expected, width), np.repeat(by_kind, width)
    ).reshape(KINDS, width)
    return Reliability(share[:, None, None] * by_pattern, _unmarked(phase, waves, kinds))


def stretches_of(phase: Floats, signs: Floats, kinds: IntArray) -> FloatArray:
    """Return by what the lattice of each kind and pattern is longer than it is taken to be.

    Parameters
    ----------
    phase, signs, kinds
        As for `reliability_of`.

    Returns
    -------
    (kinds, g) float64 array, 1 where chance could have told another.
    """
    width = phase.shape[1]
    found = np.ones((KINDS, width))
    usual = int(np.flatnonzero(_STRETCHES == 1)[0])
    for kind in np.flatnonzero(np.bincount(kinds, minlength=KINDS) >= _FEW):
        these = kinds == kind
        turns = 2 * np.pi * phase[these]
        for g in range(width):
            waves = np.sin(turns[:, g] / _STRETCHES[:, None]) @ signs[these, g]
            scores = waves / np.sqrt(_VARIANCE * len(turns))
            best = int(scores.argmax())
            if scores[best] > _SEEN and scores[best] - scores[usual] > _BETTER:
                found[kind, g] = _STRETCHES[best]
    return found


def _drawn(sums: FloatArray, counts: FloatArray, towards: FloatArray) -> FloatArray:
    """Return means, drawn towards what is expected as far as chance may have moved them.

    After James and Stein: how far the means differ more than chance would have them tells how
    much they say (B. Efron, C. Morris, Journal of the American Statistical Association 70, 1975).
    """
    means = sums / np.maximum(counts, 1)
    chance = _VARIANCE / np.maximum(counts, 1)
    weights = counts / max(counts.sum(), 1)
    between = float((weights * ((means - towards) ** 2 - chance)).sum())
    if between <= 0:
        return towards
    weight = between / (between + chance)
    return np.asarray(weight * means + (1 - weight) * towards)


def _unmarked(phase: Floats, waves: Floats, kinds: IntArray) -> float:
    """Return the share of blocks that carry no mark, of the kinds in which the lattice is seen."""
    width = phase.shape[1]
    counts = np.bincount(kinds, minlength=KINDS) * float(width)
    first = np.bincount(kinds, waves.sum(axis=1), KINDS)
    second = np.bincount(kinds, -np.cos(4 * np.pi * phase).sum(axis=1), KINDS)
    shares = [
        (unmarked_share(first[k] / counts[k], second[k] / counts[k], int(counts[k])), counts[k])
        for k in np.flatnonzero(counts)
    ]
    seen = [(share, count) for share, count in shares if share is not None]
    if not seen:
        return USUALLY_UNMARKED
    return float(np.average([s for s, _ in seen], weights=[c for _, c in seen]))
