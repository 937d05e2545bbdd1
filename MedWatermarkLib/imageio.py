"""Reading and writing scans: DICOM, NRRD, NIfTI and MetaImage."""

from __future__ import annotations

import os
from pathlib import Path

from MedWatermarkLib.dicom import read_dicom
from MedWatermarkLib.dicom_series import Series, find_series, is_dicom
from MedWatermarkLib.image_errors import ImageReadError, ImageReadWarning, ImageWriteError
from MedWatermarkLib.volume import Volume

__all__ = [
    "ImageReadError",
    "ImageReadWarning",
    "ImageWriteError",
    "Series",
    "list_series",
    "read_volume",
]


def list_series(folder: str | os.PathLike[str]) -> list[Series]:
    """List the DICOM series in a folder, searched recursively, the largest first.

    Parameters
    ----------
    folder : path
        A folder, or one DICOM file.

    Raises
    ------
    ImageReadError
        If there is no such folder.
    """
    return find_series(Path(folder))


def read_volume(path: str | os.PathLike[str], series_uid: str | None = None) -> Volume:
    """Read a scan.

    Parameters
    ----------
    path : path
        A DICOM file, or a folder that is searched for DICOM files recursively.
    series_uid : str, optional
        Which series of a folder; without it the largest.

    Raises
    ------
    ImageReadError
        If there is no scan, or none that can be read.
    """
    path = Path(path)
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}.")
    if path.is_dir() or is_dicom(path):
        return read_dicom(path, series_uid)
    raise ImageReadError(f"{path} is in no format of a scan that is known.")
