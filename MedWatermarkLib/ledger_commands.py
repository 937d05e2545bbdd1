"""What the ledger's commands do, and how they report it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer
from eth_account.signers.local import LocalAccount
from rich.table import Table
from rich.text import Text

from MedWatermarkLib.arguments import address, words
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import tree_of_chunks
from MedWatermarkLib.reading import read_mark
from MedWatermarkLib.record import Record
from MedWatermarkLib.registry_events import Registered, RegistryEvent
from MedWatermarkLib.registry_state import RecordState, Standing
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.tables import Row, grid, moment
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.tiles import tile_leaves

_NOTHING = bytes(32)


class NothingRegisteredError(ValueError):
    """There is nothing on the ledger for a scan or an id."""

    exit_code = ExitCode.NOT_READ


@dataclass(frozen=True)
class Sealed:
    """What is registered of a sealed package."""

    root: bytes = _NOTHING
    chunk_count: int = 0
    content_commitment: bytes = _NOTHING

    @classmethod
    def of_file(cls, file: Path, content_commitment: str) -> Sealed:
        """Read a sealed package."""
        with file.open("rb") as content:
            tree = tree_of_chunks(content)
        return cls(tree.root, tree.count, words(content_commitment, "the content commitment"))


def deploy_ledger(output: Path, url: str, account: LocalAccount, report: Report) -> None:
    """Deploy the contracts, write where they are, and report."""
    report.step("Deploying the contracts", 0.1, 1.0)
    config = Ledger.deploy(url, account, output)
    facts = {
        "command": "ledger deploy",
        "ledger": str(output),
        "chain_id": config.chain_id,
        "registry": config.registry,
        "exchange": config.exchange,
        "administrator": account.address,
    }
    rows = [
        ("Ledger", str(output)),
        ("Chain", str(config.chain_id)),
        ("ImageRegistry", config.registry),
        ("FairExchange", config.exchange),
        ("Administrator", account.address),
    ]
    headline = Text("The ledger is there. ", "bold green").append(
        "Hand its file to everyone who takes part; next, accredit the authorities.",
        "not bold default",
    )
    report.result(facts, headline, grid(rows))


def show_status(ledger: Ledger, report: Report) -> None:
    """Report on the chain and the contracts; connecting has checked them."""
    status = ledger.status()
    age = max(0, int(time.time()) - status.time)
    rows = [
        ("Chain", str(status.chain_id)),
        ("Last block", f"{status.block}, made {_age(age)} ago"),
        ("ImageRegistry", f"{status.registry}, its code is as expected"),
        ("FairExchange", f"{status.exchange}, its code is as expected"),
    ]
    if status.account is not None and status.balance is not None:
        rows += [
            ("Account", status.account),
            ("Holds", f"{Decimal(status.balance) / 10**18:f} ether"),
            ("May accredit", "yes" if status.is_accreditor else "no"),
        ]
    facts = {"command": "ledger status", **asdict(status)}
    report.result(facts, Text("The ledger answers.", "bold green"), grid(rows))


def accredit_authority(
    ledger: Ledger,
    institution: str,
    authority: str,
    start: int | None,
    until: int,
    report: Report,
) -> None:
    """Accredit an authority, and report; from the time of the chain's last block, if not given."""
    begin = ledger.status().time if start is None else start
    event = ledger.registry.accredit(
        address(institution, "an institution"), address(authority, "an authority"), begin, until
    )
    rows = [
        ("Authority", event.authority),
        ("Institution", event.institution),
        ("From", moment(event.start)),
        ("Until", moment(event.until)),
        ("Period", str(event.period)),
    ]
    report.result(
        {"command": "ledger accredit", **_facts(event)},
        Text("The authority may vouch.", "bold green"),
        grid(rows),
    )


def revoke_accreditation(
    ledger: Ledger, institution: str, authority: str, stolen_since: int | None, report: Report
) -> None:
    """End all running and coming periods of an authority at an institution, and report."""
    institution = address(institution, "an institution")
    authority = address(authority, "an authority")
    registry = ledger.registry
    now = ledger.status().time
    ended = [
        registry.end_accreditation(institution, authority, number)
        for number, period in enumerate(registry.periods(institution, authority))
        if period.until > now
    ]
    disowned = None
    if stolen_since is not None:
        disowned = registry.invalidate_since(authority, stolen_since)
    if not ended and disowned is None:
        raise NothingRegisteredError(
            f"{authority} is not accredited for {institution}; there is nothing to revoke."
        )
    facts = {
        "command": "ledger revoke-authority",
        "institution": institution,
        "authority": authority,
        "ended": [_facts(event) for event in ended],
        "invalid_since": None if disowned is None else disowned.since,
    }
    rows = [
        ("Authority", authority),
        ("Institution", institution),
        ("Ended", f"{len(ended)} period{'' if len(ended) == 1 else 's'}"),
    ]
    if disowned is not None:
        rows.append(("Disowned", f"what was registered since {moment(disowned.since)}"))
    report.result(facts, Text("The authority may vouch no longer.", "bold green"), grid(rows))


def register_scan(
    ledger: Ledger,
    scan: Path,
    key: bytes,
    series: str | None,
    sealed: Sealed | None,
    report: Report,
) -> None:
    """Register a marked scan in the name of the ledger's account, and report."""
    volume, reading = read_mark(scan, key, series, report, until=0.6)
    claim = reading.claim
    if claim is None:
        raise NothingRegisteredError(
            f"{scan} gives no claim to register: {reading.problem} Mark it with embed first."
        )
    report.step("Computing the voxel root", 0.6, 0.8)
    sealed = sealed or Sealed()
    record = Record(
        commitment=claim.commitment,
        issued_at=claim.issued_at,
        tag=message_id(claim.to_text().encode()),
        voxel_root=tile_leaves(volume).root,
        package_root=sealed.root,
        chunk_count=sealed.chunk_count,
        content_commitment=sealed.content_commitment,
        institution=ledger.account.address,
    )
    report.step("Sending", 0.8, 1.0)
    event = ledger.registry.register(record, claim.signature)
    report.result(
        {"command": "ledger register", **_facts(event)},
        Text("The scan is registered.", "bold green"),
        grid(_record_rows(event)),
    )


def show_records(ledger: Ledger, subject: str, key: bytes, report: Report) -> None:
    """Report what is registered for an id or a scan.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if something speaks against each of the records.
    """
    found = [
        (event, ledger.registry.standing(event.record, event.authority))
        for event in find_registered(ledger, subject, key, report)
    ]
    facts = {
        "command": "ledger show",
        "records": [
            {**_facts(event), "counts": standing.counts, "against": _against(standing)}
            for event, standing in found
        ],
    }
    shown: list[Any] = []
    for event, standing in found:
        if standing.counts:
            shown.append(Text("Registered, and it counts.", "bold green"))
        else:
            reasons = "; ".join(_against(standing))
            shown.append(Text(f"Registered, but it does not count: {reasons}.", "bold red"))
        rows = _record_rows(event)
        if standing.entry is not None:
            rows.append(("Owner", standing.entry.owner))
        shown.append(grid(rows))
    report.result(facts, *shown)
    if not any(standing.counts for _, standing in found):
        raise typer.Exit(ExitCode.NOT_READ)


def show_history(ledger: Ledger, subject: str, key: bytes, report: Report) -> None:
    """Report what happened to the records of an id or a scan."""
    events = [
        event
        for found in find_registered(ledger, subject, key, report)
        for event in ledger.registry.history(found.id)
    ]
    table = Table("Time", "What", "Details", "Block", box=None, header_style="dim")
    for event in events:
        details = ", ".join(f"{name} {value}" for name, value in _details(event))
        table.add_row(
            moment(event.origin.time), _name(event), details or "-", str(event.origin.block)
        )
    facts = {"command": "ledger history", "events": [_facts(event) for event in events]}
    report.result(facts, table)


def find_registered(ledger: Ledger, subject: str, key: bytes, report: Report) -> list[Registered]:
    """Return the registrations of an id, or of the claim that a scan carries.

    Raises
    ------
    NothingRegisteredError
        If there is none.
    """
    if Path(subject).exists():
        _, reading = read_mark(Path(subject), key, None, report, until=0.8)
        tag = reading.extracted.tag
        if tag is None:
            raise NothingRegisteredError(
                f"{subject} carries no mark to look for. {reading.problem}"
            )
        report.step("Asking the ledger", 0.8, 1.0)
        found = list(ledger.registry.find_tag(tag.message_id))
    else:
        report.step("Asking the ledger", 0.0, 1.0)
        event = ledger.registry.find(words(subject, "the id of a record"))
        found = [] if event is None else [event]
    if not found:
        raise NothingRegisteredError(
            f"Nothing is registered for {subject} alone; of a record in a batch, its path says "
            "more: verify the scan with it."
        )
    return found


def _against(standing: Standing) -> list[str]:
    """Say what speaks against a record."""
    entry = standing.entry
    reasons = {
        "it is not registered": entry is None,
        "its owner revoked it": entry is not None and entry.state is RecordState.REVOKED,
        "the authority was not accredited for the institution then": not standing.accredited,
        "the authority took its claim back": standing.claim_revoked,
        "the authority's key was disowned before": standing.key_invalidated,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _record_rows(event: Registered) -> list[Row]:
    record = event.record
    return [
        ("Record", event.id.hex()),
        ("Authority", event.authority),
        ("Institution", record.institution),
        ("Signed at", moment(record.issued_at)),
        ("Registered at", moment(event.origin.time)),
        ("Tag", record.tag.hex()),
        ("Voxel root", record.voxel_root.hex()),
        ("Package", "none" if not record.chunk_count else record.package_root.hex()),
    ]


def _details(event: RegistryEvent) -> Iterable[tuple[str, str]]:
    """Yield what is particular to an event, for a person."""
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name in ("origin", "id", "record", "copy"):
            continue
        yield field.name, value.hex() if isinstance(value, bytes) else str(value)


def _name(event: RegistryEvent) -> str:
    name = type(event).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _facts(event: RegistryEvent) -> dict[str, Any]:
    """Return an event for a program: bytes as hex."""
    return {"kind": type(event).__name__, **_plain(asdict(event))}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.hex()
        return _plain(value) if isinstance(value, dict) else value

    return {name: plain(value) for name, value in values.items()}


def _age(seconds: int) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"
