"""What the commands of ``medwatermark pacs`` do, and how they report it."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from MedWatermarkLib.output import check_new
from MedWatermarkLib.pacs import PacsError, files_to_send
from MedWatermarkLib.report import Report
from MedWatermarkLib.store_errors import without_secrets
from MedWatermarkLib.tables import grid

if TYPE_CHECKING:
    from MedWatermarkLib.dimse import Delivery


class PacsPackagesError(PacsError):
    """The packages that speak to archives are not installed."""


@dataclass(frozen=True)
class Inbox:
    """Where images are waited for, and from whom.

    Attributes
    ----------
    folder : pathlib.Path
    host : str
    port : int
    title : str
    senders : sequence of str
        AE titles; empty: everyone's.
    timeout : float
        Seconds.
    """

    folder: Path
    host: str
    port: int
    title: str
    senders: Sequence[str]
    timeout: float


def query_archive(
    url: str, filters: Mapping[str, str], limit: int, timeout: float, report: Report
) -> None:
    """List series of an archive, and report.

    Raises
    ------
    PacsError
    """
    with packages_installed():
        from MedWatermarkLib.dicomweb import DicomWeb
    found = DicomWeb(url, timeout).query(filters, limit)
    facts = {"command": "pacs query", "url": without_secrets(url), "limit": limit}
    table = Table("Series", "Modality", "Date", "Number", "Images", box=None, header_style="dim")
    for one in found:
        cells = (one.uid, one.modality, one.date, one.number, one.images)
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in cells))
    headline = Text(f"{len(found)} series" + (" or more" if len(found) == limit else ""), "bold")
    report.result({**facts, "series": [asdict(one) for one in found]}, headline, table)


def fetch_series(url: str, series: str, output: Path, timeout: float, report: Report) -> None:
    """Get a series, and report.

    Raises
    ------
    PacsError, OutputError
    """
    with packages_installed():
        from MedWatermarkLib.dicomweb import DicomWeb
    check_new(output)
    images = DicomWeb(url, timeout).fetch(series, output, report.step("Fetching", 0.0, 1.0))
    facts = {"command": "pacs fetch", "output": str(output), "series": series, "images": images}
    rows = [("Folder", str(output)), ("Images", str(images))]
    report.result(facts, Text("The series is here.", "bold green"), grid(rows))


def store_scans(source: Path, url: str, timeout: float, report: Report) -> None:
    """Give scans to an archive by DICOMweb, and report.

    Raises
    ------
    PacsError, ImageReadError
    """
    with packages_installed():
        from MedWatermarkLib.dicomweb import DicomWeb
    archive = DicomWeb(url, timeout)
    files = _files(source, report)
    images = archive.store(files, report.step("Storing", 0.0, 1.0))
    _report_given("pacs store", source, without_secrets(url), images, report)


def send_scans(source: Path, address: str, title: str, timeout: float, report: Report) -> None:
    """Give scans to an archive by C-STORE, and report.

    Raises
    ------
    PacsError, ImageReadError
    """
    with packages_installed():
        from MedWatermarkLib.dimse import Node, send
    node = Node.parse(address)
    files = _files(source, report)
    progress = report.step("Sending", 0.0, 1.0)
    images = send(files, node, title=title, timeout=timeout, progress=progress)
    _report_given("pacs send", source, str(node), images, report)


def take_series(inbox: Inbox, count: int | None, report: Report) -> None:
    """Take series until so many are here, or the user ends it, and report each.

    Raises
    ------
    PacsError, OutputError
    """
    with packages_installed():
        from MedWatermarkLib.dimse import listening
    arrived: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
    taken = 0
    try:
        with listening(
            inbox.folder,
            inbox.port,
            arrived.put,
            senders=inbox.senders,
            timeout=inbox.timeout,
            host=inbox.host,
            title=inbox.title,
        ):
            report.step(f"Listening at {inbox.host}:{inbox.port}", 0.0, 0.0)
            while count is None or taken < count:
                one = arrived.get()
                taken += 1
                _report_delivery(one, report)
    except KeyboardInterrupt:  # which is how it ends
        pass
    while not arrived.empty():  # what was broken off with it
        _report_delivery(arrived.get(), report)


def _report_delivery(one: Delivery, report: Report) -> None:
    facts = {
        "command": "pacs listen",
        "series": one.uid,
        "output": str(one.folder),
        "images": one.images,
        "sender": one.sender,
        "whole": one.whole,
    }
    if not one.whole:
        report.warn(f"{one.sender} broke off in a series; what came of it is in {one.folder}.")
    style = "bold green" if one.whole else "bold yellow"
    report.result(facts, Text(f"{one.images} images from {one.sender}: {one.folder}", style))


def _report_given(command: str, source: Path, target: str, images: int, report: Report) -> None:
    facts = {"command": command, "input": str(source), "target": target, "images": images}
    rows = [("Archive", target), ("Images", str(images))]
    report.result(facts, Text("The archive has confirmed every image.", "bold green"), grid(rows))


def _files(source: Path, report: Report) -> list[Path]:
    files, remarks = files_to_send(source)
    for remark in remarks:
        report.warn(f"{source}: {remark}")
    return files


@contextmanager
def packages_installed() -> Iterator[None]:
    """Say what to install, where the packages that speak to archives are missing."""
    try:
        yield
    except ImportError:
        raise PacsPackagesError(
            "To speak to a PACS takes packages that are not installed: pip install "
            "'medwatermark[pacs]'."
        ) from None
