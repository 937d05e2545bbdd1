"""The kernel that asks, of many geometries, whether the pilots are where each would have them.

A lattice is seen only where voxels are sampled to a fraction of a voxel from where they were
marked. Over the whole of a slice that takes an angle to a hundredth of a degree; over a window of
a few blocks, half a degree will do, and then a few thousand geometries are all there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.layout import LAYOUTS, Layout
from MedWatermarkLib.modulation import bits_at
from MedWatermarkLib.sites import PHASES, PILOT, TILE, Sites

#: Voxels from a pilot's block to the next.
PITCH = TILE * BLOCK
# Tiles a side of the plane: slices of 2,048 voxels.
_TILES = 64
# Projections beyond this many steps say little: half of a tenth of error in the step is then an
# eighth of a step, and where the host is so uneven, so is half a voxel of error.
_REACH = 1.5
_SINES = 256

FloatArray = npt.NDArray[np.float64]
FloatTable = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class KnownBits:
    """What one projection of one block of each tile says, on the canonical plane.

    Attributes
    ----------
    place : (2,) int64 array
        Voxel (y, x), within each tile, at which the block starts.
    signs : (64, 64, 16) float32 array
        Signs of the bits, by row and column of the tile, and phase.
    row : (64,) float32 array
        The pattern.
    ratio : float
        The lattice step, in those of the pilots.
    """

    place: npt.NDArray[np.int64]
    signs: FloatTable
    row: FloatTable
    ratio: float


def known_bits(
    where: Sites,
    layout: Layout,
    words: dict[int, npt.NDArray[np.uint8]],
    role: int,
    projection: int,
) -> list[KnownBits]:
    """Return what a projection of the blocks of a role says, for each place of a tile.

    Parameters
    ----------
    where : Sites
    layout : Layout
    words : dict
        The code words of TAG and MESSAGE, as far as they are known: what is said of them, at least.
    role : int
    projection : int
        0 for the bold one.
    """
    steps = layout.steps(1.0)
    ty, tx = (axis.ravel() * TILE for axis in np.mgrid[:_TILES, :_TILES])
    row = where.patterns[projection].astype(np.float32)
    ratio = float(steps[role, projection] / steps[PILOT, 0])
    found = []
    for y, x in np.argwhere(where.roles(*np.mgrid[:TILE, :TILE]) == role):
        said = [
            bits_at(where, layout, words, ty + y, tx + x, np.full(len(ty), phase), few=False)[0]
            for phase in range(PHASES)
        ]
        signs = 2.0 * np.array(said)[..., projection].T - 1
        signs = np.ascontiguousarray(signs.reshape(_TILES, _TILES, PHASES), np.float32)
        found.append(KnownBits(BLOCK * np.array([y, x], np.int64), signs, row, ratio))
    return found


def pilot_bits(where: Sites) -> KnownBits:
    """Return what the pilots say."""
    return known_bits(where, LAYOUTS[0], {}, PILOT, 0)[0]


def ask_pilots(
    splines: FloatTable,
    inside: npt.NDArray[np.bool_],
    slices: npt.NDArray[np.int64],
    maps: FloatArray,
    centres: FloatArray,
    half: float,
    table: KnownBits,
    steps: FloatArray,
    offsets: int,
) -> FloatArray:
    """Score geometries by the pilots in a window.

    Parameters
    ----------
    splines : (n, y, x) float32 array
        Coefficients of the cubic splines through some slices of a copy.
    inside : (n, ny, nx) bool array
        Blocks of 8x8 voxels of the copy that may be marked.
    slices : (n,) int64 array
        Their numbers in the copy.
    maps : (m, 6) float64 array
        The geometries: matrix, row by row, and shift, as in `Geometry`.
    centres : (m, 2) float64 array
        Middle of the window, on the canonical plane, for each.
    half : float
        Half of the window's side, in voxels of the canonical plane.
    table : KnownBits
    steps : (k,) float64 array
        Lattice steps of the pilots to try.
    offsets : int
        How many shifts, half a voxel apart, to try along either axis; around none.

    Returns
    -------
    (m, 5) float64 array: score, in standard deviations of a chance one; the shift (y, x) added, in
    voxels of the canonical plane; the step; and which way to number phases reads best.
    """
    results = np.zeros((len(maps), 5))
    sines = np.sin(2 * np.pi * (np.arange(_SINES) + 0.5) / _SINES).astype(np.float32)
    _ask(
        splines, inside, slices, np.ascontiguousarray(maps), np.ascontiguousarray(centres),
        float(half), table.row, table.place, table.signs, np.asarray(steps, np.float64),
        offsets, sines, results,
    )  # fmt: skip
    return results


@njit(fastmath=True, inline="always")
def spline_weights(t, out):  # type: ignore[no-untyped-def]
    """Weights of the cubic B-spline (M. Unser, IEEE Signal Processing Magazine 16(6), 1999)."""
    s = np.float32(1) - t
    out[0] = s * s * s / np.float32(6)
    out[1] = (np.float32(4) - 6 * t * t + 3 * t * t * t) / np.float32(6)
    out[2] = (np.float32(4) - 6 * s * s + 3 * s * s * s) / np.float32(6)
    out[3] = t * t * t / np.float32(6)


@njit(fastmath=True)
def _sample(spline, m, y0, x0, apart, patch):  # type: ignore[no-untyped-def]
    """Sample a patch, so many voxels apart; return whether it lies within the slice."""
    wy = np.empty(4, np.float32)
    wx = np.empty(4, np.float32)
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            cy = y0 + apart * i
            cx = x0 + apart * j
            y = m[0] * cy + m[1] * cx + m[4]
            x = m[2] * cy + m[3] * cx + m[5]
            iy = int(np.floor(y))
            ix = int(np.floor(x))
            if iy < 1 or ix < 1 or iy > spline.shape[0] - 3 or ix > spline.shape[1] - 3:
                return False
            spline_weights(np.float32(y - iy), wy)
            spline_weights(np.float32(x - ix), wx)
            value = np.float32(0)
            for a in range(4):
                row = spline[iy - 1 + a]
                value += wy[a] * (
                    wx[0] * row[ix - 1]
                    + wx[1] * row[ix]
                    + wx[2] * row[ix + 1]
                    + wx[3] * row[ix + 2]
                )
            patch[i, j] = value
    return True


@njit(parallel=True, fastmath=True, cache=True)
def _ask(  # type: ignore[no-untyped-def]
    splines,
    inside,
    slices,
    maps,
    centres,
    half,
    pattern,
    place,
    signs,
    steps,
    offsets,
    sines,
    results,
):
    depth = splines.shape[0]
    count = offsets * offsets
    # Samples to the voxel.
    dense = 2 if offsets > 1 else 1
    side = 7 * dense + offsets
    for n in prange(maps.shape[0]):
        m = maps[n]
        top = max(0, int(np.ceil((centres[n, 0] - half - place[0]) / PITCH)))
        left = max(0, int(np.ceil((centres[n, 1] - half - place[1]) / PITCH)))
        bottom = min(signs.shape[0] - 1, int(np.floor((centres[n, 0] + half - place[0]) / PITCH)))
        right = min(signs.shape[1] - 1, int(np.floor((centres[n, 1] + half - place[1]) / PITCH)))
        most = depth * max(0, bottom - top + 1) * max(0, right - left + 1)
        values = np.empty((most, count), np.float32)
        known = np.empty((most, PHASES), np.float32)
        slot = np.empty(most, np.int64)
        patch = np.empty((side, side), np.float32)
        found = 0
        for z in range(depth):
            for ty in range(top, bottom + 1):
                for tx in range(left, right + 1):
                    y0 = ty * PITCH + place[0]
                    x0 = tx * PITCH + place[1]
                    my = int(m[0] * (y0 + 3.5) + m[1] * (x0 + 3.5) + m[4]) // 8
                    mx = int(m[2] * (y0 + 3.5) + m[3] * (x0 + 3.5) + m[5]) // 8
                    if my < 0 or mx < 0 or my >= inside.shape[1] or mx >= inside.shape[2]:
                        continue
                    if not inside[z, my, mx]:
                        continue
                    margin = 0.5 * (offsets // 2)
                    if not _sample(splines[z], m, y0 - margin, x0 - margin, 1 / dense, patch):
                        continue
                    for oy in range(offsets):
                        for ox in range(offsets):
                            v = np.float32(0)
                            for i in range(8):
                                for j in range(8):
                                    v += patch[oy + dense * i, ox + dense * j] * pattern[i * 8 + j]
                            values[found, oy * offsets + ox] = v
                    known[found] = signs[ty, tx]
                    slot[found] = z
                    found += 1
        ways = np.empty((2 * PHASES, count), np.float32)
        sums = np.empty((PHASES, count), np.float32)
        energy = np.empty(count, np.float32)
        best = np.float32(0)
        for k in range(steps.size):
            ways[:] = 0
            energy[:] = 1e-3
            scale = np.float32(256 / steps[k])
            bound = np.float32(_REACH * steps[k])
            at = 0
            for z in range(depth):
                sums[:] = 0
                while at < found and slot[at] == z:
                    for o in range(count):
                        v = values[at, o]
                        wave = sines[int(np.floor(v * scale)) & 255]
                        if abs(v) > bound:
                            wave = np.float32(0)
                        energy[o] += wave * wave
                        for p in range(PHASES):
                            sums[p, o] += wave * known[at, p]
                    at += 1
                for w in range(2 * PHASES):
                    p = (w + slices[z]) % PHASES if w < PHASES else (w - slices[z]) % PHASES
                    for o in range(count):
                        ways[w, o] += sums[p, o]
            for w in range(2 * PHASES if depth > 1 else PHASES):
                for o in range(count):
                    score = ways[w, o] / np.sqrt(energy[o])
                    if score > best:
                        best = score
                        results[n, 1] = 0.5 * (o // offsets - offsets // 2)
                        results[n, 2] = 0.5 * (o % offsets - offsets // 2)
                        results[n, 3] = steps[k]
                        results[n, 4] = w
        results[n, 0] = best
