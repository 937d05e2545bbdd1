"""The commands of whoever shares a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from MedWatermarkLib.deidentify_options import (
    CleanDescriptors,
    DicomSource,
    KeepDevice,
    KeepPatientCharacteristics,
    PixelsChecked,
    PseudonymKeyFile,
    ShiftDates,
    request_of,
)
from MedWatermarkLib.exchange_options import (
    OWNER,
    Folder,
    IdentityFile,
    PasswordStdin,
    Poll,
    RecipientKey,
    StoreURL,
    Wait,
    open_identity,
)
from MedWatermarkLib.ledger_cli import (
    Json,
    KeyFile,
    LedgerFile,
    MarkKeyFile,
    open_ledger,
    open_to_send,
)
from MedWatermarkLib.password import read_mark_key
from MedWatermarkLib.report import reporting

app = typer.Typer()

# Of recipient, its key, price and grant, those that go together: nothing, a sale, a grant.
_WAYS = (
    (False, False, False, False),
    (True, True, True, False),
    (False, True, False, True),
)
_HOURS = {"min": 1, "max": 2160, "metavar": "HOURS"}


@app.command(
    rich_help_panel=OWNER,
    epilog="Examples:\n\n"
    "medwatermark share marked/ exchange/ --recipient 0x71C7...6F --recipient-key age1qx... "
    "--price 0.5 --bond 0.1 --store https://files.example/scans --ledger ledger.toml "
    "--key-file hospital.json --identity-file hospital.age\n\n"
    "medwatermark share marked/ exchange/ --grant --recipient-key age1qx... --store /mnt/scans "
    "--ledger ledger.toml --key-file hospital.json --identity-file hospital.age",
)
def share(
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="The marked scan, as embed wrote it.")
    ],
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="New folder for the exchange, or the one begun."),
    ],
    ledger: LedgerFile,
    key_file: KeyFile,
    identity_file: IdentityFile,
    store: StoreURL,
    recipient: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Sell: the recipient's account.")
    ] = None,
    recipient_key: Annotated[
        str | None, typer.Option(metavar="AGE1...", help="The recipient's age public key.")
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT", help="Sell: in ether; with --token in that token's least unit."
        ),
    ] = None,
    bond: Annotated[
        str,
        typer.Option(
            metavar="AMOUNT",
            help="Sell: what you stake; the recipient's, if you cheat or fall silent.",
        ),
    ] = "0",
    token: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Sell: an ERC-20 token, in place of ether."),
    ] = None,
    open_for: Annotated[
        int, typer.Option(**_HOURS, help="Sell: how long the offer can be accepted.")
    ] = 168,
    reveal_window: Annotated[
        int, typer.Option(**_HOURS, help="Sell: how long you have to reveal, once accepted.")
    ] = 24,
    complaint_window: Annotated[
        int, typer.Option(**_HOURS, help="Sell: how long the recipient then has to complain.")
    ] = 24,
    grant: Annotated[
        bool, typer.Option("--grant", help="Give it away, and note that on the ledger.")
    ] = False,
    mark_key_file: MarkKeyFile = None,
    shift_dates: ShiftDates = False,
    keep_device: KeepDevice = False,
    keep_patient_characteristics: KeepPatientCharacteristics = False,
    clean_descriptors: CleanDescriptors = False,
    pixels_checked: PixelsChecked = False,
    pseudonym_key_file: PseudonymKeyFile = None,
    source: DicomSource = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Seal a marked scan, register it, and offer it to one recipient or grant it.

    A scan that still says whose it is, is de-identified first, as by deidentify. Nothing leaves
    this machine before the scan is sealed. Called again, it goes on where it was, and the same
    folder can be granted to others too.
    """
    given = (recipient is not None, recipient_key is not None, price is not None, grant)
    if given not in _WAYS:
        raise typer.BadParameter(
            "give --recipient, --recipient-key and --price to sell, --grant and --recipient-key "
            "to give away, or none of them to register only."
        )
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        opened = open_to_send(ledger, key_file, password_stdin)
        identity = open_identity(identity_file, password_stdin)
        from MedWatermarkLib import sharing

        wanted: sharing.Selling | sharing.Granting | None = None
        if price is not None and recipient is not None and recipient_key is not None:
            wanted = sharing.Selling(
                recipient,
                recipient_key,
                price,
                bond,
                token,
                open_for,
                reveal_window,
                complaint_window,
            )
        elif recipient_key is not None:
            wanted = sharing.Granting(recipient_key)
        request = request_of(
            shift_dates,
            keep_device,
            keep_patient_characteristics,
            clean_descriptors,
            pseudonym_key_file,
            pixels_checked,
        )
        shared = sharing.Source(scan, key, request, source)
        sharing.share_scan(shared, folder, opened, identity, store, wanted, report)


@app.command(
    rich_help_panel=OWNER,
    epilog="Example: medwatermark publish exchange/ --store s3://hospital-scans "
    "--ledger ledger.toml --identity-file hospital.age",
)
def publish(
    folder: Folder,
    ledger: LedgerFile,
    identity_file: IdentityFile,
    store: StoreURL,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Put what was offered into the store again, or into another: nothing on the chain changes."""
    with reporting(json_lines) as report:
        opened = open_ledger(ledger)
        identity = open_identity(identity_file, password_stdin)
        from MedWatermarkLib.owner_commands import publish_files

        publish_files(folder, opened, identity, store, report)


@app.command(
    rich_help_panel=OWNER,
    epilog="Examples:\n\nmedwatermark reveal exchange/ --wait --ledger ledger.toml "
    "--key-file hospital.json --identity-file hospital.age\n\n"
    "medwatermark reveal new-folder/ --sale 51ab...09 --store https://files.example/scans "
    "--ledger ledger.toml --key-file hospital.json --identity-file hospital.age",
)
def reveal(
    folder: Folder,
    ledger: LedgerFile,
    key_file: KeyFile,
    identity_file: IdentityFile,
    sale: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="If the folder was lost: the sale's id, which audit shows."
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="With --sale: where its files lie."),
    ] = None,
    wait: Wait = False,
    poll: Poll = 15.0,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Reveal the key of a sale that was accepted; it cannot be taken back.

    Ends with 4 if nobody accepted yet, or the acceptance is not confirmed; it is refused in the
    last ten minutes of the time for it, when the recipient could get key and money both.
    """
    if (sale is None) != (store is None):
        raise typer.BadParameter("give --sale and --store, or neither.")
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        identity = open_identity(identity_file, password_stdin)
        from MedWatermarkLib import owner_commands

        if sale is not None and store is not None:
            owner_commands.recover_folder(folder, opened, sale, identity, store, report)
        owner_commands.reveal_key(folder, opened, identity, poll if wait else None, report)


@app.command(
    rich_help_panel=OWNER,
    epilog="Example: medwatermark cancel exchange/ --ledger ledger.toml --key-file hospital.json",
)
def cancel(
    folder: Folder,
    ledger: LedgerFile,
    key_file: KeyFile,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Take an offer back that nobody accepted, and the bond with it."""
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.owner_commands import cancel_offer

        cancel_offer(folder, opened, report)


@app.command(
    rich_help_panel=OWNER,
    epilog="Example: medwatermark withdraw exchange/ --recipient-key age1qx... "
    "--ledger ledger.toml --key-file hospital.json",
)
def withdraw(
    folder: Folder,
    recipient_key: RecipientKey,
    ledger: LedgerFile,
    key_file: KeyFile,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Note on the ledger that a grant was taken back; what was received cannot be."""
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.owner_commands import withdraw_grant

        withdraw_grant(folder, opened, recipient_key, report)
