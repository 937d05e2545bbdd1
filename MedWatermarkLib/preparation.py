"""Preparation: what the first use of the mark has to wait for."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.report import Report

# Longer than loading kernels that were compiled before, shorter than compiling any.
_PATIENCE_S = 3.0
# Types of voxels whose kernels this process has.
_prepared: set[np.dtype[Any]] = set()


def prepare(report: Report, dtype: npt.DTypeLike, start: float, end: float) -> None:
    """Load the kernels of the mark, or compile them, which the first use on a machine has to.

    Parameters
    ----------
    report : Report
    dtype : data-type
        Of the voxels that will be marked or read.
    start, end : float
        The step's part of the whole command.
    """
    dtype = np.dtype(dtype)
    if dtype in _prepared:
        return
    report.step("Preparing", start, end)
    explain = threading.Timer(
        _PATIENCE_S, report.step, ("Preparing (first use compiles the kernels)", start, end)
    )
    explain.daemon = True
    explain.start()
    try:
        from MedWatermarkLib import watermark

        # Voxels with the room for a byte, and so little noise that it is found where it is looked
        # for first: where it is not, the search of all other places takes seconds.
        voxels = np.random.default_rng(0).normal(50, 5, (1, 256, 256)).astype(dtype)
        watermark.extract(watermark.embed(voxels, b"?").voxels)
        _prepared.add(dtype)
    finally:
        explain.cancel()
