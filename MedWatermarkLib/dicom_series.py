"""Which DICOM series lie in a folder, among whatever else lies there."""

from __future__ import annotations

import logging
import os
import struct
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from MedWatermarkLib.image_errors import ImageReadError, understanding

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


# Files without the preamble of PS3.10 start with their first element: group length, Specific
# Character Set, Image Type or SOP Class UID of group 8, or a file meta element of group 2.
_FIRST_TAGS = frozenset(
    struct.pack(order + "HH", group, element)
    for order in "<>"
    for group, elements in ((2, (0x00, 0x01)), (8, (0x00, 0x01, 0x05, 0x08, 0x16)))
    for element in elements
)


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

    def __str__(self) -> str:
        """Name it as errors do: by its UID, and where its first file lies."""
        return f"Series {self.uid or 'without UID'} in {self.paths[0].parent}"


@contextmanager
def discreet_pydicom() -> Iterator[None]:
    """Keep pydicom from warnings and logs, since these quote values of the header."""
    logger = logging.getLogger("pydicom")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


def find_series(path: Path) -> tuple[list[Series], list[str]]:
    """Find the series of images in a file or folder, searched recursively, the largest first.

    Files that are no DICOM, and DICOM objects without an image (reports, presentation states,
    segmentations), are passed over.

    Parameters
    ----------
    path : pathlib.Path
        A DICOM file or a folder.

    Returns
    -------
    series : list of Series
    remarks : list of str
        Sentences on damaged files, which were left out.

    Raises
    ------
    ImageReadError
        If there is no such file or folder.
    """
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}.")
    if path.is_file():
        listed = _listed(path)
        return [] if listed is None else [listed], []
    return series_of(_files(path))


def series_of(files: Sequence[Path]) -> tuple[list[Series], list[str]]:
    """Find the series of images that files hold, the largest first, as `find_series` does.

    Parameters
    ----------
    files : sequence of pathlib.Path
        They may lie anywhere.

    Returns
    -------
    series : list of Series
    remarks : list of str
        Sentences on damaged or missing files, which were left out.
    """
    by_uid: dict[str, list[Series]] = defaultdict(list)
    damage = []
    for file in files:
        try:
            listed = _listed(file)
        except (ImageReadError, OSError) as error:
            damage.append(str(error).rstrip("."))
            continue
        if listed is not None:
            by_uid[listed.uid].append(listed)
    series = [_joined(parts) for parts in by_uid.values()]
    series.sort(key=lambda one: (-one.shape[0] * one.shape[1] * one.shape[2], one.uid))
    if len(damage) <= 1:
        return series, [f"a file was left out, since {error}" for error in damage]
    return series, [f"{len(damage)} files were left out; the first, since {damage[0]}"]


def is_dicom(path: Path) -> bool:
    """Tell whether a file starts as DICOM does, with the preamble of PS3.10 or without it."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] == b"DICM" or start[:4] in _FIRST_TAGS


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
    except OSError as error:
        raise ImageReadError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # of a damaged file pydicom raises what it stumbles on
        raise ImageReadError(
            f"{path} cannot be read, the file seems damaged or cut short: "
            f"{' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _files(path: Path) -> list[Path]:
    return sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)


def _listed(path: Path) -> Series | None:
    """List one file as a series of its own, or None if it is none of a scan."""
    if not is_dicom(path):
        return None
    header = read_instance(path, stop_before_pixels=True, specific_tags=_LISTED)
    with understanding(path):
        if "Rows" not in header or "Columns" not in header:
            if "Image Storage" in UID(header.get("SOPClassUID") or "").name:
                raise ImageReadError(f"{path} ends before its image; it seems to be cut short.")
            return None
        if header.get("Modality") in _NO_SCANS:
            return None
        number = header.get("SeriesNumber")
        return Series(
            uid=str(header.get("SeriesInstanceUID") or ""),
            modality=str(header.get("Modality") or ""),
            shape=(int(header.get("NumberOfFrames") or 1), int(header.Rows), int(header.Columns)),
            description=str(header.get("SeriesDescription") or ""),
            number=None if number is None else int(number),
            paths=(path,),
        )


def _joined(parts: list[Series]) -> Series:
    images = sum(one.shape[0] for one in parts)
    paths = tuple(path for one in parts for path in one.paths)
    return replace(parts[0], shape=(images, *parts[0].shape[1:]), paths=paths)
