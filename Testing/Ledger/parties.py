"""Owner and recipient as processes that are killed at anything they do, and started again.

A child does all that its side can do in a turn, from the first step on, as a program does that does
not know how far it came. Its fuse kills it (SIGKILL) before the n-th thing that leaves a trace: a
file written, moved or removed, a request to the node, or the next piece of something long, such as
an upload or a download.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from deals import BOND, PRICE, Deal
from eth_account import Account

from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.exchange import Owner, Recipient, find_offers, receive_grant
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_config import LedgerConfig
from MedWatermarkLib.record import Record
from MedWatermarkLib.sale import MIN_WINDOW, SaleState
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store

_TRACES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir"})
# Turns have from 20 to 180 traces, the fewer the more of them were left by those killed before.
_LEAST_FUSE, _LONGEST_FUSE = 4, 128

Burn = Callable[[], None]


@dataclass(frozen=True)
class Party:
    """What one side's process is started with: all of it can be sent to one."""

    side: str
    config: LedgerConfig
    account: bytes
    folder: Path
    identity: str
    is_cheat: bool
    record: Record
    signature: bytes
    content: str
    keeper_key: str
    reader: str
    reader_key: str


def parties(deal: Deal) -> tuple[Party, Party]:
    """Return both sides of a deal, on a node."""
    owner = Party(
        "owner",
        deal.buyer.config,
        bytes(deal.hospital.ledger.account.key),
        deal.place,
        deal.keeper.text,
        deal.kind is Cheat,
        deal.record,
        deal.signature,
        deal.content.text,
        deal.keeper.recipient,
        deal.buyer.account.address,
        deal.reader.recipient,
    )
    account, identity = bytes(deal.buyer.account.key), deal.reader.text
    return owner, replace(owner, side="recipient", account=account, identity=identity)


def run_killed(party: Party, act: str, kills: int, chance: random.Random) -> int:
    """Have a side take a turn, killed so many times at random; return how often it was.

    The last child is left alone.
    """
    bounds = math.log(_LEAST_FUSE), math.log(_LONGEST_FUSE)
    fuses = [round(math.exp(chance.uniform(*bounds))) for _ in range(kills)]
    killed = sum(run(party, act, fuse) for fuse in fuses)
    run(party, act, None)
    return killed


def run(party: Party, act: str, fuse: int | None) -> bool:
    """Have a side take a turn in a process; tell whether its fuse killed it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["MedWatermarkLib.exchange"])
    child = context.Process(target=_act, args=(party, act, fuse), daemon=True)
    child.start()
    child.join(60)
    assert not child.is_alive(), f"the {party.side} hangs as it is to {act}"
    allowed = (0,) if fuse is None else (0, -signal.SIGKILL)
    assert child.exitcode in allowed, f"the {party.side} failed to {act} (fuse {fuse})"
    return child.exitcode != 0


def _act(party: Party, act: str, fuse: int | None) -> None:
    account = Account.from_key(party.account)
    journal = Journal(party.folder / f"journal-{party.side}")
    ledger = Ledger.connect(party.config, account, journal)
    burn = _light(fuse)
    _ACTS[act](party, ledger, Identity(party.identity), Store(party.folder / "store"), burn)


def _owner(party: Party, ledger: Ledger) -> Owner:
    owner = (Cheat if party.is_cheat else Owner).begin(
        party.folder / "owner",
        ledger,
        party.folder / "package.age",
        party.record,
        party.signature,
        Identity(party.content),
        party.keeper_key,
    )
    owner.register()
    return owner


def _sell(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    owner = _owner(party, ledger)
    owner.offer(
        party.reader,
        party.reader_key,
        identity,
        store,
        price=PRICE,
        bond=BOND,
        reveal_window=MIN_WINDOW,
        complaint_window=MIN_WINDOW,
        progress=lambda share: burn(),
    )
    if owner.watch().action == "reveal":
        owner.reveal(identity)
    if owner.watch().action == "collect":
        owner.collect()


def _cancel(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    _owner(party, ledger).cancel()


def _buy(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    recipient = _recipient(party, ledger)
    recipient.download(identity, store, progress=lambda share: burn())
    if recipient.watch().action == "accept":
        recipient.accept(PRICE)
    if recipient.watch().state in (SaleState.REVEALED, SaleState.SETTLED):
        recipient.receive(progress=lambda share: burn())


def _reclaim(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    _recipient(party, ledger).refund()


def _recipient(party: Party, ledger: Ledger) -> Recipient:
    (found,) = find_offers(ledger, ledger.account.address)
    return Recipient.begin(party.folder / "recipient", ledger, found.id)


def _grant(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    owner = _owner(party, ledger)
    owner.grant(party.reader_key, identity, store, progress=lambda share: burn())


def _withdraw(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    _owner(party, ledger).withdraw(party.reader_key)


def _take(party: Party, ledger: Ledger, identity: Identity, store: Store, burn: Burn) -> None:
    folder = party.folder / "recipient"
    folder.mkdir(exist_ok=True)
    place, id = folder / "sealed.age", party.record.id
    receive_grant(ledger, id, identity, store, place, progress=lambda share: burn())


_ACTS = {
    "sell": _sell,
    "cancel": _cancel,
    "buy": _buy,
    "reclaim": _reclaim,
    "grant": _grant,
    "withdraw": _withdraw,
    "take": _take,
}


def _light(fuse: int | None) -> Burn:
    """Have each trace burn a piece of the fuse, and return what does so too."""
    left = fuse or 0

    def burn() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            is_trace = _writes(arguments)
        elif event == "http.client.send":
            is_trace = b'"method"' in bytes(arguments[1])  # type: ignore[call-overload]
        else:
            is_trace = event in _TRACES
        if is_trace:
            burn()

    if fuse is not None:
        sys.addaudithook(hear)
    return burn


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
