"""What was lost, damaged or left half done: an exchange goes on all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from chains import DAY, Chain, open_chain
from deals import Deal, MakeDeal

from MedWatermarkLib.exchange import (
    ExchangeError,
    ExchangeStateError,
    Owner,
)
from MedWatermarkLib.exchange_state import NAME
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.sale import SaleState
from MedWatermarkLib.sealing import (
    Identity,
)
from MedWatermarkLib.store_errors import NotInStoreError, StoreError


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


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
    ledger, folder = deal.hospital.ledger, deal.place / "owner"
    for _ in range(2):
        owner = Owner.recover(folder, ledger, sale_id, deal.keeper, deal.store)
        assert owner.record == deal.record
    deal.reveal()
    assert deal.recipient.receive() is not None
    with pytest.raises(ExchangeError, match="share the scan anew"):
        deal.owner.grant(deal.reader.recipient, deal.keeper, deal.store)


def test_only_ones_own_sale_is_recovered_and_with_the_identity_that_offered_it(
    make_deal: MakeDeal,
) -> None:
    deal, other = make_deal().until("taken up"), make_deal()
    ledger, sale_id, place = deal.hospital.ledger, deal.recipient.sale_id, deal.place / "new"
    for owner, id in ((other.hospital.ledger, sale_id), (ledger, bytes(32))):
        with pytest.raises(ExchangeError, match="no such offer"):
            Owner.recover(place, owner, id, deal.keeper, deal.store)
    with pytest.raises(ExchangeError, match="another age identity"):
        Owner.recover(place, ledger, sale_id, other.keeper, deal.store)
    with pytest.raises(ExchangeError, match="Another sale"):
        Owner.recover(deal.place / "owner", ledger, bytes(32), deal.keeper, deal.store)


def test_a_complaint_that_has_no_ground_pays_nothing(deal: Deal) -> None:
    deal.until("revealed")
    assert not deal.recipient.complain()
    assert deal.state is SaleState.REVEALED


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
