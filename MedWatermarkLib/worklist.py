"""Which scans there are to be worked on: those of a folder tree, or of a list."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from MedWatermarkLib.dicom_series import Series
from MedWatermarkLib.imageio import list_series
from MedWatermarkLib.tag import GREATEST_COPY

_TEXTS = ("path", "series", "name", "diagnosis", "record", "leaves", "batch_path")
_FILES = ("record", "leaves", "batch_path")
_COLUMNS = frozenset({*_TEXTS, "copy"})
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_SUFFIXES = (".csv", ".jsonl", ".ndjson")
# Errors of a list that are told at once.
_TOLD = 10


class WorklistError(ValueError):
    """A worklist that cannot be used; the message says which lines are wrong."""


@dataclass(frozen=True)
class Item:
    """One scan to be worked on.

    Attributes
    ----------
    source : pathlib.Path or Series
        Its files, by absolute paths.
    series : str or None
        Series Instance UID, where the source is a folder that holds several.
    name : str
        What its results are to be called; "" if that is left to the run.
    diagnosis : str or None
        What is to be signed.
    copy : int
        Number of the copy that is to be made.
    record, leaves, batch_path : pathlib.Path or None
        Its restoration record, its tile leaves, and its record's place in a batch.
    """

    source: Path | Series
    series: str | None = None
    name: str = ""
    diagnosis: str | None = field(default=None, repr=False)
    copy: int = 0
    record: Path | None = None
    leaves: Path | None = None
    batch_path: Path | None = None

    @property
    def key(self) -> str:
        """What it is known by: the UID of a series wherever that lies, else its path."""
        if isinstance(self.source, Series):
            place = self.source.uid or str(self.source.paths[0])
        else:
            place = str(self.source)
        return "\n".join((place, self.series or "", str(self.copy)))

    @property
    def title(self) -> str:
        """What a person calls it: where it lies."""
        if isinstance(self.source, Series):
            return str(self.source)
        return f"{self.source}" + (f", series {self.series}" if self.series else "")


def find_items(
    source: Path,
    *,
    diagnosis: str | None = None,
    needs: Iterable[str] = (),
    marked: Mapping[str, Item] | None = None,
) -> list[Item]:
    """Find what is to be worked on.

    Parameters
    ----------
    source : pathlib.Path
        A folder, all of whose DICOM series are taken, wherever in it their files lie; or a
        worklist: a CSV file (``.csv``, with the names of its columns in the first line) or JSON
        Lines (``.jsonl``), with a ``path`` in each line, from the list's folder, and ``series``,
        ``name``, ``diagnosis``, ``copy``, ``record``, ``leaves`` and ``batch_path`` where they are
        known. Other columns are passed over.
    diagnosis : str, optional
        Of all scans that have none of their own.
    needs : iterable of str
        Names of the columns that each scan must have.
    marked : mapping of Item, optional
        What a run has marked, by Series Instance UID: of a folder nothing else is taken, and the
        record, leaves and batch path of each are those that the run made.

    Raises
    ------
    WorklistError
        With the number of each line that is wrong, or if there is nothing.
    ImageReadError
        If there is no such file or folder.

    Warns
    -----
    ImageReadWarning
        If a file of a folder is damaged and was left out.
    """
    source = source.absolute()
    if source.is_file() and source.suffix.lower() in _SUFFIXES:
        lines: Iterable[tuple[int, Item | str]] = _parsed(source)
        where = "line "
    else:
        series = list_series(source)
        if marked is None:
            found = [Item(one) for one in series]
        else:
            found = [replace(marked[one.uid], source=one) for one in series if one.uid in marked]
        lines = enumerate(found, start=1)
        where = "series "
    items: list[Item] = []
    wrong: list[tuple[int, str]] = []
    keys: dict[str, int] = {}
    for number, item in lines:
        if isinstance(item, str):
            wrong.append((number, item))
            continue
        if item.diagnosis is None:
            item = replace(item, diagnosis=diagnosis)
        missing = [name for name in needs if getattr(item, name) is None]
        if missing:
            wrong.append((number, f"it has no {' and no '.join(missing)}"))
        for key in (item.key, *([f"name {item.name}"] if item.name else [])):
            if key in keys:
                which = "name" if key.startswith("name ") else "scan"
                wrong.append((number, f"it has the {which} of {where}{keys[key]}"))
            keys.setdefault(key, number)
        items.append(item)
    if wrong:
        told = "; ".join(f"{where}{number}: {what}" for number, what in wrong[:_TOLD])
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise WorklistError(f"{source} cannot be worked on: {told}{more}.")
    if not items:
        which = "scan to work on" if marked is None else "scan that the run has marked"
        raise WorklistError(f"{source} holds no {which}.")
    return items


def _parsed(file: Path) -> Iterator[tuple[int, Item | str]]:
    """Yield the number of each line with what it asks for, or with what is wrong with it."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise WorklistError(f"{file} is not text in UTF-8; save it as such.") from None
    read = _csv_rows if file.suffix.lower() == ".csv" else _json_rows
    for number, row in read(file, text):
        yield number, row if isinstance(row, str) else _item(row, file.parent)


def _csv_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    first = text.partition("\n")[0]
    # Where the comma is in numbers, spreadsheets write semicolons.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if "path" not in names:
            raise WorklistError(f"The first line of {file} names no column path.")
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(names):
                yield reader.line_num, f"it has {len(row)} cells in {len(names)} columns"
                continue
            yield reader.line_num, dict(zip(names, row, strict=False))
    except csv.Error as error:
        yield reader.line_num, f"it is no CSV ({error})"


def _json_rows(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "it is no JSON"
            continue
        yield number, row if isinstance(row, dict) else "it is no JSON object"


def _item(row: Mapping[str, Any], folder: Path) -> Item | str:
    """Return what a row asks for, or what is wrong with it."""
    cells = {name: value for name, value in row.items() if name in _COLUMNS and value is not None}
    for name in _TEXTS:
        value = cells.get(name, "")
        if not isinstance(value, str) or "\0" in value:
            return f"its {name} is no text"
        if not value.strip():
            cells.pop(name, None)
        else:
            cells[name] = value.strip()
    if "path" not in cells:
        return "it has no path"
    source = folder / cells.pop("path")
    for name in _FILES:
        if name in cells:
            cells[name] = folder / cells[name]
    for path in (source, *(cells[name] for name in _FILES if name in cells)):
        if not path.exists():
            return f"there is no file or folder {path}"
    if "name" in cells and not _NAME.fullmatch(cells["name"]):
        return "its name has other characters than letters, digits and . _ - (or over 100)"
    copy = cells.get("copy", 0)
    if isinstance(copy, str):
        copy = int(copy) if re.fullmatch(r"\d{1,8}", copy.strip()) else (-1 if copy.strip() else 0)
    if type(copy) is not int or not 0 <= copy <= GREATEST_COPY:
        return "its copy is no whole number below 2^24"
    return Item(source, **{**cells, "copy": copy})
