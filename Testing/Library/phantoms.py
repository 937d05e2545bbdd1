"""Heads of any size and dtype, for the tests of the mark."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def head(slices: int, height: int, width: int, seed: int = 7) -> np.ndarray:
    """CT numbers (slices, height, width), float64 and whole, of a skull with brain in air."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    rng = np.random.default_rng(seed)
    layers = []
    for z in np.linspace(-0.4, 0.4, slices):
        radius = np.sqrt((x / 0.88) ** 2 + (y / 0.95) ** 2 + z**2)
        noise = rng.normal(0, 5, radius.shape)
        brain = 35 + 12 * np.sin(9 * x + 3 * z) * np.cos(7 * y) + noise
        air = -1000 + 2 * noise
        layers.append(np.where(radius < 0.9, brain, np.where(radius < 1, 900 + 4 * noise, air)))
    return np.rint(np.stack(layers))


def head_as(dtype: str, slices: int, height: int, width: int) -> np.ndarray:
    """The head in the range that a dtype can hold."""
    values = head(slices, height, width)
    if dtype in ("int8", "uint8"):
        low = np.iinfo(dtype).min
        return np.clip(low + 40 + (values + 1000) * 0.12, low, low + 255).astype(dtype)
    if dtype.startswith("u"):
        values = np.maximum(values + 1024, 0)
    if dtype.startswith("f"):
        values = values / 7
    return values.astype(dtype)


def anatomy(slices: int, seed: int = 7) -> np.ndarray:
    """CT numbers (slices, 400, 368), int16, of a head in which no part is like another."""
    plain = head(slices, 400, 368, seed)
    rng = np.random.default_rng(seed)

    def field(deviation: float, size: float, thickness: float = 0.7) -> np.ndarray:
        smooth = ndimage.gaussian_filter(rng.normal(size=plain.shape), (thickness, size, size))
        return deviation * smooth / smooth.std()

    places = np.indices(plain.shape).astype(float)
    places[1] += field(9, 40, 2)
    places[2] += field(9, 40, 2)
    plain = ndimage.map_coordinates(plain, places, order=0, mode="nearest")
    plain += np.where(plain > -500, field(25, 7) + field(25, 20), 0)
    return np.rint(plain).astype(np.int16)
