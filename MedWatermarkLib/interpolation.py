"""What linear interpolation took from a copy, given back.

Where slices were turned or scaled by linear interpolation, each voxel of the copy is a known mean
of four of the marked ones: equations, and where the copy is not smaller, enough of them. A few
steps of conjugate gradients on their least squares (M. R. Hestenes, E. Stiefel, Journal of
Research of the National Bureau of Standards 49(6), 1952) solve them; where tissue varies by no more
than noise does, what splines found is held to, since there is little to restore.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.geometry import Geometry

# Further ones amplify noise more than they restore.
_ITERATIONS = 4
# Side, in voxels, of the square in which it is seen how much tissue varies.
_AROUND = 5

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def undo_linear(
    voxels: Array, geometry: Geometry, straight: Floats, first: tuple[int, int]
) -> Floats:
    """Return a copy that was laid straight as it was before linear interpolation.

    Parameters
    ----------
    voxels : (z, y, x) array
        The copy.
    geometry : Geometry
    straight : (z, y', x') float32 array
    first : (int, int)
        What `Geometry.straighten` made of it.

    Returns
    -------
    (z, y', x') float32 array
    """
    means = _means(geometry, voxels.shape[1:], straight.shape[1:], first)
    back = means.T.tocsr()
    blocks = Blocks(voxels)
    noise = max(blocks.noise(blocks.body(4)) ** 2, 1e-12)
    result = np.empty_like(straight)
    for layer, start, slot in zip(voxels, straight, result, strict=True):
        seen = np.nan_to_num(layer.astype(np.float32)).ravel()
        found = start.ravel().copy()
        firm = (noise / np.maximum(_variance(start), noise)).ravel()
        left = back @ (seen - means @ found)
        way, size = left.copy(), float(left @ left)
        for _ in range(_ITERATIONS):
            if size == 0:
                break
            curved = back @ (means @ way) + firm * way
            far = np.float32(size / float(way @ curved))
            found += far * way
            left -= far * curved
            before, size = size, float(left @ left)
            way = left + np.float32(size / before) * way
        # Voxels that were clipped stay at the ends, where they are known for what they are.
        slot[:] = np.clip(found, seen.min(), seen.max()).reshape(slot.shape)
    return result


def _variance(layer: Floats) -> Floats:
    """Return how much the neighbours of each voxel vary."""
    mean = ndimage.uniform_filter(layer, _AROUND)
    return np.asarray(ndimage.uniform_filter((layer - mean) ** 2, _AROUND), np.float32)


def _means(
    geometry: Geometry, shape: tuple[int, ...], straight: tuple[int, ...], first: tuple[int, int]
) -> sparse.csr_matrix:
    """Return the matrix that makes the copy of the straight voxels."""
    inverse = np.linalg.inv(geometry.matrix)
    start = inverse @ geometry.shift + BLOCK * np.array(first)
    y, x = np.indices(shape, np.float64)
    places = [row[0] * y + row[1] * x - offset for row, offset in zip(inverse, start, strict=True)]
    # The voxels above and to the left, as far as there are any below and to the right.
    corner = [
        np.clip(np.floor(place), 0, size - 2).astype(np.int32)
        for place, size in zip(places, straight, strict=True)
    ]
    share = [
        np.clip(place - low, 0, 1).astype(np.float32)
        for place, low in zip(places, corner, strict=True)
    ]
    index = corner[0] * straight[1] + corner[1]
    columns = np.stack([index, index + 1, index + straight[1], index + straight[1] + 1], -1)
    (down, right), (up, left) = share, (1 - share[0], 1 - share[1])
    weights = np.stack([up * left, up * right, down * left, down * right], -1)
    rows = np.arange(0, columns.size + 1, 4)
    size = int(np.prod(shape)), int(np.prod(straight))
    return sparse.csr_matrix((weights.ravel(), columns.ravel(), rows), shape=size)
