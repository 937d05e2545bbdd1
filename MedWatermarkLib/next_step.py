"""What a side of a sale can do next, and until when."""

from __future__ import annotations

import time
from dataclasses import dataclass

from MedWatermarkLib.contract import answer
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.sale import Sale, SaleState
from MedWatermarkLib.tables import moment

#: Seconds before a deadline from which on it is warned of.
WARNING = 6 * 3_600
#: Seconds before its deadline from which on a key is not revealed any more: the transaction may
#: come too late, and then the recipient has both the key and its money.
REVEAL_MARGIN = 10 * 60


@dataclass(frozen=True)
class NextStep:
    """What to do, or to wait for.

    Attributes
    ----------
    state : SaleState
        Where the sale stands.
    action : str
        The method of `Owner` or `Recipient` that can be called now; empty where there is nothing
        to do but wait.
    sentence : str
        For a person.
    due : int or None
        In seconds since 1970-01-01 UTC: until when to act, or what is waited for can come.
    is_urgent : bool
        Whether there is something to do, and little time left or none.
    """

    state: SaleState
    action: str
    sentence: str
    due: int | None = None
    is_urgent: bool = False


def present(ledger: Ledger) -> int:
    """Return the time, in seconds since 1970-01-01 UTC.

    It is the later of both clocks': the last block may be old, and this computer slow. So a
    deadline is rather thought to be over than one that is over to be open.
    """
    return max(int(time.time()), last_time(ledger))


def last_time(ledger: Ledger) -> int:
    """Return when the last block was made, in seconds since 1970-01-01 UTC."""
    block = answer(ledger.web3, lambda: ledger.web3.eth.get_block("latest"))
    return int(block["timestamp"])


def owners_step(sale: Sale, now: int) -> NextStep:
    """Return what the owner can do."""
    state, deadline = sale.state, sale.deadline
    if state is SaleState.NONE:
        return _act(state, "offer", "The offer is not on the ledger yet: offer again.", None, now)
    if state is SaleState.OFFERED:
        if now > deadline:
            return NextStep(
                state, "cancel", "Nobody accepted in time: cancel, and take the bond back."
            )
        return NextStep(state, "", f"The recipient can accept until {moment(deadline)}.", deadline)
    if state is SaleState.ACCEPTED:
        due = deadline - REVEAL_MARGIN
        if now > due:
            return NextStep(
                state,
                "",
                "It is too late to reveal the key, since the recipient can take its money back "
                f"from {moment(deadline)} on, and then would have both.",
                due,
                True,
            )
        return _act(state, "reveal", f"Reveal the key before {moment(due)}.", due, now)
    if state is SaleState.REVEALED:
        if now > deadline:
            return NextStep(state, "collect", "The time for complaints is over: collect.")
        return NextStep(
            state,
            "",
            f"The recipient can settle or complain; collect after {moment(deadline)}.",
            deadline,
        )
    return _ended(state)


def recipients_step(sale: Sale, is_checked: bool, now: int) -> NextStep:
    """Return what the recipient can do."""
    state, deadline = sale.state, sale.deadline
    if state is SaleState.OFFERED:
        if now > deadline:
            return NextStep(state, "", "The offer is over; ask the owner for a new one.")
        if not is_checked:
            sentence = f"Download and check what is offered before {moment(deadline)}."
            return _act(state, "download", sentence, deadline, now)
        sentence = f"All is as it should be: accept and pay before {moment(deadline)}, or do not."
        return _act(state, "accept", sentence, deadline, now)
    if state is SaleState.ACCEPTED:
        if now > deadline:
            sentence = "The key did not come in time: take the payment back, and the bond."
            return NextStep(state, "refund", sentence, None, True)
        if not is_checked:
            sentence = "Download again what was accepted, so as to be ready when the key comes."
            return _act(state, "download", sentence, deadline, now)
        return NextStep(state, "", f"The owner has until {moment(deadline)} to reveal.", deadline)
    if state is SaleState.REVEALED:
        sentence = (
            f"The key is there: receive, which settles or complains, before {moment(deadline)}."
        )
        if now > deadline:
            sentence = (
                "Receive at once: the owner can collect, and then it is too late to complain."
            )
        return _act(state, "receive" if is_checked else "download", sentence, deadline, now)
    return _ended(state)


def _act(state: SaleState, action: str, sentence: str, due: int | None, now: int) -> NextStep:
    return NextStep(state, action, sentence, due, due is not None and now > due - WARNING)


def _ended(state: SaleState) -> NextStep:
    sentences = {
        SaleState.NONE: "There is no such sale on the ledger.",
        SaleState.SETTLED: "The owner is paid, and has its bond back.",
        SaleState.REFUNDED: "The recipient has its payment back, and the bond.",
        SaleState.CANCELLED: "The owner took the offer back, and the bond with it.",
    }
    return NextStep(state, "", sentences[state])
