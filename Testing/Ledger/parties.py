"""Owner and recipient as processes that are killed at anything they do, and started again.

A child does all that its side can do now, from the first step on, as a program does that does not
know how far it came. Its fuse kills it (SIGKILL) before the n-th thing that leaves a trace: a file
written, moved or removed, or a request to the node.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from deals import PRICE, Cheat, Deal
from eth_account import Account

from MedWatermarkLib.exchange import Owner, Recipient, find_offers
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_config import LedgerConfig
from MedWatermarkLib.record import Record
from MedWatermarkLib.sale import MIN_WINDOW, SaleState
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store

SIDES = ("owner", "recipient")
_TRACES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "http.client.send"})
# Nearly as many as there are in the longest way from a start to the next wait.
_LONGEST_FUSE = 120


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


def run_killed(party: Party, kills: int, chance: random.Random) -> int:
    """Have a side do what it can, killed so many times at random; return how often it was.

    The last child is left alone.
    """
    killed = 0
    for _ in range(kills):
        code = _run(party, chance.randint(1, _LONGEST_FUSE))
        assert code in (0, -signal.SIGKILL), f"the {party.side} failed"
        killed += code != 0
    assert _run(party, None) == 0, f"the {party.side} failed in the end"
    return killed


def _run(party: Party, fuse: int | None) -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["MedWatermarkLib.exchange"])
    child = context.Process(target=_act, args=(party, fuse), daemon=True)
    child.start()
    child.join(60)
    assert not child.is_alive(), f"the {party.side} hangs"
    return child.exitcode


def _act(party: Party, fuse: int | None) -> None:
    account = Account.from_key(party.account)
    journal = Journal(party.folder / f"journal-{party.side}")
    ledger = Ledger.connect(party.config, account, journal)
    if fuse is not None:
        _light(fuse)
    identity, store = Identity(party.identity), Store(party.folder / "store")
    if party.side == "owner":
        _act_as_owner(party, ledger, identity, store)
    else:
        _act_as_recipient(party, ledger, identity, store)


def _act_as_owner(party: Party, ledger: Ledger, identity: Identity, store: Store) -> None:
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
    owner.offer(
        party.reader,
        party.reader_key,
        identity,
        store,
        price=PRICE,
        bond=PRICE // 10,
        reveal_window=MIN_WINDOW,
        complaint_window=MIN_WINDOW,
    )
    if owner.watch().action == "reveal":
        owner.reveal(identity)
    if owner.watch().action == "collect":
        owner.collect()


def _act_as_recipient(party: Party, ledger: Ledger, identity: Identity, store: Store) -> None:
    (found,) = find_offers(ledger, ledger.account.address)
    recipient = Recipient.begin(party.folder / "recipient", ledger, found.id)
    recipient.download(identity, store)
    recipient.accept(PRICE)
    if recipient.watch().state in (SaleState.REVEALED, SaleState.SETTLED):
        recipient.receive()


def _light(fuse: int) -> None:
    left = fuse

    def burn(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in _TRACES or (event == "open" and not _writes(arguments)):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(burn)


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
