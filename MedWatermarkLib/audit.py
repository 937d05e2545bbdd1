"""The commands ``audit`` and ``grants``: what the ledger holds of a scan that was shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hexbytes import HexBytes
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from MedWatermarkLib.arguments import shown_amount
from MedWatermarkLib.chain_log import Origin
from MedWatermarkLib.contract import answer
from MedWatermarkLib.exchange import Owner, find_grants, find_own_grants
from MedWatermarkLib.exchange_commands import open_side
from MedWatermarkLib.exchange_state import NAME
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_commands import find_registered
from MedWatermarkLib.registry_events import (
    CopyAdded,
    Granted,
    OwnershipTransferred,
    Registered,
    RegistryEvent,
    Revoked,
    Withdrawn,
)
from MedWatermarkLib.report import Report
from MedWatermarkLib.sale import Terms
from MedWatermarkLib.sale_events import (
    Accepted,
    Cancelled,
    Complained,
    Offered,
    Refunded,
    Revealed,
    SaleEvent,
    Settled,
)
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import moment


@dataclass(frozen=True)
class Entry:
    """One thing that happened.

    Attributes
    ----------
    what : str
    detail : str
        For a person.
    origin : Origin
    sale : bytes or None
        32 bytes, if it is of a sale.
    """

    what: str
    detail: str
    origin: Origin
    sale: bytes | None = None


def show_trail(subject: str, ledger: Ledger, key: bytes, report: Report) -> None:
    """Report all that happened to the records of a folder, an id or a scan."""
    records = _records(subject, ledger, key, report)
    report.step("Reading the ledger", 0.8, 1.0)
    facts: list[dict[str, Any]] = []
    shown: list[RenderableType] = []
    for record in records:
        entries = sorted(
            trail(ledger, record), key=lambda one: (one.origin.block, one.origin.index)
        )
        events = [_entry_facts(ledger, entry) for entry in entries]
        facts.append({"record": record.hex(), "events": events})
        table = Table("Time", "What", box=None, header_style="dim", pad_edge=False)
        for entry, event in zip(entries, events, strict=True):
            # The hash alone takes two thirds of a line.
            lines = [f" by {event['by']}", *([entry.detail] if entry.detail else [])]
            lines.append(f"in {event['transaction']}")
            what = Text(entry.what, "bold").append("\n".join(lines), "not bold default")
            table.add_row(moment(entry.origin.time), what)
        shown += [Text(f"Record {record.hex()}", "bold"), table]
    report.result({"command": "audit", "records": facts}, *shown)


def list_grants(
    subject: str,
    ledger: Ledger,
    key: bytes,
    identity: Identity | None,
    store: str | None,
    report: Report,
) -> None:
    """Report to whom the records of a folder, an id or a scan were granted."""
    records = _records(subject, ledger, key, report)
    report.step("Reading the ledger", 0.8, 1.0)
    names = {}
    if (Path(subject) / NAME).exists() and isinstance(
        side := open_side(Path(subject), ledger), Owner
    ):
        names = {digest: public_key for public_key, digest in side.grants}
    own: set[bytes] = set()
    if identity is not None and store is not None:
        found = find_own_grants(ledger, records, identity, Store(store))
        own = {one.grant.recipient for one in found}
    grants = [grant for record in records for grant in find_grants(ledger, record)]
    facts = [
        {
            "record": grant.record.hex(),
            "grant": grant.recipient.hex(),
            "package_root": grant.package_root.hex(),
            "withdrawn": grant.is_withdrawn,
            "recipient_key": names.get(grant.recipient),
            "own": grant.recipient in own if identity is not None else None,
        }
        for grant in grants
    ]
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("Grant", "State", "To"):
        table.add_column(name, overflow="fold")
    for grant in grants:
        to = "you" if grant.recipient in own else names.get(grant.recipient, "its recipient knows")
        state = "taken back" if grant.is_withdrawn else "stands"
        table.add_row(grant.recipient.hex(), state, to)
    shown = table if grants else Text("Nothing of it was granted.", "bold")
    report.result({"command": "grants", "grants": facts}, shown)


def trail(ledger: Ledger, record: bytes) -> Iterator[Entry]:
    """Yield what happened to a record, on the registry and then on the exchange.

    Parameters
    ----------
    ledger : Ledger
    record : bytes
        32 bytes, its id.
    """
    for event in ledger.registry.history(record):
        yield Entry(*_registry_words(event), event.origin)
    sales: set[bytes] = set()
    for sale_event in ledger.exchange.events(list(_WORDS)):
        if isinstance(sale_event, Offered) and sale_event.terms.record == record:
            sales.add(sale_event.id)
        if (id := getattr(sale_event, "id", None)) in sales:
            yield Entry(*_sale_words(sale_event), sale_event.origin, id)


def _records(subject: str, ledger: Ledger, key: bytes, report: Report) -> list[bytes]:
    folder = Path(subject)
    if (folder / NAME).exists():
        side = open_side(folder, ledger)
        return [side.record.id if isinstance(side, Owner) else side.terms.record]
    return [event.id for event in find_registered(ledger, subject, key, report)]


def _entry_facts(ledger: Ledger, entry: Entry) -> dict[str, Any]:
    origin, web3 = entry.origin, ledger.web3
    sent = answer(web3, lambda: web3.eth.get_transaction(HexBytes(origin.transaction)))
    return {
        "what": entry.what,
        "detail": entry.detail,
        "time": origin.time,
        "block": origin.block,
        "transaction": f"0x{origin.transaction.hex()}",
        "by": str(sent["from"]),
        "sale": None if entry.sale is None else entry.sale.hex(),
    }


def _registry_words(event: RegistryEvent) -> tuple[str, str]:
    match event:
        case Registered():
            return "registered", f"vouched for by {event.authority}"
        case CopyAdded():
            return "copy added", f"number {event.copy.number}"
        case Granted():
            return "granted", f"as {event.recipient.hex()}"
        case Withdrawn():
            return "grant taken back", f"of {event.recipient.hex()}"
        case OwnershipTransferred():
            return "handed over", f"to {event.receiver}"
        case Revoked():
            return "revoked", ""
    raise AssertionError(event)


def _sale_words(event: SaleEvent) -> tuple[str, str]:
    detail = ""
    if isinstance(event, Offered):
        detail = _offer_words(event.id, event.terms)
    elif isinstance(event, Complained):
        detail = f"chunk {event.index:,} is not the promised one"
    return _WORDS[type(event)], detail


def _offer_words(id: bytes, terms: Terms) -> str:
    price, bond = (shown_amount(each, terms.token) for each in (terms.price, terms.bond))
    return f"to {terms.recipient} for {price}, bond {bond}; sale {id.hex()}"


_WORDS: dict[type[SaleEvent], str] = {
    Offered: "offered",
    Accepted: "accepted",
    Revealed: "revealed",
    Complained: "complained",
    Settled: "settled",
    Refunded: "refunded",
    Cancelled: "cancelled",
}
