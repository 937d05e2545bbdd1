"""The checks that a received scan goes through, in one call.

Each passes, fails or is not made, with a sentence that a clinician understands:

1. a mark is there and reads;
2. its claim is well formed, and whose signature it bears;
3. the signer was accredited when it signed and when that was registered, and nobody took the claim
   or the record back;
4. the voxels are those that were registered, or where they differ;
5. with the mark taken out, the scan is the one that was signed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from MedWatermarkLib.blocks import WatermarkError
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.progress import Progress, part
from MedWatermarkLib.record import Copy
from MedWatermarkLib.record_batch import BatchedRecord
from MedWatermarkLib.registration import Lookup, Registration, look_up
from MedWatermarkLib.restoration import RestorationError
from MedWatermarkLib.scan import ScanReading, read_scan, restore_scan
from MedWatermarkLib.tables import moment, slices_alone
from MedWatermarkLib.tamper import TamperError, compare_tiles, map_from_mark
from MedWatermarkLib.tiles import TileLeaves, matches_root, tile_leaves
from MedWatermarkLib.verification_report import Alterations, Check, Outcome, VerificationReport
from MedWatermarkLib.volume import Volume, geometry_sides

if TYPE_CHECKING:
    from MedWatermarkLib.ledger import Ledger
    from MedWatermarkLib.registry_events import Registered

_PASSED, _FAILED, _NOT_CHECKED = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKED
_FOREIGN_LEAVES = (
    "The tile leaves that were given are not the registered ones, so they were not used."
)


class _Match(NamedTuple):
    """A record, and whether the scan is what it speaks of."""

    registration: Registration
    registered: bool
    copy: Copy | None


def verify(
    volume: Volume,
    *,
    key: bytes = b"",
    ledger: Ledger | None = None,
    leaves: TileLeaves | None = None,
    restoration: bytes | None = None,
    placed: BatchedRecord | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Make all checks on a scan as it arrived.

    Parameters
    ----------
    volume : Volume
        The scan.
    key : bytes
        The mark's key.
    ledger : Ledger, optional
        Where claims are registered; asks for checks 3 and 4.
    leaves : TileLeaves, optional
        Said to be of the registered scan; asks for check 4. They are believed only if their root
        is registered.
    restoration : bytes, optional
        The restoration record; asks for check 5.
    placed : BatchedRecord, optional
        The place of the scan's record in a batch, if it was registered in one.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    VerificationReport

    Raises
    ------
    WatermarkError
        If the voxels are not of a kind that carries marks.
    LedgerError
        If the node does not answer as it should.
    """
    tell = progress or (lambda share: None)
    reading = read_scan(volume, key=key, progress=part(progress, 0.0, 0.5))
    own = tile_leaves(volume)
    tell(0.6)
    found = status = match = None
    traces: list[Registered] = []
    if ledger is not None:
        status = ledger.status()
        if reading.claim is not None:
            found = look_up(ledger.registry, reading.claim, placed)
            match = _best_match(volume, own, found.registrations, leaves)
        elif reading.extracted.tag is not None:
            traces = list(ledger.registry.find_tag(reading.extracted.tag.message_id))
    tell(0.7)
    voxels, alterations = _check_voxels(volume, reading, key, own, leaves, match, restoration)
    tell(0.9)
    asked = ledger is not None
    checks = (
        _check_mark(reading, key),
        _check_claim(reading),
        _check_signer(found, match, traces, asked),
        Check("Voxels", asked or leaves is not None, *voxels),
        _check_original(volume, reading, restoration),
    )
    tell(1.0)
    return VerificationReport(
        checks=checks,
        volume=volume,
        reading=reading,
        voxel_root=own.root,
        verified_at=int(time.time()),
        ledger=status,
        registration=None if match is None else match.registration,
        copy=None if match is None else match.copy,
        alterations=alterations,
    )


def estimate_alterations(
    volume: Volume, reading: ScanReading, key: bytes, restoration: bytes | None = None
) -> Alterations | None:
    """Return where a scan no longer carries its mark as it was written; None if that is not known.

    It is known where the message was read: from the tag alone, parts of a small picture are called
    altered too often.

    Parameters
    ----------
    volume : Volume
    reading : ScanReading
        What was read from it.
    key : bytes
        The mark's key.
    restoration : bytes, optional
        The restoration record, if it is at hand.
    """
    extracted = reading.extracted
    if extracted.message is None:
        return None
    try:
        found = map_from_mark(volume, key=key, extracted=extracted, restoration=restoration)
        return Alterations(found, "mark")
    except (TamperError, WatermarkError, RestorationError):
        return None


def _best_match(
    volume: Volume,
    own: TileLeaves,
    registrations: Sequence[Registration],
    leaves: TileLeaves | None,
) -> _Match | None:
    """Choose the one record that all checks speak of.

    Not one that counts and another one that has the voxels: a record that was revoked since its
    voxels were wrong would borrow the standing of the one that replaced it.
    """
    best, best_rank = None, (False, False, False, False)
    for registration in registrations:
        root = _registered_root(volume, own, registration)
        copy = next((one for one in registration.copies if one.voxel_root == root), None)
        if root == registration.record.voxel_root:
            copy = None
        counts, registered = registration.standing.counts, root is not None
        fits = leaves is not None and leaves.root in registration.roots
        rank = (counts and registered, counts, registered, fits)
        if best is None or rank > best_rank:
            best, best_rank = _Match(registration, registered, copy), rank
    return best


def _registered_root(volume: Volume, own: TileLeaves, registration: Registration) -> bytes | None:
    """Return which of the registered roots is the scan's, if any."""
    if own.root in registration.roots:
        return own.root
    if all(len(sides) == 1 for sides in geometry_sides(volume)):
        return None
    # A number of the geometry lies so near to a rounding edge that another file may hold it
    # on the other side.
    return next((root for root in registration.roots if matches_root(volume, root)), None)


def _check_mark(reading: ScanReading, key: bytes) -> Check:
    extracted = reading.extracted
    if extracted.message is not None and extracted.tag is not None:
        number = "" if extracted.tag.copy == 0 else f" It is copy {extracted.tag.copy}."
        sentence = f"The mark was read. Of the slices, {slices_alone(extracted)}.{number}"
        if len(extracted.slices) == 1:
            sentence = f"The mark was read, with the whole of its message.{number}"
        return Check("Mark", True, _PASSED, sentence + _undone(extracted))
    sentence = reading.problem or "No mark was found with this key."
    if extracted.tag is None and not key:
        sentence = "No public mark was found; one with a key of its own is read with that key."
    return Check("Mark", True, _FAILED, sentence)


def _undone(extracted: Extracted) -> str:
    """Say what became of the scan since it was marked."""
    parts = [str(extracted.undone)] if extracted.undone is not None else []
    if extracted.origin != (0, 0):
        parts.append("cut")
    found = "; ".join(filter(None, parts))
    return f" The scan was {found}: that was undone to read it." if found else ""


def _check_claim(reading: ScanReading) -> Check:
    if reading.claim is not None:
        sentence = (
            f"The claim is whole and bears the signature of {reading.claim.signer}, dated "
            f"{moment(reading.claim.issued_at)}."
        )
        return Check("Claim", True, _PASSED, sentence)
    if reading.extracted.message is None:
        return Check("Claim", True, _NOT_CHECKED, "There is no message that could hold a claim.")
    return Check(
        "Claim", True, _FAILED, reading.problem or "What the mark says is no claim of MedWatermark."
    )


def _check_signer(
    found: Lookup | None, match: _Match | None, traces: Sequence[Registered], asked: bool
) -> Check:
    outcome, sentence = _NOT_CHECKED, "No ledger was asked who the signer is."
    if asked:
        sentence = "There is no claim whose signer could be looked up."
    if traces:
        event = traces[0]
        sentence += (
            f" The mark's number leads to the record {event.id.hex()} of the institution "
            f"{event.record.institution}, registered {moment(event.origin.time)}, which can be "
            "asked for the scan."
        )
    if found is not None and match is None:
        outcome, sentence = _unregistered(found)
    elif match is not None:
        record, standing = match.registration.record, match.registration.standing
        if standing.counts and standing.entry is not None:
            outcome = _PASSED
            sentence = (
                f"The signer was accredited for the institution {record.institution} when it "
                f"signed and when that was registered ({moment(standing.entry.registered_at)}), "
                "and nobody has taken claim or record back."
            )
        else:
            outcome = _FAILED
            reasons = "; ".join(match.registration.objections)
            sentence = f"The claim is registered, but it does not count: {reasons}."
    return Check("Signer", asked, outcome, sentence)


def _unregistered(found: Lookup) -> tuple[Outcome, str]:
    """Say why no record was found for a claim."""
    if found.path_is_foreign:
        return _FAILED, (
            "The place in a batch that was given is not that of this claim's record, or that batch "
            "is not registered."
        )
    if found.batches:
        event = found.batches[0]
        return _NOT_CHECKED, (
            f"The signer's batch of {event.batch.count} records, registered "
            f"{moment(event.origin.time)}, tells of this claim; its place in it, which the "
            "institution keeps, is needed to show that it is there."
        )
    sentence = "Nothing is registered for this claim under its signer's signature."
    if found.others:
        sentence += " What is registered with its tag names another claim."
    return _FAILED, sentence


def _check_voxels(
    volume: Volume,
    reading: ScanReading,
    key: bytes,
    own: TileLeaves,
    leaves: TileLeaves | None,
    match: _Match | None,
    restoration: bytes | None,
) -> tuple[tuple[Outcome, str], Alterations | None]:
    if match is not None and match.registered:
        what = "they were registered"
        if match.copy is not None:
            what += f" as copy {match.copy.number}"
        map = compare_tiles(volume, own)
        return (_PASSED, f"All voxels and the geometry are as {what}."), Alterations(
            map, "registered"
        )
    if match is not None:
        return _differing(volume, reading, key, leaves, match, restoration)
    sentence = "There is no registered scan to compare with."
    if leaves is not None:
        found = Alterations(compare_tiles(volume, leaves), "leaves")
        altered = bool(found.map.altered.any()) or bool(found.map.geometry_altered)
        if altered:
            return (_FAILED, " ".join(found.sentences)), found
        sentence = (
            "Voxels and geometry are those of the tile leaves that were given; that these are "
            "the registered ones, only the ledger can show."
        )
        return (_NOT_CHECKED, sentence), found
    estimate = estimate_alterations(volume, reading, key, restoration)
    if estimate is None:
        return (_NOT_CHECKED, sentence), None
    findings = " ".join(estimate.map.findings)
    if estimate.map.altered.any():
        return (_FAILED, f"The scan was probably altered since it was marked: {findings}"), estimate
    return (_NOT_CHECKED, f"{sentence} {findings}"), estimate


def _differing(
    volume: Volume,
    reading: ScanReading,
    key: bytes,
    leaves: TileLeaves | None,
    match: _Match,
    restoration: bytes | None,
) -> tuple[tuple[Outcome, str], Alterations | None]:
    """Say where a scan differs from the record of its claim."""
    parts = ["The voxels or the geometry are not those that were registered."]
    found: Alterations | None
    if leaves is not None and leaves.root in match.registration.roots:
        found = Alterations(compare_tiles(volume, leaves), "registered")
    else:
        if leaves is not None:
            parts.append(_FOREIGN_LEAVES)
        found = estimate_alterations(volume, reading, key, restoration)
        if found is not None:
            parts.append("By an estimate from the mark:")
    if found is not None:
        parts += found.map.findings
    return (_FAILED, " ".join(parts)), found


def _check_original(volume: Volume, reading: ScanReading, restoration: bytes | None) -> Check:
    if restoration is None:
        return Check("Original", False, _NOT_CHECKED, "The restoration record was not given.")
    if reading.claim is None:
        sentence = "There is no claim that says what the original is."
        return Check("Original", True, _NOT_CHECKED, sentence)
    try:
        restore_scan(volume, restoration, reading.claim)
    except RestorationError as error:
        return Check("Original", True, _FAILED, str(error))
    return Check(
        "Original",
        True,
        _PASSED,
        "With the mark taken out, the scan has the very hash that was signed: it is the original, "
        "bit for bit.",
    )
