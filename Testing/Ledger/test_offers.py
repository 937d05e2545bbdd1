"""What a recipient refuses before it pays, and the notes that offers and grants come with."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from chains import Chain, open_chain
from deals import PRICE, Deal, MakeDeal

from MedWatermarkLib.exchange import (
    NotYetError,
    OfferError,
    OfferRefusedError,
    Owner,
)
from MedWatermarkLib.merkle import MerkleTree
from MedWatermarkLib.offer import GREATEST_NOTE, Note
from MedWatermarkLib.sale import Terms
from MedWatermarkLib.sale_file import SaleFileError
from MedWatermarkLib.sealing import (
    CommitmentError,
    Identity,
    WrongIdentityError,
)
from MedWatermarkLib.store_errors import DamagedDownloadError


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


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


def test_who_does_not_own_the_record_cannot_sell_it(make_deal: MakeDeal) -> None:
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
