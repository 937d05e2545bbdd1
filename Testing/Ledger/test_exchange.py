"""Both sides of an exchange: each story ends as it should, whoever stumbles or cheats."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import deals
import pytest
from chains import DAY, Chain, deploy_token, open_chain
from deals import BOND, PRICE, Cheat, Deal, Purse

from MedWatermarkLib.claim import sign
from MedWatermarkLib.exchange import (
    ExchangeError,
    ExchangeStateError,
    NotYetError,
    OfferError,
    OfferRefusedError,
    Owner,
    Recipient,
    SaleEndedError,
    TooLateError,
    find_grants,
    receive_grant,
    record_of,
)
from MedWatermarkLib.exchange_state import NAME
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import MerkleTree
from MedWatermarkLib.next_step import REVEAL_MARGIN, owners_step, recipients_step
from MedWatermarkLib.offer import GREATEST_NOTE, Note
from MedWatermarkLib.record import Copy
from MedWatermarkLib.registry_events import Granted, Registered, Withdrawn
from MedWatermarkLib.sale import MIN_WINDOW, Sale, SaleState, Terms
from MedWatermarkLib.sale_file import SaleFileError
from MedWatermarkLib.sealed_package import write_sealed_package
from MedWatermarkLib.sealing import (
    CommitmentError,
    Identity,
    WrongIdentityError,
)
from MedWatermarkLib.store_errors import DamagedDownloadError, NotInStoreError, StoreError
from MedWatermarkLib.volume import Volume, image_hash


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


@pytest.fixture
def make_deal(chain: Chain, tmp_path: Path) -> Callable[..., Deal]:
    def make(kind: type[Owner] = Owner) -> Deal:
        return deals.make_deal(chain, tmp_path / secrets.token_hex(4), kind)

    return make


@pytest.fixture
def deal(make_deal: Callable[..., Deal]) -> Deal:
    return make_deal()


def twice(step: Callable[[], Any]) -> Any:
    """Take a step, and take it again, as after a crash that hid that it was taken."""
    first = step()
    assert step() == first
    return first


# --- The honest way ---


def test_every_step_can_be_taken_twice_by_programs_that_know_the_file_alone(deal: Deal) -> None:
    owner_has, recipient_has = Purse(deal.hospital.ledger), Purse(deal.buyer)
    for _ in range(2):
        deal.begin()
    twice(lambda: deal.owner.register())
    terms = twice(deal.offer)
    assert (owner_has.gained, recipient_has.gained) == (-BOND, 0)
    for _ in range(2):
        assert deal.take_up().terms == terms
    twice(deal.download)
    twice(deal.accept)
    assert (owner_has.gained, recipient_has.gained) == (-BOND, -PRICE)
    twice(deal.reveal)
    sealed = twice(lambda: deal.recipient.receive())
    assert sealed.read_bytes() == deal.sealed.read_bytes()
    twice(lambda: deal.owner.collect())
    assert deal.state is SaleState.SETTLED
    assert (owner_has.gained, recipient_has.gained) == (PRICE, -PRICE)
    assert deal.recipient.content(deal.reader) == deal.content


def test_all_steps_before_can_be_taken_again_at_the_end(deal: Deal) -> None:
    deal.until("revealed")
    deal.recipient.receive()
    owner_has, recipient_has = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.until("revealed")
    assert (owner_has.gained, recipient_has.gained) == (0, 0)
    assert deal.state is SaleState.SETTLED


def test_a_silent_recipient_pays_when_its_time_is_over_and_can_still_receive(deal: Deal) -> None:
    deal.until("revealed")
    owner_has = Purse(deal.hospital.ledger)
    with pytest.raises(NotYetError) as error:
        deal.owner.collect()
    assert error.value.due == deal.owner.watch().due
    deal.chain.advance(MIN_WINDOW + 1)
    assert deal.owner.watch().action == "collect"
    twice(lambda: deal.owner.collect())
    assert owner_has.gained == PRICE + BOND
    sealed = deal.recipient.receive()
    assert sealed is not None
    assert sealed.read_bytes() == deal.sealed.read_bytes()


def test_a_copy_that_was_made_for_the_recipient_is_sold(deal: Deal) -> None:
    package = deal.record
    deal.record, claim = deal.hospital.record()
    deal.signature = claim.signature
    deal.copy = Copy(
        number=7,
        recipient=secrets.token_bytes(32),
        voxel_root=secrets.token_bytes(32),
        package_root=package.package_root,
        chunk_count=package.chunk_count,
        content_commitment=package.content_commitment,
    )
    deal.begin()
    twice(lambda: deal.owner.register())
    deal.until("revealed")
    assert deal.recipient.receive() is not None
    assert deal.recipient.inspect().package == deal.copy


def test_a_marked_scan_goes_from_hospital_to_recipient(deal: Deal, ct_phantom: Volume) -> None:
    write_volume(ct_phantom, deal.place / "scan.nrrd")
    claim = sign(image_hash(ct_phantom).digest, "Normal.", deal.hospital.authority)
    deal.sealed.unlink()
    sealed = write_sealed_package(deal.place / "scan.nrrd", claim, deal.sealed, deal.content)
    deal.record = record_of(claim, sealed, deal.hospital.address)
    deal.signature = claim.signature
    deal.until("revealed").recipient.receive()
    package = deal.recipient.unpack(deal.reader, deal.place / "received")
    assert package.claim == claim
    assert package.leaves.root == deal.record.voxel_root
    assert (read_volume(package.image).voxels == ct_phantom.voxels).all()


def test_a_sale_in_a_token_is_paid_only_by_who_means_that_token(deal: Deal) -> None:
    token = deploy_token(deal.buyer, PRICE)
    deal.begin().register()
    deal.offer(token=token.address, bond=0)
    deal.take_up()
    deal.download()
    with pytest.raises(OfferRefusedError, match="price"):
        deal.accept()
    for _ in range(2):
        deal.recipient.accept(PRICE, token.address)
    deal.reveal()
    assert deal.recipient.receive() is not None
    assert token.functions.balanceOf(deal.hospital.address).call() == PRICE
    assert token.functions.balanceOf(deal.buyer.account.address).call() == 0


def test_an_offer_that_nobody_took_is_cancelled(deal: Deal) -> None:
    owner_has = Purse(deal.hospital.ledger)
    deal.until("downloaded")
    twice(lambda: deal.owner.cancel())
    assert owner_has.gained == 0
    with pytest.raises(SaleEndedError):
        deal.accept()
    with pytest.raises(SaleEndedError):
        deal.recipient.receive()
    with pytest.raises(SaleEndedError):
        deal.reveal()


# --- Cheats ---


def test_a_wrong_chunk_costs_the_owner_the_sale_and_the_bond(
    make_deal: Callable[..., Deal],
) -> None:
    deal = make_deal(Cheat)
    owner_has, recipient_has = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.until("revealed")
    assert twice(lambda: deal.recipient.receive()) is None
    assert deal.state is SaleState.REFUNDED
    assert (owner_has.gained, recipient_has.gained) == (-BOND, BOND)
    deal.chain.advance(2 * MIN_WINDOW)
    with pytest.raises(SaleEndedError):
        deal.owner.collect()
    assert not (deal.place / "recipient" / "sealed.age").exists()


def test_a_wrong_chunk_is_found_too_late_once_the_owner_collected(
    make_deal: Callable[..., Deal],
) -> None:
    deal = make_deal(Cheat).until("revealed")
    deal.chain.advance(MIN_WINDOW + 1)
    assert deal.recipient.watch().is_urgent
    deal.owner.collect()
    with pytest.raises(TooLateError, match="Chunk 2 "):
        deal.recipient.receive()


def test_a_silent_owner_loses_its_bond(deal: Deal) -> None:
    owner_has, recipient_has = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.until("accepted")
    with pytest.raises(NotYetError):
        deal.recipient.receive()
    with pytest.raises(NotYetError):
        deal.recipient.refund()
    deal.chain.advance(MIN_WINDOW + 1)
    assert deal.recipient.watch().action == "refund"
    twice(lambda: deal.recipient.refund())
    assert (owner_has.gained, recipient_has.gained) == (-BOND, BOND)
    assert deal.recipient.receive() is None
    with pytest.raises(SaleEndedError):
        deal.reveal()


def test_the_key_is_not_revealed_before_the_acceptance_is_confirmed(deal: Deal) -> None:
    deal.until("downloaded")
    with pytest.raises(NotYetError):
        deal.reveal()
    deal.accept()
    with pytest.raises(NotYetError, match="3 blocks"):
        deal.owner.reveal(deal.keeper, confirmations=3)
    deal.chain.advance(1)
    deal.chain.advance(1)
    deal.owner.reveal(deal.keeper, confirmations=3)
    assert deal.state is SaleState.REVEALED


@pytest.mark.parametrize("late", [MIN_WINDOW - REVEAL_MARGIN + 5, MIN_WINDOW + 5])
def test_the_key_is_not_revealed_when_the_recipient_could_have_both(deal: Deal, late: int) -> None:
    deal.until("accepted")
    deal.chain.advance(late)
    with pytest.raises(TooLateError):
        deal.reveal()
    assert deal.state is SaleState.ACCEPTED
    assert deal.owner.watch().is_urgent


# --- What the recipient refuses ---


def test_a_record_that_was_revoked_since_the_download_is_not_paid_for(deal: Deal) -> None:
    deal.until("downloaded")
    assert deal.recipient.inspect().objections == ()
    deal.hospital.ledger.registry.revoke(deal.record.id)
    with pytest.raises(OfferRefusedError, match="revoked the record"):
        deal.accept()
    with pytest.raises(OfferRefusedError, match="revoked the record"):
        deal.download()


def test_a_package_that_is_not_registered_is_refused(deal: Deal) -> None:
    deal.begin()
    deal.offer()
    with pytest.raises(OfferRefusedError, match="not on the registry"):
        deal.take_up().download(deal.reader, deal.store)


def test_who_does_not_own_the_record_cannot_sell_it(make_deal: Callable[..., Deal]) -> None:
    deal, thief = make_deal(), make_deal()
    deal.begin().register()
    thief.record, thief.signature, thief.content = deal.record, deal.signature, deal.content
    thief.sealed.write_bytes(deal.sealed.read_bytes())
    thief.begin()
    thief.offer()
    with pytest.raises(OfferRefusedError, match="not the owner of the record"):
        thief.take_up().download(thief.reader, thief.store)


def test_an_envelope_for_another_is_refused(deal: Deal) -> None:
    deal.until("taken up")
    with pytest.raises(WrongIdentityError):
        deal.recipient.download(Identity.generate(), deal.store)
    assert deal.recipient.watch().action == "download"


def test_an_envelope_with_another_content_identity_is_refused(deal: Deal) -> None:
    class Swap(Owner):
        def _content(self, identity: Identity) -> Identity:
            return Identity.generate()

    deal.kind = Swap
    deal.until("taken up")
    with pytest.raises(CommitmentError):
        deal.download()
    with pytest.raises(NotYetError):
        deal.accept()


def test_another_price_than_was_meant_is_not_paid(deal: Deal) -> None:
    deal.until("downloaded")
    with pytest.raises(OfferRefusedError, match="price"):
        deal.recipient.accept(PRICE - 1)


def test_a_package_that_is_too_large_is_not_downloaded(deal: Deal) -> None:
    deal.until("taken up")
    with pytest.raises(OfferRefusedError, match="larger"):
        deal.recipient.download(deal.reader, deal.store, greatest=100)


def test_another_file_than_the_terms_say_is_refused(deal: Deal) -> None:
    class Other(Owner):
        def _prepare(self, *arguments: Any) -> Terms:
            terms = replace(super()._prepare(*arguments), cipher_root=secrets.token_bytes(32))
            self._keep(replace(self._state, terms=terms))
            return terms

    deal.kind = Other
    deal.until("taken up")
    with pytest.raises(SaleFileError, match="not the one that its terms name"):
        deal.download()


def test_leaves_of_another_package_are_refused(deal: Deal) -> None:
    leaves = [secrets.token_bytes(32) for _ in range(deal.record.chunk_count)]

    class Other(Owner):
        def _tree(self) -> MerkleTree:
            return MerkleTree(leaves)

    deal.kind = Other
    deal.until("taken up")
    with pytest.raises(SaleFileError, match="not those of the registered package"):
        deal.download()


def test_files_that_were_replaced_in_the_store_are_refused(deal: Deal) -> None:
    deal.until("taken up")
    for file in sorted((deal.place / "store").iterdir()):
        for fetched in ("note", "leaves", "sale"):
            (deal.place / "recipient" / fetched).unlink(missing_ok=True)
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(DamagedDownloadError):
            deal.download()
        file.write_bytes(content)
    deal.download()


# --- Crashes and accidents ---


def test_an_offer_that_broke_off_before_the_chain_goes_on_with_the_same_terms(deal: Deal) -> None:
    deal.begin().register()
    store = deal.place / "store"
    store.rmdir()
    with pytest.raises(StoreError):
        deal.offer()
    before = deal.owner.terms
    assert before is not None
    assert deal.state is SaleState.NONE
    store.mkdir()
    (deal.place / "owner" / "sale").unlink()  # as if the disk had been cleared meanwhile
    assert deal.offer() == before
    deal.take_up().download(deal.reader, deal.store)


def test_steps_that_are_taken_again_on_another_machine_send_nothing(deal: Deal) -> None:
    deal.until("revealed").recipient.receive()
    deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)
    block = deal.buyer.web3.eth.block_number
    # It has the folders, but nothing of what the accounts sent.
    journal = Journal(deal.place / "journal")
    hospital = deal.hospital.ledger
    deal.hospital = replace(deal.hospital, ledger=hospital.with_account(hospital.account, journal))
    deal.buyer = deal.buyer.with_account(deal.buyer.account, journal)
    deal.until("revealed").recipient.receive()
    deal.owner.collect()
    deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)
    assert deal.buyer.web3.eth.block_number == block
    deal.owner.withdraw(deal.reader.recipient)
    block = deal.buyer.web3.eth.block_number
    deal.hospital = replace(deal.hospital, ledger=hospital)
    deal.owner.withdraw(deal.reader.recipient)
    assert deal.buyer.web3.eth.block_number == block


def test_what_was_begun_is_not_offered_on_other_terms(deal: Deal) -> None:
    deal.until("offered")
    for other in ({"price": 1}, {"bond": 1}, {"open_until": 1}, {"reveal_window": DAY}):
        with pytest.raises(ExchangeError, match="another folder"):
            deal.offer(**other)


def test_an_offer_that_lapsed_before_it_was_sent_is_made_anew(deal: Deal) -> None:
    deal.begin().register()
    (deal.place / "store").rename(deal.place / "gone")
    with pytest.raises(StoreError):
        deal.offer(open_until=deal.chain.now + 600)
    before = deal.owner.terms
    deal.chain.advance(700)
    (deal.place / "gone").rename(deal.place / "store")
    after = deal.offer()
    assert before is not None
    assert after.key_commitment != before.key_commitment
    assert deal.state is SaleState.OFFERED


def test_a_store_that_lost_what_was_offered_gets_it_again(deal: Deal) -> None:
    deal.until("taken up")
    for file in (deal.place / "store").iterdir():
        file.unlink()
    with pytest.raises(NotInStoreError):
        deal.download()
    deal.owner.publish(deal.keeper, deal.store)
    deal.download()


def test_a_damaged_sealed_package_is_not_offered(deal: Deal) -> None:
    deal.begin().register()
    sealed = deal.place / "owner" / "sealed.age"
    sealed.write_bytes(bytes(sealed.stat().st_size))
    with pytest.raises(ExchangeError, match="put a whole copy there"):
        deal.offer()


@pytest.mark.parametrize("damaged", ["sale", "leaves", "note"])
def test_what_was_damaged_after_paying_is_downloaded_again_and_not_complained_of(
    deal: Deal, damaged: str
) -> None:
    deal.until("revealed")
    file = deal.place / "recipient" / damaged
    file.write_bytes(bytes(file.stat().st_size))
    if damaged == "note":
        with pytest.raises(ExchangeError, match="download it again"):
            deal.recipient.content(deal.reader)
    else:
        with pytest.raises(ExchangeError, match="download it again"):
            deal.recipient.receive()
        assert deal.recipient.watch().action == "download"
    assert deal.state is SaleState.REVEALED
    deal.download()
    sealed = deal.recipient.receive()
    assert sealed is not None
    assert sealed.read_bytes() == deal.sealed.read_bytes()


@pytest.mark.parametrize("damaged", ["sale", "leaves"])
def test_what_was_damaged_since_the_download_is_not_paid_for(deal: Deal, damaged: str) -> None:
    deal.until("downloaded")
    (deal.place / "recipient" / damaged).unlink()
    with pytest.raises(ExchangeError, match="download it again"):
        deal.accept()
    assert deal.state is SaleState.OFFERED
    assert deal.recipient.watch().action == "download"
    deal.download()
    deal.accept()


def test_two_programs_do_not_take_steps_in_one_folder_at_once(deal: Deal) -> None:
    deal.begin().register()
    two, shares = (deal.owner, deal.owner), []

    def offer_too(share: float) -> None:
        shares.append(share)
        with pytest.raises(ExchangeError, match="Another program is at work"):
            two[1].grant(deal.reader.recipient, deal.keeper, deal.store)

    deal.offer(progress=offer_too)
    assert shares
    # What the one did, the other knows.
    assert two[1].watch().state is SaleState.OFFERED
    two[1].cancel()


def test_a_recipient_who_lost_its_folder_begins_again(deal: Deal) -> None:
    deal.until("revealed")
    (deal.place / "recipient").rename(deal.place / "lost")
    recipient = deal.take_up()
    assert recipient.watch().action == "download"
    deal.download()
    assert deal.recipient.receive() is not None


def test_an_owner_who_lost_its_folder_reveals_all_the_same(deal: Deal) -> None:
    deal.until("accepted")
    (deal.place / "owner").rename(deal.place / "lost")
    sale_id = deal.recipient.sale_id
    deal.begin()
    twice(lambda: deal.owner.adopt(sale_id, deal.store))
    deal.reveal()
    assert deal.recipient.receive() is not None


def test_a_sale_of_another_is_not_adopted(make_deal: Callable[..., Deal]) -> None:
    deal, other = make_deal().until("taken up"), make_deal()
    other.begin()
    for id in (deal.recipient.sale_id, bytes(32)):
        with pytest.raises(ExchangeError, match="no such offer"):
            other.owner.adopt(id, deal.store)


def test_another_identity_than_the_offer_was_made_with_reveals_nothing(deal: Deal) -> None:
    deal.until("accepted")
    with pytest.raises(ExchangeError, match="another age identity"):
        deal.owner.reveal(Identity.generate())


def test_a_file_of_states_that_is_none_is_refused(deal: Deal) -> None:
    deal.until("taken up")
    path = deal.place / "owner" / NAME
    text = path.read_text()
    for wrong in ("", "{}", "[1]", text[:-30], text.replace('"record"', '"recorD"')):
        path.write_text(wrong)
        with pytest.raises(ExchangeStateError):
            deal.owner  # noqa: B018
    path.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(ExchangeStateError, match="version 2"):
        deal.owner  # noqa: B018
    path.write_text(text.replace(deal.buyer.config.exchange, "0x" + 40 * "0"))
    with pytest.raises(ExchangeStateError, match="another ledger"):
        deal.owner  # noqa: B018
    path.write_bytes((deal.place / "recipient" / NAME).read_bytes())
    with pytest.raises(ExchangeStateError, match="other side"):
        deal.owner  # noqa: B018


# --- Deadlines ---


def test_both_are_warned_before_a_deadline(deal: Deal) -> None:
    deal.begin()
    assert deal.owner.watch().action == "register"
    deal.owner.register()
    assert deal.owner.watch().action == "offer"
    terms = deal.offer(reveal_window=2 * DAY, complaint_window=2 * DAY)
    recipient = deal.take_up()
    step = recipient.watch()
    assert (step.action, step.due, step.is_urgent) == ("download", terms.open_until, False)
    deal.download()
    assert deal.recipient.watch().action == "accept"
    deal.chain.advance(7 * DAY - 3600)
    assert deal.recipient.watch().is_urgent
    deal.accept()
    step = deal.owner.watch()
    assert (step.action, step.is_urgent) == ("reveal", False)
    assert deal.recipient.watch().action == ""
    deal.chain.advance(2 * DAY - 3600)
    assert deal.owner.watch().is_urgent
    deal.reveal()
    step = deal.recipient.watch()
    assert (step.action, step.is_urgent) == ("receive", False)
    deal.chain.advance(2 * DAY - 3600)
    assert deal.recipient.watch().is_urgent
    deal.recipient.receive()
    assert {deal.owner.watch().action, deal.recipient.watch().action} == {""}


@pytest.mark.parametrize("state", SaleState)
@pytest.mark.parametrize("now", [0, 10**6 - 1, 10**6, 10**6 + 1, 2**40])
def test_whatever_stands_there_has_a_sentence_and_a_step_that_can_be_taken(
    state: SaleState, now: int
) -> None:
    sale = Sale(state, 10**6)
    owners = owners_step(sale, now)
    assert not owners.action or callable(getattr(Owner, owners.action))
    for is_checked in (False, True):
        step = recipients_step(sale, is_checked, now)
        assert not step.action or callable(getattr(Recipient, step.action))
        assert step.sentence.endswith(".")
        assert (step.state, owners.state) == (state, state)
        # Nobody is hurried who can do nothing.
        assert step.action or not step.is_urgent


# --- Notes ---


def test_a_note_that_is_none_is_refused() -> None:
    note = Note("ab" * 32, b"envelope", "cd" * 32, bytes(32))
    content = note.to_bytes()
    assert Note.from_bytes(content) == note
    wrong = [
        b"",
        b"[]",
        b"{}",
        content[:-1],
        content + b" ",
        content.replace(b'"file":', b'"file" :'),
        content.replace(b"ab" * 32, b"../" + b"ab" * 31),
        content.replace(b'"' + b"cd" * 32 + b'"', b"7"),
        content.replace(b"00" * 32, b"00" * 31),
        content.replace(b'"version":1', b'"version":1,"more":2'),
        content.replace(b'"version":1', b'"version":true'),
        b"[" * GREATEST_NOTE,
    ]
    for each in wrong:
        with pytest.raises(OfferError, match="no note"):
            Note.from_bytes(each)
    with pytest.raises(OfferError, match="version 2"):
        Note.from_bytes(content.replace(b'"version":1', b'"version":2'))


# --- Grants ---


def test_a_grant_is_received_by_whom_it_is_for_and_stands_in_the_audit_trail(deal: Deal) -> None:
    deal.begin().register()
    grant = lambda: deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)  # noqa: E731
    recipient = twice(grant)
    place = deal.place / "granted.age"
    reader = Ledger(deal.buyer.web3, deal.buyer.config, None, None)

    def receive(identity: Identity, place: Path) -> Identity:
        return receive_grant(reader, deal.record.id, identity, deal.store, place)

    content = twice(lambda: receive(deal.reader, place))
    assert content == deal.content
    assert place.read_bytes() == deal.sealed.read_bytes()
    with pytest.raises(OfferError, match="granted to your public key"):
        receive(Identity.generate(), deal.place / "other.age")
    (found,) = find_grants(reader, deal.record.id)
    assert (found.recipient, found.is_withdrawn) == (recipient, False)
    events = [type(each) for each in reader.registry.history(deal.record.id)]
    assert events == [Registered, Granted]

    twice(lambda: deal.owner.withdraw(deal.reader.recipient))
    (found,) = find_grants(reader, deal.record.id)
    assert found.is_withdrawn
    with pytest.raises(OfferError, match="not any more"):
        receive(deal.reader, deal.place / "again.age")

    # What was taken back can be given again, and each time stands there once.
    assert twice(grant) == recipient
    events = [type(each) for each in reader.registry.history(deal.record.id)]
    assert events == [Registered, Granted, Withdrawn, Granted]
    assert receive(deal.reader, deal.place / "again.age") == deal.content


def test_a_granted_package_of_a_revoked_record_is_refused(deal: Deal) -> None:
    deal.begin().register()
    deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)
    deal.hospital.ledger.registry.revoke(deal.record.id)
    place = deal.place / "granted.age"
    with pytest.raises(OfferError, match="revoked the record"):
        receive_grant(deal.buyer, deal.record.id, deal.reader, deal.store, place)
    assert not place.exists()
