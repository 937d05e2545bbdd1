"""How slices were smoothed or sharpened, found from the pilots, and taken back.

Whatever a linear filter took from a pattern, and let in from the blocks beside, is there to be had
again where noise does not hide it, once its response is known. Filters are taken for one family:
what a Gaussian takes away, taken away or added so many times. The pilots of the right one show far
better than those of any other. It is taken back after N. Wiener (Extrapolation, Interpolation, and
Smoothing of Stationary Time Series, 1949).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.pilots import synchronise
from MedWatermarkLib.sites import Sites

# Slices that are looked at, the fullest ones.
_SLICES = 3
# Radii of Gaussians that are tried, and amounts and radii of what sharpens.
_RADII = 0.5 * 1.25 ** np.arange(9)
_AMOUNTS, _SHARPENED_RADII = (0.5, 1.0, 2.0, 4.0), (0.7, 1.0, 1.5, 2.0, 3.0)
# Factors by which what was found is then refined, and how often by each.
_NEAR, _MOVES = (1.12, 1.04), 3
# How much better than those of the copy as it is the pilots have to show.
_BETTER = 1.03
# What noise there is beside what is filtered, as a share of the power.
_NOISE = 0.003

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Smoothing:
    """A filter: what a Gaussian takes away, added so many times.

    Attributes
    ----------
    amount : float
        -1 is the Gaussian itself, more than 0 an unsharp mask.
    radius : float
        Standard deviation of the Gaussian, in voxels.
    """

    amount: float
    radius: float

    def __str__(self) -> str:
        if self.amount < 0:
            return f"smoothed, about as by a Gaussian of {self.radius:.1f} voxels"
        return (
            f"sharpened, about as by {self.amount:.1f} times an unsharp mask of {self.radius:.1f} "
            "voxels"
        )

    def beside(self, factor: float) -> list[Smoothing]:
        """Return filters of amounts and radii that are by a factor more or less."""
        factors = (1 / factor, 1.0, factor)
        amounts = (1.0,) if self.amount < 0 else factors
        return [
            Smoothing(self.amount * of_amount, self.radius * of_radius)
            for of_amount, of_radius in itertools.product(amounts, factors)
            if (of_amount, of_radius) != (1.0, 1.0)
        ]

    def response(self, shape: tuple[int, int]) -> Floats:
        """Return the filter's response to each frequency of the DCT of a slice, (y, x) float32."""
        fy, fx = (np.arange(n, dtype=np.float32) / (2 * n) for n in shape)
        passed = np.exp(-2 * np.pi**2 * self.radius**2 * (fy[:, None] ** 2 + fx**2))
        return np.asarray(1 + self.amount * (1 - passed), np.float32)

    def taken_back(self, voxels: Array) -> Floats:
        """Return slices as they were before they were filtered.

        Parameters
        ----------
        voxels : (z, y, x) array

        Returns
        -------
        (z, y, x) float32 array
        """
        return self._inverted(_spectra(voxels))

    def _inverted(self, spectra: Floats) -> Floats:
        response = self.response(spectra.shape[1:])
        inverse = (1 + _NOISE) * response / (response**2 + _NOISE)
        return np.asarray(fft.idctn(spectra * inverse, axes=(1, 2), norm="ortho"), np.float32)


def find_smoothing(voxels: Array, where: Sites) -> Smoothing | None:
    """Look for the filter that slices went through.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Returns
    -------
    Smoothing, or None if the pilots show as well without one.
    """
    body = Blocks(voxels).body(4)
    full = np.sort(np.argsort(-body.sum(axis=(1, 2)), kind="stable")[:_SLICES])
    body, some = body[full], np.ascontiguousarray(voxels[full])
    spectra = _spectra(some)

    def score(values: Array) -> float:
        found = synchronise(Blocks(values), body, where)
        return 0.0 if found is None else found.score

    def of(one: Smoothing) -> float:
        return score(one._inverted(spectra))

    plain = score(some)
    best, most = _best(of, _tried())
    if most <= _BETTER * plain:
        return None
    for factor in _NEAR:
        for _ in range(_MOVES):
            other, score_of_other = _best(of, best.beside(factor))
            if score_of_other <= most:
                break
            best, most = other, score_of_other
    return best


def _tried() -> list[Smoothing]:
    return [
        *(Smoothing(-1.0, float(radius)) for radius in _RADII),
        *itertools.starmap(Smoothing, itertools.product(_AMOUNTS, _SHARPENED_RADII)),
    ]


def _best(
    score: Callable[[Smoothing], float], tried: Iterable[Smoothing]
) -> tuple[Smoothing, float]:
    scored = [(one, score(one)) for one in tried]
    return max(scored, key=lambda pair: pair[1])


def _spectra(voxels: Array) -> Floats:
    finite = np.nan_to_num(voxels.astype(np.float32), posinf=0, neginf=0)
    return np.asarray(fft.dctn(finite, axes=(1, 2), norm="ortho"), np.float32)
