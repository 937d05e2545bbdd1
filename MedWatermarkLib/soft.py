"""Soft decisions: how likely each projection means a 1, and whether its block was marked at all."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy import special

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# Projections are looked at up to so many steps from none, to so many parts of a step.
_REACH, _BINS = 3, 64
# Spreads of projections before they were marked that are told apart, in steps; the last is any.
_SPREADS = np.append(0.05 * 1.3 ** np.arange(14), np.inf)
# Share of projections, by the step, that lie anywhere, however they were spread.
_ANYWHERE = 0.01
# Shares of projections, and how many standard deviations of a normal one hold them.
_SHARES = np.array([0.5, 0.8, 0.9])
_NORMAL = special.ndtri((1 + _SHARES) / 2)
# Blocks that may tell how far those of their kind were spread.
_FEW = 30
# The noise of a reader that sees no noise: the intervals that a restoration record keeps.
_LEAST_DEVIATION = 0.03
# Noise is told apart to a tenth of itself.
_DEVIATIONS = _LEAST_DEVIATION * 1.1 ** np.arange(40)


def spread_of(phase: Floats, kinds: IntArray, count: int, deviation: FloatArray) -> FloatArray:
    """Return how far the projections of each kind of blocks were spread before they were marked.

    The mark moves projections by up to half a step, evenly, so by a variance of 1/12.

    Parameters
    ----------
    phase : (n,) float32 array
        Projections in steps.
    kinds : (n,) int64 array
    count : int
        How many kinds there are.
    deviation : (n,) float64 array
        Noise that was added since, in steps.

    Returns
    -------
    (count,) float64 array, standard deviation in steps; infinite where few blocks tell.
    """
    spread = np.full(count, np.inf)
    for kind in np.flatnonzero(np.bincount(kinds, minlength=count) >= _FEW):
        these = kinds == kind
        seen = (np.quantile(np.abs(phase[these]), _SHARES) / _NORMAL).max()
        added = np.median(deviation[these]) ** 2 + 1 / 12
        spread[kind] = np.sqrt(max(seen**2 - added, 0))
    return spread


def log_ratios(
    phase: Floats,
    kinds: IntArray,
    deviation: FloatArray,
    spread: FloatArray,
    unmarked: float,
) -> Floats:
    """Return log likelihood ratios of the bits of blocks.

    Where projections were spread by less than a step, a noisy one that lies beyond the first
    lattice points is not taken for one of the next: nothing had been there.

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections in steps.
    kinds : (n,) int64 array
        Kind of each block: its slice, its range, and whatever else tells of its noise.
    deviation : (kinds, g) float64 array
        Noise of each kind, in steps.
    spread : (kinds, g) float64 array
        Standard deviation of the projections of each kind before they were marked, in steps.
    unmarked : float
        Share of the blocks that carry no mark.

    Returns
    -------
    (n, g) float32 array, positive for a 1. Where the projections of a block agree with no bits,
    it was probably never marked, and all of them say little.
    """
    noise, hosts = _nearest(deviation, _DEVIATIONS), _nearest(spread, _SPREADS)
    ratios = np.empty(phase.shape, np.float32)
    phase = np.ascontiguousarray(phase)
    _soften(phase, kinds, noise, hosts, _likelihoods(), np.float32(unmarked), ratios)
    return ratios


def likelihood_ratios(phase: Floats, deviation: FloatArray, spread: FloatArray) -> FloatArray:
    """Return likelihood ratios of symbols that say a 0, and a 1, to ones without a mark.

    Parameters
    ----------
    phase : (n,) float32 array
        Projections in steps.
    deviation, spread : (n,) float64 arrays
        As for `log_ratios`, of each symbol.

    Returns
    -------
    (2, n) array
    """
    far = np.abs(phase) >= _REACH
    hosts = np.where(far, len(_SPREADS) - 1, _nearest(spread, _SPREADS))
    place = ((np.where(far, phase - np.floor(phase), phase) + _REACH) * _BINS).astype(np.int64)
    tables, noise = _likelihoods(), _nearest(deviation, _DEVIATIONS)
    place = np.minimum(place, tables.shape[-1] - 1)
    return np.stack([tables[hosts, noise, bit, place] for bit in (0, 1)]).astype(np.float64)


def _nearest(values: npt.NDArray[Any], ladder: npt.NDArray[Any]) -> IntArray:
    edges = np.sqrt(ladder[1:] * ladder[:-1])
    return np.searchsorted(edges, values).astype(np.int64)


@cache
def _likelihoods() -> Floats:
    """Return likelihood ratios of projections, of blocks with either bit to ones without a mark.

    Returns
    -------
    (spreads + 1, deviations, 2, 2 * _REACH * _BINS) float32 array, by the projection in steps from
    -_REACH on. The last spread is that of projections that may be anywhere.
    """
    y = (np.arange(2 * _REACH * _BINS) + 0.5) / _BINS - _REACH
    points = np.arange(-_REACH - 7, _REACH + 8) + np.array([[-0.25], [0.25]])
    tables = np.empty((len(_SPREADS), len(_DEVIATIONS), 2, len(y)), np.float32)
    for h, spread in enumerate(_SPREADS):
        if h == len(_SPREADS) - 1:
            shares = np.ones(points.shape)
        else:
            ends = points[..., None] + np.array([-0.5, 0.5])
            shares = np.diff(special.ndtr(ends / spread), axis=-1)[..., 0] + _ANYWHERE
        for s, noise in enumerate(_DEVIATIONS):
            seen = np.exp(-0.5 * ((y - points[..., None]) / noise) ** 2) / noise
            of_bits = (shares[..., None] * seen).sum(axis=1) / np.sqrt(2 * np.pi)
            if h == len(_SPREADS) - 1:
                unmarked = np.ones(len(y))
            else:
                total = np.hypot(spread, noise)
                unmarked = np.exp(-0.5 * (y / total) ** 2) / total / np.sqrt(2 * np.pi) + _ANYWHERE
            tables[h, s] = of_bits / unmarked
    return tables


@njit(parallel=True, cache=True, fastmath=True)
def _soften(phase, kinds, noise, hosts, tables, unmarked, ratios):  # type: ignore[no-untyped-def]
    width = phase.shape[1]
    for n in prange(phase.shape[0]):
        zeros = np.empty(width, np.float32)
        ones = np.empty(width, np.float32)
        marked = np.float32(1) - unmarked
        for g in range(width):
            x = phase[n, g]
            host = hosts[kinds[n], g]
            if abs(x) >= _REACH:
                # So far out there is no telling how many steps away.
                x -= np.floor(x)
                host = tables.shape[0] - 1
            i = min(int((x + _REACH) * _BINS), tables.shape[3] - 1)
            table = tables[host, noise[kinds[n], g]]
            zeros[g], ones[g] = table[0, i], table[1, i]
            marked *= max(np.float32(0.5) * (zeros[g] + ones[g]), np.float32(1e-6))
        for g in range(width):
            others = marked / max(np.float32(0.5) * (zeros[g] + ones[g]), np.float32(1e-6))
            ratios[n, g] = np.log((others * ones[g] + unmarked) / (others * zeros[g] + unmarked))
