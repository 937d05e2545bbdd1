"""The commands of ``medwatermark pacs``: to and from a hospital's archive of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from MedWatermarkLib.output import check_new
from MedWatermarkLib.report import reporting

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Get scans from a PACS and give them to it, by DICOMweb (query, fetch, store) or DIMSE "
    "(send, listen).",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Url = Annotated[
    str,
    typer.Argument(
        metavar="URL", help="DICOMweb services, such as https://pacs.example/dicom-web."
    ),
]
Input = Annotated[
    Path, typer.Argument(metavar="INPUT", help="A DICOM file, or a folder: all images in it.")
]
Title = Annotated[str, typer.Option(metavar="AET", help="AE title of this side.")]
Timeout = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="Time until the other side is taken for silent."),
]
Json = Annotated[bool, typer.Option("--json", help="Results and progress as JSON lines.")]

_TITLE, _TIMEOUT = "MEDWATERMARK", 60.0


@app.command(
    epilog="Example: medwatermark pacs query https://pacs.example/dicom-web --modality CT "
    "--study-date 20261101-20261130"
)
def query(
    url: Url,
    patient_id: Annotated[str | None, typer.Option(metavar="ID", help="Of one patient.")] = None,
    accession: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Of one order (Accession Number).")
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Of one study.")] = None,
    study_date: Annotated[
        str | None, typer.Option(metavar="DATE", help="YYYYMMDD, or two of them with a -.")
    ] = None,
    modality: Annotated[str | None, typer.Option(help="Such as CT or MR.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Tell so many series at most.")] = 100,
    timeout: Timeout = _TIMEOUT,
    json_lines: Json = False,
) -> None:
    """List series that an archive has; never who the patient is."""
    with reporting(json_lines) as report:
        report.step("Asking the archive", 0.0, 1.0)
        from MedWatermarkLib.pacs_commands import query_archive

        asked = {
            "PatientID": patient_id,
            "AccessionNumber": accession,
            "StudyInstanceUID": study,
            "StudyDate": study_date,
            "Modality": modality,
        }
        filters = {name: value for name, value in asked.items() if value is not None}
        query_archive(url, filters, limit, timeout, report)


@app.command(
    epilog="Example: medwatermark pacs fetch https://pacs.example/dicom-web 1.2.840.1 head/"
)
def fetch(
    url: Url,
    series: Annotated[str, typer.Argument(metavar="UID", help="Series Instance UID.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="New folder for the series.")],
    timeout: Timeout = _TIMEOUT,
    json_lines: Json = False,
) -> None:
    """Get a series from an archive, as it is stored there.

    OUTPUT is there when all images are in it, and not before.
    """
    with reporting(json_lines) as report:
        check_new(output)
        from MedWatermarkLib.pacs_commands import fetch_series

        fetch_series(url, series, output, timeout, report)


@app.command(epilog="Example: medwatermark pacs store run/marked/ https://pacs.example/dicom-web")
def store(input: Input, url: Url, timeout: Timeout = _TIMEOUT, json_lines: Json = False) -> None:
    """Give scans to an archive by DICOMweb, which must confirm each image."""
    with reporting(json_lines) as report:
        from MedWatermarkLib.pacs_commands import store_scans

        store_scans(input, url, timeout, report)


@app.command(epilog="Example: medwatermark pacs send run/marked/ ARCHIVE@pacs.example:104")
def send(
    input: Input,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Of the archive: AET@HOST:PORT.")
    ],
    title: Title = _TITLE,
    timeout: Timeout = _TIMEOUT,
    json_lines: Json = False,
) -> None:
    """Give scans to an archive by C-STORE, which must confirm each image."""
    with reporting(json_lines) as report:
        from MedWatermarkLib.pacs_commands import send_scans

        send_scans(input, address, title, timeout, report)


@app.command(
    epilog="Example: medwatermark pacs listen inbox/ --host 0.0.0.0 --port 11112 --sender ARCHIVE"
)
def listen(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where series go; made if it is not there.")
    ],
    port: Annotated[int, typer.Option(min=1, max=65535)] = 11112,
    host: Annotated[
        str, typer.Option(help="Address of this computer to listen at; 0.0.0.0: all of them.")
    ] = "127.0.0.1",
    title: Title = _TITLE,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AET",
            help="AE title of one who may send; may be repeated.",
            show_default="everyone",
        ),
    ] = None,
    series: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default="never")
    ] = None,
    timeout: Timeout = _TIMEOUT,
    json_lines: Json = False,
) -> None:
    """Take series that are sent by C-STORE, each into a folder, until Ctrl-C.

    A series appears in FOLDER/received when its sender has ended; in FOLDER/broken-off if the
    sender broke off.
    """
    with reporting(json_lines) as report:
        from MedWatermarkLib.pacs_commands import Inbox, take_series

        take_series(Inbox(folder, host, port, title, sender or [], timeout), series, report)
