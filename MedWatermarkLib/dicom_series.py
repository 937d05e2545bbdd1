"""Which DICOM series lie in a folder, among whatever else lies there."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from MedWatermarkLib.image_errors import ImageReadError, ImageReadWarning

# Images of this world that are drawn or computed on a scan, and are none themselves.
_NO_SCANS = frozenset({"SEG", "RTDOSE", "KO", "PR", "SR"})

_LISTED = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
]


@dataclass(frozen=True)
class Series:
    """One DICOM series of a folder.

    Parameters
    ----------
    uid : str
        Series Instance UID; "" where the files have none.
    modality : str
        Modality, or "".
    shape : tuple of int
        Number of images (frames count), and rows and columns of the first.
    description : str
        Series Description. Free text that may name the patient, hence not in the repr.
    number : int, optional
        Series Number.
    paths : tuple of pathlib.Path
        The files.
    """

    uid: str
    modality: str
    shape: tuple[int, int, int]
    description: str = field(default="", repr=False)
    number: int | None = None
    paths: tuple[Path, ...] = field(default=(), repr=False)


def find_series(path: Path) -> list[Series]:
    """List the series of images in a file or folder, searched recursively, the largest first.

    Files that are no DICOM, and DICOM objects without an image (reports, presentation states,
    segmentations), are passed over; damaged ones too, with an `ImageReadWarning`.

    Parameters
    ----------
    path : pathlib.Path
        A DICOM file or a folder.

    Raises
    ------
    ImageReadError
        If there is no such file or folder.
    """
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}.")
    by_uid: dict[str, list[tuple[Path, Dataset]]] = defaultdict(list)
    for file in _files(path):
        header = _listed_header(file)
        if header is not None:
            by_uid[str(header.get("SeriesInstanceUID") or "")].append((file, header))
    series = [_series(uid, instances) for uid, instances in by_uid.items()]
    return sorted(series, key=lambda one: (-one.shape[0] * one.shape[1] * one.shape[2], one.uid))


def is_dicom(path: Path) -> bool:
    """Tell whether a file starts as DICOM does, with the preamble of PS3.10 or without it."""
    with path.open("rb") as file:
        start = file.read(132)
    # Files of the time before PS3.10 start with their first element: group 2 or 8, and a tag
    # of such a group that is in use there.
    return start[128:] == b"DICM" or start[:4] in _FIRST_TAGS


_FIRST_TAGS = frozenset(
    group.to_bytes(2, "little") + element.to_bytes(2, "little")
    for group, elements in ((2, (0, 1)), (8, (0, 1, 5, 8, 16, 18)))
    for element in elements
) | {b"\0\x08\0\x05", b"\0\x08\0\x08", b"\0\x08\0\x16"}


def read_instance(path: Path, **options: Any) -> Dataset:
    """Read a DICOM file, whatever of it is asked for.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    **options
        As for `pydicom.dcmread`.

    Raises
    ------
    ImageReadError
        If it cannot be read.
    """
    try:
        try:
            return pydicom.dcmread(path, **options)
        except InvalidDicomError:
            return pydicom.dcmread(path, force=True, **options)
    except Exception as error:  # of a damaged file pydicom raises what it stumbles on
        raise ImageReadError(
            f"{path} cannot be read, the file seems damaged or cut short: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)


def _listed_header(path: Path) -> Dataset | None:
    """Read what is listed of an image, or None if the file is none of a scan."""
    try:
        if not is_dicom(path):
            return None
        header = read_instance(path, stop_before_pixels=True, specific_tags=_LISTED)
        has_image = "Rows" in header and "Columns" in header
        if not has_image and "Image Storage" in pydicom.uid.UID(header.get("SOPClassUID", "")).name:
            raise ImageReadError(f"{path} ends before its image; it seems to be cut short.")
    except (ImageReadError, OSError) as error:
        warnings.warn(ImageReadWarning(f"A file was left out: {error}"), stacklevel=2)
        return None
    return header if has_image and header.get("Modality") not in _NO_SCANS else None


def _series(uid: str, instances: list[tuple[Path, Dataset]]) -> Series:
    first = instances[0][1]
    images = sum(int(header.get("NumberOfFrames") or 1) for _, header in instances)
    number = first.get("SeriesNumber")
    return Series(
        uid=uid,
        modality=str(first.get("Modality") or ""),
        shape=(images, int(first.Rows), int(first.Columns)),
        description=str(first.get("SeriesDescription") or ""),
        number=None if number is None else int(number),
        paths=tuple(path for path, _ in instances),
    )
