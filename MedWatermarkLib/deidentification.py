"""The command ``deidentify``: from a scan's files to such that may leave the house."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from MedWatermarkLib.confidentiality import Action
from MedWatermarkLib.deidentified import Deidentified, Request, deidentify
from MedWatermarkLib.output import new_files
from MedWatermarkLib.report import Report
from MedWatermarkLib.tables import Row, grid

#: Environment variable with the secret from which pseudonyms are made.
KEY_VARIABLE = "MEDWATERMARK_PSEUDONYM_KEY"


class PseudonymKeyError(ValueError):
    """A key file for pseudonyms that holds none."""


def deidentify_file(
    source: Path,
    output: Path,
    request: Request,
    series: str | None,
    report_file: Path | None,
    report: Report,
) -> None:
    """De-identify the scan at a path, write it, and report.

    Raises
    ------
    ImageReadError, ImageWriteError, BurnedInIdentityError, IdentifyingNameError, OutputError
        With nothing written.
    """
    places = [output, *([] if report_file is None else [report_file])]
    tell = report.step("De-identifying", 0.05, 1.0)
    with new_files(*places) as staged:
        found = deidentify(source, staged[0], request, series, tell)
        facts = {
            "command": "deidentify",
            "output": str(output),
            **deidentified_facts(found, request),
        }
        if report_file is not None:
            _write_report(staged[1], report_file, facts, found, request)
    for remark in found.remarks:
        report.warn(remark)
    rows = [*deidentified_rows(found, request), ("Written to", str(output))]
    heading = Text("The scan was de-identified; its voxels are as they were.", "bold green")
    report.result(facts, heading, grid(rows), _table(found))


def read_pseudonym_key(file: Path | None) -> bytes:
    """Get the secret of the pseudonyms, from a file or ``MEDWATERMARK_PSEUDONYM_KEY``.

    Raises
    ------
    PseudonymKeyError
        If the file holds fewer than 16 bytes: a short one could be guessed.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip().encode()
    else:
        key = file.read_bytes().strip()
    if (file is not None or key) and len(key) < 16:
        place = KEY_VARIABLE if file is None else f"The key file {file}"
        raise PseudonymKeyError(f"{place} holds fewer than 16 bytes, which could be guessed.")
    return key


def deidentified_facts(found: Deidentified, request: Request) -> dict[str, Any]:
    """Return what became of what, for a program."""
    return {
        "profile": [{"code": code, "meaning": text} for code, text in request.options.codes],
        "pixels_checked": request.pixels_checked,
        "series": found.series,
        "files": found.files,
        "remarks": list(found.remarks),
        "attributes": [
            {"name": one.name, "tag": one.tag, "outcome": one.action.value, "count": one.count}
            for one in found.outcomes
        ],
    }


def deidentified_rows(found: Deidentified, request: Request) -> list[Row]:
    """Return what became of what in brief, for a person."""
    counts = Counter(one.action for one in found.outcomes)
    summary = ", ".join(f"{counts[action]} {action.value}" for action in Action if counts[action])
    return [
        ("Profile", "; ".join(meaning for _, meaning in request.options.codes)),
        ("Files", f"{found.files} in {found.series} series"),
        ("Attributes", summary),
    ]


def _table(found: Deidentified) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("Attribute", "Tag", "What became of it", "Times"):
        table.add_column(title, overflow="fold", justify="right" if title == "Times" else "left")
    for one in found.outcomes:
        table.add_row(Text(one.name), one.tag, one.action.value, str(one.count))
    return table


def _write_report(
    staged: Path, place: Path, facts: dict[str, Any], found: Deidentified, request: Request
) -> None:
    """Write what became of each attribute: JSON for ``.json``, else text."""
    with staged.open("w", encoding="utf-8") as file:
        if place.suffix.lower() == ".json":
            json.dump(facts, file, indent=1)
            return
        console = Console(file=file, width=160, color_system=None)
        console.print(f"De-identified: {facts['output']}")
        console.print(grid(deidentified_rows(found, request)))
        for remark in found.remarks:
            console.print(Text(f"Warning: {remark}"))
        console.print(_table(found))
