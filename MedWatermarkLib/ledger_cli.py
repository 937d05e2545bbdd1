"""The commands of ``medwatermark ledger``: who may vouch, and what was registered."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from MedWatermarkLib.output import check_new
from MedWatermarkLib.password import read_mark_key, read_password
from MedWatermarkLib.report import reporting

if TYPE_CHECKING:
    from MedWatermarkLib.ledger import Ledger

LEDGER_VARIABLE = "MEDWATERMARK_LEDGER"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Say who may vouch, register marked scans, and look up what was registered.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

LedgerFile = Annotated[
    Path,
    typer.Option(
        "--ledger",
        metavar="TOML",
        envvar=LEDGER_VARIABLE,
        help="File with the node's URL and the contracts' addresses, made by deploy.",
    ),
]
KeyFile = Annotated[
    Path, typer.Option(help="Key file of the account that sends, and pays the fees.")
]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of stdin."),
]
MarkKeyFile = Annotated[
    Path | None,
    typer.Option(help="File with the secret key of the mark; else MEDWATERMARK_MARK_KEY."),
]
Institution = Annotated[str, typer.Argument(help="Address of the institution (hospital).")]
Authority = Annotated[str, typer.Argument(help="Address of the authority (radiologist).")]
Subject = Annotated[
    str,
    typer.Argument(metavar="RECORD", help="Id of a record (64 hex digits), or a marked scan."),
]
Day = Annotated[datetime, typer.Option(metavar="DATE", help="Day or time, UTC.")]
Json = Annotated[bool, typer.Option("--json", help="Results and progress as JSON lines.")]


@app.command(
    epilog="Example: medwatermark ledger deploy ledger.toml --url http://localhost:8545 "
    "--key-file administrator.json"
)
def deploy(
    output: Annotated[
        Path, typer.Argument(metavar="TOML", help="New file for the node and the addresses.")
    ],
    url: Annotated[str, typer.Option(help="URL of an Ethereum node.")],
    key_file: KeyFile,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Put the two contracts on a chain, for a consortium.

    The account becomes the registry's administrator and its first accreditor.
    """
    with reporting(json_lines) as report:
        check_new(output)
        password = read_password(password_stdin, f"Password of {key_file}")
        report.step("Opening the key file", 0.0, 0.1)
        from MedWatermarkLib.account import load_account
        from MedWatermarkLib.ledger_commands import deploy_ledger

        deploy_ledger(output, url, load_account(key_file, password), report)


@app.command(epilog="Example: medwatermark ledger practice practice.toml hospital.json clinic.json")
def practice(
    output: Annotated[
        Path, typer.Argument(metavar="TOML", help="New file for the node and the addresses.")
    ],
    key_files: Annotated[
        list[Path],
        typer.Argument(metavar="KEYFILE...", help="Key files of who takes part: no passwords."),
    ],
    until_stdin_closes: Annotated[
        bool,
        typer.Option(
            "--until-stdin-closes",
            help="End when standard input does, as where the program that started this has ended.",
        ),
    ] = False,
    json_lines: Json = False,
) -> None:
    """Serve a ledger to practise with on this computer, until it is ended by Ctrl-C.

    All accounts get coins that are worth nothing, and may vouch and register. What was registered
    is gone in the end.
    """
    with reporting(json_lines) as report:
        check_new(output)
        report.step("Making a chain", 0.0, 1.0)
        from MedWatermarkLib.inspection import stated_address
        from MedWatermarkLib.practice import serve_practice

        addresses = [stated_address(file) for file in key_files]
        serve_practice(output, addresses, report, sys.stdin.buffer if until_stdin_closes else None)


@app.command(epilog="Example: medwatermark ledger status --ledger ledger.toml")
def status(
    ledger: LedgerFile,
    key_file: Annotated[
        Path | None, typer.Option(help="Key file of an account, to show what that holds and may.")
    ] = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Tell which chain the ledger is on, how far that is, and whether the contracts are right."""
    with reporting(json_lines) as report:
        opened = (
            open_ledger(ledger)
            if key_file is None
            else open_to_send(ledger, key_file, password_stdin)
        )
        report.step("Asking the node", 0.1, 1.0)
        from MedWatermarkLib.ledger_commands import show_status

        show_status(opened, report)


@app.command(
    epilog="Example: medwatermark ledger accredit 0x5A0b...E2 0x71C7...6F --until 2027-12-31 "
    "--ledger ledger.toml --key-file administrator.json"
)
def accredit(
    institution: Institution,
    authority: Authority,
    until: Day,
    ledger: LedgerFile,
    key_file: KeyFile,
    start: Annotated[
        datetime | None,
        typer.Option("--from", metavar="DATE", help="Day or time, UTC.", show_default="now"),
    ] = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Let an authority vouch for an institution until a day; takes an accreditor's account."""
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        report.step("Sending", 0.1, 1.0)
        from MedWatermarkLib.ledger_commands import accredit_authority

        begin = None if start is None else _seconds(start)
        accredit_authority(opened, institution, authority, begin, _seconds(until), report)


@app.command(
    "revoke-authority",
    epilog="Examples:\n\nmedwatermark ledger revoke-authority 0x5A0b...E2 0x71C7...6F "
    "--ledger ledger.toml --key-file administrator.json\n\n"
    "medwatermark ledger revoke-authority 0x5A0b...E2 0x71C7...6F --stolen-since 2026-11-20 "
    "--ledger ledger.toml --key-file administrator.json",
)
def revoke_authority(
    institution: Institution,
    authority: Authority,
    ledger: LedgerFile,
    key_file: KeyFile,
    stolen_since: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            help="Disown also what was registered under the authority's key since then, at any "
            "institution. It cannot be undone.",
        ),
    ] = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """End an authority's accreditation now; what was registered until now stands."""
    with reporting(json_lines) as report:
        opened = open_to_send(ledger, key_file, password_stdin)
        report.step("Sending", 0.1, 1.0)
        from MedWatermarkLib.ledger_commands import revoke_accreditation

        since = None if stolen_since is None else _seconds(stolen_since)
        revoke_accreditation(opened, institution, authority, since, report)


@app.command(
    epilog="Example: medwatermark ledger register marked/ --ledger ledger.toml "
    "--key-file hospital.json"
)
def register(
    scan: Annotated[
        Path, typer.Argument(metavar="SCAN", help="The marked scan that is to be shared.")
    ],
    ledger: LedgerFile,
    key_file: KeyFile,
    mark_key_file: MarkKeyFile = None,
    package: Annotated[
        Path | None,
        typer.Option(help="The sealed package that holds it; else only the scan is registered."),
    ] = None,
    content_commitment: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="Hash of the identity that opens the package."),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option("--series", metavar="UID", help="Which DICOM series; else the largest."),
    ] = None,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Register a marked scan in the institution's name.

    The claim is read from the scan. Commitments, roots, addresses and times go to the chain;
    neither diagnosis nor image, nor a hash of it.
    """
    if (package is None) != (content_commitment is None):
        raise typer.BadParameter("give --package and --content-commitment, or neither.")
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        opened = open_to_send(ledger, key_file, password_stdin)
        from MedWatermarkLib.ledger_commands import Sealed, register_scan

        sealed = None
        if package is not None and content_commitment is not None:
            sealed = Sealed.of_file(package, content_commitment)
        register_scan(opened, scan, key, series, sealed, report)


@app.command(
    epilog="Examples:\n\nmedwatermark ledger show marked/ --ledger ledger.toml\n\n"
    "medwatermark ledger show 8f3c...d1 --ledger ledger.toml"
)
def show(
    record: Subject,
    ledger: LedgerFile,
    mark_key_file: MarkKeyFile = None,
    json_lines: Json = False,
) -> None:
    """Show what was registered, and whether it counts.

    Exits with 3 if nothing is registered, or something speaks against it.
    """
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        from MedWatermarkLib.ledger_commands import show_records

        show_records(open_ledger(ledger), record, key, report)


@app.command(epilog="Example: medwatermark ledger history 8f3c...d1 --ledger ledger.toml")
def history(
    record: Subject,
    ledger: LedgerFile,
    mark_key_file: MarkKeyFile = None,
    json_lines: Json = False,
) -> None:
    """Tell what happened to a record: registration, copies, grants, owners, revocation."""
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        from MedWatermarkLib.ledger_commands import show_history

        show_history(open_ledger(ledger), record, key, report)


def open_ledger(file: Path) -> Ledger:
    """Open a ledger to read from it."""
    from MedWatermarkLib.ledger import Ledger

    return Ledger.connect(file)


def open_to_send(file: Path, key_file: Path, password_stdin: bool) -> Ledger:
    """Open a ledger for the account of a key file, whose password is read."""
    password = read_password(password_stdin, f"Password of {key_file}")
    from MedWatermarkLib.account import load_account
    from MedWatermarkLib.ledger import Ledger

    return Ledger.connect(file, account=load_account(key_file, password))


def _seconds(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())
