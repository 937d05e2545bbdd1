"""Either side is killed at whatever it does, and the exchange ends as if nothing had happened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chains import Chain, open_chain
from deals import make_deal
from parties import Party, run_killed
from stories import STORIES, tell

from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_errors import UnconfirmedError
from MedWatermarkLib.next_step import REVEAL_MARGIN
from MedWatermarkLib.refusals import typed_refusal
from MedWatermarkLib.sale import MIN_WINDOW, SaleState
from MedWatermarkLib.transactions import Transactions

KILLS = 3


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("anvil") as chain:
        yield chain


@pytest.mark.parametrize("name", STORIES)
def test_an_exchange_ends_the_same_however_often_its_sides_are_killed(
    chain: Chain, tmp_path: Path, name: str
) -> None:
    chance, killed = random.Random(20), []

    def take(side: Party, act: str, number: int) -> None:
        killed.append(run_killed(side, act, KILLS, chance))

    tell(STORIES[name], chain, tmp_path / "deal", take)
    assert sum(killed) >= len(killed), killed


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
