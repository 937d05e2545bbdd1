"""How a copy was turned, mirrored and scaled, and how it is laid straight again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.dct import BLOCK

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]

# A matrix and a shift so near to whole numbers are of a picture that was turned by right angles or
# mirrored.
_EXACT, _EXACT_SHIFT = 0.004, 0.25
# As near as this, a copy may still be of such a picture, if that reads more.
_BESIDE = 0.02
# Degrees, and share, from which on they are told of.
_ANGLE_TOLD, _SCALE_TOLD = 0.05, 0.001


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the voxels of the marked slices lie in those of a copy.

    Voxel (y, x) of the marked slices lies at ``matrix @ (y, x) + shift`` in the copy's.

    Attributes
    ----------
    matrix : (2, 2) float64 array
        In voxels.
    shift : (2,) float64 array
        In voxels.
    """

    matrix: FloatArray
    shift: FloatArray

    @classmethod
    def nearest(cls, matrix: FloatArray, shift: FloatArray) -> Geometry:
        """Return a geometry, exact where nothing but mirrors and right angles explain it."""
        exact = cls(np.rint(matrix), np.rint(shift))
        is_near = (
            np.abs(matrix - exact.matrix).max() < _EXACT
            and np.abs(shift - exact.shift).max() < _EXACT_SHIFT
        )
        return exact if is_near and exact.is_exact else cls(matrix, shift)

    def exact_beside(self, middle: FloatArray) -> Geometry | None:
        """Return the exact geometry next to this one that leaves a voxel where it is, if any is."""
        exact = np.rint(self.matrix)
        place = np.linalg.solve(self.matrix, middle - self.shift)
        found = Geometry(exact, np.rint(middle - exact @ place))
        return found if np.abs(self.matrix - exact).max() < _BESIDE and found.is_exact else None

    @property
    def is_exact(self) -> bool:
        """Whether each voxel of the copy is one of the marked slices', and nothing was blended."""
        parts = np.append(self.matrix.ravel(), self.shift)
        return bool(np.all(parts == np.rint(parts)) and self.scale == 1)

    @property
    def mirrored(self) -> bool:
        """Whether left and right were exchanged, before it was turned."""
        return bool(np.linalg.det(self.matrix) < 0)

    @property
    def scale(self) -> float:
        """Voxels of the copy for one of the marked slices, along either axis."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def angle(self) -> float:
        """Degrees by which it was turned, counter-clockwise as rows run down; -180 to 180."""
        turn = self.matrix @ np.diag([1.0, -1.0 if self.mirrored else 1.0])
        return float(np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])))

    def __str__(self) -> str:
        parts = []
        if self.mirrored:
            parts.append("mirrored")
        if abs(self.angle) >= _ANGLE_TOLD:
            way = "clockwise" if self.angle < 0 else "counter-clockwise"
            parts.append(f"turned {way} by {abs(self.angle):.1f}°")
        if abs(self.scale - 1) >= _SCALE_TOLD:
            parts.append(f"scaled to {self.scale:.1%}")
        return " and ".join(parts) or "moved by a part of a voxel"

    def straighten(self, voxels: Array) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
        """Resample a copy on the grid of the marked slices, by cubic splines.

        Parameters
        ----------
        voxels : (z, y, x) array

        Returns
        -------
        straight : (z, y', x') float32 array
            All that the copy shows; beyond it, its nearest voxel.
        first : (int, int)
            Row and column, on the canonical plane, of the block at which it begins.
        """
        height, width = voxels.shape[1:]
        corners = np.array([(y, x) for y in (0, height - 1) for x in (0, width - 1)], np.float64)
        back = np.linalg.solve(self.matrix, (corners - self.shift).T)
        first = np.floor(back.min(axis=1) / BLOCK).astype(int)
        # Where it begins beyond the plane by rounding alone, nothing is lost.
        first[(first == -1) & (back.min(axis=1) > -BLOCK / 4)] = 0
        last = np.ceil(back.max(axis=1)).astype(int) + 1
        shape = np.maximum(last - BLOCK * first, BLOCK)
        offset = self.matrix @ (BLOCK * first) + self.shift
        straight = np.empty((len(voxels), *shape), np.float32)
        for layer, slot in zip(voxels, straight, strict=True):
            slot[:] = ndimage.affine_transform(
                np.nan_to_num(layer.astype(np.float32), posinf=0, neginf=0),
                self.matrix,
                offset,
                (int(shape[0]), int(shape[1])),
                order=0 if self.is_exact else 3,
                mode="nearest",
            )
        return straight, (int(first[0]), int(first[1]))


#: That of a copy whose voxels lie where they were marked.
STILL = Geometry(np.eye(2), np.zeros(2))
