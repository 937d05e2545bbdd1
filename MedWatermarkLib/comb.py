"""The kernels that ask, of many geometries, whether blocks lie on a lattice wherever they are.

Every marked block has its projections near a quarter above or below a multiple of the step,
whatever its bits are. That shows in the lattice's second harmonic once voxels are sampled as they
were marked. It takes neither pilots nor a place on the canonical plane, and all blocks vote.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.pilot_search import spline_weights

# Orders of the cosines that the pattern of bold projections is made of.
_ORDERS = 2
# Projections beyond so many steps say little, as an error of the step grows with them.
_REACH = np.float32(1.25)
# Symbols that are taken to be there and to say nothing: a score of few symbols is none.
_SILENT = np.float32(8)

FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


class CombTable:
    """The pattern of bold projections, taken apart into sums along rows and then along columns.

    Parameters
    ----------
    pattern : (64,) array

    Attributes
    ----------
    along : (2, 8) float32 array
        Cosines along x.
    across : (2, 8) float32 array
        What the pattern does along y with the sums along x.
    """

    def __init__(self, pattern: npt.NDArray[Any]) -> None:
        i = np.arange(BLOCK)
        order = np.arange(_ORDERS)[:, None]
        along = np.cos(np.pi * (2 * i + 1) * order / (2 * BLOCK)) / np.sqrt(BLOCK / 2)
        along[0] /= np.sqrt(2)
        across = along @ pattern.reshape(BLOCK, BLOCK).T
        self.along = np.ascontiguousarray(along, np.float32)
        self.across = np.ascontiguousarray(across, np.float32)


def ask_everywhere(
    splines: Floats,
    inside: Floats,
    maps: FloatArray,
    half: float,
    table: CombTable,
    steps: FloatArray,
) -> FloatArray:
    """Score geometries by the lattice in a window, wherever in it the blocks begin.

    Parameters
    ----------
    splines : (y, x, n) float32 array
        Coefficients of the cubic splines through some slices of a copy.
    inside : (ny, nx, n) float32 array
        1 where a block of 8x8 voxels of the copy may be marked, else 0.
    maps : (m, 6) float64 array
        The geometries: matrix, row by row, and the voxel of the copy around which the window lies.
    half : float
        Half of the window's side, in voxels of the marked slices.
    table : CombTable
    steps : (m, k) float64 array
        Lattice steps to try with each.

    Returns
    -------
    (m, 4) float64 array: score, in standard deviations of a chance one; voxels (y, x) from the
    window's middle to the first of a block, 0 to 7; the step.
    """
    results = np.zeros((len(maps), 4))
    _ask_everywhere(
        splines, inside, np.ascontiguousarray(maps), int(half // BLOCK), table.along,
        table.across, np.asarray(steps, np.float32), results,
    )  # fmt: skip
    return results


def ask_here(
    splines: Floats,
    inside: Floats,
    maps: FloatArray,
    half: float,
    table: CombTable,
    steps: FloatArray,
) -> FloatArray:
    """Score geometries by the lattice in a window, where it is known where blocks begin.

    Parameters
    ----------
    splines, inside, maps, half, table
        As for `ask_everywhere`; the window's middle is the first voxel of a block.
    steps : (k,) float64 array
        Lattice steps to try with all.

    Returns
    -------
    (m, 4) float64 array, as that of `ask_everywhere`.
    """
    results = np.zeros((len(maps), 4))
    _ask_here(
        splines, inside, np.ascontiguousarray(maps), int(half // BLOCK), table.along,
        table.across, np.asarray(steps, np.float32), results,
    )  # fmt: skip
    return results


@njit(fastmath=True, inline="always")
def _sample(splines, m, cy, cx, wy, wx, out):  # type: ignore[no-untyped-def]
    """Sample all slices at one place; beyond their edge, at it."""
    y = m[0] * cy + m[1] * cx + m[4]
    x = m[2] * cy + m[3] * cx + m[5]
    y = min(max(y, 1.0), splines.shape[0] - 2.001)
    x = min(max(x, 1.0), splines.shape[1] - 2.001)
    iy = int(y)
    ix = int(x)
    spline_weights(np.float32(y - iy), wy)
    spline_weights(np.float32(x - ix), wx)
    for z in range(splines.shape[2]):
        out[z] = np.float32(0)
    for a in range(4):
        for b in range(4):
            w = wy[a] * wx[b]
            for z in range(splines.shape[2]):
                out[z] += w * splines[iy - 1 + a, ix - 1 + b, z]


@njit(fastmath=True, inline="always")
def _block_of(inside, m, cy, cx):  # type: ignore[no-untyped-def]
    """Return row and column of the copy's block at a place; -1 beyond them all."""
    y = int(np.floor(m[0] * cy + m[1] * cx + m[4])) // 8
    x = int(np.floor(m[2] * cy + m[3] * cx + m[5])) // 8
    if y < 0 or x < 0 or y >= inside.shape[0] or x >= inside.shape[1]:
        return -1, -1
    return y, x


@njit(fastmath=True, inline="always")
def _wave(phase):  # type: ignore[no-untyped-def]
    """Minus the cosine of 2 pi times a phase, to 0.0002."""
    t = phase - np.floor(phase) - np.float32(0.5)
    t *= t
    return np.float32(1) + t * (
        np.float32(-19.734458)
        + t * (np.float32(64.739752) + t * (np.float32(-82.843162) + t * np.float32(46.572419)))
    )


@njit(fastmath=True, inline="always")
def _vote(values, within, step, totals, counts):  # type: ignore[no-untyped-def]
    """Add what projections say for a step."""
    scale = np.float32(2) / step
    bound = np.float32(2) * _REACH
    for t in range(values.shape[0]):
        phase = values[t] * scale
        counted = within[t] if abs(phase) < bound else np.float32(0)
        totals[t] += counted * _wave(phase)
        counts[t] += counted


@njit(fastmath=True)
def _score(total, number):  # type: ignore[no-untyped-def]
    return total / np.sqrt((number + _SILENT) / 2)


@njit(parallel=True, fastmath=True, cache=True)
def _ask_everywhere(  # type: ignore[no-untyped-def]
    splines, inside, maps, blocks, along, across, steps, results
):
    depth = splines.shape[2]
    side = 16 * blocks + 7
    wide = 16 * blocks
    # Columns and slices lie behind each other, so that all that is summed up is one long row.
    length = wide * depth
    for n in prange(maps.shape[0]):
        m = maps[n]
        row = np.empty((side, depth), np.float32)
        flat = row.reshape(-1)
        # What the last eight rows sum up to along x.
        sums = np.empty((8, 2, length), np.float32)
        totals = np.zeros((8, steps.shape[1], length), np.float32)
        counts = np.zeros((8, steps.shape[1], length), np.float32)
        values = np.empty(length, np.float32)
        within = np.empty((wide, depth), np.float32)
        wy = np.empty(4, np.float32)
        wx = np.empty(4, np.float32)
        for i in range(side):
            for j in range(side):
                _sample(splines, m, i - 8.0 * blocks, j - 8.0 * blocks, wy, wx, row[j])
            for v in range(2):
                into = sums[i % 8, v]
                into[:] = np.float32(0)
                for b in range(8):
                    w = along[v, b]
                    for t in range(length):
                        into[t] += w * flat[t + b * depth]
            top = i - 7
            if top < 0:
                continue
            for j in range(wide):
                my, mx = _block_of(inside, m, top - 8 * blocks + 3.5, j - 8 * blocks + 3.5)
                for z in range(depth):
                    within[j, z] = inside[my, mx, z] if my >= 0 else np.float32(0)
            values[:] = np.float32(0)
            for a in range(8):
                for v in range(2):
                    part = sums[(top + a) % 8, v]
                    w = across[v, a]
                    for t in range(length):
                        values[t] += w * part[t]
            for k in range(steps.shape[1]):
                _vote(
                    values, within.reshape(-1), steps[n, k],
                    totals[top % 8, k], counts[top % 8, k],
                )  # fmt: skip
        for k in range(steps.shape[1]):
            for y in range(8):
                for x in range(8):
                    total = np.float32(0)
                    number = np.float32(0)
                    for j in range(x, wide, 8):
                        for t in range(j * depth, (j + 1) * depth):
                            total += totals[y, k, t]
                            number += counts[y, k, t]
                    score = _score(total, number)
                    if score > results[n, 0]:
                        results[n, 0] = score
                        results[n, 1] = y
                        results[n, 2] = x
                        results[n, 3] = steps[n, k]


@njit(parallel=True, fastmath=True, cache=True)
def _ask_here(  # type: ignore[no-untyped-def]
    splines, inside, maps, blocks, along, across, steps, results
):
    depth = splines.shape[2]
    for n in prange(maps.shape[0]):
        m = maps[n]
        sample = np.empty(depth, np.float32)
        sums = np.empty((2, depth), np.float32)
        totals = np.zeros((steps.size, depth), np.float32)
        counts = np.zeros((steps.size, depth), np.float32)
        values = np.empty(depth, np.float32)
        wy = np.empty(4, np.float32)
        wx = np.empty(4, np.float32)
        for by in range(-blocks, blocks):
            for bx in range(-blocks, blocks):
                my, mx = _block_of(inside, m, 8 * by + 3.5, 8 * bx + 3.5)
                if my < 0 or inside[my, mx].max() == 0:
                    continue
                values[:] = np.float32(0)
                for a in range(8):
                    sums[:] = np.float32(0)
                    for b in range(8):
                        _sample(splines, m, 8.0 * by + a, 8.0 * bx + b, wy, wx, sample)
                        for v in range(2):
                            for z in range(depth):
                                sums[v, z] += along[v, b] * sample[z]
                    for v in range(2):
                        for z in range(depth):
                            values[z] += across[v, a] * sums[v, z]
                for k in range(steps.size):
                    _vote(values, inside[my, mx], steps[k], totals[k], counts[k])
        for k in range(steps.size):
            score = _score(totals[k].sum(), counts[k].sum())
            if score > results[n, 0]:
                results[n, 0] = score
                results[n, 3] = steps[k]
