"""The demonstration: the whole way of a scan, and a check of each step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import typer
from eth_account import Account
from rich import box
from rich.table import Table
from rich.text import Text

from MedWatermarkLib import qr
from MedWatermarkLib.attacks import SOFT_TISSUE, attacks, display_window, jpeg
from MedWatermarkLib.demo_figure import Panels, draw_figure
from MedWatermarkLib.dicom import DicomSource
from MedWatermarkLib.distortion import Distortion, distortion
from MedWatermarkLib.image_errors import ImageReadError
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.inspection import ROOMY_BLOCKS
from MedWatermarkLib.marking import read_again
from MedWatermarkLib.output import new_files
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.report import ExitCode, Report
from MedWatermarkLib.scan import MarkedScan, ScanReading, mark_scan, read_scan, restore_scan
from MedWatermarkLib.tables import claim_facts, claim_rows, grid, megabytes
from MedWatermarkLib.volume import Volume, matches_hash

DIAGNOSIS = "Demonstration: this text stands where a diagnosis would stand."

_FOLDER = "medwatermark-demo"
# A CT slice of a head, 512 x 512, in pydicom's wheel.
_SLICE = Path("data", "test_files", "J2K_pixelrep_mismatch.dcm")

# Of a CT, what the design promises: at most so much change, in HU,
_GREATEST_RMSE, _GREATEST_CHANGE = 1.6, 12.0
# and under light attacks the tag from every roomy slice, and the claim from a volume with as many
# blocks as ten of them (four are enough, as a rule).
_VOLUME_BLOCKS = 10 * ROOMY_BLOCKS

# Derivation Description of the written scans.
EMBEDDED = "Claim of a demonstration embedded as a reversible watermark by MedWatermark"
_TAKEN_OUT = "Watermark of MedWatermark taken out, voxel values as before it was embedded"

PASSED, FAILED, NOT_PROMISED = "passed", "failed", "not promised"
_STYLES = {PASSED: "bold green", FAILED: "bold red", NOT_PROMISED: "dim"}


@dataclass(frozen=True)
class Check:
    """What was checked, what came of it, and what was seen.

    Attributes
    ----------
    name : str
    outcome : str
        `PASSED`, `FAILED`, or `NOT_PROMISED`: it did not come out, and need not.
    detail : str
    """

    name: str
    outcome: str
    detail: str


def free_folder() -> Path:
    """Return the first of medwatermark-demo, medwatermark-demo-2, ... that is not there yet."""
    place, number = Path(_FOLDER), 1
    while place.exists():
        number += 1
        place = Path(f"{_FOLDER}-{number}")
    return place


def demonstrate(folder: Path, source: Path | None, report: Report) -> None:
    """Sign, mark, read, attack, restore; leave the files in a folder, and report.

    Parameters
    ----------
    folder : pathlib.Path
        New folder.
    source : pathlib.Path, optional
        A scan; else the CT slice that pydicom brings along.
    report : Report

    Raises
    ------
    typer.Exit
        With `ExitCode.NOT_READ`, if a check failed.
    ImageReadError, ImageWriteError, WatermarkError, OutputError
        With nothing written.
    """
    report.step("Reading the scan", 0.0, 0.05)
    original = read_volume(packaged_slice() if source is None else source)
    prepare(report, original.voxels.dtype, 0.05, 0.15)
    tell = report.step("Signing and marking", 0.15, 0.3)
    marked = mark_scan(original, DIAGNOSIS, Account.create(), progress=tell)
    with new_files(folder) as (new_folder,):
        new_folder.mkdir()
        run = _Run(original, marked, new_folder, report)
        checks = run.checks()
        report.step("Drawing", 0.95, 1.0)
        run.draw()
    _report(report, folder, run, checks)
    if any(check.outcome == FAILED for check in checks):
        raise typer.Exit(ExitCode.NOT_READ)


class _Run:
    """The steps after marking, on files in a folder."""

    def __init__(self, original: Volume, marked: MarkedScan, folder: Path, report: Report) -> None:
        self.original = original
        self.marked = marked
        self.claim = marked.claim
        self.suffix = written_suffix(original)
        self._folder = folder
        self._report = report
        self._shown = int(np.argmax(marked.embedded.blocks))
        report.step("Comparing with the original", 0.3, 0.35)
        self.change: Distortion = distortion(
            original, marked.volume, marked.embedded.blocks, similarity=True
        )
        self._reading: ScanReading | None = None
        self._is_exact = False

    def checks(self) -> list[Check]:
        """Do the steps, in order, and say what came of each."""
        return [
            *self._distortion(),
            *self._written(),
            *self._attacked(),
            self._another_key(),
            *self._restored(),
        ]

    def draw(self) -> None:
        """Leave a picture of original, marked scan, difference and code."""
        z = self._shown
        before, after = self.original, self.marked.volume
        panels = Panels(
            original=before.rescaled()[z],
            marked=after.rescaled()[z],
            modules=None if self._reading is None else self._reading.extracted.modules,
            window=display_window(before),
            spacing=before.spacing[:2],
        )
        last = (
            "The mark taken out again with the restoration record: all "
            f"{before.voxels.size:,} voxels as they were, bit for bit."
        )
        picture = draw_figure(
            panels, self.change, self.claim, before.modality, last if self._is_exact else ""
        )
        picture.save(self._folder / "picture.png", optimize=True)
        slice_in_view = jpeg(
            panels.marked, SOFT_TISSUE if before.modality == "CT" else panels.window
        )
        (self._folder / "slice.jpg").write_bytes(slice_in_view.getvalue())

    def _distortion(self) -> list[Check]:
        if self.original.modality != "CT":
            return []
        return [
            _check(
                f"RMSE at most {_GREATEST_RMSE:g} HU where marked, no voxel changed by more than "
                f"{_GREATEST_CHANGE:g} HU",
                self.change.rmse <= _GREATEST_RMSE
                and self.change.greatest_change <= _GREATEST_CHANGE,
                f"{self.change.rmse:.2f} HU, {self.change.greatest_change:g} HU",
            )
        ]

    def _written(self) -> list[Check]:
        """Write the marked scan, read the file, and read its mark."""
        self._report.step("Writing and reading the marked scan", 0.35, 0.5)
        path = self._folder / f"marked{self.suffix}"
        write_volume(self.marked.volume, path, EMBEDDED)
        (self._folder / "claim.txt").write_text(self.claim.to_text() + "\n", "ascii")
        (self._folder / "marked.restoration").write_bytes(self.marked.restoration)
        reading = self._reading = read_scan(read_again(path))
        decoded = None
        if (modules := reading.extracted.modules) is not None:
            picture = qr.picture(modules)
            picture.save(self._folder / "qr.png")
            decoded = qr.decode(picture)
        return [
            _check(
                "The claim is read from the marked scan",
                reading.claim == self.claim,
                _claims(reading),
            ),
            _check(
                "It bears the signature of the account that signed",
                reading.signer == self.claim.signer,
                reading.signer or "",
            ),
            _check(
                "An ordinary decoder reads the QR code that was read",
                decoded == self.claim.to_text().encode(),
                "see qr.png",
            ),
        ]

    def _attacked(self) -> list[Check]:
        """Attack copies, and read what is left."""
        blocks = self.marked.embedded.blocks
        is_ct = self.original.modality == "CT"
        tag_is_due = is_ct and bool(blocks.max() >= ROOMY_BLOCKS)
        claim_is_due = is_ct and bool(blocks.sum() >= _VOLUME_BLOCKS)
        checks = []
        for index, attack in enumerate(attacks(self.change.rmse, self.original.modality)):
            start = 0.5 + 0.1 * index
            tell = self._report.step(f"{attack.name}, and reading", start, start + 0.1)
            reading = read_scan(attack.apply(self.marked.volume), progress=tell)
            tag_reads = reading.extracted.tag == self.marked.embedded.tag
            claim_reads = reading.claim == self.claim
            lost = "takes more than one slice" if len(blocks) == 1 else "too little is left"
            checks += [
                _check(f"{attack.name}: its tag is read", tag_reads, _tags(reading), tag_is_due),
                _check(
                    f"{attack.name}: the whole claim is read",
                    claim_reads,
                    _claims(reading) if claim_reads else lost,
                    claim_is_due,
                ),
            ]
        return checks

    def _another_key(self) -> Check:
        self._report.step("Reading with another key", 0.8, 0.85)
        z = self._shown
        found = read_scan(Volume(self.marked.volume.voxels[z : z + 1]), key=b"another").extracted
        nothing = found.tag is None and found.message is None
        return _check("With another key nothing is read", nothing, "no tag, no claim")

    def _restored(self) -> list[Check]:
        """Take the mark out of the file, write, read, and compare every bit."""
        self._report.step("Restoring", 0.85, 0.95)
        marked = read_again(self._folder / f"marked{self.suffix}")
        record = (self._folder / "marked.restoration").read_bytes()
        path = self._folder / f"restored{self.suffix}"
        write_volume(restore_scan(marked, record, self.claim), path, _TAKEN_OUT)
        restored = read_again(path)
        self._is_exact = restored.voxels.dtype == self.original.voxels.dtype and np.array_equal(
            restored.voxels.view(np.uint8), self.original.voxels.view(np.uint8)
        )
        return [
            _check(
                "The restored scan equals the original, bit for bit",
                self._is_exact,
                f"{restored.voxels.size:,} voxels of {restored.voxels.dtype} compared",
            ),
            _check(
                "It is the scan that the claim speaks of",
                matches_hash(restored, self.claim.image_hash),
                f"hash {self.claim.image_hash.hex()[:16]}...",
            ),
        ]


def packaged_slice() -> Path:
    """Return where the CT slice lies that pydicom brings along."""
    path = Path(pydicom.__file__).parent / _SLICE
    if not path.is_file():
        raise ImageReadError("The CT slice of pydicom is not installed: give a scan by --input.")
    return path


def written_suffix(volume: Volume) -> str:
    """Return how the names of written scans end: as the source was, a file or folder of DICOM."""
    if not isinstance(volume.source, DicomSource):
        return ".nrrd"
    return ".dcm" if len({one.path for one in volume.source.slices}) == 1 else ""


def _check(name: str, holds: bool, detail: str, is_due: bool = True) -> Check:
    return Check(name, PASSED if holds else FAILED if is_due else NOT_PROMISED, detail)


def _tags(reading: ScanReading) -> str:
    slices = reading.extracted.slices
    return "" if len(slices) == 1 else f"{sum(s.tag for s in slices)} of {len(slices)} slices alone"


def _claims(reading: ScanReading) -> str:
    slices = reading.extracted.slices
    if len(slices) == 1:
        return "from one slice"
    return f"from the volume; {sum(s.message for s in slices)} of {len(slices)} slices alone"


def _report(report: Report, folder: Path, run: _Run, checks: list[Check]) -> None:
    failed = sum(check.outcome == FAILED for check in checks)
    record_size = len(run.marked.restoration)
    facts: dict[str, Any] = {
        "command": "demo",
        "folder": str(folder),
        "picture": str(folder / "picture.png"),
        "claim": claim_facts(run.claim),
        "record_size": record_size,
        "blocks": run.marked.embedded.blocks.tolist(),
        **run.change.facts(),
        "passed": not failed,
        "checks": [vars(check) for check in checks],
    }
    share = record_size / run.original.voxels.nbytes
    rows = [
        *claim_rows(run.claim),
        *run.change.rows(run.original.modality),
        ("Restoration record", f"{megabytes(record_size)}, {share:.2%} of the scan"),
        ("Files", f"{folder}{os.sep}"),
        ("Picture", str(folder / "picture.png")),
    ]
    beyond = sum(check.outcome == NOT_PROMISED for check in checks)
    due = len(checks) - beyond
    verdict = f"{failed} of {due} checks failed." if failed else f"All {due} checks passed."
    if beyond:
        verdict += f" {beyond} more attempts, beyond what is promised, did not succeed."
    report.result(
        facts,
        grid(rows),
        "",
        check_table(checks),
        Text(verdict, "bold red" if failed else "bold green"),
        Text(
            "The account that signed was made for this demonstration; its key was written nowhere.",
            "dim",
        ),
        Text(f"Go on with: medwatermark extract {folder / ('marked' + run.suffix)}", "dim"),
    )


def check_table(checks: list[Check]) -> Table:
    """Return what was checked, and what came of it, for a person."""
    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.add_column("What was checked", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("What was seen", overflow="fold", style="dim")
    for check in checks:
        table.add_row(
            Text(check.name), Text(check.outcome, _STYLES[check.outcome]), Text(check.detail)
        )
    return table
