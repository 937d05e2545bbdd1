"""All five checks, with a ledger: each is failed by a scan, and every other passes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from chains import DAY, Chain, Institution, open_chain
from typer.testing import CliRunner

from MedWatermarkLib.batch_path import batch_path_to_text
from MedWatermarkLib.claim import Claim, sign
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import write_volume
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import BatchedRecord, sign_batch
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import embed_message, mark_scan
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.verification_report import Outcome, VerificationReport
from MedWatermarkLib.verify import verify
from MedWatermarkLib.volume import Volume

sys.path.append(str(Path(__file__).parents[1] / "Library"))
from phantoms import head

DIAGNOSIS = "No acute bleeding."
PASSED, FAILED, NOT_CHECKED = Outcome.PASSED, Outcome.FAILED, Outcome.NOT_CHECKED
ALL_PASSED = [PASSED] * 5
ZEROS = bytes(32)


@dataclass(frozen=True)
class Scan:
    """A marked scan, and what its owner has of it."""

    volume: Volume
    claim: Claim
    restoration: bytes

    def record(self, institution: Institution, **fields: object) -> Record:
        record = Record(
            commitment=self.claim.commitment,
            issued_at=self.claim.issued_at,
            tag=message_id(self.claim.to_text().encode()),
            voxel_root=tile_leaves(self.volume).root,
            package_root=ZEROS,
            chunk_count=0,
            content_commitment=ZEROS,
            institution=institution.address,
        )
        return replace(record, **fields)

    def copy(self, number: int) -> Copy:
        return Copy(number, b"r" * 32, tile_leaves(self.volume).root, ZEROS, 0, ZEROS)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


@pytest.fixture(scope="module")
def original() -> Volume:
    voxels = head(2, 256, 256).astype(np.int16)
    return Volume(voxels, spacing=(0.8, 0.8, 5.0), modality="CT")


@pytest.fixture
def institution(chain: Chain) -> Institution:
    return chain.institution()


@pytest.fixture
def scan(original: Volume, institution: Institution) -> Scan:
    """A scan that the institution's radiologist signed."""
    now = institution.chain.now
    marked = mark_scan(original, DIAGNOSIS, institution.authority, issued_at=now)
    return Scan(marked.volume, marked.claim, marked.restoration)


@pytest.fixture
def registered(scan: Scan, institution: Institution) -> Record:
    record = scan.record(institution)
    institution.ledger.registry.register(record, scan.claim.signature)
    return record


def marked_with(claim: Claim, volume: Volume, copy: int = 0) -> Scan:
    """Put a claim into a scan, its own or another one."""
    embedded = embed_message(volume, claim.to_text().encode(), copy=copy)
    record = Restoration.from_bytes(embedded.restoration)
    record = replace(record, slope=volume.slope, intercept=volume.intercept)
    return Scan(volume.with_voxels(embedded.voxels), claim, record.to_bytes())


def check(
    scan: Scan, institution: Institution, placed: BatchedRecord | None = None
) -> VerificationReport:
    """Verify a scan with all that there is."""
    return verify(
        scan.volume, ledger=institution.ledger, restoration=scan.restoration, placed=placed
    )


def outcomes(report: VerificationReport) -> list[Outcome]:
    return [check.outcome for check in report.checks]


def test_a_registered_scan_passes_all_five(
    scan: Scan, institution: Institution, registered: Record
) -> None:
    report = check(scan, institution)
    assert outcomes(report) == ALL_PASSED
    assert report.passed
    assert report.belongs
    assert report.headline.tone == "good"
    assert report.headline.title == "The claim belongs to this scan, and it counts."
    facts = report.facts()
    assert facts["registration"]["id"] == registered.id.hex()
    assert facts["registration"]["counts"]
    assert facts["ledger"]["registry"] == institution.ledger.config.registry
    assert facts["belongs_to_voxels"] == "shown"


def test_a_scan_without_a_mark_fails_the_first_check_alone(institution: Institution) -> None:
    plain = Volume(head(4, 64, 64).astype(np.int16), modality="CT")
    report = verify(plain, ledger=institution.ledger)
    assert outcomes(report) == [FAILED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]
    assert not report.passed


def test_a_message_that_is_no_claim_fails_the_second_alone(
    original: Volume, institution: Institution
) -> None:
    foreign = original.with_voxels(embed_message(original, b"https://example.org").voxels)
    report = verify(foreign, ledger=institution.ledger)
    assert outcomes(report) == [PASSED, FAILED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]


def test_a_picture_that_gives_the_tag_alone_leads_to_the_record(
    scan: Scan, institution: Institution, registered: Record
) -> None:
    part = Volume(scan.volume.voxels[:1])
    report = verify(part, ledger=institution.ledger)
    assert report.reading.extracted.tag is not None
    assert outcomes(report) == [FAILED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED, NOT_CHECKED]
    assert registered.id.hex() in report.checks[2].sentence
    assert institution.address in report.checks[2].sentence
    assert not report.passed


# What makes that the signer, the claim or the record counts no more.


def revoke_record(institution: Institution, record: Record) -> None:
    institution.ledger.registry.revoke(record.id)


def revoke_claim(institution: Institution, record: Record) -> None:
    ledger = institution.chain.ledger(institution.authority)
    ledger.registry.revoke_claim(record.commitment)


def disown_key(institution: Institution, record: Record) -> None:
    entry = institution.ledger.registry.entry(record.id)
    assert entry is not None
    registry = institution.chain.administrator.registry
    registry.invalidate_since(institution.authority.address, entry.registered_at)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (revoke_record, "the institution revoked the record"),
        (revoke_claim, "the signer took the claim back"),
        (disown_key, "the signer's key is disowned"),
    ],
)
def test_what_counts_no_more_fails_the_third_check_alone(
    scan: Scan,
    institution: Institution,
    registered: Record,
    spoil: Callable[[Institution, Record], None],
    words: str,
) -> None:
    spoil(institution, registered)
    report = check(scan, institution)
    assert outcomes(report) == [PASSED, PASSED, FAILED, PASSED, PASSED]
    assert words in report.checks[2].sentence
    assert words in report.headline.text
    assert not report.belongs
    assert not report.passed


def test_a_key_disowned_since_a_later_time_leaves_what_was_registered_before(
    scan: Scan, institution: Institution, registered: Record
) -> None:
    institution.chain.advance(DAY)
    registry = institution.chain.administrator.registry
    registry.invalidate_since(institution.authority.address, institution.chain.now)
    assert outcomes(check(scan, institution)) == ALL_PASSED


def test_a_signer_that_nobody_accredited_fails_the_third_check_alone(
    original: Volume, institution: Institution
) -> None:
    stranger = institution.chain.account()
    marked = mark_scan(original, DIAGNOSIS, stranger)
    report = check(Scan(marked.volume, marked.claim, marked.restoration), institution)
    assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]
    assert "Nothing is registered for this claim" in report.checks[2].sentence
    assert not report.belongs


def test_a_record_with_the_tag_of_a_claim_but_another_commitment_is_not_its_record(
    original: Volume, institution: Institution
) -> None:
    """A forged claim points to an honest institution's record, by a tag chosen for it."""
    stranger = institution.chain.account()
    marked = mark_scan(original, DIAGNOSIS, stranger)
    forged = Scan(marked.volume, marked.claim, marked.restoration)
    other, claim = institution.record(
        tag=message_id(marked.claim.to_text().encode()), voxel_root=tile_leaves(forged.volume).root
    )
    institution.ledger.registry.register(other, claim.signature)
    report = check(forged, institution)
    assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]
    assert "names another claim" in report.checks[2].sentence


def test_a_record_of_another_claim_by_the_same_signer_does_not_do(
    scan: Scan, institution: Institution
) -> None:
    tag, root = message_id(scan.claim.to_text().encode()), tile_leaves(scan.volume).root
    other, claim = institution.record(tag=tag, voxel_root=root)
    institution.ledger.registry.register(other, claim.signature)
    report = check(scan, institution)
    assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]


def test_a_record_that_another_authority_signed_does_not_do(
    scan: Scan, institution: Institution
) -> None:
    """Both may vouch, but the claim in the scan is not what the second one signed."""
    chain, claim, second = institution.chain, scan.claim, institution.chain.account()
    registry = chain.administrator.registry
    registry.accredit(institution.address, second.address, chain.now - DAY, chain.now + DAY)
    again = sign(
        claim.image_hash, claim.diagnosis, second, issued_at=claim.issued_at, salt=claim.salt
    )
    assert again.commitment == claim.commitment
    institution.ledger.registry.register(scan.record(institution), again.signature)
    report = check(scan, institution)
    assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]


def test_a_copy_that_nobody_registered_fails_the_fourth_check_alone(
    scan: Scan, original: Volume, institution: Institution, registered: Record
) -> None:
    copy = marked_with(scan.claim, original, copy=9)
    report = check(copy, institution)
    assert outcomes(report) == [PASSED, PASSED, PASSED, FAILED, PASSED]
    assert report.registration is not None
    assert not report.passed


def test_a_registered_copy_passes_and_is_named(
    scan: Scan, original: Volume, institution: Institution, registered: Record
) -> None:
    copy = marked_with(scan.claim, original, copy=9)
    institution.ledger.registry.add_copy(registered.id, copy.copy(9))
    report = check(copy, institution)
    assert outcomes(report) == ALL_PASSED
    assert report.copy == copy.copy(9)
    assert "copy 9" in report.checks[3].sentence
    assert check(scan, institution).copy is None


def test_one_changed_voxel_fails_the_fourth_check_and_registered_leaves_say_where(
    scan: Scan, institution: Institution, registered: Record
) -> None:
    voxels = scan.volume.voxels.copy()
    voxels[1, 130, 70] += 1
    altered = scan.volume.with_voxels(voxels)
    leaves = tile_leaves(scan.volume)
    report = verify(altered, ledger=institution.ledger, leaves=leaves)
    assert outcomes(report) == [PASSED, PASSED, PASSED, FAILED, NOT_CHECKED]
    assert report.alterations is not None
    assert report.alterations.basis == "registered"
    assert np.argwhere(report.alterations.map.altered).tolist() == [[1, 2, 1]]


def test_leaves_that_are_not_registered_are_not_believed(
    scan: Scan, institution: Institution, registered: Record
) -> None:
    """Whoever alters a scan hands on the leaves of the altered one."""
    voxels = scan.volume.voxels.copy()
    voxels[1, 100:140, 100:140] = voxels[1, 60:100, 100:140]
    altered = scan.volume.with_voxels(voxels)
    report = verify(altered, ledger=institution.ledger, leaves=tile_leaves(altered))
    assert outcomes(report) == [PASSED, PASSED, PASSED, FAILED, NOT_CHECKED]
    assert report.alterations is not None
    assert report.alterations.basis == "mark"
    assert report.alterations.map.slices == (1,)
    assert "were not used" in report.checks[3].sentence


def test_a_claim_registered_for_another_scan_fails_the_last_check_alone(
    scan: Scan, original: Volume, institution: Institution
) -> None:
    """The institution itself has put the claim into another scan, and registered that."""
    other = original.with_voxels(original.voxels[:, ::-1].copy())
    forged = marked_with(scan.claim, other)
    record = forged.record(institution)
    institution.ledger.registry.register(record, scan.claim.signature)
    report = check(forged, institution)
    assert outcomes(report) == [PASSED, PASSED, PASSED, PASSED, FAILED]
    assert not report.belongs
    assert "claim speaks of" in report.headline.text


def test_a_revoked_record_borrows_no_standing_from_the_one_that_replaced_it(
    scan: Scan, original: Volume, institution: Institution, registered: Record
) -> None:
    better = marked_with(scan.claim, original, copy=2)
    institution.ledger.registry.revoke(registered.id)
    record = better.record(institution)
    institution.ledger.registry.register(record, scan.claim.signature)
    assert outcomes(check(better, institution)) == ALL_PASSED
    report = check(scan, institution)
    assert not report.passed
    assert outcomes(report) == [PASSED, PASSED, PASSED, FAILED, PASSED]


def test_a_record_in_a_batch_is_used_with_its_path(scan: Scan, institution: Institution) -> None:
    others = [institution.record()[0] for _ in range(2)]
    records = [others[0], scan.record(institution), others[1]]
    signed = sign_batch(records, institution.authority, issued_at=institution.chain.now)
    institution.ledger.registry.register_batch(signed)
    placed = signed.placed()
    assert outcomes(check(scan, institution, placed[1])) == ALL_PASSED
    without = check(scan, institution)
    assert outcomes(without) == [PASSED, PASSED, NOT_CHECKED, NOT_CHECKED, PASSED]
    assert "batch of 3 records" in without.checks[2].sentence
    assert not without.passed
    for wrong in (placed[0], replace(placed[1], index=0), replace(placed[1], path=())):
        report = check(scan, institution, wrong)
        assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]


def test_a_batch_that_was_never_registered_shows_nothing(
    scan: Scan, institution: Institution
) -> None:
    records, now = [scan.record(institution)], institution.chain.now
    signed = sign_batch(records, institution.authority, issued_at=now)
    report = check(scan, institution, signed.placed()[0])
    assert outcomes(report) == [PASSED, PASSED, FAILED, NOT_CHECKED, PASSED]


def test_the_command_asks_the_ledger_behind_a_node(original: Volume, tmp_path: Path) -> None:
    with open_chain("anvil") as chain:
        institution = chain.institution()
        marked = mark_scan(original, DIAGNOSIS, institution.authority, issued_at=chain.now)
        scan = Scan(marked.volume, marked.claim, marked.restoration)
        signed = sign_batch(
            [scan.record(institution)], institution.authority, issued_at=scan.claim.issued_at
        )
        institution.ledger.registry.register_batch(signed)
        institution.ledger.config.write(tmp_path / "ledger.toml")
        write_volume(scan.volume, tmp_path / "scan.nrrd")
        (tmp_path / "path.json").write_text(batch_path_to_text(signed.placed()[0]))
        arguments = ["verify", "scan.nrrd", "--ledger", "ledger.toml", "--json"]
        arguments = [str(tmp_path / one) if "." in one else one for one in arguments]
        without = CliRunner().invoke(app, arguments)
        assert without.exit_code == 3, without.output
        arguments += ["--batch-path", str(tmp_path / "path.json"), "--html"]
        done = CliRunner().invoke(app, [*arguments, str(tmp_path / "page.html")])
        assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout.splitlines()[-1])
    found = [check["outcome"] for check in facts["checks"]]
    assert found == ["passed", "passed", "passed", "passed", "not checked"]
    assert facts["registration"]["institution"] == institution.address
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "The claim belongs to this scan, and it counts." in page
    assert institution.address in page
