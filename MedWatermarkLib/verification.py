"""From the file of a scan to what speaks for it, and to a map of where it was altered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from rich.text import Text

from MedWatermarkLib import qr
from MedWatermarkLib.batch_path import BatchPathError, batch_path_from_text
from MedWatermarkLib.dicom_series import Series
from MedWatermarkLib.imageio import write_volume
from MedWatermarkLib.output import OutputError, check_new, new_files
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.reading import open_scan
from MedWatermarkLib.record_batch import BatchedRecord
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.tables import Row, grid
from MedWatermarkLib.tamper import TamperError, compare_tiles, map_from_mark
from MedWatermarkLib.tiles import TileLeaves
from MedWatermarkLib.verification_report import Alterations, VerificationReport
from MedWatermarkLib.verify import verify
from MedWatermarkLib.watermark import extract

MAP_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


@dataclass(frozen=True)
class Evidence:
    """What a scan is to be checked with, and where the results go.

    Attributes
    ----------
    key : bytes
        Of the mark; empty, if it is public.
    ledger, leaves, record, batch_path : pathlib.Path or None
        Files: where the ledger is, tile leaves, restoration record, place in a batch.
    series : str or None
        Series Instance UID.
    page, map, picture : pathlib.Path or None
        New files: the report as HTML, where the scan was altered, the QR code as it was read.
    """

    key: bytes
    ledger: Path | None = None
    leaves: Path | None = None
    record: Path | None = None
    batch_path: Path | None = None
    series: str | None = None
    page: Path | None = None
    map: Path | None = None
    picture: Path | None = None


def verify_file(source: Path | Series, evidence: Evidence, report: Report) -> None:
    """Verify the scan or picture at a path, write what was asked for, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, unless every check that was asked for passed.
    ImageReadError, TileLeavesError, RestorationError, BatchPathError, LedgerError, WatermarkError
        If something that was given cannot be used.
    OutputError
        If the page or the map cannot be written; neither is then.
    """
    # Wrong files are told before the scan is read.
    leaves = _read_leaves(evidence.leaves)
    restoration = _read_record(evidence.record)
    placed = _read_place(evidence.batch_path)
    ledger = None
    if evidence.ledger is not None:
        report.step("Asking the ledger", 0.0, 0.05)
        from MedWatermarkLib.ledger import Ledger

        ledger = Ledger.connect(evidence.ledger)
    report.step("Reading the scan", 0.05, 0.2)
    volume = open_scan(source, evidence.series)
    prepare(report, volume.voxels.dtype, 0.2, 0.3)
    result = verify(
        volume,
        key=evidence.key,
        ledger=ledger,
        leaves=leaves,
        restoration=restoration,
        placed=placed,
        progress=report.step("Checking the scan", 0.3, 0.9),
    )
    report.step("Writing the report", 0.9, 1.0)
    written = _write(result, evidence)
    facts = {
        "command": "verify",
        **result.facts(),
        "page": None if evidence.page is None else str(evidence.page),
        "map": str(evidence.map) if evidence.map in written else None,
        "qr": str(evidence.picture) if evidence.picture in written else None,
    }
    shown, rows = result.shown(), list[Row]()
    if evidence.page is not None:
        rows.append(("Report", str(evidence.page)))
    if evidence.map is not None:
        drawn = evidence.map in written
        rows.append(
            ("Map", str(evidence.map) if drawn else "not written: nothing tells what was altered")
        )
    if evidence.picture is not None:
        drawn = evidence.picture in written
        rows.append(
            ("QR code", str(evidence.picture) if drawn else "not drawn: nothing of it was read")
        )
    if rows:
        shown += [Text(), grid(rows)]
    report.result(facts, *shown)
    if not result.passed:
        raise typer.Exit(ExitCode.NOT_READ)


def map_file(
    source: Path,
    output: Path,
    leaves: Path | None,
    record: Path | None,
    key: bytes,
    series: str | None,
    probability: bool,
    report: Report,
) -> None:
    """Write where the scan at a path was altered, as a volume on its geometry, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if there are neither leaves nor a mark that could tell.
    ImageReadError, TileLeavesError, RestorationError, WatermarkError, OutputError
    """
    given = _read_leaves(leaves)
    restoration = _read_record(record)
    report.step("Reading the scan", 0.0, 0.2)
    volume = open_scan(source, series)
    if given is not None:
        report.step("Comparing the tiles", 0.2, 0.8)
        found = Alterations(compare_tiles(volume, given), "leaves")
    else:
        prepare(report, volume.voxels.dtype, 0.2, 0.3)
        report.step("Comparing the scan with its mark", 0.3, 0.8)
        extracted = extract(volume.voxels, key=key)
        if extracted.tag is not None and extracted.message is None:
            report.warn(
                "Only the tag of the mark was read, and not its message: from so little, unaltered "
                "places are often taken for altered."
            )
        try:
            map = map_from_mark(volume, key=key, extracted=extracted, restoration=restoration)
            found = Alterations(map, "mark")
        except TamperError as error:
            facts = {"command": "tamper-map", "read": False, "problem": str(error)}
            report.result(facts, Text(f"No map was made. {error}", "bold yellow"))
            raise typer.Exit(ExitCode.NOT_READ) from None
    report.step("Writing the map", 0.8, 1.0)
    with new_files(output) as (place,):
        write_volume(found.map.probability_volume() if probability else found.map.volume(), place)
    altered = int(np.count_nonzero(found.map.altered)) > 0 or bool(found.map.geometry_altered)
    facts = {
        "command": "tamper-map",
        "read": True,
        "output": str(output),
        "values": "probability" if probability else "labels",
        **found.facts(),
    }
    style = "bold red" if altered else "bold green"
    values = (
        "0 to 1, how likely it was altered"
        if probability
        else ("0 unaltered, 1 altered, 2 nothing can be told")
    )
    report.result(
        facts,
        Text(" ".join(found.sentences), style),
        grid([("Map", str(output)), ("Values", values)]),
    )


def check_map(place: Path | None) -> None:
    """Refuse a place for a map that is taken, or not of a format that can hold one.

    Raises
    ------
    OutputError
    """
    if place is not None:
        check_new(place)
        if not place.name.lower().endswith(MAP_SUFFIXES):
            raise OutputError(
                "A tamper map is written as NRRD, NIfTI or MetaImage: choose a name that ends in "
                ".nrrd, .nii.gz or .mha."
            )


def _write(result: VerificationReport, evidence: Evidence) -> list[Path]:
    """Write page, map and picture, all or none; return which there were."""
    places = [] if evidence.page is None else [evidence.page]
    if evidence.map is not None and result.alterations is not None:
        places.append(evidence.map)
    modules = result.reading.extracted.modules
    if evidence.picture is not None and modules is not None:
        places.append(evidence.picture)
    with new_files(*places) as staged:
        for new, place in zip(staged, places, strict=True):
            if place == evidence.page:
                from MedWatermarkLib.verification_page import verification_page

                new.write_text(verification_page(result), "utf-8")
            elif place == evidence.picture and modules is not None:
                qr.picture(modules).save(new, "PNG")
            elif result.alterations is not None:
                write_volume(result.alterations.map.volume(), new)
    return places


def _read_leaves(file: Path | None) -> TileLeaves | None:
    return None if file is None else TileLeaves.from_bytes(file.read_bytes())


def _read_record(file: Path | None) -> bytes | None:
    if file is None:
        return None
    record = file.read_bytes()
    Restoration.from_bytes(record)
    return record


def _read_place(file: Path | None) -> BatchedRecord | None:
    if file is None:
        return None
    try:
        return batch_path_from_text(file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise BatchPathError(f"{file} does not hold the place of a record in a batch.") from None
