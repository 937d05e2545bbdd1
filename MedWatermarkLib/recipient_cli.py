"""The commands of whoever receives a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from MedWatermarkLib.exchange_options import (
    RECIPIENT,
    STORE_VARIABLE,
    Folder,
    IdentityFile,
    PasswordStdin,
    Poll,
    StoreURL,
    Wait,
    open_identity,
)
from MedWatermarkLib.ledger_cli import Json, KeyFile, LedgerFile, open_ledger, open_to_send
from MedWatermarkLib.password import read_password
from MedWatermarkLib.report import reporting

app = typer.Typer()

SaveMarkKey = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="New file for the mark's secret key, if it has one."),
]


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Examples:\n\nmedwatermark offers --ledger ledger.toml --key-file clinic.json\n\n"
    "medwatermark offers --ledger ledger.toml --identity-file clinic.age "
    "--store https://files.example/scans",
)
def offers(
    ledger: LedgerFile,
    key_file: Annotated[
        Path | None,
        typer.Option(help="Sales: key file of your account; its password is not needed."),
    ] = None,
    identity_file: Annotated[
        Path | None, typer.Option(help="Grants: your age identity; needs --store.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            envvar=STORE_VARIABLE,
            help="Grants: where the sealed files lie.",
        ),
    ] = None,
    ended: Annotated[bool, typer.Option("--all", help="Show sales that ended, too.")] = False,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """List what is offered or granted to you, and what speaks against it.

    Nothing is downloaded but the small notes of grants, which only their recipients can open.
    """
    if key_file is None and identity_file is None:
        raise typer.BadParameter("give --key-file for sales, --identity-file for grants, or both.")
    if identity_file is not None and store is None:
        raise typer.BadParameter("--identity-file needs --store.")
    with reporting(json_lines) as report:
        if password_stdin and key_file is not None and identity_file is not None:
            read_password(True, f"Password of {key_file}")  # its line comes first everywhere
        identity = None
        if identity_file is not None:
            identity = open_identity(identity_file, password_stdin)
        opened = open_ledger(ledger)
        from MedWatermarkLib.recipient_commands import list_offers

        list_offers(opened, key_file, identity, store, ended, report)


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Examples:\n\nmedwatermark accept 51ab...09 exchange/ --store https://files.example/scans"
    " --ledger ledger.toml --key-file clinic.json --identity-file clinic.age\n\n"
    "medwatermark accept 51ab...09 exchange/ --price 0.5 --store https://files.example/scans "
    "--ledger ledger.toml --key-file clinic.json --identity-file clinic.age",
)
def accept(
    sale: Annotated[str, typer.Argument(metavar="SALE", help="The sale's id, which offers shows.")],
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="New folder for the exchange, or the one begun."),
    ],
    ledger: LedgerFile,
    key_file: KeyFile,
    identity_file: IdentityFile,
    store: StoreURL,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT",
            help="Pay so much: ether; with --token in that token's least unit. Without it the "
            "offer is downloaded and checked only.",
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="The ERC-20 token that you mean to pay.")
    ] = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Download an offer, check all that can be checked, and pay into escrow.

    Exits with 3 if the ledger speaks against it or the price is another. If the folder was lost,
    the same call makes a new one, and does not pay twice.
    """
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        identity = open_identity(identity_file, password_stdin)
        from MedWatermarkLib.recipient_commands import accept_offer

        accept_offer(sale, folder, opened, identity, store, price, token, report)


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Examples:\n\nmedwatermark receive exchange/ received/ --wait --ledger ledger.toml "
    "--key-file clinic.json --identity-file clinic.age\n\n"
    "medwatermark receive 8f3c...d1 received/ --store https://files.example/scans "
    "--ledger ledger.toml --identity-file clinic.age",
)
def receive(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|RECORD",
            help="Folder of the exchange; of a grant, the record's id, which offers shows.",
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="New folder for the scan and what goes along.")
    ],
    ledger: LedgerFile,
    identity_file: IdentityFile,
    key_file: Annotated[
        Path | None,
        typer.Option(help="Sale: key file of your account, which settles or complains."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            envvar=STORE_VARIABLE,
            help="Grant: where the sealed files lie. Sale: only if they must be fetched again.",
        ),
    ] = None,
    save_mark_key: SaveMarkKey = None,
    wait: Wait = False,
    poll: Poll = 15.0,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Open what was sold or granted, and write the scan: OUTPUT/image, or OUTPUT/image.nrrd.

    Of a sale every chunk is checked. If all are right, the owner is paid; if one is wrong, it is
    shown to the contract, which pays you back with the bond, and the exit code is 3. It can be
    called again, with the same answer. Ends with 4 if the key was not revealed yet.
    """
    if (of_sale := Path(subject).is_dir()) and key_file is None:
        raise typer.BadParameter("a sale needs --key-file.")
    if not of_sale and store is None:
        raise typer.BadParameter("a grant needs --store; a sale needs its folder, from accept.")
    with reporting(json_lines) as report:
        if of_sale and key_file is not None:
            opened = open_to_send(ledger, key_file, password_stdin)
        else:
            opened = open_ledger(ledger)
        identity = open_identity(identity_file, password_stdin)
        from MedWatermarkLib import delivery

        order = delivery.Order(output, save_mark_key, identity, store)
        if of_sale:
            delivery.receive_sale(Path(subject), opened, order, poll if wait else None, report)
        else:
            delivery.receive_granted(subject, opened, order, report)


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Examples:\n\nmedwatermark unpack received/\n\nmedwatermark unpack package new-folder/",
)
def unpack(
    package: Annotated[
        Path,
        typer.Argument(
            metavar="PACKAGE",
            help="A package that is not sealed, or the folder that receive wrote.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Argument(metavar="[OUTPUT]", help="New folder, unless PACKAGE is one."),
    ] = None,
    save_mark_key: SaveMarkKey = None,
    json_lines: Json = False,
) -> None:
    """Open a package that is not sealed, check its parts, and tell where scan and claim are.

    Needs no network. Who vouches for the scan, and whether it is as it was registered, is for
    verify to show.
    """
    with reporting(json_lines) as report:
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib import unpacked

        unpacked.unpack(package, output, save_mark_key, report)


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Example: medwatermark complain exchange/ --ledger ledger.toml --key-file clinic.json",
)
def complain(
    folder: Folder,
    ledger: LedgerFile,
    key_file: KeyFile,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Show a wrong chunk to the contract, and take payment and bond; `receive` does so by itself.

    Exits with 3 if every chunk is the promised one; nothing is sent or paid then.
    """
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.recipient_commands import complain_of

        complain_of(folder, opened, report)


@app.command(
    rich_help_panel=RECIPIENT,
    epilog="Example: medwatermark refund exchange/ --ledger ledger.toml --key-file clinic.json",
)
def refund(
    folder: Folder,
    ledger: LedgerFile,
    key_file: KeyFile,
    wait: Wait = False,
    poll: Poll = 15.0,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Take the payment back, and the bond, when the key did not come in time.

    Ends with 4 if the owner has time still.
    """
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.recipient_commands import take_refund

        take_refund(folder, opened, poll if wait else None, report)
