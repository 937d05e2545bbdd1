"""How claims, marks and readings are put: as facts for programs, as tables for people."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from MedWatermarkLib.claim import Claim
    from MedWatermarkLib.extracted import Extracted
    from MedWatermarkLib.undone import Undone

Row = tuple[str, str]


def grid(rows: Iterable[Row]) -> Table:
    """Return rows of a name and what it is."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row("  " + name, Text(value))
    return table


def claim_facts(claim: Claim) -> dict[str, Any]:
    """Return what a claim says, for a program."""
    return {
        "text": claim.to_text(),
        "diagnosis": claim.diagnosis,
        "signer": claim.signer,
        "issued_at": claim.issued_at,
        "image_hash": claim.image_hash.hex(),
        "commitment": claim.commitment.hex(),
    }


def claim_rows(claim: Claim) -> list[Row]:
    """Return what a claim says, for a person."""
    return [
        ("Diagnosis", claim.diagnosis),
        ("Signed by", claim.signer),
        ("Signed at", moment(claim.issued_at)),
        ("Image hash", claim.image_hash.hex()),
    ]


def reading_facts(extracted: Extracted) -> dict[str, Any]:
    """Return what was read of a mark, for a program."""
    tag = extracted.tag
    return {
        "tag": None if tag is None else {"message_id": tag.message_id.hex(), "copy": tag.copy},
        "confidence": round(extracted.confidence, 4),
        "origin": list(extracted.origin),
        "slices": [
            {
                "tag": one.tag,
                "message": one.message,
                "confidence": round(one.confidence, 4),
                "phase": one.phase,
            }
            for one in extracted.slices
        ],
        "undone": _undone_facts(extracted.undone),
    }


def _undone_facts(undone: Undone | None) -> dict[str, Any] | None:
    if undone is None:
        return None
    return {
        "angle": round(undone.angle, 2),
        "scale": round(undone.scale, 4),
        "mirrored": undone.mirrored,
        "origin": [round(place, 2) for place in undone.origin],
        "gain": undone.gain,
        "offset": undone.offset,
        "slices": None if undone.slices is None else [list(one) for one in undone.slices],
        "averaged": undone.averaged,
        "nonlinear": undone.nonlinear,
        "smoothing": None if undone.smoothing is None else asdict(undone.smoothing),
        "order": None if undone.order is None else asdict(undone.order),
    }


def reading_rows(extracted: Extracted) -> list[Row]:
    """Return which slices say what, for a person."""
    rows = [("Slices", slices_alone(extracted))]
    if extracted.tag is not None:
        rows.insert(0, ("Copy", str(extracted.tag.copy)))
    if extracted.origin != (0, 0):
        row, column = extracted.origin
        rows.append(("Cut", f"begins at row {row}, column {column} of the marked slices"))
    undone = extracted.undone
    if undone is not None and undone.slices is not None:
        rows.append(("Against the original", _against(undone, undone.slices)))
    elif undone is not None and str(undone):
        rows.append(("Was", f"{undone}; undone to read it"))
    return rows


def _against(undone: Undone, sources: tuple[tuple[int, ...], ...]) -> str:
    shown = sorted({z + 1 for several in sources for z in several})
    if not shown:
        return "none of its slices was recognised"
    slices = f"slice {shown[0]}" if len(shown) == 1 else f"slices {ranges(shown)}"
    turned = ", mirrored" if undone.mirrored else ""
    return (
        f"shows {slices}{turned}, turned by {undone.angle:.1f} degrees, {undone.scale:.3f} times "
        f"as large, grey = {undone.gain:.3g} times the value {undone.offset:+.0f}"
    )


def slices_alone(extracted: Extracted) -> str:
    """Say which slices carry the whole claim alone, and which the tag."""
    claims = [one.message for one in extracted.slices]
    tags = [one.tag and not one.message for one in extracted.slices]
    if len(claims) == 1:
        return "the claim" if claims[0] else "the tag" if tags[0] else "nothing"
    parts = [f"{sum(claims)} of {len(claims)} give the whole claim alone{_which(claims)}"]
    if any(tags):
        parts.append(f"{sum(tags)} the tag alone{_which(tags)}")
    return "; ".join(parts)


def _which(chosen: Sequence[bool]) -> str:
    if all(chosen) or not any(chosen):
        return ""
    return f" ({ranges([number for number, one in enumerate(chosen, start=1) if one])})"


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers briefly: ``1-3, 7``."""
    runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    parts = []
    for _, run in runs:
        members = [number for _, number in run]
        first, last = members[0], members[-1]
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ", ".join(parts)


def megabytes(size: int) -> str:
    """Write a number of bytes for a person."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def half_blocks(modules: npt.NDArray[np.bool_], border: int = 4) -> Text:
    """Draw a QR code with two modules a character.

    Light modules are drawn, in white on black, which is right on a dark terminal even where
    colours are lost.
    """
    light = ~np.pad(modules, border)
    if len(light) % 2:
        light = np.pad(light, ((0, 1), (0, 0)))
    characters = np.array([" ", "▄", "▀", "█"])
    lines = characters[2 * light[::2] + light[1::2]]
    return Text("\n".join("".join(line) for line in lines), style="bright_white on black")


def moment(seconds: int) -> str:
    """Write a time, given in seconds since 1970-01-01 UTC."""
    try:
        time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return f"{seconds} s after 1970"
    return f"{time:%Y-%m-%d %H:%M} UTC"
