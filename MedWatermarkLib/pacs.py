"""What the ways to an archive of images (PACS) share, whether by DICOMweb or by DIMSE."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydicom import Dataset

from MedWatermarkLib.dicom_series import find_series, read_instance
from MedWatermarkLib.report import ExitCode

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


class PacsError(Exception):
    """An archive that does not do what was asked of it."""


class PacsAddressError(PacsError):
    """An address that no archive can have."""

    exit_code = ExitCode.USAGE


class PacsUnreachableError(PacsError):
    """An archive that cannot be reached, falls silent or breaks off."""


class PacsAccessError(PacsError):
    """An archive that does not know who asks, or does not let them."""


class PacsAnswerError(PacsError):
    """An archive that gives an answer that cannot be used, or not all that was asked for."""


class PacsRefusedError(PacsError):
    """An archive that does not take images."""


class NotInPacsError(PacsError):
    """Something that is not in the archive, or not there for whoever asks."""


class NothingToSendError(PacsError):
    """A file or folder without an image in DICOM that an archive could take."""


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID, and so safe in a URL and as the name of a file.

    Zeros that lead a component are let pass: some scanners write them.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def files_to_send(path: Path) -> tuple[list[Path], list[str]]:
    """Find the DICOM images in a file or folder, searched recursively.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    files : list of pathlib.Path
        Series after series.
    remarks : list of str
        Sentences on damaged files, which were left out.

    Raises
    ------
    NothingToSendError
        If there are none.
    ImageReadError
        If there is no such file or folder.
    """
    series, remarks = find_series(path)
    files = [file for one in series for file in one.paths]
    if not files:
        raise NothingToSendError(f"{path} holds no image in DICOM that could be sent.")
    return files, remarks


def read_to_send(file: Path, **options: Any) -> Dataset:
    """Read a DICOM file that is to be sent.

    Parameters
    ----------
    file : pathlib.Path
    **options
        As for `pydicom.dcmread`.

    Raises
    ------
    NothingToSendError
        If it does not say what it is.
    ImageReadError
        If it cannot be read.
    """
    instance = read_instance(file, **options)
    if not (
        instance.get("SOPClassUID")
        and instance.get("SOPInstanceUID")
        and instance.file_meta.get("TransferSyntaxUID")
    ):
        raise NothingToSendError(
            f"{file} does not say which image it is or how it is written (SOP Class UID, SOP "
            "Instance UID, Transfer Syntax UID), so no archive would take it; leave it out."
        )
    return instance
