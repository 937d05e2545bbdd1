"""From the file of a scan, or the picture of a slice, to the claim that it carries."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import typer
from numpy.typing import ArrayLike
from rich.text import Text

from MedWatermarkLib import qr
from MedWatermarkLib.claim import Claim
from MedWatermarkLib.dicom_series import Series
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.output import new_files
from MedWatermarkLib.picture import PICTURE_SUFFIXES, read_picture
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.scan import ScanReading, read_scan
from MedWatermarkLib.tables import (
    claim_facts,
    claim_rows,
    grid,
    half_blocks,
    reading_facts,
    reading_rows,
)
from MedWatermarkLib.volume import Volume

_NOT_SHOWN = (
    "That it belongs to these voxels was not shown: a mark can be copied into another scan. Who "
    "holds the signer's account, and whether they may vouch for a diagnosis, was not checked."
)
_UNDAMAGED = "It is the code of an undamaged claim; that it belongs to any scan was not shown."


class NarrowTerminalError(ValueError):
    """A QR code that does not fit in the terminal."""


def open_scan(path: Path | Series, series: str | None) -> Volume:
    """Read a scan, or a picture of one slice.

    Raises
    ------
    ImageReadError
        If it is neither.
    """
    if isinstance(path, Path) and path.is_file() and path.name.lower().endswith(PICTURE_SUFFIXES):
        return read_picture(path)
    return read_volume(path, series)


def read_mark(
    source: Path,
    key: bytes,
    series: str | None,
    report: Report,
    *,
    reference: Path | None = None,
    until: float = 1.0,
) -> tuple[Volume, ScanReading]:
    """Read a scan or picture and its mark; of the whole command it takes a share, `until`."""
    report.step("Reading the scan", 0.0, 0.2 * until)
    volume = open_scan(source, series)
    original = None if reference is None else read_volume(reference)
    prepare(report, volume.voxels.dtype, 0.2 * until, 0.3 * until)
    progress = report.step("Looking for the mark", 0.3 * until, until)
    return volume, read_scan(volume, key=key, reference=original, progress=progress)


def extract_claim(
    source: Path,
    picture: Path | None,
    key: bytes,
    series: str | None,
    report: Report,
    reference: Path | None = None,
) -> None:
    """Read the claim of a scan or picture, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if no claim was read.
    ImageReadError, WatermarkError, OutputError
    """
    _, reading = read_mark(source, key, series, report, reference=reference)
    extracted, claim = reading.extracted, reading.claim
    drawn = picture is not None and extracted.modules is not None
    if picture is not None and extracted.modules is not None:
        _draw(extracted.modules, picture)
    facts = {
        "command": "extract",
        "read": claim is not None,
        "problem": reading.problem,
        "claim": None if claim is None else claim_facts(claim),
        "belongs_to_voxels": "not shown",
        "qr": str(picture) if drawn else None,
        **reading_facts(extracted),
    }
    rows = [*([] if claim is None else claim_rows(claim)), *reading_rows(extracted)]
    if picture is not None:
        rows.append(("QR code", str(picture) if drawn else "not drawn: nothing of it was read"))
    if claim is not None:
        headline = Text("A claim was read. ", "bold green").append(_NOT_SHOWN, "not bold default")
        report.result(facts, headline, grid(rows))
        return
    headline = Text(f"No claim was read. {_problem(reading, key)}", "bold yellow")
    report.result(facts, headline, *([grid(rows)] if extracted.tag is not None else []))
    raise typer.Exit(ExitCode.NOT_READ)


def show_code(
    source: str, output: Path | None, key: bytes, series: str | None, report: Report
) -> None:
    """Show the QR code of a marked scan, a picture of a slice, or a claim's text.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if the scan gave no claim.
    ClaimError, ImageReadError, WatermarkError, OutputError, NarrowTerminalError
    """
    text = claim_text(source)
    if text is None:
        _, reading = read_mark(Path(source), key, series, report)
        if reading.claim is None:
            facts = {"command": "qr", "read": False, "problem": reading.problem}
            message = f"No claim was read. {_problem(reading, key)}"
            report.result(facts, Text(message, "bold yellow"))
            raise typer.Exit(ExitCode.NOT_READ)
        claim = reading.claim
    else:
        claim = Claim.from_text(text)
    code = qr.encode(claim.to_text().encode())
    facts = {
        "command": "qr",
        "read": True,
        "claim": claim_facts(claim),
        "version": code.version,
        "modules": ["".join("01"[module] for module in row) for row in code.modules.astype(int)],
        "output": None if output is None else str(output),
    }
    if output is None:
        drawing = half_blocks(code.modules)
        _check_width(drawing)
        report.result(facts, drawing)
        return
    _draw(code.modules, output)
    report.result(facts, grid([("QR code", str(output)), *claim_rows(claim)]), Text(_UNDAMAGED))


def claim_text(source: str) -> str | None:
    """Return the claim's text that is given, or lies in a file; None if the source is a scan."""
    path = Path(source)
    if source.startswith("MW") and ":" in source[:8]:
        return source
    if path.is_file() and path.suffix.lower() == ".txt":
        return path.read_bytes()[:10_000].decode("utf-8", "replace")
    return None


def _check_width(drawing: Text) -> None:
    columns, needed = shutil.get_terminal_size((sys.maxsize, 0)).columns, drawing.plain.find("\n")
    if columns < needed:
        raise NarrowTerminalError(
            f"The terminal has {columns} columns, and the code needs {needed}: make it wider, or "
            "write a picture with --output."
        )


def _draw(modules: ArrayLike, place: Path) -> None:
    with new_files(place) as (new_place,):
        qr.picture(modules).save(new_place, "PNG")


def _problem(reading: ScanReading, key: bytes) -> str:
    if reading.extracted.tag is None and not key:
        return "No public mark was found; one with a key of its own is read with --mark-key-file."
    return reading.problem or ""
