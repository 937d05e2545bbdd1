"""Options of the commands that de-identify, and what is asked for by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from MedWatermarkLib.deidentified import Request

ShiftDates = Annotated[
    bool, typer.Option("--shift-dates", help="Keep dates, all moved by the same secret time.")
]
KeepDevice = Annotated[
    bool, typer.Option("--keep-device", help="Keep what identifies the scanner.")
]
KeepPatientCharacteristics = Annotated[
    bool, typer.Option("--keep-patient-characteristics", help="Keep age, sex, size, weight.")
]
CleanDescriptors = Annotated[
    bool,
    typer.Option(
        "--clean-descriptors",
        help="Keep the words of descriptions that speak of anatomy and technique.",
    ),
]
PixelsChecked = Annotated[
    bool,
    typer.Option(
        "--pixels-checked",
        help="I have looked at every image, and no name or number of the patient is drawn into it.",
    ),
]
PseudonymKeyFile = Annotated[
    Path | None,
    typer.Option(
        help="File with a secret: the same one gives the same UIDs, pseudonyms and dates. Else "
        "MEDWATERMARK_PSEUDONYM_KEY, else one is made up and forgotten."
    ),
]
DicomSource = Annotated[
    Path | None,
    typer.Option(
        "--source",
        metavar="DICOM",
        help="Of a scan that is no DICOM: the series that it came from, as a folder, or as a .txt "
        "with the path of a file on each line. With it, it leaves as DICOM.",
    ),
]


def request_of(
    shift_dates: bool,
    keep_device: bool,
    keep_patient_characteristics: bool,
    clean_descriptors: bool,
    pseudonym_key_file: Path | None,
    pixels_checked: bool,
) -> Request:
    """Return what the options ask for."""
    from MedWatermarkLib.confidentiality import Options
    from MedWatermarkLib.deidentification import read_pseudonym_key
    from MedWatermarkLib.deidentified import Request

    options = Options(shift_dates, keep_device, keep_patient_characteristics, clean_descriptors)
    return Request(options, read_pseudonym_key(pseudonym_key_file), pixels_checked)
