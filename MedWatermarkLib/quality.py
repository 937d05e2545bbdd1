"""Quality: how far a marked scan is from the original, and a bit string from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import minimum_filter
from skimage.metrics import mean_squared_error, structural_similarity

WINDOW = 7


class QualityError(ValueError):
    """Two arrays that cannot be compared."""


@dataclass(frozen=True)
class Quality:
    """How much a scan was changed.

    Attributes
    ----------
    rmse : float
        Root mean square error, in the units of the values.
    psnr : float
        Peak signal-to-noise ratio in dB, of `data_range`; infinite where nothing changed, NaN
        where something did and the range is 0.
    ssim : float
        Structural similarity, the mean of all pixels whose window lies in the slice; NaN where
        none does, or something changed and the range is 0.
    greatest_change : float
        Greatest absolute difference, in the units of the values.
    data_range : float
        The peak that PSNR and SSIM refer to, in the units of the values.
    """

    rmse: float
    psnr: float
    ssim: float
    greatest_change: float
    data_range: float


def compare(
    original: ArrayLike,
    marked: ArrayLike,
    mask: ArrayLike | None = None,
    data_range: float | None = None,
) -> Quality:
    """Compare a marked scan with the original, slice by slice.

    SSIM is that of Wang et al. (IEEE Trans. Image Processing 13(4), 2004) as scikit-image
    computes it, with a window of 7x7 within each slice: slices lie further apart than pixels, and
    so a whole series is never in memory as floats. Slices of fewer than 7 pixels a side take the
    greatest odd window that fits, from 3 on. PSNR and RMSE are those of the whole scan.

    Parameters
    ----------
    original, marked : array_like
        (z, y, x), or one slice (y, x); of any real dtype. Values that are NaN, or the same
        infinity, in both are left out, and with them the windows of SSIM that hold any.
    mask : array_like of bool, optional
        Where to compare, of the same shape, such as the patient; everywhere, if not given.
    data_range : float, optional
        The peak. If not given: the range of the data and not of the dtype, that is the greatest
        less the least finite value of the original within the mask.

    Raises
    ------
    QualityError
        If the shapes differ, a value is NaN or infinite in one only, nothing is left to compare,
        or `data_range` is not positive.
    """
    first, second = _slices(original), _slices(marked)
    if first.shape != second.shape:
        raise QualityError(f"Scans of {first.shape} and {second.shape} voxels are not comparable.")
    within = np.ones(first.shape, bool) if mask is None else _slices(mask).astype(bool)
    if within.shape != first.shape:
        raise QualityError(f"The mask has {within.shape} voxels, and the scan {first.shape}.")
    if data_range is not None and not 0 < data_range < np.inf:
        raise QualityError("The data range must be a positive number.")
    peak = _range(first, within) if data_range is None else float(data_range)

    squares = greatest = similarity = 0.0
    count = windows = 0
    for slice_pair in zip(first, second, within, strict=True):
        a, b, known, inside = _comparable(*slice_pair)
        if inside.any():
            pixels = int(np.count_nonzero(inside))
            squares += float(mean_squared_error(a[inside], b[inside])) * pixels
            count += pixels
            greatest = max(greatest, float(np.abs(a - b)[inside].max()))
            values = _similarities(a, b, known, peak)[inside]
            similarity += float(np.nansum(values))
            windows += int(np.count_nonzero(~np.isnan(values)))
    if not count:
        raise QualityError("There is no voxel to compare.")
    rmse = float(np.sqrt(squares / count))
    return Quality(
        rmse=rmse,
        psnr=_psnr(rmse, peak),
        ssim=similarity / windows if windows else float("nan"),
        greatest_change=greatest,
        data_range=peak,
    )


def ber(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the bit error rate: the share of bits that differ.

    Parameters
    ----------
    a, b : array_like
        Bits, 0 and 1 or bool, of one shape.

    Raises
    ------
    QualityError
        If the shapes differ, there are no bits, or a value is neither 0 nor 1.
    """
    first, second = _bits(a, b)
    return float(np.mean(first != second))


def nc(a: ArrayLike, b: ArrayLike) -> float:
    """Compute the normalised correlation of bits, as papers on watermarks state it.

    The sum of the products over the root of the product of the sums of squares, of bits that are
    0 and 1: in [0, 1], and about 0.5 for bits by chance. It is 1 where both are all 0, and 0 where
    one is.

    Parameters
    ----------
    a, b : array_like
        Bits, 0 and 1 or bool, of one shape.

    Raises
    ------
    QualityError
        If the shapes differ, there are no bits, or a value is neither 0 nor 1.
    """
    first, second = _bits(a, b)
    energy = np.sqrt(float(np.count_nonzero(first)) * np.count_nonzero(second))
    if energy == 0:
        return float(np.array_equal(first, second))
    return float(np.count_nonzero(first & second) / energy)


def _slices(voxels: ArrayLike) -> NDArray[Any]:
    array = np.asarray(voxels)
    if array.ndim not in (2, 3) or not array.size or array.dtype.kind not in "biuf":
        raise QualityError("A scan to compare has slices, rows and columns of real numbers.")
    return array if array.ndim == 3 else array[np.newaxis]


def _range(original: NDArray[Any], within: NDArray[np.bool_]) -> float:
    greatest, least = -np.inf, np.inf
    for values, inside in zip(original, within, strict=True):
        chosen = values[inside & np.isfinite(values)].astype(np.float64)
        if chosen.size:
            greatest, least = max(greatest, chosen.max()), min(least, chosen.min())
    return float(greatest - least) if greatest >= least else 0.0


def _comparable(
    first: NDArray[Any], second: NDArray[Any], within: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Give two slices as floats, where both are finite, and where they are to be compared."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    known = np.isfinite(a)
    if not np.array_equal(a[~known], b[~known], equal_nan=True) or not np.isfinite(b[known]).all():
        raise QualityError("A value is not a finite number in one of the scans only.")
    a[~known] = b[~known] = 0
    return a, b, known, known & within


def _similarities(
    a: NDArray[np.float64], b: NDArray[np.float64], known: NDArray[np.bool_], peak: float
) -> NDArray[np.float64]:
    """Compute SSIM at each pixel of a slice; NaN where the window is not whole."""
    window = min(WINDOW, (min(a.shape) - 1) // 2 * 2 + 1)
    values = np.full(a.shape, np.nan)
    if np.array_equal(a, b):
        local = np.ones(a.shape)
    elif window >= 3 and peak > 0:
        _, local = structural_similarity(  # type: ignore[no-untyped-call]
            a, b, win_size=window, data_range=peak, full=True
        )
    else:
        return values
    whole = minimum_filter(known, window, mode="constant", cval=False)
    values[whole] = local[whole]
    return values


def _psnr(rmse: float, peak: float) -> float:
    if rmse == 0:
        return float("inf")
    return float(20 * np.log10(peak / rmse)) if peak > 0 else float("nan")


def _bits(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape or not first.size:
        raise QualityError("Bits to compare come in two arrays of one shape that are not empty.")
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise QualityError("A bit is 0 or 1.")
    return first.astype(bool), second.astype(bool)
