"""Soft decisions: how likely each projection means a 1, and whether its block was marked at all."""

from __future__ import annotations

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
# Share of blocks taken for marked that may not be: masks differ a little after an attack.
_UNMARKED = 0.05


def deviation_of(coherence: FloatArray) -> FloatArray:
    """Return the noise, in steps, that leaves this mean of sin(2 pi x) on a lattice's points.

    For wrapped normal noise of deviation s the mean is exp(-2 pi² s²).
    """
    bounded = np.clip(coherence, _LEAST_COHERENCE, _GREATEST_COHERENCE)
    return np.asarray(np.sqrt(-np.log(bounded) / 2) / np.pi)


def log_ratios(
    phase: npt.NDArray[np.float32], slices: npt.NDArray[np.int64], deviation: FloatArray
) -> npt.NDArray[np.float32]:
    """Return log likelihood ratios of the bits of blocks.

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections in steps.
    slices : (n,) int64 array
        Slice of each block.
    deviation : (z,) float64 array
        Noise of each slice, in steps.

    Returns
    -------
    (n, g) float32 array, positive for a 1. Where the projections of a block agree with no bits,
    it was probably never marked, and all of them say little.
    """
    centre = (np.arange(_BINS) + 0.5) / _BINS
    offset = centre - 0.25 - np.arange(-2, 3)[:, None]
    density = np.exp(-0.5 * (offset / deviation[:, None, None]) ** 2).sum(axis=1)
    density /= np.sqrt(2 * np.pi) * deviation[:, None]
    tables = np.stack([np.roll(density, _BINS // 2, axis=1), density], 1).astype(np.float32)
    ratios = np.empty(phase.shape, np.float32)
    _soften(np.ascontiguousarray(phase), slices, tables, np.float32(_UNMARKED), ratios)
    return ratios


@njit(parallel=True, cache=True, fastmath=True)
def _soften(phase, slices, tables, unmarked, ratios):  # type: ignore[no-untyped-def]
    width = phase.shape[1]
    for n in prange(phase.shape[0]):
        marked = np.float32(1) - unmarked
        for g in range(width):
            x = phase[n, g]
            i = min(int((x - np.floor(x)) * 256), 255)
            both = np.float32(0.5) * (tables[slices[n], 0, i] + tables[slices[n], 1, i])
            marked *= max(both, np.float32(1e-6))
        for g in range(width):
            x = phase[n, g]
            i = min(int((x - np.floor(x)) * 256), 255)
            zero, one = tables[slices[n], 0, i], tables[slices[n], 1, i]
            others = marked / max(np.float32(0.5) * (zero + one), np.float32(1e-6))
            ratios[n, g] = np.log((others * one + unmarked) / (others * zero + unmarked))
