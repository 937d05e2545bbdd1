"""From voxels and geometry alone back to DICOM: into the instances that a scan once came from.

3D Slicer and other programs hand a scan on as NRRD, with rescaled values; what is known of it
besides stands in the DICOM files that they read it from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.text import Text

from MedWatermarkLib.derived_series import MARKED
from MedWatermarkLib.dicom_series import Series, discreet_pydicom, find_series, series_of
from MedWatermarkLib.image_errors import ImageReadError, ImageWriteError
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.output import new_files
from MedWatermarkLib.report import Report
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.tables import grid
from MedWatermarkLib.volume import Volume, image_hash, matches_hash

_LIST_SUFFIX = ".txt"
# Of a scan that may have been marked, restored or changed by others.
_TAKEN_OVER = "Voxel values taken over by MedWatermark from a copy of the series"


class SourceError(ImageWriteError):
    """A scan that cannot be written into the DICOM files that were given as its source."""


def source_series(place: Path) -> Series:
    """Find the DICOM series that a scan came from.

    Parameters
    ----------
    place : pathlib.Path
        A folder or file of DICOM, of which the largest series is taken, or a text file (``.txt``)
        with the path of a DICOM file on each line.

    Raises
    ------
    ImageReadError
        If there is none, or a file is damaged.
    """
    with discreet_pydicom():
        if place.suffix.lower() != _LIST_SUFFIX:
            found, _remarks = find_series(place)
        else:
            found, remarks = series_of([Path(line) for line in _lines(place)])
            if remarks:
                raise ImageReadError(f"{place} cannot be used as a source: {remarks[0]}.")
    if not found:
        raise ImageReadError(f"{place} leads to no DICOM images of a scan.")
    return found[0]


def in_source(volume: Volume, series: Series) -> Volume:
    """Return a scan in the stored values and the instances of the series that it came from.

    Parameters
    ----------
    volume : Volume
        Whose rescaled values count, such as a scan from NRRD. It may have been marked since.
    series : Series

    Returns
    -------
    Volume
        It has the image hash of `volume`, and can be written as DICOM.

    Raises
    ------
    SourceError
        If the grid is another, or if a value is none that the instances can hold.
    ImageReadError
        If the series is no scan.
    """
    source = _read_quietly(series)
    if volume.voxels.shape != source.voxels.shape:
        raise SourceError(
            f"The scan has {_by(volume)} voxels, and its DICOM source {_by(source)}: it was "
            "resampled or cropped, and cannot be written as DICOM."
        )
    result = source.with_voxels(_stored(volume.as_rescaled().voxels, source))
    if not matches_hash(result, image_hash(volume).digest):
        raise SourceError(
            "The scan lies elsewhere than its DICOM source, or has values between those that its "
            "files can hold: it cannot be written as DICOM exactly."
        )
    return result


def within_source(volume: Volume, series: Series) -> Volume:
    """Return a scan that tells which values its DICOM source can hold, for a mark to keep to them.

    Raises
    ------
    SourceError, ImageReadError
        As of `in_source`.
    """
    source = in_source(volume, series)
    if source.valid_range is None or (source.slope != 1).any():
        return volume
    low = source.valid_range[0] + source.intercept.max()
    high = source.valid_range[1] + source.intercept.min()
    return replace(
        volume,
        valid_range=(int(np.ceil(low)), int(np.floor(high))),
        reserved=source.as_rescaled().reserved,
    )


@contextmanager
def derived_scan(scan: Path, source: Path | None, near: Path) -> Iterator[Path]:
    """Give a marked scan as a DICOM series, while the context lasts, if its source is known.

    Parameters
    ----------
    scan : pathlib.Path
    source : pathlib.Path or None
        As of `source_series`.
    near : pathlib.Path
        Beside which the series lies meanwhile, in a folder that the user alone can read.

    Yields
    ------
    pathlib.Path
        The series; without a source `scan` itself.

    Raises
    ------
    SourceError, ImageReadError, ImageWriteError
    """
    if source is None:
        yield scan
        return
    with scratch(near) as folder:
        place = folder / "derived"
        write_volume(in_source(read_volume(scan), source_series(source)), place, MARKED)
        yield place


def write_in_source(scan: Path, output: Path, source: Path, report: Report) -> None:
    """Write a scan as DICOM like its source, and report.

    Raises
    ------
    SourceError, ImageReadError, ImageWriteError, OutputError
        With nothing written.
    """
    report.step("Reading the scan", 0.0, 0.3)
    volume = read_volume(scan)
    report.step("Comparing it with its source", 0.3, 0.6)
    derived = in_source(volume, source_series(source))
    report.step("Writing DICOM", 0.6, 0.9)
    with new_files(output) as [staged]:
        write_volume(derived, staged, _TAKEN_OVER)
        report.step("Reading back what was written", 0.9, 1.0)
        files = [staged] if staged.is_file() else sorted(staged.iterdir())
        if image_hash(_read_quietly(staged)) != image_hash(derived):
            raise ImageWriteError(f"{output} could not be written whole; the disk may be full.")
    facts = {
        "command": "to-dicom",
        "output": str(output),
        "files": len(files),
        "image_hash": image_hash(derived).digest.hex(),
    }
    report.result(
        facts,
        Text("The scan is DICOM again; it still says whose it is.", "bold green"),
        grid([("Written to", str(output)), ("Files", str(len(files)))]),
    )


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise ImageReadError(f"{file} is not a text file in UTF-8.") from None


def _stored(rescaled: npt.NDArray[Any], source: Volume) -> npt.NDArray[Any]:
    """Return the stored values of a series whose rescaled ones are given, as near as it can."""
    stored = np.empty_like(source.voxels)
    scales = zip(source.slope.tolist(), source.intercept.tolist(), strict=True)
    for index, (slope, intercept) in enumerate(scales):
        values = (rescaled[index].astype(np.float64) - intercept) / slope
        if stored.dtype.kind != "f":
            info = np.iinfo(stored.dtype)
            low, high = source.valid_range or (int(info.min), int(info.max))
            values = np.rint(values)
            if not (low <= values.min() and values.max() <= high):
                raise SourceError(
                    f"Slice {index + 1} has values that its DICOM file cannot hold ({low} to "
                    f"{high} as stored): it cannot be written as DICOM."
                )
        stored[index] = values
    return stored


def _read_quietly(path: Path | Series) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_volume(path)


def _by(volume: Volume) -> str:
    return " x ".join(map(str, volume.voxels.shape))
