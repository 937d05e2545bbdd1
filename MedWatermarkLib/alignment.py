"""Where a copy's slices begin on the marked ones: what a crop or a shift moved.

Every block moved its projections to the same lattice, so voxels that are read from the right one
of the 64 ways to lay a grid of blocks show it whatever their bits are; which block is which is
then found by correlation with the pilots (as the Fourier method of C. D. Kuglin and D. C. Hines,
IEEE Conference on Cybernetics and Society 1975, finds a shift).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
from numba import njit, prange

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.layout import STEPS_PER_OCTAVE
from MedWatermarkLib.pilots import steps_to_try
from MedWatermarkLib.sites import PHASES, PILOT, Sites

# Slices looked at, the fullest ones, and how many of their blocks.
_SLICES, _BLOCKS = 4, 2500
# Grids that are tried further.
_GRIDS = 3
#: The body as embedding sees it; and all that varies, since a part of a scan may have no air.
BODIES = ((0, True), (4, False))
# Alignments that the pilots are asked about.
_FOUND = 2
# One in four of the steps that the pilots try.
_COARSE = 4
# Blocks a side of the canonical plane that is searched: slices of up to 1,024 voxels.
_PLANE = 128

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Alignment:
    """Where the grid of blocks lies.

    Attributes
    ----------
    top, left : int
        Voxel at which the first whole block starts, 0 to 7.
    dy, dx : int
        Row and column of that block on the canonical plane.
    """

    top: int = 0
    left: int = 0
    dy: int = 0
    dx: int = 0

    @property
    def origin(self) -> tuple[int, int]:
        """Voxel (y, x) of the marked slices at which the copy's begin."""
        return BLOCK * self.dy - self.top, BLOCK * self.dx - self.left


def find_alignments(voxels: Array, where: Sites) -> list[Alignment]:
    """Look for the grid of blocks and its place on the canonical plane.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Returns
    -------
    The likeliest alignments, best first, for the pilots to confirm; none if there is nothing to
    see.
    """
    rows = where.patterns[:1]
    full = np.argsort(-Blocks(voxels).body().sum(axis=(1, 2)), kind="stable")
    some = np.ascontiguousarray(voxels[np.sort(full[:_SLICES])])
    grids = []
    for top, left in np.ndindex(BLOCK, BLOCK):
        if min(some.shape[1] - top, some.shape[2] - left) < BLOCK:
            continue
        blocks = Blocks(some, top, left)
        for guess in BODIES:
            z, by, bx = np.nonzero(blocks.body(*guess))
            if len(z):
                every = max(1, len(z) // _BLOCKS)
                values = blocks.project(rows, z[::every], by[::every], bx[::every])
                steps = steps_to_try(values)[::_COARSE]
                scores = _comb(values, steps)
                best = float(scores.max()), float(steps[scores.argmax()])
                grids.append((best[0], top, left, best[1], guess))
    found: dict[Alignment, float] = {}
    for _, top, left, step, guess in sorted(grids, reverse=True)[:_GRIDS]:
        blocks = Blocks(some, top, left)
        body = blocks.body(*guess)
        score, dy, dx = place_blocks(blocks, body, where, step)
        alignment = Alignment(top, left, dy, dx)
        found[alignment] = max(score, found.get(alignment, -np.inf))
    return sorted(found, key=lambda alignment: -found[alignment])[:_FOUND]


def place_blocks(
    blocks: Blocks, body: npt.NDArray[np.bool_], where: Sites, step: float
) -> tuple[float, int, int]:
    """Look for the place on the canonical plane of blocks whose grid is known.

    Parameters
    ----------
    blocks : Blocks
    body : (z, ny, nx) bool array
        The blocks to look at.
    where : Sites
    step : float
        The pilots' step, about.

    Returns
    -------
    Score, and row and column of the first block on the canonical plane.
    """
    values = blocks.project(where.patterns[:1], *np.nonzero(body))
    fine = step * 2.0 ** (np.arange(-3, 4) / STEPS_PER_OCTAVE)
    step = float(fine[_comb(values, fine).argmax()])
    _, ny, nx = body.shape
    size = scipy.fft.next_fast_len(_PLANE + max(ny, nx), real=True)
    waves = np.zeros(body.shape, np.float32)
    waves[body] = np.sin(2 * np.pi / step * values[:, 0])
    seen = scipy.fft.rfft2(waves, s=(size, size), axes=(1, 2))
    total = np.zeros((size, size))
    templates = _templates(where, size)
    for layer in seen:
        product = layer.conj() * templates
        total += scipy.fft.irfft2(product, s=(size, size), axes=(1, 2), workers=-1).max(axis=0)
    best = int(total.argmax())
    score = float(total.flat[best] / np.sqrt(max(float((waves**2).sum()), 1e-9)))
    dy, dx = (d if d < _PLANE else d - size for d in divmod(best, size))
    return score, dy, dx


@njit(parallel=True, cache=True, fastmath=True)
def _comb(values, steps):  # type: ignore[no-untyped-def]
    """Score how near projections lie to a quarter above or below the multiples of each step."""
    scores = np.empty(steps.size)
    for k in prange(steps.size):
        scale = np.float32(4 * np.pi / steps[k])
        total = np.float32(0)
        for n in range(values.shape[0]):
            for g in range(values.shape[1]):
                total -= np.cos(values[n, g] * scale)
        scores[k] = total / np.sqrt(values.size / 2)
    return scores


def _templates(where: Sites, size: int) -> npt.NDArray[np.complexfloating[Any, Any]]:
    """Return the transforms of the pilots' signs on the canonical plane, phase by phase."""
    by, bx = np.mgrid[:_PLANE, :_PLANE]
    pilot = where.roles(by, bx) == PILOT
    signs = np.zeros((PHASES, _PLANE, _PLANE), np.float32)
    signs[:, pilot] = 2.0 * where.pilot_bits(where.ranks(by[pilot], bx[pilot])) - 1
    return np.asarray(scipy.fft.rfft2(signs, s=(size, size), axes=(1, 2), workers=-1))
