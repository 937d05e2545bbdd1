"""A volume seen as blocks of 8x8 voxels: extremes, noise, projections on patterns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.body import body_blocks
from MedWatermarkLib.dct import BLOCK, noise_pattern, project, survey

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# A scan as it left the scanner has a greatest voxel, perhaps a few; a windowed one has thousands.
_CLIPPED_SHARE = 0.005

# A value that fills so many whole blocks at the edge of slices was put there.
_BACKGROUND_SHARE = 0.05

# The dtype in which the kernels hold each dtype exactly.
_KERNEL_DTYPES = {
    "bool": None,
    "int8": np.int16,
    "uint8": np.int16,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.float64,
    "uint32": np.float64,
    "float32": np.float32,
    "float64": np.float64,
}


class WatermarkError(ValueError):
    """A volume cannot be marked or read, or not like this."""


def working_copy(voxels: npt.ArrayLike) -> Array:
    """Return a volume in a dtype that the kernels know, equal in every value.

    The result shares memory with `voxels` where nothing had to be converted.

    Raises
    ------
    WatermarkError
        If the array is not a volume of numbers of up to 32 bits, float32 or float64, or has a
        slice smaller than a block.
    """
    array = np.asarray(voxels)
    dtype = _KERNEL_DTYPES.get(array.dtype.name)
    if dtype is None:
        raise WatermarkError(
            f"Voxels of type {array.dtype} cannot be marked: integers of up to 32 bits, float32 "
            "and float64 can."
        )
    if array.ndim != 3:
        raise WatermarkError(
            f"A volume has three axes (slice, row, column), and this array has {array.ndim}; "
            "colour and vector images cannot be marked."
        )
    if array.shape[0] < 1 or min(array.shape[1:]) < BLOCK:
        raise WatermarkError(
            f"The image of {' x '.join(map(str, array.shape))} voxels is too small: a slice has "
            f"at least {BLOCK} x {BLOCK}."
        )
    return np.ascontiguousarray(array, dtype)


class Blocks:
    """The whole blocks of a volume.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `working_copy` gives it.
    top, left : int
        Voxel at which the first block starts, 0 to 7.

    Attributes
    ----------
    low, high, mean : (z, ny, nx) float64 arrays
        Least and greatest voxel, and their mean; NaN where one is not finite.
    """

    def __init__(self, voxels: Array, top: int = 0, left: int = 0) -> None:
        depth = len(voxels)
        grid = (depth, (voxels.shape[1] - top) // BLOCK, (voxels.shape[2] - left) // BLOCK)
        self.low, self.high, self.mean = (np.empty(grid) for _ in range(3))
        self._ties = np.empty((*grid, 2), np.uint8)
        survey(voxels, top, left, self.low, self.high, self.mean, self._ties)
        self._voxels, self._top, self._left = voxels, top, left

    def project(self, rows: FloatArray, z: IntArray, by: IntArray, bx: IntArray) -> Floats:
        """Return the projections of some blocks on patterns of zero mean.

        Parameters
        ----------
        rows : (g, 64) array
        z, by, bx : (n,) int64 arrays
            Slice, row and column of the blocks.

        Returns
        -------
        (n, g) float32 array
        """
        values = np.empty((len(z), len(rows)), np.float32)
        y, x = self._top + BLOCK * by, self._left + BLOCK * bx
        project(self._voxels, rows.astype(np.float32), z, y, x, values)
        return values

    def projections(self, rows: FloatArray) -> Floats:
        """Return the projections of all blocks on patterns of zero mean, (z, ny, nx, g)."""
        z, by, bx = np.indices(self.low.shape).reshape(3, -1)
        return self.project(rows, z, by, bx).reshape(*self.low.shape, len(rows))

    def range_at(self, z: IntArray, by: IntArray, bx: IntArray) -> FloatArray:
        """Return greatest less least voxel of some blocks."""
        return np.asarray(self.high[z, by, bx] - self.low[z, by, bx])

    def body(
        self,
        clipped: int = 0,
        air: bool = True,
        hounsfield: tuple[float, float] | None = None,
    ) -> BoolArray:
        """Return the blocks within the patient.

        Parameters
        ----------
        clipped : int
            How many voxels of a block may lie at an end of the volume's range, where they may
            have been clipped.
        air : bool
            Whether to leave out air and couch.
        hounsfield : (slope, intercept), optional
            What makes CT numbers of the voxels, where it is known.

        Returns
        -------
        (z, ny, nx) bool array
        """
        body = body_blocks(self.low, self.high, self.mean, self._ties, clipped, air, hounsfield)
        return body & ~self._holding_background()

    def _holding_background(self) -> BoolArray:
        """Return the blocks with a voxel of a constant background that lies within the range.

        A masked scan may have one of any value; where it is the least, it shows without this.
        """
        held: BoolArray = np.zeros(self.low.shape, bool)
        rim = np.ones(self.low.shape, bool)
        rim[:, 1:-1, 1:-1] = False
        flat = self.low[rim & (self.low == self.high)]
        if flat.size < _BACKGROUND_SHARE * rim.sum():
            return held
        values, counts = np.unique(flat, return_counts=True)
        background = values[counts.argmax()]
        if background == np.nanmin(self.low):
            return held
        ny, nx = self.low.shape[1:]
        rows = slice(self._top, self._top + ny * BLOCK)
        columns = slice(self._left, self._left + nx * BLOCK)
        for z, layer in enumerate(self._voxels):
            # Tissue has voxels of this value too, but none that are joined to the edge by others.
            parts, _ = ndimage.label(np.pad(layer == background, 1, constant_values=True))
            outside = (parts == parts[0, 0])[1:-1, 1:-1]
            tiles = outside[rows, columns].reshape(ny, BLOCK, nx, BLOCK)
            held[z] = tiles.any(axis=(1, 3))
        return held

    def looks_clipped(self) -> bool:
        """Return whether more blocks reach the top of the range than chance would have there."""
        uneven = self.high > self.low
        top = self.high == np.max(self.high, where=uneven, initial=-np.inf)
        return bool((uneven & top).sum() > _CLIPPED_SHARE * uneven.sum())

    def noise(self, inside: BoolArray) -> float:
        """Estimate the standard deviation of the noise in some blocks.

        The median of a frequency's magnitudes, where anatomy has hardly any share in it (D. L.
        Donoho, I. M. Johnstone, Biometrika 81(3), 1994, 425-455).
        """
        magnitudes = np.abs(self.project(noise_pattern()[None], *np.nonzero(inside)))
        return float(np.median(magnitudes)) / 0.6745 if magnitudes.size else 0.0

    def span(self, inside: BoolArray) -> float:
        """Return the range of the voxels in some blocks, but for a thousandth at either end."""
        if not inside.any():
            return 0.0
        high, low = np.percentile(self.high[inside], 99.9), np.percentile(self.low[inside], 0.1)
        return float(high - low)
