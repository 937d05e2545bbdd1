"""Distortion: how far a mark changed a scan, in the units that its reader knows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.tables import Row
from MedWatermarkLib.volume import Volume

_AREA = 64  # voxels of a block


@dataclass(frozen=True)
class Distortion:
    """How far a mark changed a scan, in rescaled units (HU on a CT).

    Attributes
    ----------
    rmse : float
        Within the marked blocks.
    greatest_change : float
    psnr : float
        Of the whole scan, in dB of `data_range`; infinite where nothing changed.
    data_range : float
        Greatest less least value of the original.
    ssim : float or None
        Structural similarity, if it was asked for.
    """

    rmse: float
    greatest_change: float
    psnr: float
    data_range: float
    ssim: float | None

    def facts(self) -> dict[str, Any]:
        """Return the figures, for a program; null where one is no finite number."""
        return {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in vars(self).items()
        }

    def rows(self, modality: str) -> list[Row]:
        """Return the figures, for a person."""
        unit = " HU" if modality == "CT" else ""
        rows = [
            (
                "Change",
                f"RMSE {self.rmse:.2f}{unit} where marked, at most {self.greatest_change:g}{unit}",
            ),
            ("PSNR", f"{self.psnr:.1f} dB of the scan's range ({self.data_range:g}{unit})"),
        ]
        return rows if self.ssim is None else [*rows, ("SSIM", f"{self.ssim:.5f}")]


def distortion(
    original: Volume, marked: Volume, blocks: npt.NDArray[np.int64], *, similarity: bool
) -> Distortion:
    """Compare a marked scan with the original.

    Parameters
    ----------
    original, marked : Volume
    blocks : (z,) int64 array
        Marked blocks of each slice.
    similarity : bool
        Whether to compute SSIM, which takes many times as long as the rest.
    """
    squares, greatest, low, high = 0.0, 0.0, math.inf, -math.inf
    for before, after, slope, intercept in zip(
        original.voxels, marked.voxels, original.slope, original.intercept, strict=True
    ):
        values = before.astype(np.float64)
        change = after - values
        change[before == after] = 0  # NaN and infinities, which the mark leaves alone
        squares += float(np.square(change * slope).sum())
        greatest = max(greatest, float(np.abs(change * slope).max()))
        finite = values[np.isfinite(values)] * slope + intercept
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    whole = math.sqrt(squares / original.voxels.size)
    peak = high - low
    ssim = None
    if similarity:
        from MedWatermarkLib.quality import compare

        ssim = compare(original.rescaled(), marked.rescaled()).ssim
    return Distortion(
        rmse=math.sqrt(squares / (_AREA * max(int(blocks.sum()), 1))),
        greatest_change=greatest,
        psnr=20 * math.log10(peak / whole) if whole and peak > 0 else math.inf,
        data_range=peak,
        ssim=ssim,
    )
