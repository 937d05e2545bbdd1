"""What the commands of an exchange have in common: how they wait, and what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from rich.console import RenderableType
from rich.text import Text

from MedWatermarkLib.arguments import shown_amount
from MedWatermarkLib.exchange import NextStep, NotYetError, Owner, Recipient
from MedWatermarkLib.exchange_errors import ExchangeStateError
from MedWatermarkLib.exchange_state import NAME, side_of
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.report import Report
from MedWatermarkLib.sale import SaleState, Terms
from MedWatermarkLib.tables import Row, grid, moment

_T = TypeVar("_T")

# Which command takes the step that a side's `NextStep` names.
_OWNERS = {
    "register": "share",
    "offer": "share",
    "cancel": "cancel",
    "reveal": "reveal",
    "collect": "settle",
}
_RECIPIENTS = {"download": "accept", "accept": "accept", "receive": "receive", "refund": "refund"}


def watch_exchange(folder: Path, ledger: Ledger, poll: float | None, report: Report) -> None:
    """Report where an exchange stands; with `poll`, when there is something to do or it ended."""
    side = open_side(folder, ledger)
    step = side.watch()
    while poll is not None and not step.action and is_open(step.state):
        report.step(f"Waiting: {step.sentence}", 0.0, 1.0)
        time.sleep(poll)
        step = side.watch()
    style = "bold red" if step.is_urgent else "bold"
    report.result(
        {"command": "watch", **side_facts(side, folder, step)},
        Text(step.sentence, style),
        grid(side_rows(side, folder, step)),
    )


def list_exchanges(place: Path, ledger: Ledger, report: Report) -> None:
    """Report where the exchanges in a folder stand, the newest first by their names."""
    facts: list[dict[str, Any]] = []
    shown: list[RenderableType] = []
    folders = sorted((state.parent for state in place.glob(f"*/{NAME}")), reverse=True)
    for number, folder in enumerate(folders):
        report.step("Asking the ledger", number / len(folders), (number + 1) / len(folders))
        try:
            side = open_side(folder, ledger)
        except ExchangeStateError as error:
            report.warn(str(error))
            continue
        step = side.watch()
        facts.append(side_facts(side, folder, step))
        shown += [Text(step.sentence, "bold"), grid(side_rows(side, folder, step))]
    if not shown:
        shown.append(Text(f"There are no exchanges on this ledger in {place}.", "bold"))
    report.result({"command": "exchanges", "exchanges": facts}, *shown)


def settle_sale(folder: Path, ledger: Ledger, poll: float | None, report: Report) -> None:
    """Take a side's way to settle, and report."""
    side = open_side(folder, ledger)
    if isinstance(side, Owner):
        patiently(side, side.collect, ("collect",), poll, report)
    else:
        from MedWatermarkLib.recipient_commands import receive_package

        receive_package(side, poll, report)
    report_step("settle", side, folder, report)


def open_side(folder: Path, ledger: Ledger) -> Owner | Recipient:
    """Open the folder of an exchange, whoever's it is."""
    return Owner(folder, ledger) if side_of(folder) == "owner" else Recipient(folder, ledger)


def is_open(state: SaleState) -> bool:
    """Tell whether a sale can still go on."""
    return state in (SaleState.OFFERED, SaleState.ACCEPTED, SaleState.REVEALED)


def patiently(
    side: Owner | Recipient,
    step: Callable[[], _T],
    actions: tuple[str, ...],
    poll: float | None,
    report: Report,
) -> _T:
    """Take a step; if its time has not come, wait for that.

    Parameters
    ----------
    side : Owner or Recipient
    step : callable
    actions : tuple of str
        What `NextStep.action` may be while it is waited; another says that it would be in vain.
    poll : float or None
        Seconds between two tries; None, if nobody waits.
    report : Report
    """
    while True:
        try:
            return step()
        except NotYetError as error:
            if poll is None or side.watch().action not in ("", *actions):
                raise
            report.step(f"Waiting: {error}", 0.0, 1.0)
        time.sleep(poll)


def report_step(
    command: str,
    side: Owner | Recipient,
    folder: Path,
    report: Report,
    facts: Mapping[str, Any] | None = None,
    headline: str = "",
    rows: tuple[Row, ...] = (),
) -> None:
    """Report that a step was taken, and what is next."""
    step = side.watch()
    shown = Text(headline or step.sentence, "bold green")
    if headline:
        shown.append(f" {step.sentence}", "not bold default")
    report.result(
        {"command": command, **(facts or {}), **side_facts(side, folder, step)},
        shown,
        grid([*rows, *side_rows(side, folder, step)]),
    )


def next_command(side: Owner | Recipient, step: NextStep) -> str:
    """Return which command is next, or nothing."""
    return (_OWNERS if isinstance(side, Owner) else _RECIPIENTS).get(step.action, "")


def side_facts(side: Owner | Recipient, folder: Path, step: NextStep) -> dict[str, Any]:
    """Return where an exchange stands, for a program."""
    terms, is_owner = side.terms, isinstance(side, Owner)
    return {
        "folder": str(folder),
        "side": "owner" if is_owner else "recipient",
        "state": step.state.name.lower(),
        "action": step.action,
        "next": next_command(side, step),
        "sentence": step.sentence,
        "due": step.due,
        "urgent": step.is_urgent,
        "record": _record(side).hex(),
        "sale": None if side.sale_id is None else side.sale_id.hex(),
        "terms": None if terms is None else terms_facts(terms),
    }


def side_rows(side: Owner | Recipient, folder: Path, step: NextStep) -> list[Row]:
    """Return where an exchange stands, for a person."""
    rows = [("Folder", str(folder)), ("Record", _record(side).hex())]
    if side.terms is not None and side.sale_id is not None:
        rows += [("Sale", side.sale_id.hex()), ("State", step.state.name.lower())]
        rows += terms_rows(side.terms)
    if command := next_command(side, step):
        due = "" if step.due is None else f", before {moment(step.due)}"
        rows.append(("Next", f"medwatermark {command}{due}"))
    return rows


def terms_facts(terms: Terms) -> dict[str, Any]:
    """Return the terms of a sale, for a program: bytes, and the nonce, as hex."""
    facts = {each.name: getattr(terms, each.name) for each in fields(terms)}
    facts["nonce"] = f"{terms.nonce:064x}"
    return {
        name: value.hex() if isinstance(value, bytes) else value for name, value in facts.items()
    }


def terms_rows(terms: Terms) -> list[Row]:
    """Return the terms of a sale, for a person."""
    hours = (f"{seconds / 3600:g} h" for seconds in (terms.reveal_window, terms.complaint_window))
    return [
        ("Owner", terms.owner),
        ("Recipient", terms.recipient),
        ("Price", shown_amount(terms.price, terms.token)),
        ("Bond", shown_amount(terms.bond, terms.token)),
        ("Windows", "{} to reveal, {} to complain".format(*hours)),
    ]


def _record(side: Owner | Recipient) -> bytes:
    return side.record.id if isinstance(side, Owner) else side.terms.record
