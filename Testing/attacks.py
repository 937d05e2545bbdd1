"""What scans go through, for tests and benchmarks: (z, y, x) CT numbers in, a copy out."""

from __future__ import annotations

import io

import numpy as np
import openjpeg.utils
from PIL import Image
from scipy import ndimage

# Added before JPEG 2000, which takes no negative values here; 13 bits hold what results.
_OFFSET, _BITS = 2000, 13


def windowed(voxels: np.ndarray, center: float, width: float) -> np.ndarray:
    """Show in 8 bits, as a viewer's export does."""
    grey = (voxels - (center - width / 2)) / width * 255
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def jpeg(voxels: np.ndarray, center: float, width: float, quality: int) -> np.ndarray:
    """Compress each slice of a windowed copy as JPEG."""
    return jpeg_of(windowed(voxels, center, width), quality)


def jpeg_of(pictures: np.ndarray, quality: int) -> np.ndarray:
    """Compress each slice, of 8 bits already, as JPEG."""
    slices = []
    for layer in pictures:
        file = io.BytesIO()
        Image.fromarray(layer).save(file, "JPEG", quality=quality)
        slices.append(np.asarray(Image.open(file)))
    return np.stack(slices)


def jpeg2000(voxels: np.ndarray, ratio: float) -> np.ndarray:
    """Compress each slice as lossy JPEG 2000 at its full depth."""
    slices = []
    for layer in voxels:
        data = openjpeg.utils.encode_array(
            (layer.astype(np.int32) + _OFFSET).astype(np.uint16),
            bits_stored=_BITS,
            photometric_interpretation=2,
            use_mct=False,
            compression_ratios=[ratio],
        )
        slices.append(openjpeg.utils.decode(data).astype(np.int32) - _OFFSET)
    return np.stack(slices).astype(np.int16)


def noisy(voxels: np.ndarray, deviation: float, seed: int = 3) -> np.ndarray:
    """Add Gaussian noise and round."""
    noise = np.random.default_rng(seed).normal(0, deviation, voxels.shape)
    return np.rint(voxels + noise).astype(voxels.dtype)


def turned(voxels: np.ndarray, degrees: float, grows: bool = True) -> np.ndarray:
    """Turn each slice counter-clockwise, with linear interpolation, and round.

    Where the slices do not grow with it, their corners are cut off.
    """
    layers = [
        ndimage.rotate(layer.astype(float), degrees, reshape=grows, order=1, mode="nearest")
        for layer in voxels
    ]
    return np.rint(np.stack(layers)).astype(voxels.dtype)


def scaled(voxels: np.ndarray, factor: float) -> np.ndarray:
    """Resample each slice to another size, with linear interpolation, and round."""
    layers = [
        ndimage.zoom(layer.astype(float), factor, order=1, mode="nearest") for layer in voxels
    ]
    return np.rint(np.stack(layers)).astype(voxels.dtype)
