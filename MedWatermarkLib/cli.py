"""The command line ``medwatermark``: a thin face over the library.

What is slow to import is imported in the commands, so that help and completion are quick.
"""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from MedWatermarkLib import (
    __version__,
    batch_cli,
    exchange_cli,
    ledger_cli,
    owner_cli,
    pacs_cli,
    recipient_cli,
)
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
from MedWatermarkLib.mark_options import MarkStrength, strength_of
from MedWatermarkLib.output import OutputError, check_new
from MedWatermarkLib.password import read_mark_key, read_password
from MedWatermarkLib.report import cancel, reporting
from MedWatermarkLib.tag import GREATEST_COPY

app = typer.Typer(
    name="medwatermark",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # They would show the values of variables, and passwords among them.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 error about the input or files, 2 usage, 3 nothing read, "
    "refused or a check failed, 4 too early, 130 cancelled.",
)

app.add_typer(ledger_cli.app, name="ledger")
app.add_typer(batch_cli.app, name="batch")
app.add_typer(pacs_cli.app, name="pacs")
for side in (owner_cli, recipient_cli, exchange_cli):
    app.add_typer(side.app)

Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT", help="Scan: a folder of DICOM, or a DICOM, NRRD, NIfTI or MetaImage file."
    ),
]
MarkedInput = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT",
        help="Scan: a folder of DICOM, a DICOM, NRRD, NIfTI or MetaImage file, or a PNG or JPEG of "
        "one slice.",
    ),
]
Output = Annotated[
    Path,
    typer.Argument(
        metavar="OUTPUT",
        help="New scan: .nrrd, .nii.gz or .mha; any other name is a folder for DICOM (.dcm: one "
        "DICOM file).",
    ),
]
Leaves = Annotated[
    Path | None,
    typer.Option(help="Tile leaves of the registered scan, which came with it."),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="SCAN", help="The original, as it was before it was marked, all of it: reads more."
    ),
]
KeyFile = Annotated[Path, typer.Option(help="Key file of whoever signs, made by keygen.")]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of stdin."),
]
MarkKeyFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the secret key of the mark; else MEDWATERMARK_MARK_KEY. Without a key the "
        "mark is public: anyone can read it."
    ),
]
SeriesUID = Annotated[
    str | None,
    typer.Option("--series", metavar="UID", help="Which DICOM series; else the largest."),
]
CodePicture = Annotated[
    Path | None,
    typer.Option("--qr", metavar="PNG", help="New picture of the QR code as it was read."),
]
Json = Annotated[bool, typer.Option("--json", help="Results and progress as JSON lines.")]


class InputError(ValueError):
    """A file that is missing, or not what was asked for."""


@app.callback(invoke_without_command=True)
def medwatermark(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Put a signed diagnosis into the voxels of a scan, read it back, and take it out bit for bit.

    Start with `medwatermark demo`: it shows all of it on a real CT slice.
    """
    if version:
        typer.echo(f"medwatermark {__version__}")
        raise typer.Exit


@app.command(epilog="Example: medwatermark keygen doctor.json")
def keygen(
    key_file: Annotated[Path, typer.Argument(metavar="KEYFILE", help="New key file.")],
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Make an account that can sign, in a key file under a password.

    The password is asked for, or taken from MEDWATERMARK_PASSWORD or standard input. The key file
    is an Ethereum keystore (version 3). A lost password cannot be recovered.
    """
    with reporting(json_lines) as report:
        check_new(key_file)
        password = read_password(password_stdin, "New password", twice=True)
        report.step("Making the key", 0.0, 1.0)
        from MedWatermarkLib.account import create_key_file
        from MedWatermarkLib.tables import grid

        address = create_key_file(key_file, password)
        report.result(
            {"command": "keygen", "key_file": str(key_file), "address": address},
            grid([("Address", address), ("Key file", str(key_file))]),
        )


@app.command(
    epilog="Examples:\n\n"
    "medwatermark embed scan/ marked/ --diagnosis 'No acute bleeding.' --key-file doctor.json\n\n"
    "medwatermark embed head.nrrd marked.nrrd --diagnosis-file report.txt --key-file doctor.json "
    "--mark-key-file mark.key --copy 7"
)
def embed(
    input: Input,
    output: Output,
    key_file: KeyFile,
    diagnosis: Annotated[
        str | None, typer.Option(help="What is signed, on one line; it must not name the patient.")
    ] = None,
    diagnosis_file: Annotated[
        Path | None, typer.Option(help="Text file with the diagnosis.")
    ] = None,
    password_stdin: PasswordStdin = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="New file for the restoration record, which takes the mark out again: keep it to "
            "yourself.",
            show_default="OUTPUT.restoration",
        ),
    ] = None,
    mark_key_file: MarkKeyFile = None,
    copy: Annotated[
        int, typer.Option(min=0, max=GREATEST_COPY, help="Number of this copy; each slice says it.")
    ] = 0,
    strength: MarkStrength = "diagnostic",
    exclude: Annotated[
        Path | None,
        typer.Option(
            help="Mask image, such as a lesion's: its voxels other than 0 are not touched."
        ),
    ] = None,
    series: SeriesUID = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Compute SSIM too, which takes longer.")
    ] = False,
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify",
            help="De-identify the marked scan by the basic profile, as `medwatermark deidentify`.",
        ),
    ] = False,
    pixels_checked: PixelsChecked = False,
    leaves: Annotated[
        Path | None,
        typer.Option(
            help="New file for the tile leaves of the marked scan, by which `verify` says exactly "
            "where that was altered."
        ),
    ] = None,
    qr: CodePicture = None,
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="DICOM",
            help="Of a scan that is no DICOM: the series that it came from, as of to-dicom, for "
            "the mark to keep to the values that its files can hold.",
        ),
    ] = None,
    json_lines: Json = False,
) -> None:
    """Sign a diagnosis and hide it in the voxels of a scan.

    The scan at INPUT is not changed. OUTPUT is the marked scan, to be handed on; the restoration
    record beside it is the owner's.
    """
    if (diagnosis is None) == (diagnosis_file is None):
        raise typer.BadParameter("give --diagnosis or --diagnosis-file.")
    record = record or output.with_name(output.name + ".restoration")
    with reporting(json_lines) as report:
        _check_pictures(qr)
        check_new(output, record, *(place for place in (leaves, qr) if place))
        _check_exists(input, key_file, *([] if source is None else [source]))
        text = diagnosis or _text_of(diagnosis_file)
        key = read_mark_key(mark_key_file)
        password = read_password(password_stdin, f"Password of {key_file}")

        report.step("Opening the key file", 0.0, 0.1)
        from MedWatermarkLib.account import load_account
        from MedWatermarkLib.deidentified import Request
        from MedWatermarkLib.marking import Marking, mark_file

        account = load_account(key_file, password)
        request = Request(pixels_checked=pixels_checked) if deidentify else None
        marking = Marking(
            text,
            account,
            key,
            copy,
            strength_of(strength),
            exclude,
            series,
            quality,
            request,
            leaves,
            picture=qr,
            source=source,
        )
        mark_file(input, output, record, marking, report)


@app.command(
    epilog="Examples:\n\nmedwatermark extract marked/\n\n"
    "medwatermark extract slide.png --qr code.png\n\n"
    "medwatermark extract slide.jpg --reference scan/"
)
def extract(
    input: MarkedInput,
    reference: Reference = None,
    mark_key_file: MarkKeyFile = None,
    qr: CodePicture = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Read the claim that a scan carries, or one slice of it.

    Nothing is needed but the scan (and the key of the mark, if it has one). That a claim was read
    does not show that it belongs to these voxels. With the original at hand, far more can be read.
    """
    with reporting(json_lines) as report:
        _check_exists(input, *([] if reference is None else [reference]))
        _check_pictures(qr)
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.reading import extract_claim

        extract_claim(input, qr, key, series, report, reference)


@app.command(
    epilog="Examples:\n\nmedwatermark trace leaked/ --mark-key-file mark.key\n\n"
    "medwatermark trace slide.jpg --reference scan/ --copies copies.csv --mark-key-file mark.key"
)
def trace(
    input: MarkedInput,
    reference: Reference = None,
    copies: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="All copies that were issued: numbers with commas between them, or a file with a "
            "number on each line, and after a comma a name.",
        ),
    ] = None,
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The claim's text, or a .txt with it: names copies that were averaged, or are too "
            "faint to read.",
        ),
    ] = None,
    mark_key_file: MarkKeyFile = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Name the copy that a scan, or a picture of a slice, was made from, and so its recipient.

    Of copies that were averaged or put together slice by slice all are named that still show.
    Exits with 3 if none is.
    """
    with reporting(json_lines) as report:
        _check_exists(input, *([] if reference is None else [reference]))
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.tracing import trace_file

        trace_file(input, reference, copies, claim, key, series, report)


@app.command(epilog="Example: medwatermark restore marked/ original/ --record marked.restoration")
def restore(
    input: Input,
    output: Output,
    record: Annotated[Path, typer.Option(help="The restoration record, written by embed.")],
    mark_key_file: MarkKeyFile = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Take the mark out of a scan, so that every voxel is as it was.

    The claim is read from the mark first, and the restored scan must be the one that it speaks of.
    """
    with reporting(json_lines) as report:
        check_new(output)
        _check_exists(input, record)
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.marking import restore_file

        restore_file(input, output, record, key, series, report)


@app.command(
    epilog="Examples:\n\nmedwatermark inspect scan/\n\nmedwatermark inspect marked.restoration"
)
def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A folder of DICOM, a scan, a key file or a restoration record."
        ),
    ],
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Tell what is there: series, voxels, how much can be hidden; never who the patient is."""
    with reporting(json_lines) as report:
        _check_exists(path)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.inspection import inspect_path

        inspect_path(path, series, report)


@app.command(
    epilog="Examples:\n\nmedwatermark qr marked/\n\n"
    "medwatermark qr marked.nrrd --output code.png\n\nmedwatermark qr 'MW1:C:G224X5...'"
)
def qr(
    input: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Marked scan, picture of a slice, a claim's text, or a .txt with it.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="PNG", help="New picture; else it is shown here.")
    ] = None,
    mark_key_file: MarkKeyFile = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Show the QR code of a claim, for a phone or a report."""
    with reporting(json_lines) as report:
        _check_pictures(output)
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.reading import show_code

        show_code(input, output, key, series, report)


@app.command(
    epilog="Examples:\n\nmedwatermark deidentify scan/ clean/\n\n"
    "medwatermark deidentify scan/ clean/ --shift-dates --clean-descriptors --report clean.txt"
)
def deidentify(
    input: Input,
    output: Output,
    shift_dates: ShiftDates = False,
    keep_device: KeepDevice = False,
    keep_patient_characteristics: KeepPatientCharacteristics = False,
    clean_descriptors: CleanDescriptors = False,
    pixels_checked: PixelsChecked = False,
    pseudonym_key_file: PseudonymKeyFile = None,
    source: DicomSource = None,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report", help="New file that tells what became of each attribute: .json or text."
        ),
    ] = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Write a copy of a scan that names no one, after DICOM PS3.15 Annex E.

    Voxels and geometry stay as they are. Images that may have a name drawn into them are refused
    unless you say that you have looked.
    """
    with reporting(json_lines) as report:
        check_new(output, *([] if report_file is None else [report_file]))
        _check_exists(input, *([] if source is None else [source]))
        report.step("Preparing", 0.0, 0.05)
        from MedWatermarkLib.deidentification import deidentify_file
        from MedWatermarkLib.derivation import derived_scan

        request = request_of(
            shift_dates,
            keep_device,
            keep_patient_characteristics,
            clean_descriptors,
            pseudonym_key_file,
            pixels_checked,
        )
        with derived_scan(input, source, output) as scan:
            deidentify_file(scan, output, request, series, report_file, report)


@app.command(
    "to-dicom",
    epilog="Example: medwatermark to-dicom marked.nrrd marked/ --source scan/",
)
def to_dicom(
    input: Input,
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="New folder for DICOM (.dcm: one DICOM file)."),
    ],
    source: Annotated[
        Path,
        typer.Option(
            metavar="DICOM",
            help="The series that the scan came from: a folder, or a .txt with the path of a file "
            "on each line.",
        ),
    ],
    json_lines: Json = False,
) -> None:
    """Write a scan that another program made of DICOM, marked or not, as DICOM again.

    It becomes a new series of its patient and study: nothing is de-identified. No voxel and nothing
    of the geometry is changed for it; where the files of the source cannot hold the scan exactly,
    it is refused.
    """
    with reporting(json_lines) as report:
        check_new(output)
        _check_exists(input, source)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.derivation import write_in_source

        write_in_source(input, output, source, report)


@app.command(
    epilog="Examples:\n\nmedwatermark verify marked/ --ledger ledger.toml --leaves marked.leaves "
    "--html report.html\n\nmedwatermark verify marked/ --record marked.restoration"
)
def verify(
    input: MarkedInput,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            envvar=ledger_cli.LEDGER_VARIABLE,
            help="Where the ledger is: asks it for the signer and the registered voxels.",
        ),
    ] = None,
    leaves: Leaves = None,
    record: Annotated[
        Path | None,
        typer.Option(help="The restoration record: checks that the original is what was signed."),
    ] = None,
    batch_path: Annotated[
        Path | None,
        typer.Option(help="The place of the scan's record in a batch, if it was registered so."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="New page with the report and pictures, for the files."),
    ] = None,
    map: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="New label volume: 0 unaltered, 1 altered, 2 not told."),
    ] = None,
    qr: CodePicture = None,
    mark_key_file: MarkKeyFile = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Make all checks on a scan that was received, and report.

    The mark and its claim are read; with --ledger, its signer and the registered voxels are looked
    up; with --record, the original is. Exits with 0 only if every check that was asked for passed,
    else with 3.
    """
    if batch_path is not None and ledger is None:
        raise typer.BadParameter("--batch-path needs --ledger.")
    with reporting(json_lines) as report:
        _check_exists(input, *(file for file in (ledger, leaves, record, batch_path) if file))
        _check_pictures(qr)
        check_new(*(place for place in (html, map, qr) if place))
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.verification import Evidence, check_map, verify_file

        check_map(map)
        evidence = Evidence(key, ledger, leaves, record, batch_path, series, html, map, qr)
        verify_file(input, evidence, report)


@app.command(
    "tamper-map",
    epilog="Examples:\n\nmedwatermark tamper-map marked/ map.nrrd --leaves marked.leaves\n\n"
    "medwatermark tamper-map compressed.nrrd map.nrrd",
)
def tamper_map(
    input: MarkedInput,
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="New volume: .nrrd, .nii.gz or .mha.")
    ],
    leaves: Leaves = None,
    record: Annotated[
        Path | None,
        typer.Option(help="The restoration record, which knows what was left unmarked."),
    ] = None,
    probability: Annotated[
        bool,
        typer.Option(
            "--probability", help="Write how likely each voxel was altered, 0 to 1, not labels."
        ),
    ] = False,
    mark_key_file: MarkKeyFile = None,
    series: SeriesUID = None,
    json_lines: Json = False,
) -> None:
    """Show where a scan was altered, as a volume that lies on it.

    With tile leaves the map is exact, tile by tile; without, it is an estimate from the mark.
    Labels are 0 unaltered, 1 altered, 2 nothing can be told.
    """
    with reporting(json_lines) as report:
        _check_exists(input, *(file for file in (leaves, record) if file))
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.verification import check_map, map_file

        check_map(output)
        map_file(input, output, leaves, record, key, series, probability, report)


@app.command(
    epilog="Examples:\n\nmedwatermark demo\n\nmedwatermark demo trial --input scan/\n\n"
    "medwatermark demo --exchange"
)
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="New folder for what it makes.",
            show_default="medwatermark-demo, or with a number",
        ),
    ] = None,
    input: Annotated[
        Path | None,
        typer.Option(help="A scan of yours; else a CT slice that a package brings along."),
    ] = None,
    exchange: Annotated[
        bool,
        typer.Option(
            "--exchange",
            help="Show how a scan is sold: honestly, by a cheat, and to one who falls silent.",
        ),
    ] = False,
    json_lines: Json = False,
) -> None:
    """Show all of it on a real scan: sign, mark, read, attack, restore, and check each.

    Needs no network. It leaves the scans and a picture in a folder; the account that signs is made
    up for it, and its key is written nowhere. With --exchange, owner and recipient are two
    processes that share a scan over a chain on this computer (anvil, if it is installed), and
    every balance is checked to the wei.
    """
    with reporting(json_lines) as report:
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.demo import demonstrate, free_folder

        place = free_folder() if folder is None else folder
        check_new(place)
        if exchange:
            from MedWatermarkLib.demo_exchange import demonstrate_exchange

            demonstrate_exchange(place, input, report)
        else:
            demonstrate(place, input, report)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # Not every console knows every character.
    # Whoever ends a child process, such as Slicer's panel, means Cancel.
    signal.signal(signal.SIGTERM, cancel)
    app(prog_name="medwatermark")


def _check_exists(*paths: Path) -> None:
    for path in paths:
        if not path.exists():
            raise InputError(f"There is no file or folder {path}.")


def _check_pictures(place: Path | None) -> None:
    if place is not None:
        check_new(place)
        if place.suffix.lower() != ".png":
            raise OutputError("A QR code is written as PNG: choose a name that ends in .png.")


def _text_of(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InputError(f"{file} is not a text file in UTF-8.") from None
