"""Scans of an archive that a batch works on: fetched, each once, to a folder beside the run's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from MedWatermarkLib.dicomweb import DicomWeb
from MedWatermarkLib.output import OutputError
from MedWatermarkLib.pacs import NotInPacsError, PacsError
from MedWatermarkLib.report import Report

# More series than any day of a hospital has.
_MOST = 100_000


@dataclass(frozen=True)
class Acquired:
    """What was fetched.

    Attributes
    ----------
    folder : pathlib.Path
        With a folder for each series, named by its UID.
    failed : int
        Series that could not be fetched, which were warned of.
    """

    folder: Path
    failed: int


def acquire(
    url: str,
    folder: Path,
    filters: Mapping[str, str],
    report: Report,
    wanted: Iterable[str] | None = None,
) -> Acquired:
    """Fetch the series of an archive that are not there yet.

    A folder with the name of a series is whole, so that fetching goes on where it was stopped. A
    series that cannot be fetched does not keep the others from it.

    Parameters
    ----------
    url : str
        Of the archive's DICOMweb services.
    folder : pathlib.Path
        Made if it is not there.
    filters : mapping of str
        What the series must match, as for `DicomWeb.query`.
    report : Report
    wanted : iterable of str, optional
        Series Instance UIDs of those that are wanted; then the archive is not asked what it has.

    Raises
    ------
    NotInPacsError
        If the archive has no such series.
    PacsError, OSError
        If it cannot be asked, or the folder not be made.
    """
    archive = DicomWeb(url)
    if wanted is None:
        report.step("Asking the archive", 0.0, 0.0)
        uids = [series.uid for series in archive.query(filters, _MOST)]
    else:
        uids = sorted(wanted)
    if not uids:
        raise NotInPacsError("The archive lists no series of that date and modality.")
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    for number, uid in enumerate(uids, start=1):
        place = folder / uid
        if place.exists():
            continue
        tell = report.step(f"Fetching series {number} of {len(uids)}", 0.0, 0.0)
        try:
            archive.fetch(uid, place, tell)
        except (PacsError, OutputError) as error:
            failed += 1
            report.warn(f"Series {uid} was not fetched: {error}")
    return Acquired(folder, failed)
