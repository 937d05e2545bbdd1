"""The registry, on a chain in this process and on a node."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from chains import DAY, KINDS, Chain, open_chain

from MedWatermarkLib.claim import sign
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import sign_batch
from MedWatermarkLib.refusals import (
    AlreadyInvalidatedError,
    AlreadyRegisteredError,
    ClaimIsRevokedError,
    CopyExistsError,
    EmptyPeriodError,
    FromTheFutureError,
    KeyIsInvalidatedError,
    NoSuchPeriodError,
    NotAccreditedError,
    NotInBatchError,
    NotRegisteredError,
    NotTheAuthorityError,
    NotTheInstitutionError,
    NotTheOwnerError,
    RoleMissingError,
)
from MedWatermarkLib.registry_events import (
    AccreditationEnded,
    Accredited,
    BatchRegistered,
    CopyAdded,
    Granted,
    OwnershipTransferred,
    Registered,
    Revoked,
    RoleGranted,
    Withdrawn,
)
from MedWatermarkLib.registry_state import Entry, RecordState


@pytest.fixture(scope="module", params=KINDS)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with open_chain(request.param) as chain:
        yield chain


def some_copy(number: int = 1) -> Copy:
    return Copy(number, *(secrets.token_bytes(32) for _ in range(3)), 7, secrets.token_bytes(32))


# --- Authorities ---


def test_an_accreditation_is_kept_as_a_period_with_a_number(chain: Chain) -> None:
    institution, authority = chain.account().address, chain.account().address
    registry = chain.administrator.registry
    first = registry.accredit(institution, authority, 10, 20)
    second = registry.accredit(institution, authority, 30, 40)
    assert (first.period, second.period) == (0, 1)
    periods = registry.periods(institution, authority)
    assert [(period.start, period.until) for period in periods] == [(10, 20), (30, 40)]


def test_only_an_accreditor_accredits(chain: Chain) -> None:
    ledger = chain.ledger(chain.account())
    assert chain.administrator.registry.is_accreditor(chain.administrator.account.address)
    assert not ledger.registry.is_accreditor(ledger.account.address)
    with pytest.raises(RoleMissingError, match=ledger.account.address):
        ledger.registry.accredit(ledger.account.address, ledger.account.address, 1, 2)


def test_asking_twice_for_an_accreditation_gives_one(chain: Chain) -> None:
    institution, authority = chain.account().address, chain.account().address
    registry = chain.administrator.registry
    first = registry.accredit(institution, authority, 10, 20)
    assert registry.accredit(institution, authority, 10, 20) == first
    assert len(registry.periods(institution, authority)) == 1


def test_an_accreditation_that_was_ended_can_be_given_again(chain: Chain) -> None:
    institution = chain.institution()
    registry, authority = chain.administrator.registry, institution.authority.address
    start, until = 10, chain.now + DAY
    first = registry.accredit(institution.address, authority, start, until)
    ended = registry.end_accreditation(institution.address, authority, first.period)
    assert isinstance(ended, AccreditationEnded)
    assert ended.until <= chain.now
    again = registry.accredit(institution.address, authority, start, until)
    assert again.period == first.period + 1
    assert registry.accredit(institution.address, authority, start, until) == again


def test_periods_that_cannot_be_are_refused(chain: Chain) -> None:
    one, other = chain.account().address, chain.account().address
    registry = chain.administrator.registry
    with pytest.raises(EmptyPeriodError):
        registry.accredit(one, other, 20, 20)
    with pytest.raises(NoSuchPeriodError):
        registry.end_accreditation(one, other, 0)


# --- Registering ---


def test_a_record_is_registered_and_counts(chain: Chain) -> None:
    institution = chain.institution()
    record, claim = institution.record()
    registry = institution.ledger.registry
    assert registry.entry(record.id) is None
    event = registry.register(record, claim.signature)
    assert (event.id, event.record, event.authority) == (record.id, record, claim.signer)
    entry = Entry(institution.address, event.origin.time, RecordState.REGISTERED)
    assert registry.entry(record.id) == entry
    standing = registry.standing(record, claim.signer)
    assert standing.counts
    assert standing.entry == entry


def test_registering_twice_is_registering_once(chain: Chain) -> None:
    institution = chain.institution()
    record, claim = institution.record()
    first = institution.ledger.registry.register(record, claim.signature)
    assert institution.ledger.registry.register(record, claim.signature) == first


def test_a_journal_that_was_lost_does_not_let_a_record_be_registered_again(chain: Chain) -> None:
    institution = chain.institution()
    record, claim = institution.record()
    institution.ledger.registry.register(record, claim.signature)
    colleague = chain.ledger(chain.account())
    chain.administrator.registry.accredit(
        institution.address, institution.authority.address, 1, 2**63
    )
    with pytest.raises(AlreadyRegisteredError):  # In another period: another intent.
        institution.ledger.registry.register(record, claim.signature)
    with pytest.raises(NotTheInstitutionError, match=institution.address):
        colleague.registry.register(record, claim.signature)


@pytest.mark.parametrize("kind", KINDS)
def test_a_claim_that_waits_for_the_chains_clock_is_registered(kind: str) -> None:
    with open_chain(kind) as young:  # Each block is a second later, whatever the time is.
        institution = young.institution()
        due = max(young.now, int(time.time())) + 2
        record, claim = institution.record(issued_at=due)
        event = institution.ledger.registry.register(record, claim.signature)
        assert event.origin.time >= due


def test_a_claim_from_the_far_future_is_refused_at_once(chain: Chain) -> None:
    institution = chain.institution()
    record, claim = institution.record(issued_at=chain.now + DAY)
    with pytest.raises(FromTheFutureError, match="clock"):
        institution.ledger.registry.register(record, claim.signature)


def test_an_authority_that_nobody_accredited_is_refused(chain: Chain) -> None:
    institution = chain.institution()
    record, _ = institution.record()
    stranger = chain.account()
    forged = sign(bytes(32), "Normal.", stranger, issued_at=record.issued_at)
    record = replace(record, commitment=forged.commitment)
    with pytest.raises(NotAccreditedError, match=stranger.address):
        institution.ledger.registry.register(record, forged.signature)
    # Of a year ago, before it was accredited.
    early, claim = institution.record(issued_at=chain.now - 365 * DAY)
    with pytest.raises(NotAccreditedError):
        institution.ledger.registry.register(early, claim.signature)


def test_a_period_that_is_over_does_not_stand_in_the_way_of_the_next(chain: Chain) -> None:
    institution = chain.institution()
    record, claim = institution.record()
    registry, authority = chain.administrator.registry, institution.authority.address
    registry.end_accreditation(institution.address, authority, 0)
    with pytest.raises(NotAccreditedError):
        institution.ledger.registry.register(record, claim.signature)
    registry.accredit(institution.address, authority, record.issued_at, chain.now + DAY)
    institution.ledger.registry.register(record, claim.signature)
    assert registry.standing(record, authority).counts


def test_what_was_registered_before_an_accreditation_ended_stands(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    registry, authority = chain.administrator.registry, institution.authority.address
    registry.end_accreditation(institution.address, authority, 0)
    assert registry.standing(record, authority).counts
    assert not registry.standing(record, chain.account().address).accredited


# --- Taking back ---


def test_a_revoked_record_does_not_count(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    registry = institution.ledger.registry
    registry.revoke(record.id)
    standing = registry.standing(record, institution.authority.address)
    assert standing.entry is not None
    assert standing.entry.state is RecordState.REVOKED
    assert not standing.counts
    with pytest.raises(NotRegisteredError, match=record.id.hex()):
        registry.add_copy(record.id, some_copy())


def test_a_revoked_claim_takes_its_record_with_it(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    authority = chain.ledger(institution.authority)
    authority.registry.revoke_claim(record.commitment)
    standing = institution.ledger.registry.standing(record, institution.authority.address)
    assert standing.claim_revoked
    assert not standing.counts
    other, claim = institution.record()
    authority.registry.revoke_claim(other.commitment)
    with pytest.raises(ClaimIsRevokedError):
        institution.ledger.registry.register(other, claim.signature)


def test_a_lost_key_disowns_what_was_registered_since_and_nothing_before(chain: Chain) -> None:
    institution = chain.institution()
    before = institution.registered()
    chain.advance(100)
    since = chain.now
    after = institution.registered()
    registry, authority = chain.administrator.registry, institution.authority.address
    assert registry.invalid_since(authority) is None
    registry.invalidate_since(authority, since)
    assert registry.invalid_since(authority) == since
    assert registry.standing(before, authority).counts
    assert registry.standing(after, authority).key_invalidated
    assert not registry.standing(after, authority).counts
    record, claim = institution.record(issued_at=since - 50)
    with pytest.raises(KeyIsInvalidatedError, match=authority):
        institution.ledger.registry.register(record, claim.signature)
    with pytest.raises(AlreadyInvalidatedError):
        registry.invalidate_since(authority, since + 1)
    with pytest.raises(NotTheAuthorityError):
        institution.ledger.registry.invalidate_since(authority, since - 1)


# --- What an owner does ---


def test_a_copy_is_kept_under_its_number(chain: Chain) -> None:
    institution = chain.institution()
    record, copy = institution.registered(), some_copy(5)
    registry = institution.ledger.registry
    event = registry.add_copy(record.id, copy)
    assert (event.id, event.copy) == (record.id, copy)
    assert registry.has_copy(record.id, copy)
    assert not registry.has_copy(record.id, some_copy(5))
    assert not registry.has_copy(record.id, some_copy(6))
    with pytest.raises(CopyExistsError, match="5"):
        registry.add_copy(record.id, some_copy(5))


def test_a_record_can_be_handed_over_and_back_and_over_again(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    mine, yours = institution.ledger, chain.ledger(chain.account())
    me, you = mine.account.address, yours.account.address
    with pytest.raises(NotTheOwnerError, match=me):
        yours.registry.transfer_ownership(record.id, you)
    first = mine.registry.transfer_ownership(record.id, you)
    assert mine.registry.transfer_ownership(record.id, you) == first
    yours.registry.transfer_ownership(record.id, me)
    mine.registry.transfer_ownership(record.id, you)
    entry = mine.registry.entry(record.id)
    assert entry is not None
    assert entry.owner == you


def test_a_grant_can_be_withdrawn_and_given_again(chain: Chain) -> None:
    institution = chain.institution()
    record, recipient = institution.registered(), secrets.token_bytes(32)
    registry = institution.ledger.registry
    granted = registry.grant(record.id, recipient, record.package_root)
    assert registry.grant(record.id, recipient, record.package_root) == granted
    withdrawn = registry.withdraw(record.id, recipient)
    assert registry.withdraw(record.id, recipient) == withdrawn
    again = registry.grant(record.id, recipient, record.package_root)
    assert again != granted
    assert registry.withdraw(record.id, recipient) != withdrawn
    kinds = [type(event) for event in registry.history(record.id)]
    assert kinds == [Registered, Granted, Withdrawn, Granted, Withdrawn]


# --- Batches ---


def test_each_record_of_a_batch_is_usable_with_its_path(chain: Chain) -> None:
    institution = chain.institution()
    made = [institution.record() for _ in range(5)]
    records = [record for record, _ in made]
    authority = institution.authority
    signed = sign_batch(records, authority, issued_at=chain.now)
    registry = institution.ledger.registry
    event = registry.register_batch(signed)
    assert (event.id, event.batch) == (signed.batch.id, signed.batch)
    assert registry.register_batch(signed) == event
    for placed in signed.placed():
        standing = registry.standing(placed.record, authority.address, placed)
        assert standing.counts
        assert standing.entry is not None
        assert standing.entry.registered_at == event.origin.time
        assert registry.standing(placed.record, authority.address).entry is None
    stranger, _ = institution.record()
    placed = replace(signed.placed()[0], record=stranger)
    assert registry.standing(stranger, authority.address, placed).entry is None


def test_a_record_of_a_batch_gets_an_entry_of_its_own(chain: Chain) -> None:
    institution = chain.institution()
    (first, claim), (second, other) = institution.record(), institution.record()
    signed = sign_batch([first, second], institution.authority, issued_at=chain.now)
    registry = institution.ledger.registry
    batch = registry.register_batch(signed)
    placed = signed.placed()[0]
    chain.advance(100)
    with pytest.raises(NotInBatchError):
        registry.register_from_batch(placed, other.signature)
    event = registry.register_from_batch(placed, claim.signature)
    entry = registry.entry(first.id)
    assert entry == Entry(institution.address, batch.origin.time, RecordState.REGISTERED)
    assert registry.find(first.id) == event
    registry.revoke(first.id)
    assert not registry.standing(first, claim.signer, placed).counts
    assert registry.standing(second, claim.signer, signed.placed()[1]).counts


def test_thousands_of_records_go_in_one_batch(chain: Chain) -> None:
    institution = chain.institution()
    model, _ = institution.record()
    records = [replace(model, tag=index.to_bytes(8)) for index in range(1, 3001)]
    signed = sign_batch(records, institution.authority, issued_at=chain.now)
    registry = institution.ledger.registry
    event = registry.register_batch(signed)
    assert event.indices(records[2345].tag) == (2345,)
    placed = signed.placed()[2345]
    assert registry.standing(placed.record, institution.authority.address, placed).counts
    assert [found.id for found in registry.find_batches((2999).to_bytes(8))] == [event.id]


# --- Finding and reading ---


def test_a_record_is_found_by_id_by_voxels_and_by_tag(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    registry = institution.ledger.registry
    copy = registry.add_copy(record.id, replace(some_copy(), voxel_root=record.voxel_root))
    event = registry.find(record.id)
    assert event is not None
    assert event.record == record
    assert list(registry.find_tag(record.tag)) == [event]
    assert list(registry.find_voxel_root(record.voxel_root)) == [event, copy]
    assert registry.find(bytes(32)) is None
    assert list(registry.find_tag(b"nobody's")) == []
    assert list(registry.find_voxel_root(bytes(32))) == []


def test_a_tag_in_a_batch_leads_to_its_places(chain: Chain) -> None:
    institution = chain.institution()
    records = [institution.record()[0] for _ in range(3)]
    records.append(replace(records[1], voxel_root=bytes(32)))
    signed = sign_batch(records, institution.authority, issued_at=chain.now)
    registry = institution.ledger.registry
    event = registry.register_batch(signed)
    assert list(registry.find_batches(records[1].tag)) == [event]
    assert event.indices(records[1].tag) == (1, 3)
    # The bytes are there, but across two tags.
    across = (records[0].tag + records[1].tag)[4:12]
    assert list(registry.find_batches(across)) == []


def test_the_history_of_a_record_is_all_that_happened_to_it(chain: Chain) -> None:
    institution = chain.institution()
    registry = institution.ledger.registry
    other, record = institution.registered(), institution.registered()
    registry.add_copy(record.id, some_copy())
    registry.add_copy(other.id, some_copy())
    registry.transfer_ownership(record.id, institution.address)
    registry.revoke(record.id)
    history = list(registry.history(record.id))
    assert [type(event) for event in history] == [
        Registered,
        CopyAdded,
        OwnershipTransferred,
        Revoked,
    ]
    assert list(registry.history(bytes(32))) == []


def test_events_say_where_and_when_they_happened(chain: Chain) -> None:
    institution = chain.institution()
    record = institution.registered()
    ledger = institution.ledger
    event = ledger.registry.find(record.id)
    assert event is not None
    block = ledger.web3.eth.get_block(event.origin.block)
    assert event.origin.block_hash == block["hash"]
    assert event.origin.time == block["timestamp"]
    assert event.origin.transaction == block["transactions"][event.origin.index]


def test_the_log_can_be_read_on_from_any_block(chain: Chain) -> None:
    for _ in range(3):
        chain.institution().registered()
    registry = chain.administrator.registry
    everything = list(registry.events())
    assert isinstance(everything[0], RoleGranted)
    assert {Accredited, Registered} <= {type(event) for event in everything}
    done: list[int] = []
    middle = everything[len(everything) // 2].origin.block
    first = list(registry.events(last_block=middle, progress=done.append))
    rest = list(registry.events(first_block=done[-1] + 1))
    assert first + rest == everything
    kinds = list(registry.events([Registered, BatchRegistered]))
    assert kinds == [e for e in everything if isinstance(e, Registered | BatchRegistered)]


def test_nothing_but_the_fields_of_the_record_goes_out(chain: Chain) -> None:
    institution = chain.institution()
    image_hash = secrets.token_bytes(32)
    record, _ = institution.record()
    diagnosis = "Glioblastoma, left temporal lobe."
    claim = sign(image_hash, diagnosis, institution.authority, issued_at=record.issued_at)
    record = replace(record, commitment=claim.commitment)
    event = institution.ledger.registry.register(record, claim.signature)
    sent = bytes(institution.ledger.web3.eth.get_transaction(event.origin.transaction)["input"])
    # The selector, the record's words, the period's, and the signature.
    assert len(sent) == 4 + 32 * (len(Record.TYPES) + 1) + 64
    for secret in (image_hash, claim.salt, diagnosis.encode()):
        assert secret not in sent
