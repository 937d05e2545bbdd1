"""The block-DCT kernels: the one place where speed is bought with care.

A block is 8x8 voxels of one slice. The mark lives in the nine lowest frequencies after the mean
(``u + v`` from 1 to 3 of the orthonormal DCT-II), and only through a few *patterns*: unit vectors
in the space that these nine span. Since every block uses the same patterns, the forward transform,
the choice of coefficients and the projection are one small matrix product, and nothing but the
projections is ever computed.

A pattern mixes only frequencies of about the same radius, so that what a blur, a filter or a codec
does to it is, to first order, one gain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

BLOCK = 8
AREA = BLOCK * BLOCK

#: Frequencies (u, v) of the orthonormal 8x8 DCT-II, in rings of about equal radius.
RINGS = (((0, 1), (1, 0)), ((1, 1), (0, 2), (2, 0)), ((1, 2), (2, 1)), ((0, 3), (3, 0)))
#: How many orthonormal patterns the rings hold together.
PATTERNS = sum(map(len, RINGS))
#: Fractional bits of the patterns in the integer arithmetic of a reversible change.
PATTERN_BITS = 14
#: Fractional bits of the step in the same arithmetic.
STEP_BITS = 10

# Quantisation noise and most anatomy fade with frequency; here hardly more than noise is left.
_NOISE_FREQUENCY = (5, 5)

# Orthonormal mixtures of two and of three frequencies; the first column weighs all alike.
_MIX = {
    2: np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0),
    3: np.array([[1.0, 1.0, 1.0], [0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]])
    / np.sqrt([[3.0], [2.0], [6.0]]),
}


def basis(u: int, v: int) -> npt.NDArray[np.float64]:
    """Return the basis image of one frequency.

    Parameters
    ----------
    u, v : int
        Frequency along y and along x, 0 to 7.

    Returns
    -------
    (64,) float64 array of unit norm, row by row.
    """
    i = np.arange(BLOCK)

    def wave(k: int) -> npt.NDArray[np.float64]:
        scale = np.sqrt((1.0 if k == 0 else 2.0) / BLOCK)
        return np.asarray(scale * np.cos(np.pi * (2 * i + 1) * k / (2 * BLOCK)))

    return np.outer(wave(u), wave(v)).ravel()


def patterns(signs: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the orthonormal patterns, the most useful first.

    The first four take one even mixture from each ring, the others what is left of the rings, so
    that a mark of fewer projections uses the leading rows of the same table.

    Parameters
    ----------
    signs : (9,) array of -1 and 1
        The sign of each frequency, in the order of `RINGS`; the key chooses them.

    Returns
    -------
    (9, 64) float64 array of orthonormal rows.
    """
    remaining = iter(np.asarray(signs, np.float64))
    first, rest = [], []
    for ring in RINGS:
        images = np.stack([next(remaining) * basis(u, v) for u, v in ring])
        mixed = _MIX[len(ring)] @ images
        first.append(mixed[0])
        rest.extend(mixed[1:])
    return np.stack(first + rest)


def noise_pattern() -> npt.NDArray[np.float64]:
    """Return the (64,) unit pattern whose projections measure the noise of a scan."""
    return basis(*_NOISE_FREQUENCY)


@njit(parallel=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def survey(voxels, top, left, low, high, mean, ties):  # type: ignore[no-untyped-def]
    """Note extremes and mean of every whole block.

    Parameters
    ----------
    voxels : (z, y, x) array
        int16, uint16, float32 or float64.
    top, left : int
        Voxel at which the first block starts.
    low, high, mean : (z, ny, nx) float64 arrays, written
        In units of the voxels; NaN where a block holds a voxel that is not finite.
    ties : (z, ny, nx, 2) uint8 array, written
        How many voxels of the block have its least and its greatest value.
    """
    for z in prange(voxels.shape[0]):
        block = np.empty(64, np.float32)
        for by in range(low.shape[1]):
            for bx in range(low.shape[2]):
                y0 = top + by * 8
                x0 = left + bx * 8
                first = _take(voxels[z, y0 : y0 + 8, x0 : x0 + 8], block)
                total = np.float32(0)
                for i in range(64):
                    total += block[i]
                least = np.float32(0)
                most = np.float32(0)
                for x in range(8):
                    # Of columns, since these are compared eight at once.
                    lower = np.float32(0)
                    upper = np.float32(0)
                    for y in range(8):
                        d = block[y * 8 + x]
                        lower = d if d < lower else lower
                        upper = d if d > upper else upper
                    least = min(least, lower)
                    most = max(most, upper)
                lowest = 0
                highest = 0
                for i in range(64):
                    lowest += block[i] == least
                    highest += block[i] == most
                if not abs(total) < np.inf:
                    first = np.float64(np.nan)
                low[z, by, bx] = first + least
                high[z, by, bx] = first + most
                mean[z, by, bx] = first + total / 64
                ties[z, by, bx, 0] = lowest
                ties[z, by, bx, 1] = highest


@njit(parallel=True, cache=True, fastmath={"reassoc", "nsz", "contract"})
def project(voxels, rows, z, y, x, projections):  # type: ignore[no-untyped-def]
    """Project some blocks on the patterns.

    Parameters
    ----------
    voxels : (z, y, x) array
        int16, uint16, float32 or float64.
    rows : (g, 64) float32 array
        Patterns of zero mean.
    z, y, x : (n,) int64 arrays
        Slice, and the voxel at which each block starts.
    projections : (n, g) float32 array, written
    """
    for n in prange(len(z)):
        block = np.empty(64, np.float32)
        _take(voxels[z[n], y[n] : y[n] + 8, x[n] : x[n] + 8], block)
        for g in range(rows.shape[0]):
            s = np.float32(0)
            for i in range(64):
                s += block[i] * rows[g, i]
            projections[n, g] = s


@njit(cache=True, inline="always")
def _take(tile, block):  # type: ignore[no-untyped-def]
    """Write the voxels of a tile less its first one, and return that.

    Patterns do not see the mean; without it float32 is exact enough for any dtype.
    """
    first = np.float64(tile[0, 0])
    for y in range(8):
        for x in range(8):
            block[y * 8 + x] = np.float32(np.float64(tile[y, x]) - first)
    return first


@njit(parallel=True, cache=True)
def shift(voxels, blocks, levels, places, steps, rows, quantum, sign, effects):  # type: ignore[no-untyped-def]
    """Add a change of whole quanta to blocks, in place; with the other sign, take it back.

    The change of a voxel is ``sum(levels * steps * rows)`` rounded to whole quanta in integer
    arithmetic, so that every machine computes the same one.

    Parameters
    ----------
    voxels : (z, y, x) array, changed in place
        int16, uint16, float32 or float64.
    blocks : (n, 3) int32 array
        Slice, and the voxel (y, x) at which the block starts.
    levels : (n, g) int8 array
        The change of each projection in units of its step.
    places : (n,) int64 array
        Which row of the steps is that of each block.
    steps : (p, g) int64 array
        Steps in quanta, with `STEP_BITS` fractional bits.
    rows : (g, 64) int64 array
        Patterns, with `PATTERN_BITS` fractional bits.
    quantum : float
        Size of a quantum in units of the voxels; 1 for integers.
    sign : int
        1 to add, -1 to take back.
    effects : (n, 4) float64 array, written
        Of each block the sum of squares and the greatest magnitude of its change, in quanta, and
        the least and the greatest of its voxels after it.
    """
    bits = 24
    half = np.int64(1) << (bits - 1)
    for n in prange(blocks.shape[0]):
        z, y0, x0 = blocks[n, 0], blocks[n, 1], blocks[n, 2]
        change = np.zeros(64, np.int64)
        for g in range(levels.shape[1]):
            level = levels[n, g] * steps[places[n], g]
            if level != 0:
                for i in range(64):
                    change[i] += level * rows[g, i]
        tile = voxels[z, y0 : y0 + 8, x0 : x0 + 8]
        total = np.int64(0)
        most = np.int64(0)
        least_voxel = np.inf
        greatest_voxel = -np.inf
        for y in range(8):
            for x in range(8):
                d = (change[y * 8 + x] + half) >> bits
                total += d * d
                most = max(most, abs(d))
                value = np.float64(tile[y, x]) + sign * d * quantum
                tile[y, x] = value
                least_voxel = min(least_voxel, value)
                greatest_voxel = max(greatest_voxel, value)
        effects[n, 0] = total
        effects[n, 1] = most
        effects[n, 2] = least_voxel
        effects[n, 3] = greatest_voxel
