"""A scan carries its claim, and comes back as it was, also by way of other formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account
from phantoms import head

from MedWatermarkLib.claim import ClaimError, IdentifyingDiagnosisError
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.restoration import RestorationError
from MedWatermarkLib.scan import MarkedScan, embed_message, mark_scan, read_scan, restore_scan
from MedWatermarkLib.volume import Volume, image_hash
from MedWatermarkLib.watermark import embed

DIAGNOSIS = "Left frontal meningioma, 23 mm, no midline shift, unchanged."
ACCOUNT = Account.from_key(b"\x07" * 32)


@pytest.fixture(scope="module")
def volume() -> Volume:
    return Volume(
        head(4, 320, 320).astype(np.int16) + 1024,
        spacing=(0.6, 0.6, 4.0),
        origin=(-96.0, -90.0, 12.5),
        intercept=np.full(4, -1024.0),
        valid_range=(0, 4095),
        modality="CT",
        identity={"PatientName": "Grünwald^Ada"},
    )


@pytest.fixture(scope="module")
def marked(volume: Volume) -> MarkedScan:
    return mark_scan(volume, DIAGNOSIS, ACCOUNT, key=b"k", copy=3)


def test_a_marked_scan_says_what_was_signed_and_by_whom(marked: MarkedScan) -> None:
    reading = read_scan(marked.volume, key=b"k")
    assert reading.claim == marked.claim
    assert reading.claim is not None
    assert reading.claim.diagnosis == DIAGNOSIS
    assert reading.signer == ACCOUNT.address
    assert reading.problem is None
    assert reading.extracted.tag is not None
    assert reading.extracted.tag.copy == 3


def test_the_claim_speaks_of_the_scan_before_it_was_marked(
    volume: Volume, marked: MarkedScan
) -> None:
    assert marked.claim.image_hash == image_hash(volume).digest
    assert marked.claim.image_hash != image_hash(marked.volume).digest


def test_a_restored_scan_is_the_one_that_was_signed(volume: Volume, marked: MarkedScan) -> None:
    restored = restore_scan(marked.volume, marked.restoration, marked.claim)
    assert np.array_equal(restored.voxels, volume.voxels)
    assert restored.voxels.dtype == volume.voxels.dtype


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii.gz", "scan.mha"])
def test_a_scan_exported_in_rescaled_units_reads_and_is_restored(
    volume: Volume, marked: MarkedScan, tmp_path: Path, name: str
) -> None:
    write_volume(marked.volume, tmp_path / name)
    arrived = read_volume(tmp_path / name)
    assert read_scan(arrived, key=b"k").claim == marked.claim
    restored = restore_scan(arrived, marked.restoration, marked.claim)
    assert np.array_equal(restored.rescaled(), volume.rescaled())


def test_slices_of_different_slope_are_marked_in_stored_units(volume: Volume) -> None:
    pet = replace(
        volume, slope=np.array([0.5, 0.7, 0.9, 1.1]), intercept=np.zeros(4), modality="PT"
    )
    marked = mark_scan(pet, DIAGNOSIS, ACCOUNT)
    assert read_scan(marked.volume).claim == marked.claim
    restored = restore_scan(marked.volume, marked.restoration, marked.claim)
    assert np.array_equal(restored.voxels, pet.voxels)
    exported = Volume(marked.volume.rescaled(), spacing=volume.spacing, origin=volume.origin)
    assert np.allclose(
        restore_scan(exported, marked.restoration).voxels, pet.rescaled(), rtol=0, atol=1e-9
    )


def test_the_default_strength_is_in_hounsfield_units(volume: Volume) -> None:
    halves = replace(volume, slope=np.full(4, 0.5), intercept=np.full(4, -512.0))
    assert mark_scan(halves, DIAGNOSIS, ACCOUNT).embedded.rmse == pytest.approx(2.9, abs=0.2)
    assert mark_scan(volume, DIAGNOSIS, ACCOUNT).embedded.rmse == pytest.approx(1.48, abs=0.1)


def test_robust_is_twice_the_default_in_any_modality(volume: Volume) -> None:
    for modality in ("CT", "MR", "PT", ""):
        scan = replace(volume, modality=modality)
        usual = embed_message(scan, b"A").strength
        robust = embed_message(scan, b"A", strength="robust").strength
        assert robust == pytest.approx(2 * usual, rel=0.05)


def test_a_diagnosis_that_names_the_patient_is_refused(volume: Volume) -> None:
    with pytest.raises(IdentifyingDiagnosisError) as error:
        mark_scan(volume, "Mrs Gruenwald: meningioma", ACCOUNT)
    assert "runwald" not in str(error.value)
    with pytest.raises(ClaimError):
        mark_scan(volume, "  ", ACCOUNT)


def test_a_record_of_another_scan_and_a_claim_of_another_scan_are_refused(
    volume: Volume, marked: MarkedScan
) -> None:
    other = mark_scan(replace(volume, spacing=(0.7, 0.7, 4.0)), DIAGNOSIS, ACCOUNT)
    with pytest.raises(RestorationError, match="belongs to"):
        restore_scan(other.volume, marked.restoration)
    with pytest.raises(RestorationError, match="claim speaks of"):
        restore_scan(marked.volume, marked.restoration, other.claim)


def test_what_is_missing_or_no_claim_is_said(volume: Volume, marked: MarkedScan) -> None:
    assert read_scan(volume).problem == "No mark was found with this key."
    assert read_scan(marked.volume).claim is None
    other = volume.with_voxels(embed(volume.voxels, b"https://example.org").voxels)
    reading = read_scan(other)
    assert reading.claim is None
    assert reading.problem
