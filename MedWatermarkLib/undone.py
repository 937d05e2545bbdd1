"""What became of a marked volume before it was read: what a reader had to undo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MedWatermarkLib.geometry import STILL, Geometry
from MedWatermarkLib.order import Order
from MedWatermarkLib.smoothing import Smoothing


@dataclass(frozen=True, eq=False)
class Undone:
    """What a reader undid.

    Attributes
    ----------
    geometry : Geometry
        Where the voxels of the marked slices lie in those that were read.
    slices : tuple of tuple of int, or None
        For each slice the marked ones that it shows: more than one if it is a mean, none if it
        was not recognised. None where no original was at hand to tell.
    gain, offset : float or None
        The voxels are about ``gain * v + offset`` of the marked ones, where a display window did
        not cut them off. Without the original a gain is None where it is not known from 1, and is
        told but for a factor of 2**16; the offset is always None, since nothing of a mark depends
        on it.
    averaged : int
        Of how many neighbours each slice is the mean, as it was found without the original.
    nonlinear : bool
        Whether grey values were changed otherwise than by gain and offset, slice by slice, as an
        equalised histogram and a gamma do. No gain is told then.
    smoothing : Smoothing or None
        By what filter slices were smoothed or sharpened, where that had to be taken back. No gain
        is told then.
    order : Order or None
        How the slices follow one another, as they say without the original; None where it is as
        they were marked, or not known.
    """

    geometry: Geometry = STILL
    slices: tuple[tuple[int, ...], ...] | None = None
    gain: float | None = None
    offset: float | None = None
    averaged: int = 1
    nonlinear: bool = False
    smoothing: Smoothing | None = None
    order: Order | None = None

    def __str__(self) -> str:
        parts = []
        if self.averaged > 1:
            parts.append(f"averaged, each slice the mean of {self.averaged} neighbours")
        if self.bent:
            parts.append(str(self.geometry))
        if self.gain is not None:
            parts.append(f"given grey values {self.gain:.3g} times what they were")
        if self.smoothing is not None:
            parts.append(str(self.smoothing))
        if self.nonlinear:
            parts.append("given another contrast, not the same for all grey values")
        if self.order is not None:
            parts.append(str(self.order))
        return "; ".join(parts)

    @property
    def is_nothing(self) -> bool:
        """Whether the volume arrived as it was marked, as far as a reader can tell."""
        return not (str(self) or self.slices or self.origin != (0, 0))

    @property
    def scale(self) -> float:
        """How much larger the slices are than the marked ones."""
        return self.geometry.scale

    @property
    def mirrored(self) -> bool:
        """Whether they were mirrored, left and right."""
        return self.geometry.mirrored

    @property
    def angle(self) -> float:
        """By how many degrees they were then turned, counter-clockwise as they are shown."""
        return self.geometry.angle

    @property
    def origin(self) -> tuple[float, float]:
        """Voxel (y, x) of the marked slices at which they begin."""
        y, x = np.linalg.solve(self.geometry.matrix, -self.geometry.shift)
        return float(y) + 0.0, float(x) + 0.0

    @property
    def reshaped(self) -> bool:
        """Whether every voxel may be another, so that where more was done does not show."""
        changed = self.averaged > 1 or self.nonlinear or self.smoothing is not None
        return self.bent or changed

    @property
    def bent(self) -> bool:
        """Whether voxels no longer lie beside each other as they were marked."""
        return not (self.geometry.is_exact and np.array_equal(self.geometry.matrix, np.eye(2)))
