"""Soft decisions: how likely each projection means a 1, and whether its block was marked at all."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

_BINS = 256
# The noise of a reader that sees no noise: the intervals that a restoration record keeps.
_LEAST_DEVIATION = 0.03
_GREATEST_COHERENCE = float(np.exp(-2 * (np.pi * _LEAST_DEVIATION) ** 2))
_LEAST_COHERENCE = 1e-3
# Noise is told apart to five hundredths of itself.
_DEVIATIONS = _LEAST_DEVIATION * 1.05 ** np.arange(68)
# Share of blocks taken for marked that are not: at least and at most.
_UNMARKED = (0.03, 0.9)
#: Where nothing tells.
USUALLY_UNMARKED = 0.05
# Standard deviations above which the second harmonic is taken for more than chance.
_SIGNIFICANT = 4.0


def unmarked_share(first: float, second: float, count: int) -> float | None:
    """Return the share of blocks that carry no mark, from two harmonics of symbols.

    Of a marked share m under wrapped normal noise of deviation s (in steps) the mean of
    sin(2 pi x), signed by the bits, is ``m exp(-2 pi² s²)``, that of -cos(4 pi x)
    ``m exp(-8 pi² s²)``: their ratio tells the noise, and the noise the share.

    Parameters
    ----------
    first, second : float
        The two means.
    count : int
        Symbols they were taken over.

    Returns
    -------
    float, or None where noise hides it.
    """
    if first <= 0 or second * np.sqrt(2 * count) < _SIGNIFICANT:
        return None
    marked = first * (first / second) ** (1 / 3)
    return float(np.clip(1 - marked, *_UNMARKED))


def deviation_of(coherence: FloatArray, unmarked: float) -> FloatArray:
    """Return the noise, in steps, that leaves this mean of sin(2 pi x) on a lattice's points.

    For wrapped normal noise of deviation s the mean is exp(-2 pi² s²) of the marked share.
    """
    coherence = coherence / (1 - unmarked)
    bounded = np.clip(coherence, _LEAST_COHERENCE, _GREATEST_COHERENCE)
    return np.asarray(np.sqrt(-np.log(bounded) / 2) / np.pi)


def log_ratios(
    phase: npt.NDArray[np.float32],
    kinds: npt.NDArray[np.int64],
    deviation: FloatArray,
    unmarked: float,
) -> npt.NDArray[np.float32]:
    """Return log likelihood ratios of the bits of blocks.

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections in steps.
    kinds : (n,) int64 array
        Kind of each block: its slice, its range, and whatever else tells of its noise.
    deviation : (kinds, g) float64 array
        Noise of each kind, in steps.
    unmarked : float
        Share of the blocks that carry no mark.

    Returns
    -------
    (n, g) float32 array, positive for a 1. Where the projections of a block agree with no bits,
    it was probably never marked, and all of them say little.
    """
    levels = np.log(deviation / _DEVIATIONS[0]) / np.log(_DEVIATIONS[1] / _DEVIATIONS[0])
    levels = np.clip(np.rint(levels), 0, len(_DEVIATIONS) - 1).astype(np.int64)
    ratios = np.empty(phase.shape, np.float32)
    phase = np.ascontiguousarray(phase)
    _soften(phase, kinds, levels, _densities(), np.float32(unmarked), ratios)
    return ratios


@cache
def _densities() -> npt.NDArray[np.float32]:
    """Return densities of projections by their noise, bit and place in a step."""
    centre = (np.arange(_BINS) + 0.5) / _BINS
    turns = np.arange(-2, 3)[:, None]
    spread = _DEVIATIONS[:, None, None]
    density = np.exp(-0.5 * ((centre - 0.25 - turns) / spread) ** 2).sum(axis=1)
    density /= np.sqrt(2 * np.pi) * _DEVIATIONS[:, None]
    return np.stack([np.roll(density, _BINS // 2, axis=1), density], 1).astype(np.float32)


@njit(parallel=True, cache=True, fastmath=True)
def _soften(phase, kinds, levels, densities, unmarked, ratios):  # type: ignore[no-untyped-def]
    width = phase.shape[1]
    for n in prange(phase.shape[0]):
        marked = np.float32(1) - unmarked
        for g in range(width):
            x = phase[n, g]
            i = min(int((x - np.floor(x)) * 256), 255)
            level = levels[kinds[n], g]
            zero, one = densities[level, 0, i], densities[level, 1, i]
            marked *= max(np.float32(0.5) * (zero + one), np.float32(1e-6))
        for g in range(width):
            x = phase[n, g]
            i = min(int((x - np.floor(x)) * 256), 255)
            level = levels[kinds[n], g]
            zero, one = densities[level, 0, i], densities[level, 1, i]
            others = marked / max(np.float32(0.5) * (zero + one), np.float32(1e-6))
            ratios[n, g] = np.log((others * one + unmarked) / (others * zero + unmarked))
