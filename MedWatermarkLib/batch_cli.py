"""The commands of ``medwatermark batch``: many scans in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from MedWatermarkLib.ledger_cli import LEDGER_VARIABLE, KeyFile, LedgerFile
from MedWatermarkLib.mark_options import MarkStrength, strength_of
from MedWatermarkLib.password import read_mark_key, read_password
from MedWatermarkLib.report import ExitCode, Report, reporting

if TYPE_CHECKING:
    from MedWatermarkLib.batch_commands import Run
    from MedWatermarkLib.worklist import Item

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Work on a whole archive: each scan ends in one line of a results file, and a run that "
    "was stopped goes on where it was.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Folder of DICOM, each of whose series is taken; a worklist, .csv or .jsonl; or the "
        "URL of an archive's DICOMweb services, whose series are fetched to RUN.fetched.",
    ),
]
MarkedInput = Annotated[
    str,
    typer.Argument(
        metavar="INPUT",
        help="Folder of a run of batch embed; a folder of DICOM; a worklist, .csv or .jsonl; or "
        "the URL of an archive's DICOMweb services, whose series are fetched to RUN.fetched.",
    ),
]
MarkedBy = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Folder of the run of batch embed that marked them: of a folder or an archive its "
        "series are taken alone, each with its record and leaves.",
    ),
]
StudyDate = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Of an archive: YYYYMMDD, or two of them with a -."),
]
Modality = Annotated[str | None, typer.Option(help="Of an archive: such as CT or MR.")]
RunFolder = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="New folder for the run, or that of one to go on with."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Processes on this computer; 0: this one alone.",
        show_default="one for each core",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="GB",
        help="Memory that they may have together.",
        show_default="0.8 of this computer's",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Scheduler of a Dask cluster that does the work; its workers see the same files.",
    ),
]
Dry = Annotated[
    bool, typer.Option("--dry-run", help="Tell what would be done; write and start nothing.")
]
Again = Annotated[bool, typer.Option("--again", help="Try again what failed before.")]
MarkKeyFile = Annotated[
    Path | None,
    typer.Option(help="File with the secret key of the mark; else MEDWATERMARK_MARK_KEY."),
]
PasswordStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of stdin."),
]
Json = Annotated[bool, typer.Option("--json", help="Results and progress as JSON lines.")]


@app.command(
    epilog="Examples:\n\nmedwatermark batch embed worklist.csv run/ --key-file doctor.json\n\n"
    "medwatermark batch embed archive/ run/ --key-file doctor.json --diagnosis 'Screening CT.' "
    "--deidentify --dry-run\n\n"
    "medwatermark batch embed https://pacs.example/dicom-web run/ --study-date 20261203 "
    "--key-file doctor.json --diagnosis 'Screening CT.'"
)
def embed(
    input: Source,
    folder: RunFolder,
    key_file: Annotated[Path, typer.Option(help="Key file of whoever signs, made by keygen.")],
    diagnosis: Annotated[
        str | None,
        typer.Option(help="What is signed of each scan for which the worklist has no diagnosis."),
    ] = None,
    mark_key_file: MarkKeyFile = None,
    strength: MarkStrength = "diagnostic",
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify", help="De-identify the marked scans, as `medwatermark deidentify`."
        ),
    ] = False,
    pixels_checked: Annotated[
        bool,
        typer.Option(
            "--pixels-checked",
            help="I have looked at every image, and no patient is named in one.",
        ),
    ] = False,
    pseudonym_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a secret of which pseudonyms are made; else "
            "MEDWATERMARK_PSEUDONYM_KEY, else one is made up for the run."
        ),
    ] = None,
    study_date: StudyDate = None,
    modality: Modality = None,
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    dry_run: Dry = False,
    again: Again = False,
    password_stdin: PasswordStdin = False,
    json_lines: Json = False,
) -> None:
    """Sign and mark every scan.

    RUN gets the marked scans (`marked/`), which may be handed on, and what is the owner's: the
    restoration records (`restoration/`), tile leaves (`leaves/`), `results.jsonl` and `plan.json`.
    """
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        password = read_password(password_stdin, f"Password of {key_file}")
        report.step("Opening the key file", 0.0, 0.0)
        from MedWatermarkLib.account import load_account
        from MedWatermarkLib.batch_commands import run_batch
        from MedWatermarkLib.batch_task import Embed
        from MedWatermarkLib.deidentification import read_pseudonym_key
        from MedWatermarkLib.deidentified import Request

        request = None
        if deidentify:
            secret = read_pseudonym_key(pseudonym_key_file)
            request = Request(key=secret, pixels_checked=pixels_checked)
        task = Embed(load_account(key_file, password), key, strength_of(strength), request)
        found = _found(input, folder, study_date, modality, None, dry_run, report)
        asked = _run(found, folder, workers, memory, scheduler, dry_run, again)
        run_batch(asked, task, report, diagnosis)
        if found.missing:
            raise typer.Exit(ExitCode.NOT_READ)


@app.command(
    epilog="Examples:\n\nmedwatermark batch verify run/ verified/ --ledger ledger.toml --html\n\n"
    "medwatermark batch verify received/ verified/\n\n"
    "medwatermark batch verify https://pacs.example/dicom-web verified/ --marked-by run/"
)
def verify(
    input: MarkedInput,
    folder: RunFolder,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            envvar=LEDGER_VARIABLE,
            help="Where the ledger is: asks it for signers and registered voxels.",
        ),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write a page for each scan, into RUN/pages.")
    ] = False,
    mark_key_file: MarkKeyFile = None,
    marked_by: MarkedBy = None,
    study_date: StudyDate = None,
    modality: Modality = None,
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    dry_run: Dry = False,
    again: Again = False,
    json_lines: Json = False,
) -> None:
    """Make all checks on every scan.

    Exits with 0 only if every scan passed, else with 3.
    """
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.batch_commands import run_batch
        from MedWatermarkLib.batch_task import Verify

        task = Verify(key, None if ledger is None else ledger.absolute(), html)
        found = _found(input, folder, study_date, modality, marked_by, dry_run, report)
        run_batch(_run(found, folder, workers, memory, scheduler, dry_run, again), task, report)
        if found.missing:
            raise typer.Exit(ExitCode.NOT_READ)


@app.command(
    epilog="Examples:\n\nmedwatermark batch restore run/ originals/\n\n"
    "medwatermark batch restore https://pacs.example/dicom-web originals/ --marked-by run/"
)
def restore(
    input: MarkedInput,
    folder: RunFolder,
    mark_key_file: MarkKeyFile = None,
    marked_by: MarkedBy = None,
    study_date: StudyDate = None,
    modality: Modality = None,
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    dry_run: Dry = False,
    again: Again = False,
    json_lines: Json = False,
) -> None:
    """Take the mark out of every scan, bit for bit.

    The restoration records are those of the run, or of the run that `--marked-by` names, or named
    in the column `record` of a worklist.
    """
    with reporting(json_lines) as report:
        key = read_mark_key(mark_key_file)
        report.step("Preparing", 0.0, 0.0)
        from MedWatermarkLib.batch_commands import run_batch
        from MedWatermarkLib.batch_task import Restore

        found = _found(input, folder, study_date, modality, marked_by, dry_run, report)
        asked = _run(found, folder, workers, memory, scheduler, dry_run, again)
        run_batch(asked, Restore(key), report)
        if found.missing:
            raise typer.Exit(ExitCode.NOT_READ)


@app.command(
    epilog="Examples:\n\nmedwatermark batch register run/ --ledger ledger.toml "
    "--key-file hospital.json --signer-key-file doctor.json"
)
def register(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of batch embed.")],
    ledger: LedgerFile,
    key_file: KeyFile,
    signer_key_file: Annotated[
        Path | None,
        typer.Option(
            help="Key file of whoever signed the scans, if that is another account.",
            show_default="the same",
        ),
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read the passwords from stdin: of the key file, and of the signer's in the next "
            "line.",
        ),
    ] = False,
    json_lines: Json = False,
) -> None:
    """Register all that a run has marked, in one transaction.

    Its signer signs the root of all records; the institution sends it. What shows that a record is
    in it is kept in `batch-paths/`, and is needed to verify the scan.
    """
    with reporting(json_lines) as report:
        password = read_password(password_stdin, f"Password of {key_file}")
        of_signer = ""
        if signer_key_file is not None:
            of_signer = read_password(password_stdin, f"Password of {signer_key_file}")
        report.step("Opening the key files", 0.0, 0.1)
        from MedWatermarkLib.account import load_account
        from MedWatermarkLib.batch_commands import register_batch
        from MedWatermarkLib.ledger import Ledger

        account = load_account(key_file, password)
        signer = load_account(signer_key_file, of_signer) if signer_key_file else account
        register_batch(folder, Ledger.connect(ledger, account=account), signer, report)


@dataclass(frozen=True)
class _Found:
    """Where the scans lie, which of them are meant, and how many could not be fetched."""

    source: Path
    marked: Mapping[str, Item] | None
    missing: int = 0


def _found(
    input: str,
    folder: Path,
    study_date: str | None,
    modality: str | None,
    marked_by: Path | None,
    dry: bool,
    report: Report,
) -> _Found:
    """Find where the scans lie; those of an archive are fetched."""
    marked = None
    if marked_by is not None:
        from MedWatermarkLib.batch import marked_series

        marked = marked_series(marked_by)
    asked = {"StudyDate": study_date, "Modality": modality}
    filters = {name: value for name, value in asked.items() if value is not None}
    if filters and ("://" not in input or marked is not None):
        raise typer.BadParameter(
            "--study-date and --modality are of an archive, by its URL, and not with --marked-by."
        )
    if "://" not in input:
        return _Found(Path(input), marked)
    if dry:
        raise typer.BadParameter(
            "A dry run fetches nothing; medwatermark pacs query lists what an archive has."
        )
    from MedWatermarkLib.pacs_commands import packages_installed

    with packages_installed():
        from MedWatermarkLib.acquisition import acquire
    place = folder.with_name(f"{folder.name}.fetched")
    acquired = acquire(input, place, filters, report, marked)
    return _Found(acquired.folder, marked, acquired.failed)


def _run(
    found: _Found,
    folder: Path,
    workers: int | None,
    memory: float | None,
    scheduler: str | None,
    dry: bool,
    again: bool,
) -> Run:
    from MedWatermarkLib.batch_commands import Run
    from MedWatermarkLib.workers import Engine

    bytes_ = None if memory is None else int(memory * 1e9)
    engine = Engine(workers, bytes_, scheduler)
    return Run(found.source, folder, engine, dry, again, found.marked)
