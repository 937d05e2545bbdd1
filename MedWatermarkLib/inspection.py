"""Inspection: what lies at a path, without saying whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base45
import numpy as np
from eth_typing import ChecksumAddress
from eth_utils.address import is_hex_address, to_checksum_address
from rich.console import RenderableType
from rich.table import Table

from MedWatermarkLib import qr
from MedWatermarkLib.account import KEY_FILE_VERSION, KeyFileError
from MedWatermarkLib.capacity import Room
from MedWatermarkLib.claim import PREFIX
from MedWatermarkLib.imageio import ImageReadError, Series, list_series, read_volume
from MedWatermarkLib.layout import few_blocks
from MedWatermarkLib.preparation import prepare
from MedWatermarkLib.report import Report
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.sites import sites
from MedWatermarkLib.tables import Row, grid, megabytes, ranges
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import MessageDoesNotFitError

#: Markable blocks from which on a slice is held to carry a whole claim alone.
ROOMY_BLOCKS = 1200

# CBOR of a claim but for its diagnosis, which has one to three bytes of length before it.
_CLAIM_BYTES = 128


@dataclass(frozen=True)
class Finding:
    """What was found, for a program and for a person.

    Attributes
    ----------
    facts : dict
    shown : RenderableType
    """

    facts: dict[str, Any]
    shown: RenderableType


def inspect_path(path: Path, series: str | None, report: Report) -> None:
    """Find out what lies at a path, and report.

    Parameters
    ----------
    path : pathlib.Path
        A folder of DICOM, a scan, a key file or a restoration record.
    series : str, optional
        Which series of a folder to look into; else the largest.
    report : Report

    Raises
    ------
    ImageReadError, KeyFileError, RestorationError
        If it is none of them, or damaged.
    """
    start = _start(path) if path.is_file() else b""
    if start.startswith(b"{"):
        findings = [of_key_file(path)]
    elif start.startswith(b"MWR"):
        findings = [of_record(path.read_bytes())]
    else:
        findings = _of_scans(path, series, report)
    facts = {name: fact for finding in findings for name, fact in finding.facts.items()}
    report.result({"command": "inspect", "path": str(path), **facts}, *_spaced(findings))


def _of_scans(path: Path, uid: str | None, report: Report) -> list[Finding]:
    report.step("Reading the scan", 0.0, 0.4)
    found = list_series(path) if path.is_dir() else []
    listed = [list_of(found)] if found else []
    try:
        volume = read_volume(path, uid)
    except ImageReadError as error:
        if uid is not None or len(found) < 2:
            raise
        report.warn(f"The largest series cannot be read as one scan. {error}")
        return listed
    prepare(report, volume.voxels.dtype, 0.4, 0.6)
    report.step("Counting what can be marked", 0.6, 1.0)
    return [*listed, of_volume(volume)]


def list_of(series: list[Series]) -> Finding:
    """Tell which DICOM series there are, without their descriptions, which may name the patient."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("No.", "Modality", "Images x rows x columns", "Series UID"):
        table.add_column(heading, overflow="fold")
    for one in series:
        number = "" if one.number is None else str(one.number)
        table.add_row(number, one.modality, _by(one.shape), one.uid)
    facts = [
        {"uid": one.uid, "modality": one.modality, "number": one.number, "shape": list(one.shape)}
        for one in series
    ]
    return Finding({"series": facts}, table)


def of_volume(volume: Volume) -> Finding:
    """Tell what a scan is, and how much can be hidden in it."""
    blocks, greatest = _room(volume)
    roomy = blocks >= ROOMY_BLOCKS
    facts = {
        "kind": "scan",
        "shape": list(volume.voxels.shape),
        "dtype": volume.voxels.dtype.name,
        "spacing": list(volume.spacing),
        "origin": list(volume.origin),
        "direction": list(volume.direction),
        "modality": volume.modality,
        "slope": sorted(set(volume.slope.tolist())),
        "intercept": sorted(set(volume.intercept.tolist())),
        "window": volume.window,
        "valid_range": volume.valid_range,
        "reserved": [list(one) for one in volume.reserved],
        "blocks": blocks.tolist(),
        "roomy_slices": (np.flatnonzero(roomy)).tolist(),
        "greatest_message": greatest,
        "longest_diagnosis": longest_diagnosis(greatest),
    }
    return Finding(facts, grid([*_volume_rows(volume), *_room_rows(blocks, greatest)]))


def of_key_file(path: Path) -> Finding:
    """Tell the address that a key file states; without the password it cannot be checked.

    Raises
    ------
    KeyFileError
        If it is none.
    """
    try:
        content = json.loads(path.read_bytes())
        version, address = content["version"], str(content.get("address") or "")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise KeyFileError(f"{path} is not a key file, or it is damaged.") from None
    if version != KEY_FILE_VERSION or (address and not is_hex_address(address)):
        raise KeyFileError(f"{path} is not a key file of version {KEY_FILE_VERSION}.")
    stated = str(to_checksum_address(address)) if address else None
    rows = [("Key file", f"version {version}"), ("Address", stated or "not stated")]
    return Finding({"kind": "key file", "version": version, "address": stated}, grid(rows))


def stated_address(path: Path) -> ChecksumAddress:
    """Return the address that a key file states; without the password it cannot be checked.

    Raises
    ------
    KeyFileError
        If it is none, cannot be read, or states no address.
    """
    try:
        stated = of_key_file(path).facts["address"]
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.") from None
    if stated is None:
        raise KeyFileError(f"{path} does not state its address.")
    return to_checksum_address(stated)


def of_record(data: bytes) -> Finding:
    """Tell what scan a restoration record belongs to.

    Raises
    ------
    RestorationError
        If it is none, or damaged.
    """
    record = Restoration.from_bytes(data)
    blocks = int(record.change.mask.sum())
    facts = {
        "kind": "restoration record",
        "shape": list(record.shape),
        "dtype": record.dtype,
        "blocks": blocks,
        "marked": record.marked.hex(),
        "size": len(data),
    }
    rows = [
        ("Restoration record", f"{megabytes(len(data))}, undamaged"),
        ("Belongs to", f"a marked scan of {_by(record.shape)} voxels, {record.dtype}"),
        ("Marked blocks", f"{blocks:,} of 8 x 8 voxels"),
        ("Its fingerprint", record.marked.hex()),
    ]
    return Finding(facts, grid(rows))


def longest_diagnosis(greatest: int) -> int:
    """Count the characters (ASCII) of the longest diagnosis whose claim fits.

    Parameters
    ----------
    greatest : int
        The greatest message of any bytes that fits, in bytes.
    """
    if greatest == 0:
        return 0
    room = len(qr.data_codewords(b"\xff" * greatest))
    fits, fails = -1, greatest
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if _codewords_of_claim(middle) <= room else (fits, middle)
    return max(fits, 0)


def _codewords_of_claim(characters: int) -> int:
    """Count the codewords of a claim with a diagnosis of so many ASCII characters."""
    head = 1 if characters < 24 else 2 if characters < 256 else 3
    # Ones, since nothing but digits would take fewer codewords than a claim.
    encoded = base45.b45encode(b"\xff" * (_CLAIM_BYTES + head + characters))
    try:
        return len(qr.data_codewords(PREFIX.encode() + encoded))
    except qr.MessageTooLongError:
        return qr.capacity(qr.GREATEST_VERSION) + 1


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16).lstrip()


def _spaced(findings: list[Finding]) -> Iterator[RenderableType]:
    for index, finding in enumerate(findings):
        if index:
            yield ""
        yield finding.shown


def _room(volume: Volume) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """Return the blocks of each slice that can be marked, and the greatest message, in bytes."""
    try:
        marked = embed_message(volume, b"?")
    except MessageDoesNotFitError:
        return np.zeros(len(volume.voxels), np.int64), 0
    blocks = Restoration.from_bytes(marked.restoration).change.mask
    few = few_blocks(marked.blocks)
    return marked.blocks, Room(sites(b""), blocks, few).greatest_message()


def _volume_rows(volume: Volume) -> list[Row]:
    rows = [
        ("Voxels", f"{_by(volume.voxels.shape)} (slices x rows x columns), {volume.voxels.dtype}"),
        ("Spacing", f"{' x '.join(f'{step:.6g}' for step in volume.spacing)} mm (x, y, z)"),
        ("Rescale", f"slope {_spread(volume.slope)}, intercept {_spread(volume.intercept)}"),
    ]
    if volume.modality:
        rows.insert(0, ("Modality", volume.modality))
    if volume.window is not None:
        center, width = volume.window
        rows.append(("Window", f"center {center:g}, width {width:g}"))
    for low, high in volume.reserved:
        padding = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        rows.append(("Padding", f"{padding}, never touched"))
    return rows


def _room_rows(blocks: np.ndarray[Any, np.dtype[np.int64]], greatest: int) -> list[Row]:
    if greatest == 0:
        return [("Room", "none: the patient fills too few blocks of 8 x 8 voxels")]
    roomy = np.flatnonzero(blocks >= ROOMY_BLOCKS) + 1
    which = f" ({ranges(roomy.tolist())})" if 0 < len(roomy) < len(blocks) else ""
    least, most = blocks.min(), blocks.max()
    count = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    diagnosis = longest_diagnosis(greatest)
    fits = f"{diagnosis:,} characters" if diagnosis else "none: a claim is longer than what fits"
    return [
        ("Markable blocks", f"{count} a slice, of 8 x 8 voxels"),
        ("Roomy slices", f"{len(roomy)} of {len(blocks)}{which}, with {ROOMY_BLOCKS:,} or more"),
        ("Greatest message", f"{greatest:,} bytes"),
        ("Longest diagnosis", fits),
    ]


def _spread(values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
