"""Scans as a scanner has just made them."""

from __future__ import annotations

from pathlib import Path

import pydicom
from archives import write_series

DATE = "20261103"


def write_scan(folder: Path, count: int = 2, size: int = 168, date: str = DATE) -> str:
    """Write a CT series into a new folder, as ``0.dcm`` and so on, and return its UID."""
    uid = write_series([folder], count, size, seed=3)
    for index, file in enumerate(sorted(folder.iterdir())):
        instance = pydicom.dcmread(file)
        instance.StudyDate = date
        file.unlink()
        instance.save_as(folder / f"{index}.dcm")
    return uid
