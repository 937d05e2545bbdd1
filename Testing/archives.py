"""Folders full of small CT series, as the tests of the batch engine need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from instances import ct_instance
from pydicom.uid import generate_uid


def slices(count: int, size: int, seed: int) -> np.ndarray:
    """CT numbers (count, size, size), int16: brain in air, another one for each seed."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    radius = np.hypot(x / 0.95, y / 0.95)
    noise = np.random.default_rng(seed).normal(0, 5, (count, size, size))
    brain = 35 + 12 * np.sin(9 * x) * np.cos(7 * y) + noise
    return np.where(radius < 1, brain, -1000).round().astype(np.int16)


def write_series(folders: list[Path], count: int, size: int, seed: int) -> str:
    """Write a series of one patient, its files in turn into each of the folders; return its UID."""
    series, study, frame_of_reference = (generate_uid() for _ in range(3))
    for index, pixels in enumerate(slices(count, size, seed)):
        instance = ct_instance(pixels, index)
        instance.SeriesInstanceUID = series
        instance.StudyInstanceUID = study
        instance.FrameOfReferenceUID = frame_of_reference
        instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
        folder = folders[index % len(folders)]
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{instance.SOPInstanceUID}.dcm"
        pydicom.dcmwrite(place, instance, enforce_file_format=True)
    return str(series)
