"""A few things that happen to a scan on its way, for the demonstration."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from MedWatermarkLib.volume import Volume

FloatArray = npt.NDArray[np.float64]

#: Center and width of the soft-tissue window, in HU.
SOFT_TISSUE = (40.0, 400.0)

_JPEG_QUALITY = 75
_NOISE_HU = 5.0


@dataclass(frozen=True)
class Attack:
    """What happens to a copy.

    Attributes
    ----------
    name : str
    apply : callable
        From a marked volume to what is left of it.
    """

    name: str
    apply: Callable[[Volume], Volume]


def attacks(strength: float, modality: str) -> list[Attack]:
    """Return what the demonstration does to a copy.

    Parameters
    ----------
    strength : float
        RMSE of the mark in rescaled units, by which the noise is measured where units are not HU.
    modality : str
    """
    is_ct = modality == "CT"
    noise = _NOISE_HU if is_ct else strength * _NOISE_HU / 1.5
    view = "soft-tissue window" if is_ct else "display window"
    return [
        Attack(f"JPEG {_JPEG_QUALITY} of the {view}", compress),
        Attack(f"Noise of {noise:.3g}{' HU' if is_ct else ''}", lambda v: add_noise(v, noise)),
        Attack("Edges cut off", cut),
    ]


def display(values: npt.NDArray[np.generic], window: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Show rescaled values in 8 bits.

    Parameters
    ----------
    values : array
        In rescaled units.
    window : (center, width)
    """
    center, width = window
    share = (np.asarray(values, np.float64) - center) / width + 0.5
    return np.asarray(np.round(255 * np.clip(np.nan_to_num(share), 0, 1)), np.uint8)


def display_window(volume: Volume) -> tuple[float, float]:
    """Return the window of a scan, or the one that shows nearly all of its values."""
    if volume.window is not None and volume.window[1] > 0:
        return volume.window
    values = volume.rescaled()
    low, high = np.percentile(values[np.isfinite(values)], (1, 99.5))
    return float(low + high) / 2, float(max(high - low, 1e-6))


def compress(volume: Volume) -> Volume:
    """Show each slice in a window of 8 bits and compress it as JPEG."""
    window = SOFT_TISSUE if volume.modality == "CT" else display_window(volume)
    slices = [np.asarray(Image.open(jpeg(one, window))) for one in volume.rescaled()]
    return Volume(np.stack(slices))


def jpeg(values: FloatArray, window: tuple[float, float]) -> io.BytesIO:
    """Return the JPEG of a slice in a window."""
    file = io.BytesIO()
    Image.fromarray(display(values, window)).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file


def add_noise(volume: Volume, deviation: float) -> Volume:
    """Add Gaussian noise of a standard deviation in rescaled units, and round to stored values."""
    noise = np.random.default_rng(20).normal(0, deviation, volume.voxels.shape)
    stored = volume.voxels + noise / np.abs(volume.slope)[:, None, None]
    if volume.voxels.dtype.kind == "f":
        return volume.with_voxels(stored.astype(volume.voxels.dtype))
    limits = np.iinfo(volume.voxels.dtype)
    clipped = np.clip(np.rint(stored), limits.min, limits.max)
    return volume.with_voxels(clipped.astype(volume.voxels.dtype))


def cut(volume: Volume) -> Volume:
    """Cut rows and columns off, of a number that is no multiple of a block's."""
    _, height, width = volume.voxels.shape
    top, left = height // 14 + 1, width // 10 + 2
    rows, columns = slice(top, height - height // 11), slice(left, width - width // 13)
    return Volume(np.ascontiguousarray(volume.voxels[:, rows, columns]))
