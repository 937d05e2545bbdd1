"""Either side is killed at whatever it does, and the exchange ends as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chains import Chain, open_chain
from deals import BOND, PRICE, Cheat, Purse, make_deal
from parties import parties, run_killed

from MedWatermarkLib.exchange import Owner
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_errors import UnconfirmedError
from MedWatermarkLib.next_step import REVEAL_MARGIN
from MedWatermarkLib.refusals import typed_refusal
from MedWatermarkLib.sale import MIN_WINDOW, SaleState
from MedWatermarkLib.sale_events import Accepted, Offered
from MedWatermarkLib.transactions import Transactions

KILLS = 8


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("anvil") as chain:
        yield chain


@pytest.mark.parametrize(
    ("kind", "end", "owner_gains", "recipient_gains"),
    [
        (Owner, SaleState.SETTLED, PRICE, -PRICE),
        (Cheat, SaleState.REFUNDED, -BOND, BOND),
    ],
    ids=["honest", "cheat"],
)
def test_an_exchange_ends_the_same_however_often_its_sides_are_killed(
    chain: Chain,
    tmp_path: Path,
    kind: type[Owner],
    end: SaleState,
    owner_gains: int,
    recipient_gains: int,
) -> None:
    deal = make_deal(chain, tmp_path / "deal", kind)
    purses = Purse(deal.hospital.ledger), Purse(deal.buyer)
    chance = random.Random(20)
    owner, recipient = parties(deal)
    killed = [run_killed(side, KILLS, chance) for side in (owner, recipient) * 2]
    assert all(killed), killed
    assert deal.state is end
    assert [purse.gained for purse in purses] == [owner_gains, recipient_gains]
    # No step was taken twice: registered, offered, revealed; accepted, and settled or complained.
    count = deal.buyer.web3.eth.get_transaction_count
    assert count(deal.hospital.address) == 3
    assert count(deal.buyer.account.address) == 2
    id = deal.recipient.sale_id
    assert len(list(deal.buyer.exchange.events([Offered, Accepted], id=id))) == 2
    received = deal.place / "recipient" / "sealed.age"
    if end is SaleState.SETTLED:
        assert received.read_bytes() == deal.sealed.read_bytes()
    else:
        assert not received.exists()
    assert len(list(deal.place.glob("store/[!.]*"))) == 3
    # Of what killed ones had half written nothing is left.
    assert not list(deal.place.rglob(".*.part/content/*"))


def test_a_reveal_that_was_sent_in_time_is_brought_to_its_end_in_the_last_minutes(
    chain: Chain, tmp_path: Path
) -> None:
    deal, node = make_deal(chain, tmp_path / "deal"), chain.node
    assert node is not None
    deal.until("accepted")
    ledger = deal.hospital.ledger
    hasty = Transactions(
        ledger.web3,
        ledger.account,
        Journal(tmp_path / "journal"),
        fee_ceiling=10**12,
        timeout=1.0,
        decode=typed_refusal,
    )
    deal.hospital = replace(
        deal.hospital, ledger=Ledger(ledger.web3, ledger.config, ledger.account, hasty)
    )
    node.rpc("evm_setAutomine", False)
    try:
        with pytest.raises(UnconfirmedError):
            deal.reveal()
        # The pools have forgotten it, but somebody may have seen the key.
        node.rpc("anvil_dropAllTransactions")
        chain.advance(MIN_WINDOW - REVEAL_MARGIN + 60)
    finally:
        node.rpc("evm_setAutomine", True)
    assert deal.state is SaleState.ACCEPTED
    deal.reveal()
    assert deal.state is SaleState.REVEALED
