"""The scans that the benchmarks use, and a claim such as they carry."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pydicom
from eth_account import Account

from MedWatermarkLib.claim import sign
from MedWatermarkLib.imageio import ImageReadWarning, read_volume
from MedWatermarkLib.volume import Volume, image_hash

FOLDER = Path(os.environ.get("MEDWATERMARK_DATA", Path(__file__).parents[3] / "shared" / "data"))
SERIES = ("ct-head-ge", "ct-head-philips", "mr-head-t1")
SLICES = ("693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "CT_small.dcm", "MR_small.dcm")
DIAGNOSIS = "Left frontal meningioma, 23 mm, no midline shift, unchanged."


def scan(name: str) -> Volume:
    """Read one of the series, or one of the slices in pydicom's wheel."""
    packaged = Path(pydicom.__file__).parent / "data" / "test_files" / name
    path = packaged if packaged.is_file() else FOLDER / name
    if not path.exists():
        sys.exit(f"{path} is missing; set MEDWATERMARK_DATA to the folder of the real scans")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageReadWarning)
        return read_volume(path)


def claim_of(volume: Volume) -> bytes:
    """Return the text of a real claim with a diagnosis of 60 characters."""
    assert len(DIAGNOSIS) == 60
    account = Account.from_key(b"\x42" * 32)
    digest = image_hash(volume).digest
    return sign(digest, DIAGNOSIS, account, issued_at=1_790_000_000).to_text().encode()


def volume_like(shape: tuple[int, int, int]) -> np.ndarray:
    """Return a body that fills its slices, int16, where the real series is not at hand."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    inside = x**2 + y**2 < 0.9
    layers = rng.normal(40, 8, shape).astype(np.float32)
    return np.where(inside, layers, -1000).round().astype(np.int16)
