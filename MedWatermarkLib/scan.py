"""A scan and its claim: sign and mark a volume, read the claim from it, restore it.

What the command line and the Slicer module both call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from eth_account.signers.local import LocalAccount

from MedWatermarkLib import watermark
from MedWatermarkLib.blocks import WatermarkError
from MedWatermarkLib.claim import Claim, ClaimError, check_diagnosis, sign
from MedWatermarkLib.restoration import Restoration, RestorationError
from MedWatermarkLib.strength import GREATEST_DEFAULT, PRESETS, Strength, noise_strength
from MedWatermarkLib.volume import Volume, image_hash, matches_hash

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class MarkedScan:
    """A scan that carries its claim.

    Attributes
    ----------
    volume : Volume
        The marked scan, of the geometry, dtype and rescale of the original.
    claim : Claim
    restoration : bytes
        The restoration record: the owner's.
    embedded : watermark.Embedded
        Figures of the mark, in stored units.
    """

    volume: Volume
    claim: Claim
    restoration: bytes
    embedded: watermark.Embedded


@dataclass(frozen=True, eq=False)
class ScanReading:
    """What was read from a scan.

    Attributes
    ----------
    extracted : watermark.Extracted
    claim : Claim or None
    signer : str or None
        Address of whoever signed the claim; who that is, and whether it may vouch, is not shown.
    problem : str or None
        Why there is no claim, in a sentence.
    """

    extracted: watermark.Extracted
    claim: Claim | None
    signer: str | None
    problem: str | None


def mark_scan(
    volume: Volume,
    diagnosis: str,
    account: LocalAccount,
    *,
    key: bytes = b"",
    copy: int = 0,
    strength: Strength = "diagnostic",
    issued_at: int | None = None,
    salt: bytes | None = None,
    exclude: npt.ArrayLike | None = None,
    progress: Progress | None = None,
) -> MarkedScan:
    """Sign a diagnosis of a scan and hide the claim in its voxels.

    Parameters
    ----------
    volume : Volume
    diagnosis : str
        What the signer vouches for; it must not name the patient.
    account : eth_account.signers.local.LocalAccount
        The signer.
    key : bytes
        The mark's key; the empty key is public.
    copy : int
        Number of this copy.
    strength : "diagnostic", "robust" or float
        RMSE in rescaled units, or a preset: `diagnostic` is 1.5 HU on a CT and 0.3 of the noise on
        other modalities, `robust` twice that.
    issued_at : int, optional
        Unix time of the claim; by default now.
    salt : bytes, optional
        16 bytes of the claim; by default random.
    exclude : (z, y, x) bool array, optional
        Voxels that must not be touched.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    MarkedScan
        It was read back: what is returned carries its claim.

    Raises
    ------
    ClaimError
        If the diagnosis is not fit to be signed, or names the patient.
    WatermarkError
        If the scan cannot be marked, or has too little room.
    """
    tell = progress or (lambda share: None)
    check_diagnosis(diagnosis, volume.identity)
    tell(0.0)
    claim = sign(image_hash(volume).digest, diagnosis, account, issued_at=issued_at, salt=salt)
    message = claim.to_text().encode()
    tell(0.2)
    embedded = embed_message(
        volume, message, key=key, copy=copy, strength=strength, exclude=exclude
    )
    tell(0.6)
    if watermark.extract(embedded.voxels, key=key).message != message:
        raise WatermarkError(
            "The mark could not be read back from this scan, so nothing was marked; ask for a "
            "greater strength."
        )
    tell(1.0)
    record = Restoration.from_bytes(embedded.restoration)
    record = replace(record, slope=volume.slope, intercept=volume.intercept)
    return MarkedScan(
        volume=volume.with_voxels(embedded.voxels),
        claim=claim,
        restoration=record.to_bytes(),
        embedded=embedded,
    )


def embed_message(
    volume: Volume,
    message: bytes,
    *,
    key: bytes = b"",
    copy: int = 0,
    strength: Strength = "diagnostic",
    exclude: npt.ArrayLike | None = None,
) -> watermark.Embedded:
    """Hide any message in a volume, with all that the volume knows of its voxels.

    Parameters
    ----------
    volume : Volume
    message : bytes
    key, copy, strength, exclude
        As for `mark_scan`.

    Returns
    -------
    watermark.Embedded, in stored units.

    Raises
    ------
    WatermarkError
        If the volume cannot be marked, or has too little room.
    """
    return watermark.embed(
        volume.voxels,
        message,
        key=key,
        copy=copy,
        strength=_stored_strength(volume, strength),
        valid_range=volume.valid_range,
        reserved=volume.reserved,
        exclude=exclude,
        hounsfield=hounsfield(volume),
    )


def read_scan(
    volume: Volume,
    *,
    key: bytes = b"",
    reference: Volume | None = None,
    progress: Progress | None = None,
) -> ScanReading:
    """Read the claim that a scan, or a slice of it, carries.

    Parameters
    ----------
    volume : Volume
    key : bytes
        The mark's key.
    reference : Volume, optional
        The original, as it was before it was marked: far more can be read with it at hand.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    ScanReading
        That a claim was read does not show that it belongs to these voxels: a public mark can be
        copied into another scan.
    """
    extracted = watermark.extract(
        volume.voxels,
        key=key,
        reference=None if reference is None else reference.voxels,
        hounsfield=None if reference is None else hounsfield(reference),
        progress=progress,
    )
    if extracted.message is None:
        if extracted.tag is None:
            return ScanReading(extracted, None, None, "No mark was found with this key.")
        return ScanReading(
            extracted,
            None,
            None,
            "A mark was found, and the number of its message, but too little of the message.",
        )
    try:
        claim = Claim.from_text(extracted.message.decode("utf-8", "replace"))
    except ClaimError as error:
        return ScanReading(extracted, None, None, str(error))
    return ScanReading(extracted, claim, claim.signer, None)


def restore_scan(volume: Volume, restoration: bytes, claim: Claim | None = None) -> Volume:
    """Take the mark out of a scan.

    Parameters
    ----------
    volume : Volume
        The marked scan, in stored or in rescaled units.
    restoration : bytes
        The record that was made when it was marked.
    claim : Claim, optional
        Its claim; the restored scan must hash to what it says.

    Returns
    -------
    Volume
        The original, equal in every bit.

    Raises
    ------
    RestorationError
        If the record is damaged or not of this scan, the scan was altered, or the restored scan
        is not the one that the claim speaks of.
    """
    record = Restoration.from_bytes(restoration)
    slope, intercept = record.slope[:, None, None], record.intercept[:, None, None]
    stored = volume.voxels
    rescaled = stored.shape == record.shape and not (
        np.array_equal(volume.slope, record.slope)
        and np.array_equal(volume.intercept, record.intercept)
    )
    if rescaled:
        # Exported to a format without a rescale of its own, such as NRRD.
        stored = (volume.rescaled() - intercept) / slope
        if np.dtype(record.dtype).kind != "f":
            stored = np.rint(stored)
        stored = stored.astype(record.dtype)
    voxels = watermark.restore(stored, restoration)
    if rescaled:
        voxels = (voxels * slope + intercept).astype(volume.voxels.dtype)
    restored = volume.with_voxels(voxels)
    if claim is not None and not matches_hash(restored, claim.image_hash):
        raise RestorationError(
            "The mark was taken out, but the scan is not the one that the claim speaks of: its "
            "voxels or its geometry differ."
        )
    return restored


def hounsfield(volume: Volume) -> tuple[float, float] | None:
    """Return slope and intercept that make CT numbers of a CT's voxels; None for all others.

    They are the median slice's: a CT has the same in all its slices, or nearly so.
    """
    slope, intercept = float(np.median(volume.slope)), float(np.median(volume.intercept))
    return (slope, intercept) if volume.modality == "CT" and slope > 0 else None


def _stored_strength(volume: Volume, strength: Strength) -> Strength:
    slope = float(np.median(np.abs(volume.slope)))
    if not isinstance(strength, str):
        return strength / slope
    if strength not in PRESETS or not volume.modality:
        return strength
    if volume.modality == "CT":
        return PRESETS[strength] * GREATEST_DEFAULT / slope
    return noise_strength(strength, volume.voxels)
