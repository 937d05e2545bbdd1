"""From the file of a copy that leaked to the recipient for whom it was made."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.text import Text

from MedWatermarkLib.claim import Claim, ClaimError
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.reading import claim_text, open_scan
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.scan import hounsfield
from MedWatermarkLib.tables import Row, grid, ranges, reading_facts, reading_rows
from MedWatermarkLib.tag import GREATEST_COPY
from MedWatermarkLib.trace import NamedCopy, trace


class CopiesError(ValueError):
    """A list of copies that is not one."""


def read_copies(text: str) -> dict[int, str]:
    """Return the numbers of the copies that were issued, with their recipients' names.

    Parameters
    ----------
    text : str
        Numbers with commas between them, or a text file with a number on each line, and after a
        comma whatever the owner calls the recipient; lines that begin with # say nothing.

    Raises
    ------
    CopiesError
        If it is neither.
    """
    path = Path(text)
    if path.is_file():
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            raise CopiesError(f"{path} is not a text file in UTF-8.") from None
    else:
        lines = text.split(",")
    copies: dict[int, str] = {}
    for line in lines:
        number, _, name = (part.strip() for part in line.partition(","))
        if not number or number.startswith("#"):
            continue
        if not (number.isascii() and number.isdigit() and int(number) <= GREATEST_COPY):
            raise CopiesError(
                f"{number!r} is no number of a copy, nor a file: a list of copies has numbers from "
                f"0 to {GREATEST_COPY}, with commas between them or one on each line of a file."
            )
        copies[int(number)] = name
    if not copies:
        raise CopiesError(f"There are no copies in {text!r}.")
    return copies


def trace_file(
    source: Path,
    reference: Path | None,
    copies: str | None,
    claim: str | None,
    key: bytes,
    series: str | None,
    report: Report,
) -> None:
    """Trace a scan or picture, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if no copy was named.
    ImageReadError, WatermarkError, CopiesError, ClaimError
    """
    issued = None if copies is None else read_copies(copies)
    text = None if claim is None else _claim(claim)
    report.step("Reading the scan", 0.0, 0.2)
    suspect = open_scan(source, series)
    original = None if reference is None else read_volume(reference)
    prepare(report, suspect.voxels.dtype, 0.2, 0.3)
    traced = trace(
        suspect.voxels,
        key=key,
        copies=issued,
        message=None if text is None else text.encode(),
        reference=None if original is None else original.voxels,
        hounsfield=None if original is None else hounsfield(original),
        progress=report.step("Looking for the mark", 0.3, 1.0),
    )
    names = issued or {}
    facts = {
        "command": "trace",
        "named": [
            {
                "copy": one.copy,
                "name": names.get(one.copy) or None,
                "issued": one.issued,
                "read": one.read,
                "share": round(one.share, 3),
                "shown_by": list(one.slices),
                "chance": one.chance,
            }
            for one in traced.copies
        ],
        "mixture": traced.mixture,
        "chance": traced.chance,
        "sentence": traced.sentence,
        **reading_facts(traced.extracted),
    }
    rows = [row for one in traced.copies for row in _rows(one, names, len(suspect.voxels))]
    headline = Text(traced.sentence, "bold green" if traced.copies else "bold yellow")
    if traced.copies:
        # Bounds far below what anyone could check are given as what they are below of.
        bound = max(traced.chance, 1e-30)
        rows.append(("Named wrongly", f"with a chance below {bound:.0e} ({_ASSUMED})"))
    rows.extend(row for row in reading_rows(traced.extracted) if row[0] != "Copy")
    report.result(facts, headline, grid(rows))
    if not traced.copies:
        raise typer.Exit(ExitCode.NOT_READ)


def _claim(source: str) -> str:
    text = claim_text(source)
    if text is None:
        raise ClaimError(f"{source} is neither the text of a claim nor a .txt file with it.")
    return Claim.from_text(text).to_text()


_ASSUMED = "if nobody else has the key of the mark, and the list of copies is whole"


def _rows(one: NamedCopy, names: dict[int, str], slices: int) -> list[Row]:
    name = names.get(one.copy)
    how = "its tag was read" if one.read else "its tag was recognised"
    if slices > 1 and one.slices:
        how += f"; alone from slices {ranges([z + 1 for z in one.slices])}"
    return [("Copy", f"{one.copy}{f' ({name})' if name else ''}: {how}")]
