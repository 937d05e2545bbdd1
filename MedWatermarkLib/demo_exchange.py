"""The demonstration of an exchange: an honest one, a cheat, a recipient who falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from eth_account import Account
from eth_typing import ChecksumAddress
from rich.console import RenderableType
from rich.text import Text

from MedWatermarkLib.demo import (
    DIAGNOSIS,
    EMBEDDED,
    FAILED,
    PASSED,
    Check,
    check_table,
    packaged_slice,
    written_suffix,
)
from MedWatermarkLib.demo_balances import ETHER, GWEI, Accounts, Balances, Moment, balances_table
from MedWatermarkLib.demo_chain import DemoChain, demo_chain
from MedWatermarkLib.demo_party import Member, Party, party
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.output import new_files
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.scan import mark_scan
from MedWatermarkLib.sharing import Selling
from MedWatermarkLib.tables import grid

PRICE, BOND = ETHER // 2, ETHER // 10
_HOUR = 3_600
# What the owner and the recipient have gained in the end, but for gas: who is honest loses nothing.
_PAID, _PUNISHED = (PRICE, -PRICE), (-BOND, BOND)


@dataclass(frozen=True)
class Story:
    """How an exchange went.

    Attributes
    ----------
    name, title : str
    before : (int, int, int)
        What was held.
    moments : list of Moment
    checks : list of Check
    """

    name: str
    title: str
    before: Balances
    moments: list[Moment]
    checks: list[Check]


def demonstrate_exchange(folder: Path, source: Path | None, report: Report) -> None:
    """Sell a scan three times, each side a process of its own; check every balance, and report.

    Parameters
    ----------
    folder : pathlib.Path
        New folder: for what the sides keep, what was stored and what arrived.
    source : pathlib.Path, optional
        A scan; else the CT slice that pydicom brings along.
    report : Report

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if a check failed.
    PartyError
        If a side could not do what it should.
    ImageReadError, WatermarkError, OutputError, LedgerError
        With nothing written.
    """
    report.step("Reading the scan", 0.0, 0.05)
    original = read_volume(packaged_slice() if source is None else source)
    prepare(report, original.voxels.dtype, 0.05, 0.15)
    report.step("Signing and marking", 0.15, 0.2)
    doctor = Account.create()
    marked = mark_scan(original, DIAGNOSIS, doctor)
    with new_files(folder) as (new,), TemporaryDirectory() as kept:
        new.mkdir()
        (new / "store").mkdir()
        scan = new / f"marked{written_suffix(original)}"
        write_volume(marked.volume, scan, EMBEDDED)
        report.step("Starting a chain and two sides", 0.2, 0.3)
        with _stage(new, Path(kept), doctor.address) as stage:
            stories = [
                stage.honest(scan, report),
                stage.cheat(scan, report),
                stage.silent(scan, report),
            ]
            chain = stage.chain.name
    _report(report, folder, chain, stories)
    if any(check.outcome == FAILED for story in stories for check in story.checks):
        raise typer.Exit(ExitCode.NOT_READ)


@contextmanager
def _stage(folder: Path, kept: Path, doctor: ChecksumAddress) -> Iterator[_Stage]:
    """Start both sides and a chain on which they have coins."""
    config, store = kept / "ledger.toml", str(folder / "store")
    with (
        party(config, kept / "owner.sqlite", store) as owner,
        party(config, kept / "recipient.sqlite", store) as recipient,
        demo_chain(config, (owner.address, recipient.address, doctor)) as chain,
    ):
        accounts = Accounts(chain.ledger, owner.address, recipient.address, PRICE, BOND)
        yield _Stage(folder, chain, owner, recipient, accounts)


@dataclass(frozen=True)
class _Stage:
    """Where the stories happen: each has a folder, with one for each side."""

    folder: Path
    chain: DemoChain
    owner: Party
    recipient: Party
    accounts: Accounts

    def honest(self, scan: Path, report: Report) -> Story:
        """Both wait for each other, and the recipient verifies what arrived."""
        report.step("An honest sale", 0.3, 0.55)
        place, before = self._place("honest"), self.accounts.balances()
        shared = self.owner.do(Member.share, scan, place / "owner", self._terms())
        revealing = self.owner.begin(Member.reveal, place / "owner")
        self._accept(place)
        received = self._receive(place)
        revealing.facts()
        verified = self.recipient.do(
            Member.verify, Path(received["image"]), Path(received["leaves"])
        )
        checks = [
            _check(
                "The recipient has the scan",
                received["outcome"] == "received",
                f"with the diagnosis: {received['claim']['diagnosis']}",
            ),
            _check("The recipient verifies what arrived", verified["passed"], verified["headline"]),
        ]
        return self._story(
            "honest", "An honest sale", shared["record"], before, _PAID, "settled", checks
        )

    def cheat(self, scan: Path, report: Report) -> Story:
        """Offer a file with one wrong chunk, which the recipient finds and proves."""
        report.step("An owner who sends one wrong chunk", 0.55, 0.75)
        place, before = self._place("cheat"), self.accounts.balances()
        shared = self.owner.do(Member.share_wrongly, scan, place / "owner", self._terms())
        self._accept(place)
        self.owner.do(Member.reveal, place / "owner")
        received = self._receive(place)
        checks = [
            _check(
                "The recipient finds the wrong chunk and complains by itself",
                (received["outcome"], received["code"]) == ("refunded", ExitCode.NOT_READ)
                and not (place / "received").exists(),
                received["sentence"],
            )
        ]
        return self._story(
            "cheat",
            "An owner who sends one wrong chunk",
            shared["record"],
            before,
            _PUNISHED,
            "complained, refunded",
            checks,
        )

    def silent(self, scan: Path, report: Report) -> Story:
        """Let the recipient do nothing once the key is there; its owner collects."""
        report.step("A recipient who falls silent", 0.75, 0.95)
        place, before = self._place("silent"), self.accounts.balances()
        shared = self.owner.do(Member.share, scan, place / "owner", self._terms())
        self._accept(place)
        self.owner.do(Member.reveal, place / "owner")
        self.chain.advance(_HOUR + 1)
        settled = self.owner.do(Member.settle, place / "owner")
        checks = [
            _check(
                "The owner collects after the hour for complaints",
                settled["state"] == "settled",
                settled["sentence"],
            )
        ]
        return self._story(
            "silent",
            "A recipient who falls silent",
            shared["record"],
            before,
            _PAID,
            "settled",
            checks,
        )

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def _terms(self) -> Selling:
        price, bond = (f"{amount / ETHER:g}" for amount in (PRICE, BOND))
        names = self.recipient.address, self.recipient.public_key
        return Selling(*names, price, bond, None, 24, 1, 1)

    def _accept(self, place: Path) -> None:
        self.recipient.do(Member.accept, place / "recipient", self._terms().price)

    def _receive(self, place: Path) -> dict[str, Any]:
        return self.recipient.do(Member.receive, place / "recipient", place / "received")

    def _story(
        self,
        name: str,
        title: str,
        record: str,
        before: Balances,
        gains: tuple[int, int],
        end: str,
        checks: list[Check],
    ) -> Story:
        """Read what happened off the chain, and hold every balance against what it should be."""
        moments = list(self.accounts.moments(bytes.fromhex(record), before))
        gas = [sum(one.gas for one in moments if one.by == by) for by in ("owner", "recipient")]
        had = [start + gain - paid for start, gain, paid in zip(before, gains, gas, strict=False)]
        ended = self.accounts.balances() == (*had, before[2])
        checks.append(
            _check(
                f"{title}: every balance is exact to the wei, after every step",
                all(one.exact for one in moments) and ended and moments[-1].what == end,
                f"{moments[-1].what}; owner {_signed(gains[0])}, recipient {_signed(gains[1])}, "
                f"gas of {sum(gas) // GWEI:,} gwei",
            )
        )
        return Story(name, title, before, moments, checks)


def _check(name: str, holds: bool, detail: str) -> Check:
    return Check(name, PASSED if holds else FAILED, detail)


def _signed(amount: int) -> str:
    return f"{amount / ETHER:+g} ether"


def _report(report: Report, folder: Path, chain: str, stories: list[Story]) -> None:
    checks = [check for story in stories for check in story.checks]
    failed = sum(check.outcome == FAILED for check in checks)
    facts = {
        "command": "demo",
        "folder": str(folder),
        "chain": chain,
        "price": PRICE,
        "bond": BOND,
        "passed": not failed,
        "checks": [vars(check) for check in checks],
        "stories": [
            {
                "name": story.name,
                "before": dict(zip(("owner", "recipient", "escrow"), story.before, strict=True)),
                "steps": [vars(one) for one in story.moments],
            }
            for story in stories
        ],
    }
    node = (
        "anvil, a node on this computer"
        if chain == "anvil"
        else "the embedded chain, in a process of its own"
    )
    rows = [
        ("Chain", f"{node}; its coins are worth nothing"),
        ("Sides", "two processes, each with an account and an age identity of its own"),
        ("Terms", f"price {PRICE / ETHER:g} ether, bond {BOND / ETHER:g} ether"),
        ("Files", f"{folder}: what the sides kept, what was stored, what arrived"),
    ]
    shown: list[RenderableType] = [grid(rows)]
    for number, story in enumerate(stories, start=1):
        shown += [
            "",
            Text(f"{number}. {story.title}", "bold"),
            balances_table(story.before, story.moments),
        ]
    verdict = f"{failed} of {len(checks)} checks failed." if failed else "All checks passed."
    if not failed:
        verdict += " Every balance was exact to the wei: price, bond, and gas as the receipts say."
    report.result(
        facts,
        *shown,
        Text(
            "Amounts are in ether, cut off after the gwei; each transaction costs its sender gas.",
            "dim",
        ),
        check_table(checks),
        Text(verdict, "bold red" if failed else "bold green"),
    )
