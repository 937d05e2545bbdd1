"""What is left of a suspect when the original is taken out of it: the mark, and noise.

The suspect's grey values are a curve of the original's (a display window, a gain, an equalisation),
found from the two images alone. What a filter or a resampling did to the original beyond that is
taken out by least squares on its derivatives, with which a keyed mark has nothing in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.placement import Placement

# Pairs of values that the curve is found from, and its points.
_PAIRS, _POINTS = 2_000_000, 1024
# Side of the tiles, in voxels, in which an inexact placement is allowed for anew.
_TILE = 48
# Least share of a tile that has to lie on the original.
_LEAST = 0.25

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tone:
    """The curve from the original's values to the suspect's.

    Attributes
    ----------
    host, seen : (n,) float64 arrays
        Its points; between them it is linear.
    """

    host: FloatArray
    seen: FloatArray

    @classmethod
    def between(cls, host: Array, seen: Array) -> Tone:
        """Return the curve of the means of one image's values where the other has certain ones."""
        host, seen = host.ravel(), seen.ravel()
        edges = np.unique(np.quantile(host, np.linspace(0, 1, _POINTS + 1)))
        if len(edges) < 3:
            return cls(np.array([edges[0], edges[0] + 1]), np.full(2, seen.mean()))
        bins = np.searchsorted(edges[1:-1], host, side="right")
        counts = np.bincount(bins, minlength=len(edges) - 1)
        filled = counts > 0
        means = [np.bincount(bins, v, len(counts))[filled] / counts[filled] for v in (host, seen)]
        return cls(means[0], means[1])

    def __call__(self, host: Array) -> Floats:
        """Return what the suspect has in place of the original's values."""
        return np.interp(host, self.host, self.seen).astype(np.float32)

    def slope(self, host: Array, reach: float) -> Floats:
        """Return what is left of a change of the original's values, up or down by `reach`."""
        up, down = (np.interp(host + way, self.host, self.seen) for way in (reach, -reach))
        return np.asarray((up - down) / (2 * reach), np.float32)

    def linear(self) -> tuple[float, float]:
        """Return gain and offset of the straight line nearest to the curve where it is steep."""
        low, high = np.quantile(self.host, (0.02, 0.98))
        slopes = self.slope(self.host, max(float(high - low), 1e-9) / 50)
        steep = np.abs(slopes) > np.quantile(np.abs(slopes), 0.9) / 2
        if not steep.any():
            return 0.0, float(self.seen.mean())
        gain = float(np.median(slopes[steep]))
        return gain, float(np.median(self.seen[steep] - gain * self.host[steep]))


@dataclass(frozen=True, eq=False)
class Residue:
    """What is left of each slice of the suspect, block by block of the original.

    Attributes
    ----------
    projections : (k, ny, nx, g) float32 array
        In units of the suspect.
    gains : (k, ny, nx) float32 array
        What was left of a small change of a block; 0 where nothing is to be seen of it.
    tone : Tone
    """

    projections: Floats
    gains: Floats
    tone: Tone


def residue(
    suspect: Array, original: Array, placement: Placement, rows: FloatArray, reach: float
) -> Residue:
    """Take the original out of a suspect.

    Parameters
    ----------
    suspect : (k, h, w) array
    original : (z, y, x) array
    placement : Placement
        Where the suspect's slices lie on the original's.
    rows : (g, 64) float64 array
        The patterns.
    reach : float
        By about how much a mark changes voxels, in units of the original.
    """
    _, height, width = original.shape
    there = placement.covered(suspect.shape[1:], (height, width))
    tone = tone_of(suspect, original, placement)
    grid = (len(suspect), height // BLOCK, width // BLOCK)
    projections = np.zeros((*grid, len(rows)), np.float32)
    gains = np.zeros(grid, np.float32)
    for k, layer in enumerate(suspect):
        if not placement.sources[k]:
            continue
        host = placement.host(original, k)
        moved, valid = placement.onto_suspect(host, layer.shape)
        left, factor = _left(layer.astype(np.float32), tone(moved), valid, placement.exact)
        back = placement.onto_original(left, host.shape)
        back[~there] = 0
        projections[k] = Blocks(back[np.newaxis]).projections(rows)[0]
        slope = np.where(there, tone.slope(host, reach), 0)[: grid[1] * BLOCK, : grid[2] * BLOCK]
        gains[k] = factor * slope.reshape(grid[1], BLOCK, grid[2], BLOCK).mean(axis=(1, 3))
    return Residue(projections, gains, tone)


def tone_of(suspect: Array, original: Array, placement: Placement) -> Tone:
    """Return the curve that all slices of a suspect have in common."""
    size = int(np.prod(suspect.shape))
    step = max(1, size // _PAIRS)
    hosts, seens = [], []
    for k, layer in enumerate(suspect):
        if placement.sources[k]:
            moved, valid = placement.onto_suspect(placement.host(original, k), layer.shape)
            chosen = np.flatnonzero(valid & np.isfinite(moved) & np.isfinite(layer))[
                k % step :: step
            ]
            hosts.append(moved.ravel()[chosen])
            seens.append(layer.ravel()[chosen].astype(np.float64))
    if not hosts or not sum(map(len, hosts)):
        return Tone(np.array([0.0, 1.0]), np.zeros(2))
    return Tone.between(np.concatenate(hosts), np.concatenate(seens))


def _left(
    seen: Floats, expected: Floats, valid: npt.NDArray[np.bool_], exact: bool
) -> tuple[Floats, float]:
    """Return what the original does not explain, and the factor by which it is explained."""
    first = ndimage.laplace(expected)
    parts = [np.ones_like(expected), expected, first, ndimage.laplace(first)]
    if not exact:
        parts += [ndimage.sobel(expected, axis) / np.float32(8) for axis in (0, 1)]
    good = valid & np.isfinite(seen) & np.isfinite(expected)
    if not good.any():
        return np.zeros_like(seen), 0.0
    table = np.stack([part[good] for part in parts], 1).astype(np.float64)
    weights = _solve(table, seen[good].astype(np.float64))
    left = np.zeros_like(seen)
    left[good] = seen[good] - table @ weights
    if not exact:
        _smooth_out(left, [parts[0], expected, *parts[4:]], good)
    return left, float(weights[1])


def _smooth_out(left: Floats, parts: list[Floats], good: npt.NDArray[np.bool_]) -> None:
    """Take out of each tile, in place, what a shift and another contrast there would explain."""
    for y in range(0, left.shape[0], _TILE):
        for x in range(0, left.shape[1], _TILE):
            tile = slice(y, y + _TILE), slice(x, x + _TILE)
            inside = good[tile]
            if inside.sum() < _LEAST * _TILE**2:
                continue
            table = np.stack([part[tile][inside] for part in parts], 1).astype(np.float64)
            values = left[tile][inside].astype(np.float64)
            left[tile][inside] = values - table @ _solve(table, values)


def _solve(table: FloatArray, values: FloatArray) -> FloatArray:
    square = table.T @ table
    square[np.diag_indices_from(square)] *= 1 + 1e-9
    return np.asarray(np.linalg.lstsq(square, table.T @ values, rcond=1e-12)[0])
