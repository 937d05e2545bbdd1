"""Both sides of an exchange: each story ends as it should, whoever is silent or cheats."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
from chains import DAY, Chain, deploy_token, open_chain
from deals import BOND, PRICE, Deal, MakeDeal, Purse, twice

from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.claim import sign
from MedWatermarkLib.exchange import (
    NotYetError,
    OfferRefusedError,
    Owner,
    Recipient,
    SaleEndedError,
    TooLateError,
    record_of,
)
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.next_step import REVEAL_MARGIN, owners_step, recipients_step
from MedWatermarkLib.record import Copy
from MedWatermarkLib.sale import MIN_WINDOW, Sale, SaleState
from MedWatermarkLib.sealed_package import write_sealed_package
from MedWatermarkLib.volume import Volume, image_hash


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


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
    make_deal: MakeDeal,
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
    make_deal: MakeDeal,
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
