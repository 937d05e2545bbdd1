"""The two sides of a demonstrated exchange, each in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Any

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress

from MedWatermarkLib import delivery, sharing
from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.exchange import find_offers
from MedWatermarkLib.exchange_commands import settle_sale
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.owner_commands import reveal_key
from MedWatermarkLib.recipient_commands import accept_offer
from MedWatermarkLib.report import Findings, Report, sentence_of
from MedWatermarkLib.sale import SaleState
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.verification import Evidence, verify_file

# Seconds: between two looks at the chain, and until a side is thought to be dead.
_POLL, _PATIENCE = 0.2, 900.0


class PartyError(RuntimeError):
    """A side of the demonstration could not do what was its turn."""


@dataclass(frozen=True)
class Member:
    """Who takes part, and does what the commands do; the keys never leave its process.

    Attributes
    ----------
    account : eth_account.signers.local.LocalAccount
    identity : Identity
    config : pathlib.Path
        The file that says where the ledger is.
    journal : pathlib.Path
    store : str
    """

    account: LocalAccount
    identity: Identity
    config: Path
    journal: Path
    store: str

    @property
    def names(self) -> tuple[ChecksumAddress, str]:
        """Address and age public key."""
        return self.account.address, self.identity.recipient

    def share(
        self, scan: Path, folder: Path, terms: sharing.Selling | None, report: Report
    ) -> None:
        """Register and offer a scan; only register it, if there are no terms."""
        source = sharing.Source(scan, b"")
        sharing.share_scan(source, folder, self._ledger(), self.identity, self.store, terms, report)

    def share_wrongly(
        self, scan: Path, folder: Path, selling: sharing.Selling, report: Report
    ) -> None:
        """Register a scan, and offer it with one wrong chunk."""
        self.share(scan, folder, None, report)
        owner = Cheat(folder, self._ledger())
        owner.offer(identity=self.identity, store=Store(self.store), **selling.terms())

    def reveal(self, folder: Path, report: Report) -> None:
        """Wait until it is accepted, and reveal the key."""
        reveal_key(folder, self._ledger(), self.identity, _POLL, report)

    def settle(self, folder: Path, report: Report) -> None:
        """Collect."""
        settle_sale(folder, self._ledger(), None, report)

    def accept(self, folder: Path, price: str, report: Report) -> None:
        """Find the one offer, download and check it, and pay."""
        ledger = self._ledger()
        (found,) = (
            one
            for one in find_offers(ledger, self.account.address)
            if one.sale.state is SaleState.OFFERED
        )
        accept_offer(found.id.hex(), folder, ledger, self.identity, self.store, price, None, report)

    def receive(self, folder: Path, output: Path, report: Report) -> None:
        """Wait for the key, check every chunk, and pay or complain."""
        order = delivery.Order(output, None, self.identity, None)
        delivery.receive_sale(folder, self._ledger(), order, _POLL, report)

    def verify(self, image: Path, leaves: Path, report: Report) -> None:
        """Make the checks on what arrived."""
        verify_file(image, Evidence(b"", ledger=self.config, leaves=leaves), report)

    def _ledger(self) -> Ledger:
        return Ledger.connect(self.config, self.account, Journal(self.journal))


class Party:
    """A side, and the process that it lives in; made by `party`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        names = pool.apply_async(_names).get(_PATIENCE)
        self.address: ChecksumAddress = names[0]
        self.public_key: str = names[1]

    def begin(self, act: Callable[..., None], *arguments: object) -> Turn:
        """Begin to do what a method of `Member` does."""
        return Turn(self._pool.apply_async(_take, (act.__name__, arguments)))

    def do(self, act: Callable[..., None], *arguments: object) -> dict[str, Any]:
        """Do it, and return its facts, and the exit code of a command as ``code``.

        Raises
        ------
        PartyError
            If it did not succeed.
        """
        return self.begin(act, *arguments).facts()


class Turn:
    """What a side is doing."""

    def __init__(self, result: AsyncResult[tuple[dict[str, Any], str]]) -> None:
        self._result = result

    def facts(self) -> dict[str, Any]:
        """Wait for its end; see `Party.do`."""
        facts, problem = self._result.get(_PATIENCE)
        if problem:
            raise PartyError(problem)
        return facts


@contextmanager
def party(config: Path, journal: Path, store: str) -> Iterator[Party]:
    """Start a side, with a new account and a new identity, and end it for sure."""
    context = get_context("spawn")
    with context.Pool(1, _begin, (config, journal, store)) as pool:
        yield Party(pool)


# Of this process, if it is that of a side.
_MEMBERS: list[Member] = []


def _begin(config: Path, journal: Path, store: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever started it ends it.
    _MEMBERS.append(Member(Account.create(), Identity.generate(), config, journal, store))


def _names() -> tuple[ChecksumAddress, str]:
    return _MEMBERS[0].names


def _take(act: str, arguments: tuple[object, ...]) -> tuple[dict[str, Any], str]:
    """Return facts, or what went wrong: not every error can be sent to another process."""
    heard, code = Findings(), 0
    try:
        getattr(_MEMBERS[0], act)(*arguments, heard)
    except typer.Exit as end:
        code = end.exit_code
    except Exception as error:
        return {}, sentence_of(error)
    return heard.facts | {"code": code}, ""
