"""What is looked at of a copy whose geometry is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.layout import Layout
from MedWatermarkLib.sites import PILOT, Sites
from MedWatermarkLib.strength import GREATEST_DEFAULT, rung_below

# Steps tried where the voxels' unit is not known, in multiples of the noise.
_STEPS = 4.0 * 1.2 ** np.arange(14)
# The same in multiples of the usual projection in the window.
_MULTIPLES = 0.9 * 1.2 ** np.arange(14)
# Slices on which that is found, and scales, between which it changes little by little.
_LOOKED_AT, _SCALES = 3, np.geomspace(0.5, 2, 7)
# The usual step.
_USUAL = float(Layout(3).steps(rung_below(GREATEST_DEFAULT))[PILOT, 0])

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suspect:
    """What is looked at of a copy.

    Attributes
    ----------
    splines : (n, y, x) float32 array
        Coefficients of the cubic splines through some slices.
    inside : (n, ny, nx) bool array
        Blocks of 8x8 voxels that may be marked.
    slices : (n,) int64 array
        Which slices they are.
    size : (2,) float64 array
        Height and width, in voxels.
    window : (2,) float64 array
        Voxel (y, x) around which tissue is flattest.
    half : float
        Half of the window's side, in voxels.
    steps : (k,) float64 array
        Lattice steps that may be; the last is that of the usual strength.
    rows : (1, 64) float64 array
        The pattern of bold projections.
    """

    splines: npt.NDArray[np.float32]
    inside: BoolArray
    slices: npt.NDArray[np.int64]
    size: FloatArray
    window: FloatArray
    half: float
    steps: FloatArray
    rows: FloatArray

    @classmethod
    def of(cls, voxels: Array, where: Sites, halves: Mapping[int, float]) -> Suspect | None:
        """Choose slices, the fullest ones, and a window; None if there is nothing to see.

        Parameters
        ----------
        voxels : (z, y, x) array
            As `blocks.working_copy` gives it.
        where : Sites
        halves : mapping
            Half of the window's side for each number of slices; the greatest is how many serve.
        """
        blocks = Blocks(voxels)
        inside = blocks.body(4)
        counts = inside.sum(axis=(1, 2))
        full = np.argsort(-counts, kind="stable")[: max(halves)]
        slices = np.sort(full[counts[full] > 0])
        if not len(slices):
            return None
        chosen = np.ascontiguousarray(voxels[slices], np.float32)
        splines = np.stack(
            [
                ndimage.spline_filter(np.nan_to_num(s, posinf=0, neginf=0), 3, np.float32, "mirror")
                for s in chosen
            ]
        )
        # Where the host is even, an error of half a voxel moves projections by little.
        energy = np.zeros(inside.shape)
        energy[inside] = (blocks.project(where.patterns[:1], *np.nonzero(inside)) ** 2)[:, 0]
        energy = energy[slices]
        usual = np.median(energy[inside[slices]])
        even = (inside[slices] / (1 + energy / max(usual, 1e-9))).mean(axis=0)
        half = halves[len(slices)]
        place = ndimage.uniform_filter(even, int(2 * half // BLOCK), mode="constant").argmax()
        window = BLOCK * (np.array(np.unravel_index(place, even.shape), np.float64) + 0.5)
        noise = max(blocks.noise(inside), 1e-6)
        return cls(
            splines=splines,
            inside=np.ascontiguousarray(inside[slices]),
            slices=slices.astype(np.int64),
            size=np.array(voxels.shape[1:], np.float64),
            window=window,
            half=half,
            steps=np.append(noise * _STEPS, _USUAL),
            rows=where.patterns[:1],
        )

    @property
    def middle(self) -> FloatArray:
        """The middle of a slice, in voxels (y, x)."""
        return (self.size - 1) / 2

    def reach(self, matrix: FloatArray) -> float:
        """Return half of the side of a window that holds all, in voxels of the marked slices."""
        return float(np.hypot(*self.size)) / float(np.sqrt(abs(np.linalg.det(matrix))))

    def steps_at(self, scales: FloatArray) -> FloatArray:
        """Return the steps that may be where the copy has some scales.

        What was made larger has hardly any noise left of its own, and units are not known; the
        usual projection of blocks of the same size as the marked ones tells the order of both.

        Parameters
        ----------
        scales : (m,) float64 array

        Returns
        -------
        (m, k) float64 array
        """
        usual = [self._projection(float(scale)) for scale in _SCALES]
        units = np.exp(np.interp(np.log(scales), np.log(_SCALES), np.log(usual)))
        steps = units[:, None] * _MULTIPLES
        return np.hstack([steps, np.full((len(scales), 1), _USUAL)])

    def _projection(self, scale: float) -> float:
        """Return the median magnitude of projections in the window, if the copy has this scale."""
        side = int(2 * self.half)
        first = self.window - scale * self.half
        layers = [
            ndimage.affine_transform(
                spline, [scale, scale], first, (side, side), prefilter=False, mode="nearest"
            )
            for spline in self.splines[:_LOOKED_AT]
        ]
        values = np.abs(Blocks(np.stack(layers)).projections(self.rows))
        # Where nothing varies, nothing was marked.
        return max(float(np.median(values[values >= 1e-3 * values.max()])), 1e-6)
