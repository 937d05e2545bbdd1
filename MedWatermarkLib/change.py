"""The change that a mark makes: a few small levels a block, from which it is computed exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dct import BLOCK, shift
from MedWatermarkLib.sites import TILE

#: Projections move by sixteenths of their step.
LEVELS_PER_STEP = 16
#: How many levels bold and fine projections have: -7, -5 … 7 and -6, -2, 2, 6.
BOLD_LEVELS, FINE_LEVELS = 8, 4


@dataclass(frozen=True, eq=False)
class Change:
    """A change of some blocks of a volume.

    Attributes
    ----------
    mask : (z, ny, nx) bool array
        The blocks that change.
    steps : (4, 4, g) int64 array
        Size of a sixteenth of the step of each projection, at each place of the repeating 4x4
        arrangement, in quanta, with `dct.STEP_BITS` fractional bits; 0 where it is not in use.
    rows : (g, 64) int64 array
        The patterns, with `dct.PATTERN_BITS` fractional bits.
    levels : (n, g) int8 array
        Change of each projection of the blocks, in sixteenths of its step, in order of the mask;
        0 where it is not in use.
    quantum : float
        Size of a quantum in units of the voxels, a power of two.
    """

    mask: npt.NDArray[np.bool_]
    steps: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int8]
    quantum: float

    def used(self) -> npt.NDArray[np.bool_]:
        """Return which of the levels are in use, as a mask of their shape."""
        _, by, bx = np.nonzero(self.mask)
        return np.asarray(self.steps[by % TILE, bx % TILE] > 0)

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
        places = by % TILE * TILE + bx % TILE
        steps = self.steps.reshape(TILE**2, -1)
        effects = np.empty((len(z), 4))
        shift(voxels, blocks, self.levels, places, steps, self.rows, self.quantum, sign, effects)
        return effects
