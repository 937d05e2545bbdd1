"""The change that a mark makes: a few small levels a block, from which it is computed exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dct import BLOCK, shift
from MedWatermarkLib.sites import TILE

#: A projection moves by an odd number, from -7 to 7, of sixteenths of its step.
LEVELS_PER_STEP = 16
LEVEL_BITS = 3
GREATEST_LEVEL = 2**LEVEL_BITS - 1


@dataclass(frozen=True, eq=False)
class Change:
    """A change of some blocks of a volume.

    Attributes
    ----------
    mask : (z, ny, nx) bool array
        The blocks that change.
    projections : (4, 4) uint8 array
        Projections of a block at each place of the repeating 4x4 arrangement.
    steps : (4, 4) int64 array
        Size of a level at each place, in quanta, with `dct.STEP_BITS` fractional bits.
    rows : (g, 64) int64 array
        The patterns, with `dct.PATTERN_BITS` fractional bits.
    levels : (n, g) int8 array
        Change of each projection of the blocks, in order of the mask; 0 where unused.
    quantum : float
        Size of a quantum in units of the voxels, a power of two.
    """

    mask: npt.NDArray[np.bool_]
    projections: npt.NDArray[np.uint8]
    steps: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int8]
    quantum: float

    def used(self) -> npt.NDArray[np.bool_]:
        """Return which of the levels are in use, as a mask of their shape."""
        _, by, bx = np.nonzero(self.mask)
        counts = self.projections[by % TILE, bx % TILE]
        return np.asarray(np.arange(len(self.rows)) < counts[:, None])

    def blocks(self, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the voxels of the blocks that change, (n, 8, 8), in order of the mask."""
        depth, ny, nx = self.mask.shape
        whole = voxels[:, : ny * BLOCK, : nx * BLOCK]
        tiles = whole.reshape(depth, ny, BLOCK, nx, BLOCK).transpose(0, 1, 3, 2, 4)
        return np.asarray(tiles[self.mask])

    def apply(self, voxels: npt.NDArray[Any], sign: int) -> npt.NDArray[np.float64]:
        """Add the change (1) or take it out (-1), in place.

        Parameters
        ----------
        voxels : (z, y, x) array
            Of a dtype that `dct.shift` knows.
        sign : int
            1 or -1.

        Returns
        -------
        (n, 4) float64 array
            Of each block the sum of squares and the greatest magnitude of its change, in quanta,
            and the least and the greatest of its voxels after it.
        """
        z, by, bx = np.nonzero(self.mask)
        blocks = np.stack([z, by * BLOCK, bx * BLOCK], 1).astype(np.int32)
        steps = self.steps[by % TILE, bx % TILE]
        effects = np.empty((len(z), 4))
        shift(voxels, blocks, self.levels, steps, self.rows, self.quantum, sign, effects)
        return effects
