"""What came of verifying a scan: five checks, for a person, for a program and for the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from MedWatermarkLib.record import Copy
from MedWatermarkLib.registration import Registration
from MedWatermarkLib.scan import ScanReading
from MedWatermarkLib.tables import (
    Row,
    claim_facts,
    claim_rows,
    grid,
    moment,
    reading_facts,
    reading_rows,
)
from MedWatermarkLib.tamper import TamperMap
from MedWatermarkLib.volume import Volume

if TYPE_CHECKING:
    from MedWatermarkLib.ledger import LedgerStatus

NOT_JUDGED = (
    "Software shows that an account signed, and not that the diagnosis is right, or that whoever "
    "used the account was its owner."
)


class Outcome(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.NOT_CHECKED: "yellow"}


@dataclass(frozen=True)
class Check:
    """One of the five checks.

    Attributes
    ----------
    name : str
        What it is of.
    asked : bool
        Whether what was given asks for it.
    outcome : Outcome
    sentence : str
        Why, for a clinician; more than one where it takes them.
    """

    name: str
    asked: bool
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Headline:
    """What a report says first.

    Attributes
    ----------
    tone : str
        ``"good"``, ``"open"`` where not all was shown, ``"bad"`` where a check failed.
    title, text : str
    """

    tone: Literal["good", "open", "bad"]
    title: str
    text: str


@dataclass(frozen=True)
class Alterations:
    """Where a scan differs from what it should be.

    Attributes
    ----------
    map : TamperMap
    basis : str
        What it was made from: ``"registered"`` voxels or tile leaves, tile ``"leaves"`` of which
        it is not known whether they are registered, or the ``"mark"``, as an estimate.
    """

    map: TamperMap
    basis: Literal["registered", "leaves", "mark"]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, and how far that is to be trusted."""
        findings = self.map.findings
        if self.basis == "registered":
            return *findings, "The map is exact: it compares each tile with what was registered."
        if self.basis == "leaves":
            return (
                "Compared with the tile leaves that were given, and taking these for the "
                "registered ones, which was not shown:",
                *findings,
            )
        return (
            *findings,
            "The map is an estimate from the mark: it shows where the scan no longer carries it "
            "as it was written. Of an unaltered scan it names a place with a chance of "
            f"{self.map.false_alarm:.0%}; of small changes, and where there is no mark, it says "
            "nothing.",
        )

    def facts(self) -> dict[str, Any]:
        """Return what was altered, for a program."""
        found = self.map
        return {
            "basis": self.basis,
            "altered": int(np.count_nonzero(found.altered)),
            "told": int(np.count_nonzero(found.told)),
            "side": found.side,
            "corner": list(found.corner),
            "slices": list(found.slices),
            "geometry_altered": found.geometry_altered,
            "false_alarm": found.false_alarm,
            "findings": list(found.findings),
        }


@dataclass(frozen=True, eq=False)
class VerificationReport:
    """What came of verifying a scan.

    Attributes
    ----------
    checks : tuple of Check
        The five: mark, claim, signer, voxels, original.
    volume : Volume
        The scan as it arrived.
    reading : ScanReading
        What was read from its mark.
    voxel_root : bytes
        32 bytes, which name the scan as it arrived.
    verified_at : int
        Seconds since 1970-01-01 UTC.
    ledger : LedgerStatus or None
        Which ledger was asked, and how far it was.
    registration : Registration or None
        The record that checks 3 and 4 speak of.
    copy : Copy or None
        The registered copy that the scan is, if it is one.
    alterations : Alterations or None
        Where it was altered, as far as anything can tell.
    """

    checks: tuple[Check, Check, Check, Check, Check]
    volume: Volume = field(repr=False)
    reading: ScanReading = field(repr=False)
    voxel_root: bytes
    verified_at: int
    ledger: LedgerStatus | None = None
    registration: Registration | None = None
    copy: Copy | None = None
    alterations: Alterations | None = field(default=None, repr=False)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def passed(self) -> bool:
        """Whether every check that was asked for passed, and none failed."""
        return not self.failed and not self._open

    @property
    def belongs(self) -> bool:
        """Whether it was shown that the claim belongs to these voxels."""
        _, claim, signer, voxels, original = (
            check.outcome is Outcome.PASSED for check in self.checks
        )
        return claim and not self.failed and (original or (signer and voxels))

    @property
    def headline(self) -> Headline:
        """What the report says first, and never more than was shown."""
        if self.failed:
            names = _listed([f"“{check.name}”" for check in self.failed])
            noun = "check" if len(self.failed) == 1 else "checks"
            reasons = " ".join(check.sentence for check in self.failed)
            title = "Do not rely on this scan and its claim."
            if self.reading.claim is None:
                title = "Do not rely on this scan: no claim was read."
            return Headline("bad", title, f"The {noun} {names} failed. {reasons}")
        if self._open:
            reasons = " ".join(check.sentence for check in self._open)
            return Headline(
                "open",
                "Not all that was asked for could be checked.",
                f"{reasons} {self._shown()}",
            )
        if not self.belongs:
            return Headline("open", "A claim was read.", self._shown())
        title = "This is the scan that was signed."
        if self.checks[2].outcome is Outcome.PASSED:
            title = "The claim belongs to this scan, and it counts."
        return Headline("good", title, self._shown())

    def facts(self) -> dict[str, Any]:
        """Return the report for a program."""
        claim = self.reading.claim
        return {
            "passed": self.passed,
            "headline": f"{self.headline.title} {self.headline.text}",
            "checks": [
                {
                    "number": number,
                    "name": check.name,
                    "asked": check.asked,
                    "outcome": check.outcome.value,
                    "sentence": check.sentence,
                }
                for number, check in enumerate(self.checks, start=1)
            ],
            "belongs_to_voxels": "shown" if self.belongs else "not shown",
            "claim": None if claim is None else claim_facts(claim),
            "verified_at": self.verified_at,
            "voxel_root": self.voxel_root.hex(),
            "ledger": self._ledger_facts(),
            "registration": self._registration_facts(),
            "alterations": None if self.alterations is None else self.alterations.facts(),
            **reading_facts(self.reading.extracted),
        }

    def shown(self) -> list[RenderableType]:
        """Return the report for a terminal."""
        headline = self.headline
        style = {"good": "bold green", "open": "bold yellow", "bad": "bold red"}[headline.tone]
        table = Table.grid(padding=(0, 2))
        for column in ({"no_wrap": True}, {"no_wrap": True}, {"overflow": "fold"}):
            table.add_column(**column)
        for number, check in enumerate(self.checks, start=1):
            outcome = Text(check.outcome.value, _STYLES[check.outcome])
            table.add_row(f"  {number}  {check.name}", outcome, Text(check.sentence))
        head = Text(headline.title + " ", style).append(headline.text, "not bold default")
        shown: list[RenderableType] = [head, Text(), table, Text(), grid(self.rows())]
        if self.alterations is not None:
            shown += [Text(), Text(" ".join(self.alterations.sentences))]
        return [*shown, Text(), Text(NOT_JUDGED, "dim")]

    def rows(self) -> list[Row]:
        """Return what was read and found, as names and what they are."""
        claim, extracted = self.reading.claim, self.reading.extracted
        rows = [] if claim is None else claim_rows(claim)
        if extracted.tag is not None:
            rows += reading_rows(extracted)
        if self.registration is not None:
            record, entry = self.registration.record, self.registration.standing.entry
            rows += [("Record", record.id.hex()), ("Institution", record.institution)]
            if entry is not None:
                rows.append(("Registered at", moment(entry.registered_at)))
        if self.copy is not None:
            rows.append(("Registered copy", str(self.copy.number)))
        if self.ledger is not None:
            rows.append(
                (
                    "Ledger",
                    f"{self.ledger.registry} on chain {self.ledger.chain_id}, as of block "
                    f"{self.ledger.block} of {moment(self.ledger.time)}",
                )
            )
        rows.append(("Voxel root", f"{self.voxel_root.hex()} (of the scan as it arrived)"))
        return rows

    @property
    def _open(self) -> tuple[Check, ...]:
        """The checks that were asked for and could not be made."""
        return tuple(
            check for check in self.checks if check.asked and check.outcome is Outcome.NOT_CHECKED
        )

    def _shown(self) -> str:
        """Say what was shown, where nothing failed."""
        _, claim, signer, voxels, original = (
            check.outcome is Outcome.PASSED for check in self.checks
        )
        if not claim:
            return ""
        parts = []
        if signer and voxels:
            parts.append(
                "Every voxel is as it was registered, for a claim whose signer was accredited and "
                "which nobody has taken back."
            )
        if original:
            parts.append(
                "With the mark taken out, the scan is bit for bit the one that was signed."
            )
        if not parts:
            parts.append(
                "That it belongs to these voxels was not shown: a mark can be copied into another "
                "scan."
            )
        if not signer:
            parts.append(
                "Who holds the signer's account, and whether they may vouch for a diagnosis, was "
                "not checked."
            )
        return " ".join(parts)

    def _ledger_facts(self) -> dict[str, Any] | None:
        if self.ledger is None:
            return None
        names = ("chain_id", "block", "time", "registry")
        return {name: getattr(self.ledger, name) for name in names}

    def _registration_facts(self) -> dict[str, Any] | None:
        if self.registration is None:
            return None
        record, standing = self.registration.record, self.registration.standing
        entry = standing.entry
        return {
            "id": record.id.hex(),
            "institution": record.institution,
            "registered_at": None if entry is None else entry.registered_at,
            "counts": standing.counts,
            "against": self.registration.objections,
            "voxel_root": record.voxel_root.hex(),
            "copy": None if self.copy is None else self.copy.number,
        }


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
