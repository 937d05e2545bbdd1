"""How a scan is de-identified before it leaves, and what would leave with it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import keyword_for_tag

from MedWatermarkModule.volumes import writeSource


@dataclass(frozen=True)
class Deidentification:
    """
    What of a scan may leave.

    pixelsChecked - Whether someone looked at every image, and no name is drawn in.
    asDICOM - Whether a scan whose DICOM files are known leaves as DICOM; else as voxels alone.
    shiftDates, keepDevice, keepPatientCharacteristics, cleanDescriptors - What of the header of
        DICOM is kept beyond the basic profile (PS3.15): options of ``medwatermark deidentify``.
    pseudonymKeyFile - With the same secret a patient gets the same pseudonym again; "" for none.
    """

    pixelsChecked: bool = False
    asDICOM: bool = True
    shiftDates: bool = False
    keepDevice: bool = False
    keepPatientCharacteristics: bool = False
    cleanDescriptors: bool = False
    pseudonymKeyFile: str = ""

    def arguments(self, volume, folder) -> list:
        """Options of a command for a volume node; ``folder`` gets the list of its DICOM files."""
        options = {
            "--pixels-checked": self.pixelsChecked,
            "--shift-dates": self.shiftDates,
            "--keep-device": self.keepDevice,
            "--keep-patient-characteristics": self.keepPatientCharacteristics,
            "--clean-descriptors": self.cleanDescriptors,
        }
        arguments = [option for option, wanted in options.items() if wanted]
        if self.pseudonymKeyFile:
            arguments += ["--pseudonym-key-file", os.path.abspath(self.pseudonymKeyFile)]
        source = Path(folder.name) / "source.txt"
        if self.asDICOM and writeSource(volume, source):
            arguments += ["--source", source]
        return arguments


@dataclass(frozen=True)
class Preview:
    """
    What would leave with a scan.

    isDICOM - Whether it leaves as DICOM; else as voxels and geometry, without any header.
    attributes - What became of each, never with a value: pairs of its name and the outcome, those
        that are kept first.
    profile - By which rules it was de-identified, in words.
    """

    isDICOM: bool
    attributes: list[tuple[str, str]]
    profile: str


def previewOf(facts: dict, isDICOM: bool) -> Preview:
    """What ``medwatermark deidentify --json`` told."""
    profile = "; ".join(each["meaning"] for each in facts["profile"])
    attributes = [(_words(each["name"]), each["outcome"]) for each in facts["attributes"]]
    attributes.sort(key=lambda each: each[1] != "kept")
    return Preview(isDICOM, attributes, profile)


def _words(name: str) -> str:
    """The DICOM keyword of an attribute that ITK names by its tag, such as ``0010|0010``."""
    if re.fullmatch(r"[0-9a-f]{4}\|[0-9a-f]{4}", name):
        return keyword_for_tag(int(name.replace("|", ""), 16)) or name
    return name
