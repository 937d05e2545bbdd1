"""A chain that takes blocks back takes no step of an exchange for good, and gives no key away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chains import Chain, open_chain
from deals import PRICE, Deal, Purse

from MedWatermarkLib.exchange import NotYetError
from MedWatermarkLib.ledger_errors import NonceTakenError
from MedWatermarkLib.offer import sale_key
from MedWatermarkLib.sale import SaleState

CONFIRMATIONS = 3


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("anvil") as chain:
        yield chain


def _reorganise(deal: Deal, depth: int, *replacements: bytes) -> None:
    """Take the last blocks back, and put others in their places."""
    node = deal.chain.node
    assert node is not None
    node.rpc("anvil_reorg", depth, [["0x" + each.hex(), 0] for each in replacements])


def _mine(deal: Deal, blocks: int = 1) -> None:
    assert deal.chain.node is not None
    deal.chain.node.mine(blocks)


def _reveal(deal: Deal) -> None:
    deal.owner.reveal(deal.keeper, confirmations=CONFIRMATIONS)


def _key_was_sent(deal: Deal) -> bool:
    """Tell whether the key of the sale is in any block or pool."""
    note, node = deal.owner._state.note, deal.chain.node
    assert note is not None
    assert node is not None
    key, eth = sale_key(deal.keeper, note.salt), deal.buyer.web3.eth
    sent = [str(node.rpc("txpool_content"))]
    for number in range(eth.block_number + 1):
        transactions = eth.get_block(number, full_transactions=True)["transactions"]
        sent += [bytes(each["input"]).hex() for each in transactions]
    return any(key.hex() in each for each in sent)


def test_the_key_waits_until_the_acceptance_is_confirmed_and_is_not_given_for_one_taken_back(
    deal: Deal,
) -> None:
    purses = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.until("accepted")
    for blocks in range(1, CONFIRMATIONS):
        with pytest.raises(NotYetError, match="3 blocks"):
            _reveal(deal)
        if blocks < CONFIRMATIONS - 1:
            _mine(deal)
    _reorganise(deal, CONFIRMATIONS - 1)
    assert deal.state is SaleState.OFFERED
    assert purses[1].gained == 0
    _mine(deal, 2 * CONFIRMATIONS)
    with pytest.raises(NotYetError, match="not accepted"):
        _reveal(deal)
    assert not _key_was_sent(deal)
    # The recipient, who meant it, pays again what it had paid, and once.
    deal.accept()
    assert purses[1].gained == -PRICE
    with pytest.raises(NotYetError, match="3 blocks"):
        _reveal(deal)
    _mine(deal, CONFIRMATIONS - 1)
    _reveal(deal)
    assert _key_was_sent(deal)
    assert deal.recipient.receive() is not None
    assert [purse.gained for purse in purses] == [PRICE, -PRICE]


def test_a_recipient_who_takes_its_payment_back_by_a_reorganisation_gets_no_key(
    deal: Deal,
) -> None:
    purses = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.until("downloaded")
    account, eth = deal.buyer.account, deal.buyer.web3.eth
    other = account.sign_transaction(
        {
            "to": account.address,
            "value": 0,
            "nonce": eth.get_transaction_count(account.address),
            "gas": 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "chainId": eth.chain_id,
        }
    ).raw_transaction
    deal.accept()
    _mine(deal)
    with pytest.raises(NotYetError, match="3 blocks"):
        _reveal(deal)
    _reorganise(deal, 2, other)
    _mine(deal, 2 * CONFIRMATIONS)
    with pytest.raises(NotYetError, match="not accepted"):
        _reveal(deal)
    assert not _key_was_sent(deal)
    with pytest.raises(NonceTakenError):
        deal.accept()
    deal.owner.cancel()
    assert [purse.gained for purse in purses] == [0, 0]


def test_every_step_that_the_chain_took_back_is_brought_again_and_none_twice(deal: Deal) -> None:
    purses = Purse(deal.hospital.ledger), Purse(deal.buyer)
    deal.begin()
    steps: list[tuple[Callable[[], object], SaleState]] = [
        (lambda: deal.owner.register(), SaleState.NONE),
        (deal.offer, SaleState.OFFERED),
        (deal.accept, SaleState.ACCEPTED),
        (deal.reveal, SaleState.REVEALED),
        (lambda: deal.recipient.receive(), SaleState.SETTLED),
    ]
    registry = deal.buyer.registry
    before = deal.state
    for step, state in steps:
        if step == deal.accept:
            deal.take_up()
            deal.download()
        step()
        _reorganise(deal, 1)
        assert deal.state is before
        is_registered = registry.entry(deal.record.id) is not None
        assert is_registered == (state is not SaleState.NONE)
        step()
        assert deal.state is state
        before = state
    assert [purse.gained for purse in purses] == [PRICE, -PRICE]
    assert registry.entry(deal.record.id) is not None
