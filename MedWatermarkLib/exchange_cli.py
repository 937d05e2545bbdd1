"""The commands that both sides of an exchange have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from MedWatermarkLib.exchange_options import (
    BOTH,
    STORE_VARIABLE,
    Folder,
    PasswordStdin,
    Poll,
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
from MedWatermarkLib.output import check_new
from MedWatermarkLib.password import IDENTITY_PASSWORD_VARIABLE, read_mark_key, read_password
from MedWatermarkLib.report import reporting

app = typer.Typer()

Subject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="Folder of an exchange, id of a record, or a marked scan."
    ),
]


@app.command(epilog="Example: medwatermark identity clinic.age")
def identity(
    identity_file: Annotated[Path, typer.Argument(metavar="FILE", help="New identity file.")],
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from the first line of stdin."),
    ] = False,
    json_lines: Json = False,
) -> None:
    """Make an age identity, to which packages can be sealed, in a file under a password.

    Its public key is what others need of it. The file is an age file; a lost password cannot be
    recovered, and what was sealed to it not be opened then.
    """
    with reporting(json_lines) as report:
        check_new(identity_file)
        password = read_password(
            password_stdin, "New password", twice=True, variable=IDENTITY_PASSWORD_VARIABLE
        )
        report.step("Making the identity", 0.0, 1.0)
        from MedWatermarkLib.identity_file import create_identity_file
        from MedWatermarkLib.tables import grid

        public_key = create_identity_file(identity_file, password)
        report.result(
            {
                "command": "identity",
                "identity_file": str(identity_file),
                "public_key": public_key,
            },
            grid([("Public key", public_key), ("Identity file", str(identity_file))]),
        )


@app.command(
    rich_help_panel=BOTH,
    epilog="Examples:\n\nmedwatermark watch exchange/ --ledger ledger.toml\n\n"
    "medwatermark watch exchange/ --wait --ledger ledger.toml",
)
def watch(
    folder: Folder,
    ledger: LedgerFile,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until there is something to do, or it has ended.")
    ] = False,
    poll: Poll = 15.0,
    json_lines: Json = False,
) -> None:
    """Tell where an exchange stands, which command is next, and until when."""
    with reporting(json_lines) as report:
        opened = open_ledger(ledger)
        from MedWatermarkLib.exchange_commands import watch_exchange

        watch_exchange(folder, opened, poll if wait else None, report)


@app.command(
    rich_help_panel=BOTH,
    epilog="Example: medwatermark exchanges all-my-exchanges/ --ledger ledger.toml",
)
def exchanges(
    place: Annotated[
        Path, typer.Argument(metavar="PLACE", help="Folder in which folders of exchanges lie.")
    ],
    ledger: LedgerFile,
    json_lines: Json = False,
) -> None:
    """Tell where each of the exchanges in a folder stands, as `watch` does of one.

    Those on other ledgers are left out, and named.
    """
    with reporting(json_lines) as report:
        opened = open_ledger(ledger)
        from MedWatermarkLib.exchange_commands import list_exchanges

        list_exchanges(place, opened, report)


@app.command(
    rich_help_panel=BOTH,
    epilog="Example: medwatermark settle exchange/ --wait --ledger ledger.toml "
    "--key-file hospital.json",
)
def settle(
    folder: Folder,
    ledger: LedgerFile,
    key_file: KeyFile,
    wait: Wait = False,
    poll: Poll = 15.0,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Owner: take payment and bond, when the time for complaints is over. Recipient: pay now.

    The recipient's checks every chunk before, as `receive` does. Ends with 4 if it is too early.
    """
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.exchange_commands import settle_sale

        settle_sale(folder, opened, poll if wait else None, report)


@app.command(
    rich_help_panel=BOTH, epilog="Example: medwatermark grants 8f3c...d1 --ledger ledger.toml"
)
def grants(
    subject: Subject,
    ledger: LedgerFile,
    identity_file: Annotated[
        Path | None,
        typer.Option(help="Your age identity, to tell which are for you; needs --store."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="URL", envvar=STORE_VARIABLE, help="Where the sealed files lie."
        ),
    ] = None,
    mark_key_file: MarkKeyFile = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """List to whom a scan was granted: hashes, which their recipients alone know to be theirs.

    Of an owner's folder, the public keys are told too.
    """
    if identity_file is not None and store is None:
        raise typer.BadParameter("--identity-file needs --store.")
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        found = None if identity_file is None else open_identity(identity_file, password_stdin)
        opened = open_ledger(ledger)
        from MedWatermarkLib.audit import list_grants

        list_grants(subject, opened, key, found, store, report)


@app.command(
    rich_help_panel=BOTH,
    epilog="Examples:\n\nmedwatermark audit 8f3c...d1 --ledger ledger.toml\n\n"
    "medwatermark audit exchange/ --ledger ledger.toml",
)
def audit(
    subject: Subject,
    ledger: LedgerFile,
    mark_key_file: MarkKeyFile = None,
    json_lines: Json = False,
) -> None:
    """Tell all that the ledger holds of a scan: registered, copied, sold, granted, taken back."""
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        opened = open_ledger(ledger)
        from MedWatermarkLib.audit import show_trail

        show_trail(subject, opened, key, report)
