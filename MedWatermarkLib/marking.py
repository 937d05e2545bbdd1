"""From the file of a scan to that of a marked one, and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from eth_account.signers.local import LocalAccount
from rich.text import Text

from MedWatermarkLib import qr
from MedWatermarkLib.deidentification import deidentified_facts
from MedWatermarkLib.deidentified import Deidentified, Request, deidentified_volume
from MedWatermarkLib.derivation import source_series, within_source
from MedWatermarkLib.derived_series import MARKED
from MedWatermarkLib.dicom_series import Series
from MedWatermarkLib.distortion import Distortion, distortion
from MedWatermarkLib.header_text import check_name
from MedWatermarkLib.image_errors import ImageWriteError
from MedWatermarkLib.imageio import ImageReadError, read_volume, write_volume
from MedWatermarkLib.output import OutputError, new_files
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.report import Report
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import MarkedScan, ScanReading, mark_scan, read_scan, restore_scan
from MedWatermarkLib.stamp import Stamp
from MedWatermarkLib.strength import Strength
from MedWatermarkLib.tables import (
    claim_facts,
    claim_rows,
    grid,
    megabytes,
    reading_facts,
    slices_alone,
)
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.volume import Volume, image_hash

_RESTORED = "Watermark of MedWatermark taken out, voxel values as before it was embedded"

_IMAGE_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


class MaskError(ValueError):
    """A mask that does not lie on the scan."""


@dataclass(frozen=True)
class Marking:
    """How a scan is to be marked.

    Attributes
    ----------
    diagnosis : str
    account : eth_account.signers.local.LocalAccount
    key : bytes
        Of the mark; empty, if it is public.
    copy : int
    strength : "diagnostic", "robust" or float
        A preset, or RMSE in rescaled units.
    exclude : pathlib.Path or None
        Mask image of voxels that are not to be touched.
    series : str or None
        Series Instance UID.
    quality : bool
        Whether SSIM is wanted.
    deidentification : Request or None
        How the scan is to be de-identified, if it is.
    leaves : pathlib.Path or None
        New file for the tile leaves of the marked scan.
    stamp : Stamp
        When it is marked, and the random numbers of it: the same ones give the same bytes.
    picture : pathlib.Path or None
        New picture of the QR code as it was read back.
    source : pathlib.Path or None
        DICOM that a scan of another format came from, as of `derivation.source_series`.
    """

    diagnosis: str
    account: LocalAccount
    key: bytes
    copy: int
    strength: Strength
    exclude: Path | None
    series: str | None
    quality: bool
    deidentification: Request | None = None
    leaves: Path | None = None
    stamp: Stamp = field(default_factory=Stamp.now)
    picture: Path | None = None
    source: Path | None = None

    @property
    def extras(self) -> list[Path]:
        """The new files that were asked for beside scan and record."""
        return [place for place in (self.leaves, self.picture) if place is not None]


def mark_file(
    source: Path | Series, output: Path, record: Path, marking: Marking, report: Report
) -> None:
    """Mark the scan at a path, write it and its restoration record, and report.

    Both files are read back before they get their names.

    Raises
    ------
    ImageReadError, ImageWriteError, ClaimError, WatermarkError, MaskError, OutputError
        With nothing written.
    """
    report.step("Reading the scan", 0.1, 0.2)
    volume = read_volume(source, marking.series)
    _check_format(volume, output)
    if marking.source is not None:
        volume = _within_source(volume, marking.source, report)
    exclude = None if marking.exclude is None else read_mask(marking.exclude, volume)
    if marking.deidentification is None:
        _mark(volume, output, record, marking, exclude, report, None)
        return
    for place in (record, *marking.extras):
        check_name(place, volume.identity)
    with deidentified_volume(volume, source, output, marking.deidentification, marking.series) as (
        clean,
        found,
    ):
        for remark in found.remarks:
            report.warn(remark)
        _mark(clean, output, record, marking, exclude, report, found)


def _within_source(volume: Volume, source: Path, report: Report) -> Volume:
    """Let the mark keep to what the DICOM source of a scan can hold, if that fits the scan."""
    try:
        return within_source(volume, source_series(source))
    except (ImageReadError, ImageWriteError) as error:
        report.warn(f"The marked scan will not become DICOM again. {error}")
        return volume


def _mark(
    volume: Volume,
    output: Path,
    record: Path,
    marking: Marking,
    exclude: npt.NDArray[np.bool_] | None,
    report: Report,
    found: Deidentified | None,
) -> None:
    prepare(report, volume.voxels.dtype, 0.2, 0.3)
    marked = mark_scan(
        volume,
        marking.diagnosis,
        marking.account,
        key=marking.key,
        copy=marking.copy,
        strength=marking.strength,
        issued_at=marking.stamp.time,
        salt=marking.stamp.random(16, "salt"),
        exclude=exclude,
        progress=report.step("Marking the scan", 0.3, 0.7),
    )
    report.step("Measuring the change", 0.7, 0.75)
    change = distortion(volume, marked.volume, marked.embedded.blocks, similarity=marking.quality)
    with new_files(output, record, *marking.extras) as (new_output, new_record, *new_extras):
        report.step("Writing the marked scan", 0.75, 0.85)
        new_record.touch(mode=0o600)
        new_record.write_bytes(marked.restoration)
        write_volume(marked.volume, new_output, MARKED, marking.stamp)
        tell = report.step("Reading back what was written", 0.85, 1.0)
        written = _read_back(new_output, marked.volume, output)
        reading = read_scan(written, key=marking.key, progress=tell)
        if reading.claim != marked.claim:
            raise OutputError(f"The mark could not be read back from {output}; nothing was kept.")
        for new, place in zip(new_extras, marking.extras, strict=True):
            if place == marking.leaves:
                new.write_bytes(tile_leaves(written).to_bytes())
            elif reading.extracted.modules is not None:
                qr.picture(reading.extracted.modules).save(new, "PNG")
    _report_marked(report, output, record, marking, marked, change, reading, found)


def restore_file(
    source: Path | Series,
    output: Path,
    record: Path,
    key: bytes,
    series: str | None,
    report: Report,
    stamp: Stamp | None = None,
) -> None:
    """Take the mark out of the scan at a path, write it, and report.

    Raises
    ------
    ImageReadError, ImageWriteError, RestorationError, OutputError
        With nothing written.
    """
    data = record.read_bytes()
    Restoration.from_bytes(data)  # A wrong file is told before the scan is read.
    report.step("Reading the scan", 0.0, 0.2)
    volume = read_volume(source, series)
    _check_format(volume, output)
    prepare(report, volume.voxels.dtype, 0.2, 0.3)
    reading = read_scan(volume, key=key, progress=report.step("Reading the mark", 0.3, 0.6))
    report.step("Taking the mark out", 0.6, 0.7)
    restored = restore_scan(volume, data, reading.claim)
    with new_files(output) as (new_output,):
        report.step("Writing the restored scan", 0.7, 0.85)
        write_volume(restored, new_output, _RESTORED, stamp)
        report.step("Reading back what was written", 0.85, 1.0)
        _read_back(new_output, restored, output)
    claim = reading.claim
    if claim is None:
        report.warn(
            "No claim was read from the mark, perhaps since it has another key, so the restored "
            "scan was compared with the restoration record only."
        )
    facts = {
        "command": "restore",
        "output": str(output),
        "exact": True,
        "image_hash": image_hash(restored).digest.hex(),
        "claim": None if claim is None else claim_facts(claim),
    }
    rows = [("Restored scan", str(output)), *([] if claim is None else claim_rows(claim))]
    sentence = "The mark was taken out: every voxel is as it was before"
    sentence += ", and this is the scan that the claim speaks of." if claim else "."
    report.result(facts, Text(sentence, style="bold green"), grid(rows))


def read_mask(path: Path, volume: Volume) -> npt.NDArray[np.bool_]:
    """Read a mask that lies on a scan.

    Raises
    ------
    ImageReadError
        If there is none that can be read.
    MaskError
        If its grid is another.
    """
    mask = read_volume(path)
    if mask.voxels.shape != volume.voxels.shape:
        raise MaskError(
            f"The mask {path} has {_by(mask)} voxels, and the scan {_by(volume)}: resample it to "
            "the scan."
        )
    for here, there in (
        (mask.spacing, volume.spacing),
        (mask.origin, volume.origin),
        (mask.direction, volume.direction),
    ):
        if not np.allclose(here, there, rtol=0, atol=1e-3):
            raise MaskError(
                f"The mask {path} lies elsewhere than the scan (spacing, origin or directions "
                "differ): resample it to the scan."
            )
    return np.asarray(mask.voxels != 0)


def read_again(path: Path) -> Volume:
    """Read a scan of which everything was said when it was read first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_volume(path)


def _check_format(volume: Volume, output: Path) -> None:
    """Refuse early what `write_volume` would refuse in the end."""
    if not output.name.lower().endswith(_IMAGE_SUFFIXES) and volume.source is None:
        raise ImageWriteError(
            f"{output} would be DICOM, and the scan was not read from DICOM: choose a name that "
            "ends in .nrrd, .nii.gz or .mha."
        )


def _read_back(path: Path, volume: Volume, place: Path) -> Volume:
    """Read what was written, and make sure that it is what should have been.

    Not every writer notices a full disk.
    """
    try:
        written = read_again(path)
        whole = image_hash(written) == image_hash(volume)
    except ImageReadError:
        whole = False
    if not whole:
        raise OutputError(
            f"{place} could not be written whole, perhaps since the disk is full; nothing was kept."
        )
    return written


def _report_marked(
    report: Report,
    output: Path,
    record: Path,
    marking: Marking,
    marked: MarkedScan,
    change: Distortion,
    reading: ScanReading,
    found: Deidentified | None,
) -> None:
    blocks = marked.embedded.blocks
    facts = {
        "command": "embed",
        "output": str(output),
        "record": str(record),
        "record_size": len(marked.restoration),
        "leaves": None if marking.leaves is None else str(marking.leaves),
        "qr": None if marking.picture is None else str(marking.picture),
        "claim": claim_facts(marked.claim),
        "keyed": bool(marking.key),
        "blocks": blocks.tolist(),
        **reading_facts(reading.extracted),
        **change.facts(),
    }
    if found is not None and marking.deidentification is not None:
        facts["deidentified"] = deidentified_facts(found, marking.deidentification)
    share = len(marked.restoration) / marked.volume.voxels.nbytes
    rows = [
        *claim_rows(marked.claim),
        ("Copy", str(marking.copy)),
        ("Mark", mark_key_row(marking.key)),
        *change.rows(marked.volume.modality),
        ("Marked blocks", f"{blocks.sum():,} of 8 x 8 voxels, in {_count(len(blocks))}"),
        ("Slices", slices_alone(reading.extracted)),
        ("Identity", "left as it is" if found is None else "taken out by the basic profile"),
        ("Marked scan", str(output)),
        (
            "Restoration record",
            f"{record} ({megabytes(len(marked.restoration))}, {share:.2%} of the scan): keep it to "
            "yourself",
        ),
    ]
    if marking.leaves is not None:
        rows.append(("Tile leaves", f"{marking.leaves}: hand them on with the scan"))
    if marking.picture is not None:
        rows.append(("QR code", str(marking.picture)))
    report.result(facts, Text("The scan was marked, and read back.", "bold green"), grid(rows))


def mark_key_row(key: bytes) -> str:
    """Say who can read a mark."""
    if key:
        return "secret: whoever has its key can read it"
    return "public: anyone can read it, and copy it into another scan"


def _by(volume: Volume) -> str:
    return " x ".join(map(str, volume.voxels.shape))


def _count(slices: int) -> str:
    return "one slice" if slices == 1 else f"{slices} slices"
