"""What the commands of an owner do, once a scan is shared."""

from __future__ import annotations

from pathlib import Path

from MedWatermarkLib.arguments import words
from MedWatermarkLib.exchange import Owner
from MedWatermarkLib.exchange_commands import patiently, report_step
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.report import Report
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store


def publish_files(
    folder: Path, ledger: Ledger, identity: Identity, store: str, report: Report
) -> None:
    """Store what was offered or granted again, and report."""
    owner = Owner(folder, ledger)
    owner.publish(identity, Store(store), progress=report.step("Storing", 0.1, 1.0))
    report_step("publish", owner, folder, report, headline="All of it is in the store.")


def recover_folder(
    folder: Path, ledger: Ledger, sale: str, identity: Identity, store: str, report: Report
) -> None:
    """Make the folder of a sale anew."""
    report.step("Looking for the sale", 0.1, 0.5)
    Owner.recover(folder, ledger, words(sale, "the id of a sale"), identity, Store(store))


def reveal_key(
    folder: Path, ledger: Ledger, identity: Identity, poll: float | None, report: Report
) -> None:
    """Reveal the key of a sale, and report."""
    owner = Owner(folder, ledger)
    report.step("Revealing the key", 0.5, 1.0)
    patiently(owner, lambda: owner.reveal(identity), ("reveal",), poll, report)
    report_step("reveal", owner, folder, report, headline="The key is revealed.")


def cancel_offer(folder: Path, ledger: Ledger, report: Report) -> None:
    """Take an offer back, and report."""
    owner = Owner(folder, ledger)
    report.step("Sending", 0.1, 1.0)
    owner.cancel()
    report_step("cancel", owner, folder, report)


def withdraw_grant(folder: Path, ledger: Ledger, recipient_key: str, report: Report) -> None:
    """Take a grant back, and report."""
    owner = Owner(folder, ledger)
    report.step("Sending", 0.1, 1.0)
    owner.withdraw(recipient_key.strip())
    report_step(
        "withdraw",
        owner,
        folder,
        report,
        {"recipient_key": recipient_key.strip()},
        "The grant is taken back on the ledger; what was received cannot be.",
    )
