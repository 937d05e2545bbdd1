"""Which slices of the original a suspect shows, and how they lie on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.placement import Placement

Array = npt.NDArray[Any]


def place(suspect: Array, original: Array) -> Placement:
    sources = tuple(((k, 1.0),) for k in range(len(suspect)))
    return Placement(np.eye(2), np.zeros(2), sources)
