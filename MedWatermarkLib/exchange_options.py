"""What the commands of an exchange have in common: their options, and how these are opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from MedWatermarkLib.password import IDENTITY_PASSWORD_VARIABLE, read_password

if TYPE_CHECKING:
    from MedWatermarkLib.sealing import Identity

STORE_VARIABLE = "MEDWATERMARK_STORE"
#: Headings of the commands in the help.
OWNER, RECIPIENT, BOTH = "Share a scan", "Receive a scan", "Follow an exchange"

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="Folder of the exchange, which keeps how far it came: no secrets."
    ),
]
IdentityFile = Annotated[Path, typer.Option(help="Your age identity, made by identity.")]
StoreURL = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar=STORE_VARIABLE,
        help="Where the sealed files lie: a folder, or a URL that fsspec knows (https, s3, ...).",
    ),
]
PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read passwords from stdin, a line each: the key file's, then the identity's.",
    ),
]
RecipientKey = Annotated[
    str,
    typer.Option(metavar="AGE1...", help="The recipient's age public key."),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until it can be done, instead of ending with 4.")
]
Poll = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="With --wait, how often to look.")
]


def open_identity(file: Path, password_stdin: bool) -> Identity:
    """Open an identity file, whose password is read: after a key file's, if there is one."""
    password = read_password(
        password_stdin, f"Password of {file}", variable=IDENTITY_PASSWORD_VARIABLE
    )
    from MedWatermarkLib.identity_file import load_identity

    return load_identity(file, password)
