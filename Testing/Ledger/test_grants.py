"""Packages that are given away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chains import Chain, open_chain
from deals import Deal, twice

from MedWatermarkLib.exchange import (
    OfferError,
    find_grants,
    receive_grant,
)
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.registry_events import Granted, Registered, Withdrawn
from MedWatermarkLib.sealing import (
    Identity,
)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("embedded") as chain:
        yield chain


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
