"""The command ``receive``: from what was sold or granted to a scan in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.text import Text

from MedWatermarkLib.arguments import words
from MedWatermarkLib.exchange import Recipient, receive_grant
from MedWatermarkLib.exchange_commands import report_step
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.output import OutputExistsError, check_new
from MedWatermarkLib.package import Package
from MedWatermarkLib.recipient_commands import receive_package
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.sealed_package import read_sealed_package
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import grid
from MedWatermarkLib.unpacked import holds, package_facts, save_mark_key


@dataclass(frozen=True)
class Order:
    """What the recipient wants where.

    Attributes
    ----------
    output : pathlib.Path
        New folder.
    mark_key : pathlib.Path or None
        New file for the mark's key.
    identity : Identity
        The recipient's.
    store : str or None
        Where the sealed files lie.
    """

    output: Path
    mark_key: Path | None
    identity: Identity
    store: str | None


def receive_sale(
    folder: Path, ledger: Ledger, order: Order, poll: float | None, report: Report
) -> None:
    """Open what was bought, or take the payment back, and report.

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if a chunk was wrong.
    """
    recipient = Recipient(folder, ledger)
    if order.store is not None and recipient.watch().action == "download":
        tell = report.step("Downloading again", 0.0, 0.1)
        recipient.download(order.identity, Store(order.store), progress=tell)
    if receive_package(recipient, poll, report) is None:
        report_step("receive", recipient, folder, report, {"outcome": "refunded"})
        raise typer.Exit(ExitCode.NOT_READ)
    tell = report.step("Opening the package", 0.7, 1.0)
    package = _deliver(lambda at: recipient.unpack(order.identity, at, progress=tell), order)
    facts, rows = package_facts(package, order.output, order.mark_key, report)
    report_step("receive", recipient, folder, report, facts, _HEADLINE, tuple(rows))


def receive_granted(record: str, ledger: Ledger, order: Order, report: Report) -> None:
    """Fetch and open what was granted, and report."""
    id, store = words(record, "the id of a record"), Store(order.store or "")
    parent = order.output.absolute().parent
    if not parent.is_dir():
        check_new(order.output)
    # Of this name, so that another try finds what has arrived.
    sealed = parent / f".{record[-16:]}.age"
    tell = report.step("Downloading and checking", 0.1, 0.7)
    content = receive_grant(ledger, id, order.identity, store, sealed, progress=tell)
    tell = report.step("Opening the package", 0.7, 1.0)
    package = _deliver(lambda at: read_sealed_package(sealed, content, at, progress=tell), order)
    sealed.unlink()
    facts, rows = package_facts(package, order.output, order.mark_key, report)
    headline = Text(_HEADLINE, "bold green")
    report.result({"command": "receive", "record": id.hex(), **facts}, headline, grid(rows))


_HEADLINE = "The scan is there, and is the one that was registered."


def _deliver(unpack: Callable[[Path], Package], order: Order) -> Package:
    """Unpack into the folder; where that was done before, make sure that all of it is there."""
    output = order.output
    if not output.is_dir() or not any(output.iterdir()):
        package = unpack(output)
    else:
        with TemporaryDirectory(dir=output.absolute().parent, prefix=".") as beside:
            place = Path(beside) / "again"
            again = unpack(place)
            if not holds(output, again.manifest):
                raise OutputExistsError(
                    f"{output} holds something else, or not all of it; choose another name."
                )
            paths = {
                name: output / getattr(again, name).relative_to(place)
                for name in ("image", "preview")
            }
            package = replace(again, **paths)
    if order.mark_key is not None and package.mark_key:
        save_mark_key(order.mark_key, package.mark_key)
    return package
