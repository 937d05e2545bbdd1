"""What the commands of a recipient do, but for writing the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import RenderableType
from rich.text import Text

from MedWatermarkLib.arguments import address, amount, shown_amount, words
from MedWatermarkLib.exchange import (
    FoundOffer,
    OwnGrant,
    Recipient,
    find_offers,
    find_own_grants,
)
from MedWatermarkLib.exchange_commands import (
    is_open,
    patiently,
    report_step,
    terms_facts,
    terms_rows,
)
from MedWatermarkLib.inspection import stated_address
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.next_step import NextStep, present, recipients_step
from MedWatermarkLib.offer import inspect_offer
from MedWatermarkLib.registry_events import Granted
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.sale import COIN, SaleState
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import grid, megabytes, moment


def list_offers(
    ledger: Ledger,
    key_file: Path | None,
    identity: Identity | None,
    store: str | None,
    ended: bool,
    report: Report,
) -> None:
    """Report what was offered to an account, and granted to an identity."""
    facts: dict[str, Any] = {"command": "offers", "offers": [], "grants": []}
    shown: list[RenderableType] = []
    if key_file is not None:
        report.step("Looking for offers", 0.1, 0.6)
        for found in find_offers(ledger, stated_address(key_file)):
            if ended or is_open(found.sale.state):
                _add_offer(ledger, found, facts, shown)
    if identity is not None and store is not None:
        report.step("Looking for grants", 0.6, 1.0)
        # Each record once, in the order of the chain.
        records = dict.fromkeys(
            event.id for event in ledger.registry.events([Granted]) if isinstance(event, Granted)
        )
        for own in find_own_grants(ledger, records, identity, Store(store)):
            _add_grant(own, facts, shown)
    if not shown:
        shown.append(Text("Nothing is offered or granted to you.", "bold"))
    report.result(facts, *shown)


def accept_offer(
    sale: str,
    folder: Path,
    ledger: Ledger,
    identity: Identity,
    store: str,
    price: str | None,
    token: str | None,
    report: Report,
) -> None:
    """Download and check an offer; pay, if a price is given; and report."""
    paid_in = COIN if token is None else address(token, "a token")
    paid = None if price is None else amount(price, paid_in)
    place = Store(store)
    recipient = Recipient.begin(folder, ledger, words(sale, "the id of a sale"))
    tell = report.step("Downloading and checking", 0.1, 0.9)
    recipient.download(identity, place, progress=tell)
    headline = "All that can be checked is as it should be; nothing was paid."
    if paid is not None:
        report.step("Paying into escrow", 0.9, 1.0)
        recipient.accept(paid, paid_in)
        headline = "The offer is accepted, and the price is in escrow."
    report_step("accept", recipient, folder, report, {"paid": paid is not None}, headline)


def receive_package(recipient: Recipient, poll: float | None, report: Report) -> Path | None:
    """Take the cipher off, with every chunk checked; then settle or complain."""
    tell = report.step("Checking every chunk", 0.1, 0.7)
    actions = ("receive", "download")
    return patiently(recipient, lambda: recipient.receive(progress=tell), actions, poll, report)


def complain_of(folder: Path, ledger: Ledger, report: Report) -> None:
    """Show a wrong chunk to the contract, if there is one, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if there is none.
    """
    recipient = Recipient(folder, ledger)
    complained = recipient.complain(progress=report.step("Checking every chunk", 0.1, 1.0))
    headline = "" if complained else "Every chunk is the promised one; nothing was sent."
    report_step("complain", recipient, folder, report, {"complained": complained}, headline)
    if not complained:
        raise typer.Exit(ExitCode.NOT_READ)


def take_refund(folder: Path, ledger: Ledger, poll: float | None, report: Report) -> None:
    """Take the payment back, and report."""
    recipient = Recipient(folder, ledger)
    report.step("Sending", 0.1, 1.0)
    patiently(recipient, recipient.refund, ("refund", "download"), poll, report)
    report_step("refund", recipient, folder, report)


def _add_offer(
    ledger: Ledger, found: FoundOffer, facts: dict[str, Any], shown: list[RenderableType]
) -> None:
    terms, now = found.terms, present(ledger)
    objections: tuple[str, ...] = ()
    if found.sale.state is SaleState.OFFERED:
        objections = inspect_offer(ledger, found.id, terms, terms.recipient, now).objections
    step = recipients_step(found.sale, True, now)
    # Whether it was downloaded, the folder alone knows.
    command = "" if objections else _NEXT.get(step.action, "")
    facts["offers"].append(
        {
            "sale": found.id.hex(),
            "state": found.sale.state.name.lower(),
            "due": step.due,
            "terms": terms_facts(terms),
            "objections": list(objections),
            "next": command,
        }
    )
    shown += [_verdict(step, objections, terms.price, terms.token), ""]
    rows = [
        ("Sale", found.id.hex()),
        ("State", found.sale.state.name.lower()),
        ("Record", terms.record.hex()),
        ("Size", megabytes(terms.size)),
        *terms_rows(terms),
    ]
    if found.sale.deadline:
        rows.append(("Until", moment(found.sale.deadline)))
    if command:
        rows.append(("Next", f"medwatermark {command}"))
    shown[-1] = grid(rows)


def _add_grant(own: OwnGrant, facts: dict[str, Any], shown: list[RenderableType]) -> None:
    objections = tuple(own.registration.objections)
    facts["grants"].append(
        {
            "record": own.grant.record.hex(),
            "grant": own.grant.recipient.hex(),
            "package_root": own.grant.package_root.hex(),
            "chunks": own.package.chunk_count,
            "objections": list(objections),
            "next": "" if objections else "receive",
        }
    )
    headline = Text("Granted to you.", "bold green")
    if objections:
        headline = Text(f"Granted to you, but do not use it: {'; '.join(objections)}.", "bold red")
    rows = [
        ("Record", own.grant.record.hex()),
        ("Institution", own.registration.record.institution),
        ("Size", megabytes(own.package.chunk_count * 1024)),
    ]
    if not objections:
        rows.append(("Next", f"medwatermark receive {own.grant.record.hex()} OUTPUT"))
    shown += [headline, grid(rows)]


def _verdict(step: NextStep, objections: tuple[str, ...], price: int, token: str) -> Text:
    if objections:
        return Text(f"Do not accept this offer: {'; '.join(objections)}.", "bold red")
    if step.state is SaleState.OFFERED:
        sentence = f"Offered to you for {shown_amount(price, token)}; nothing speaks against it."
        return Text(sentence, "bold green")
    return Text(step.sentence, "bold")


_NEXT = {"accept": "accept", "receive": "receive", "refund": "refund"}
