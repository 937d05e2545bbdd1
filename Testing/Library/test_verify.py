"""The checks on a received scan that need no ledger, each by a scan that fails it and it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from eth_account import Account
from phantoms import head

from MedWatermarkLib.batch_path import (
    BatchPathError,
    batch_path_from_text,
    batch_path_to_text,
)
from MedWatermarkLib.record import Record
from MedWatermarkLib.record_batch import sign_batch
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import MarkedScan, embed_message, mark_scan
from MedWatermarkLib.tamper import ALTERED
from MedWatermarkLib.tiles import TileLeaves, tile_leaves
from MedWatermarkLib.verification_report import Outcome, VerificationReport
from MedWatermarkLib.verify import verify
from MedWatermarkLib.volume import Volume

DIAGNOSIS = "Left frontal meningioma, 23 mm, no midline shift, unchanged."
ACCOUNT = Account.from_key(b"\x07" * 32)
PASSED, FAILED, NOT_CHECKED = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKED


@pytest.fixture(scope="module")
def original() -> Volume:
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
def marked(original: Volume) -> MarkedScan:
    return mark_scan(original, DIAGNOSIS, ACCOUNT)


@pytest.fixture(scope="module")
def leaves(marked: MarkedScan) -> TileLeaves:
    return tile_leaves(marked.volume)


def outcomes(report: VerificationReport) -> list[Outcome]:
    return [check.outcome for check in report.checks]


def with_a_lesion(volume: Volume) -> Volume:
    """Tissue of 40 x 40 voxels from elsewhere, in the second slice."""
    voxels = volume.voxels.copy()
    voxels[1, 140:180, 140:180] = voxels[1, 200:240, 60:100]
    return volume.with_voxels(voxels)


def test_without_ledger_and_record_a_claim_was_read_and_no_more(marked: MarkedScan) -> None:
    report = verify(marked.volume)
    assert outcomes(report) == [PASSED, PASSED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]
    assert report.passed
    assert not report.belongs
    assert report.headline.tone == "open"
    assert report.headline.title == "A claim was read."
    assert "was not shown" in report.headline.text
    assert report.facts()["belongs_to_voxels"] == "not shown"
    assert report.facts()["claim"]["signer"] == ACCOUNT.address


def test_with_the_restoration_record_it_is_the_scan_that_was_signed(marked: MarkedScan) -> None:
    report = verify(marked.volume, restoration=marked.restoration)
    assert outcomes(report) == [PASSED, PASSED, NOT_CHECKED, NOT_CHECKED, PASSED]
    assert report.passed
    assert report.belongs
    assert report.headline.tone == "good"
    assert "whether they may vouch" in report.headline.text


def test_a_scan_without_a_mark_fails_the_first_check_alone() -> None:
    report = verify(Volume(head(4, 64, 64).astype(np.int16), modality="CT"))
    assert outcomes(report) == [FAILED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]
    assert not report.passed
    assert report.headline.title == "Do not rely on this scan: no claim was read."


def test_a_mark_of_another_key_is_not_read() -> None:
    # Small, since with the wrong key all is searched.
    small = Volume(head(4, 128, 128).astype(np.int16), modality="CT")
    keyed = mark_scan(small, "No change.", ACCOUNT, key=b"secret", copy=3)
    assert outcomes(verify(keyed.volume))[0] is FAILED
    report = verify(keyed.volume, key=b"secret")
    assert outcomes(report)[:2] == [PASSED, PASSED]
    assert "copy 3" in report.checks[0].sentence


@pytest.mark.parametrize("damaged", [False, True])
def test_a_mark_without_a_claim_fails_the_second_check_alone(
    original: Volume, marked: MarkedScan, damaged: bool
) -> None:
    text = b"https://example.org"
    if damaged:
        text = marked.claim.to_text().encode()[:-1] + b"%"
    foreign = original.with_voxels(embed_message(original, text).voxels)
    report = verify(foreign)
    assert outcomes(report) == [PASSED, FAILED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]
    assert not report.passed


def test_a_lesion_fails_the_check_of_voxels_and_the_leaves_say_where(
    marked: MarkedScan, leaves: TileLeaves
) -> None:
    report = verify(with_a_lesion(marked.volume), leaves=leaves)
    assert outcomes(report) == [PASSED, PASSED, NOT_CHECKED, FAILED, NOT_CHECKED]
    assert report.alterations is not None
    assert report.alterations.basis == "leaves"
    # 140 to 180 lie in the tiles from 128 to 192.
    assert np.argwhere(report.alterations.map.altered).tolist() == [[1, 2, 2]]
    assert report.headline.title == "Do not rely on this scan and its claim."
    assert "“Voxels”" in report.headline.text


def test_a_lesion_is_found_by_the_mark_alone_as_an_estimate(marked: MarkedScan) -> None:
    altered = with_a_lesion(marked.volume)
    report = verify(altered)
    assert outcomes(report) == [PASSED, PASSED, NOT_CHECKED, FAILED, NOT_CHECKED]
    assert report.alterations is not None
    assert report.alterations.basis == "mark"
    named = report.alterations.map.volume().voxels == ALTERED
    assert named[1, 145:175, 145:175].mean() > 0.8
    assert not named[[0, 2, 3]].any()
    assert "estimate" in " ".join(report.alterations.sentences)


def test_leaves_that_nobody_registered_show_no_more_than_differences(
    marked: MarkedScan, leaves: TileLeaves
) -> None:
    report = verify(marked.volume, leaves=leaves)
    assert outcomes(report)[3] is NOT_CHECKED
    assert not report.passed
    assert not report.belongs
    assert report.headline.tone == "open"
    assert "only the ledger can show" in report.headline.text


def test_a_flip_by_header_fails_the_check_of_voxels(marked: MarkedScan, leaves: TileLeaves) -> None:
    flipped = replace(marked.volume, direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1))
    report = verify(flipped, leaves=leaves)
    assert outcomes(report)[3] is FAILED
    assert report.facts()["alterations"]["geometry_altered"]


def test_a_claim_copied_into_another_scan_fails_the_last_check_alone(
    original: Volume, marked: MarkedScan
) -> None:
    other = original.with_voxels(original.voxels[::-1].copy())
    forged = embed_message(other, marked.claim.to_text().encode())
    record = Restoration.from_bytes(forged.restoration)
    record = replace(record, slope=other.slope, intercept=other.intercept)
    report = verify(other.with_voxels(forged.voxels), restoration=record.to_bytes())
    assert outcomes(report) == [PASSED, PASSED, NOT_CHECKED, NOT_CHECKED, FAILED]
    assert not report.belongs
    assert "claim speaks of" in report.headline.text


def test_who_the_patient_is_is_not_in_the_report(
    marked: MarkedScan,
) -> None:
    report = verify(marked.volume)
    assert "Grünwald" not in repr(report)
    assert "Grünwald" not in str(report.facts())


def test_progress_rises_from_nothing_to_all(marked: MarkedScan, leaves: TileLeaves) -> None:
    told: list[float] = []
    verify(marked.volume, leaves=leaves, restoration=marked.restoration, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_place_in_a_batch_goes_through_its_file() -> None:
    records = [
        Record(
            bytes([index]) * 32,
            100 + index,
            b"tag8byte",
            b"v" * 32,
            b"p" * 32,
            5,
            b"c" * 32,
            ACCOUNT.address,
        )
        for index in range(3)
    ]
    for placed in sign_batch(records, ACCOUNT, issued_at=200).placed():
        assert batch_path_from_text(batch_path_to_text(placed)) == placed
    text = batch_path_to_text(placed)
    for damaged in (
        "",
        "[]",
        "{}",
        "null",
        text[:-5],
        text.replace(" 1", " 2"),
        text.replace('"index": 2', '"index": -2'),
        text.replace('"count": 3', '"count": "3"'),
        text.replace("0x", "0y"),
    ):
        with pytest.raises(BatchPathError):
            batch_path_from_text(damaged)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda voxels: voxels, None),
        (lambda voxels: voxels[:, ::-1], "mirrored and turned counter-clockwise by 180.0°"),
        (lambda voxels: voxels[:, 16:, 8:], "cut"),
    ],
)
def test_the_mark_says_what_was_undone_to_read_it(
    marked: MarkedScan, change: Callable[[np.ndarray], np.ndarray], said: str | None
) -> None:
    copy = Volume(np.ascontiguousarray(change(marked.volume.voxels)))
    sentence = verify(copy).checks[0].sentence
    if said is None:
        assert "undone" not in sentence
    else:
        assert sentence.endswith(f"The scan was {said}: that was undone to read it.")
