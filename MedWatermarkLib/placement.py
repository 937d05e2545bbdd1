"""Where the slices of a suspect lie on those of the original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.geometry import Geometry

# Where no voxel is further from a place of its own, nothing has to be interpolated.
_EXACT = 0.1

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the slices of a suspect lie on those of the original.

    Attributes
    ----------
    matrix : (2, 2) float64 array
    offset : (2,) float64 array
        A voxel (y, x) of the suspect lies at ``matrix @ (y, x) + offset`` of the original.
    sources : tuple of tuple of (int, float)
        For each slice of the suspect the slices of the original that are in it, with the share of
        each; none if it could not be placed.
    """

    matrix: FloatArray
    offset: FloatArray
    sources: tuple[tuple[tuple[int, float], ...], ...]

    @property
    def exact(self) -> bool:
        """Whether voxels lie on voxels: nothing but crops, shifts, flips and quarter turns."""
        whole = np.rint(self.matrix)
        return bool(
            np.array_equal(self.matrix, whole)
            and np.array_equal(np.abs(whole).sum(axis=0), [1, 1])
            and np.array_equal(self.offset, np.rint(self.offset))
        )

    @property
    def scale(self) -> float:
        """How much larger the suspect is than the original."""
        return float(1 / np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def angle(self) -> float:
        """By how many degrees the suspect was turned, counter-clockwise as it is shown."""
        return float(np.degrees(np.arctan2(self.matrix[0, 1], self.matrix[0, 0])))

    @property
    def mirrored(self) -> bool:
        """Whether the suspect was mirrored, left and right, before it was turned."""
        return bool(np.linalg.det(self.matrix) < 0)

    def geometry(self) -> Geometry:
        """Return the way from the original to the suspect."""
        inverse = np.asarray(np.linalg.inv(self.matrix), np.float64)
        # Whole numbers stay whole.
        inverse = np.rint(inverse) if self.exact else inverse
        return Geometry(inverse, -inverse @ self.offset)

    def snapped(self, shape: tuple[int, ...]) -> Placement:
        """Return the exact placement that this one hardly differs from on a slice, or itself."""
        matrix = np.rint(self.matrix)
        if not np.array_equal(np.abs(matrix).sum(axis=0), [1, 1]) or not matrix.any(axis=1).all():
            return self
        corners = np.array([[0, 0], [0, shape[1]], [shape[0], 0], [shape[0], shape[1]]], float).T
        middle = np.array(shape, float) / 2
        offset = np.rint(self.matrix @ middle + self.offset - matrix @ middle)
        apart = (self.matrix - matrix) @ corners + (self.offset - offset)[:, None]
        if np.abs(apart).max() > _EXACT:
            return self
        return Placement(matrix, offset, self.sources)

    def host(self, original: Array, k: int) -> Floats:
        """Return what slice k of the suspect shows of the original, on the original's grid."""
        total = np.zeros(original.shape[1:], np.float32)
        for z, share in self.sources[k]:
            total += np.float32(share) * original[z].astype(np.float32)
        return total

    def onto_suspect(self, host: Floats, shape: tuple[int, ...]) -> tuple[Floats, BoolArray]:
        """Return a slice of the original on the suspect's grid, and where it lies on that."""
        moved = self._warped(host, self.matrix, self.offset, shape)
        return moved, _inside(self.matrix, self.offset, shape, host.shape)

    def onto_original(self, layer: Floats, shape: tuple[int, ...]) -> Floats:
        """Return a slice of the suspect on the original's grid."""
        inverse = np.asarray(np.linalg.inv(self.matrix), np.float64)
        return self._warped(layer, inverse, -inverse @ self.offset, shape)

    def covered(self, shape: tuple[int, ...], host: tuple[int, ...]) -> BoolArray:
        """Return which voxels of the original's slices lie on the suspect's."""
        inverse = np.asarray(np.linalg.inv(self.matrix), np.float64)
        return _inside(inverse, -inverse @ self.offset, host, shape)

    def _warped(
        self, layer: Floats, matrix: FloatArray, offset: FloatArray, shape: tuple[int, ...]
    ) -> Floats:
        if np.array_equal(matrix, np.eye(2)) and not offset.any() and layer.shape == shape:
            return layer.copy()
        return warped(layer, matrix, offset, shape, order=0 if self.exact else 3)


def warped(
    image: npt.NDArray[Any],
    matrix: npt.ArrayLike,
    offset: npt.ArrayLike,
    shape: tuple[int, ...],
    *,
    order: int = 1,
    outside: float | None = None,
) -> Floats:
    """Return an image on another grid, of which (y, x) lies at ``matrix @ (y, x) + offset``.

    Outside the image is its nearest pixel, or a value; `order` is that of the spline.
    """
    resample: Any = ndimage.affine_transform
    mode, value = ("nearest", 0.0) if outside is None else ("constant", outside)
    result = resample(image, matrix, offset, shape, np.float32, order=order, mode=mode, cval=value)
    return np.asarray(result, np.float32)


def _inside(
    matrix: FloatArray, offset: FloatArray, shape: tuple[int, ...], other: tuple[int, ...]
) -> BoolArray:
    """Return which voxels of one grid lie on the other."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside: BoolArray = np.ones(shape[:2], bool)
    for row, start, size in zip(matrix, offset, other, strict=True):
        at = row[0] * y + row[1] * x + start
        inside &= (at > -0.01) & (at < size - 0.99)
    return inside
