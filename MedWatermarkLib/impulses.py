"""Single voxels that were set to the ends of the range, or to none: salt and pepper."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

# By how many times the usual distance from the median around it a voxel at an end of the range has
# to stand out.
_STANDS_OUT = 12
# Share of voxels below which nothing is lost by leaving them.
_FEW = 1e-4

Array = npt.NDArray[Any]


def without_impulses(voxels: Array) -> Array | None:
    """Put the median of what is around it in the place of each impulse.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.

    Returns
    -------
    (z, y, x) array of the same dtype, or None if there are hardly any.
    """
    finite = np.isfinite(voxels)
    if not finite.any():
        return None
    low, high = voxels[finite].min(), voxels[finite].max()
    repaired, count = voxels.copy(), 0
    for layer, slot in zip(voxels, repaired, strict=True):
        known = np.where(np.isfinite(layer), layer, low)
        ends = (known == low) | (known == high)
        if not ends.any():
            continue
        around = ndimage.median_filter(known, 3, mode="nearest")
        away = np.abs(known.astype(np.float64) - around)
        usual = np.median(away[away > 0]) if away.any() else 0.0
        impulses = ends & (away > _STANDS_OUT * usual)
        slot[impulses] = around[impulses]
        count += int(impulses.sum())
    return repaired if count > _FEW * voxels.size else None
