"""The exchange, on a chain in this process and on a node."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from chains import DAY, KINDS, Chain, deploy_token, open_chain

from MedWatermarkLib.keystream import CHUNK_SIZE, cipher, key_commitment
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import MerkleTree, leaf_hash
from MedWatermarkLib.refusals import (
    ChunkIsRightError,
    EmptyPackageError,
    NoCreditError,
    NotAPartyError,
    NotInCipherTreeError,
    NotInPackageTreeError,
    NotTheRecipientError,
    NotTheSellerError,
    OfferExpiredError,
    TokenBalanceError,
    TooEarlyError,
    TransferFailedError,
    WindowOutOfRangeError,
    WrongChunkSizeError,
    WrongKeyError,
    WrongStateError,
)
from MedWatermarkLib.sale import COIN, MAX_WINDOW, MIN_WINDOW, Sale, SaleState, Terms
from MedWatermarkLib.sale_events import (
    Accepted,
    Cancelled,
    Complained,
    Credited,
    Offered,
    Refunded,
    Revealed,
    Settled,
)

PRICE, BOND = 10**18, 10**17
CHUNKS = 5


@pytest.fixture(scope="module", params=KINDS)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with open_chain(request.param) as chain:
        yield chain


@dataclass(frozen=True)
class Deal:
    """A package, its cipher, and both sides of its sale."""

    chain: Chain
    owner: Ledger
    recipient: Ledger
    key: bytes
    sealed: bytes
    encrypted: bytes
    terms: Terms

    @property
    def id(self) -> bytes:
        return self.owner.exchange.sale_id(self.terms)

    @property
    def sale(self) -> Sale:
        return self.recipient.exchange.sale(self.id)

    def complaint(self, index: int) -> tuple[Any, ...]:
        """Return what `complain` takes beside the terms."""
        place = slice(index * CHUNK_SIZE, (index + 1) * CHUNK_SIZE)
        leaf = leaf_hash(index, self.sealed[place])
        return (
            self.key,
            index,
            self.encrypted[place],
            _tree(self.encrypted).path(index),
            leaf,
            _tree(self.sealed).path(index),
        )


def _tree(data: bytes) -> MerkleTree:
    return MerkleTree(
        leaf_hash(index, data[index * CHUNK_SIZE : (index + 1) * CHUNK_SIZE])
        for index in range(len(data) // CHUNK_SIZE)
    )


def deal(
    chain: Chain, *, wrong_chunk: int | None = None, recipient: Ledger | None = None, **fields: Any
) -> Deal:
    """Agree on a sale, in which one chunk may not be what was promised."""
    owner = chain.ledger(chain.account())
    recipient = recipient or chain.ledger(chain.account())
    key, sealed = secrets.token_bytes(32), secrets.token_bytes(CHUNKS * CHUNK_SIZE)
    encrypted = bytearray(cipher(key, 0, sealed))
    if wrong_chunk is not None:
        encrypted[wrong_chunk * CHUNK_SIZE] ^= 1
    terms = Terms(
        owner=owner.account.address,
        recipient=recipient.account.address,
        record=secrets.token_bytes(32),
        package_root=_tree(sealed).root,
        cipher_root=_tree(bytes(encrypted)).root,
        key_commitment=key_commitment(key),
        size=len(sealed) - 3,
        token=COIN,
        price=PRICE,
        bond=BOND,
        open_until=chain.now + DAY,
        reveal_window=MIN_WINDOW,
        complaint_window=MIN_WINDOW,
        nonce=7,
    )
    return Deal(chain, owner, recipient, key, sealed, bytes(encrypted), replace(terms, **fields))


def balance(ledger: Ledger) -> int:
    return ledger.web3.eth.get_balance(ledger.account.address)


# --- The honest way ---


def test_an_honest_sale_pays_the_owner_and_gives_the_bond_back(chain: Chain) -> None:
    sale = deal(chain)
    owned, had = balance(sale.owner), balance(sale.recipient)
    offered = sale.owner.exchange.offer(sale.terms)
    assert (offered.id, offered.terms) == (sale.id, sale.terms)
    assert sale.sale == Sale(SaleState.OFFERED, sale.terms.open_until)
    accepted = sale.recipient.exchange.accept(sale.terms)
    assert sale.sale == Sale(SaleState.ACCEPTED, accepted.deadline)
    revealed = sale.owner.exchange.reveal(sale.terms, sale.key)
    assert revealed.key == sale.key
    assert sale.sale == Sale(SaleState.REVEALED, revealed.deadline)
    sale.recipient.exchange.settle(sale.terms)
    assert sale.sale == Sale(SaleState.SETTLED, 0)
    fees = 10**16
    assert owned + PRICE - fees < balance(sale.owner) < owned + PRICE
    assert had - PRICE - fees < balance(sale.recipient) < had - PRICE
    events = list(sale.recipient.exchange.events(id=sale.id))
    assert [type(event) for event in events] == [Offered, Accepted, Revealed, Settled]
    assert events[2] == revealed


def test_asking_twice_for_each_step_pays_once(chain: Chain) -> None:
    sale = deal(chain)
    assert sale.owner.exchange.offer(sale.terms) == sale.owner.exchange.offer(sale.terms)
    had = balance(sale.recipient)
    assert sale.recipient.exchange.accept(sale.terms) == sale.recipient.exchange.accept(sale.terms)
    assert had - balance(sale.recipient) < 2 * PRICE
    sale.owner.exchange.reveal(sale.terms, sale.key)
    settled = sale.recipient.exchange.settle(sale.terms)
    assert sale.recipient.exchange.accept(sale.terms).id == sale.id
    assert sale.recipient.exchange.settle(sale.terms) == settled
    kinds = [type(event) for event in sale.owner.exchange.events(id=sale.id)]
    assert kinds == [Offered, Accepted, Revealed, Settled]


def test_an_offer_can_be_cancelled_until_it_is_accepted(chain: Chain) -> None:
    sale = deal(chain)
    owned = balance(sale.owner)
    sale.owner.exchange.offer(sale.terms)
    assert owned - balance(sale.owner) > BOND
    assert isinstance(sale.owner.exchange.cancel(sale.terms), Cancelled)
    assert owned - balance(sale.owner) < BOND
    with pytest.raises(WrongStateError, match="cancelled"):
        sale.recipient.exchange.accept(sale.terms)


def test_the_owner_settles_when_the_recipient_never_does(chain: Chain) -> None:
    sale = deal(chain)
    sale.owner.exchange.offer(sale.terms)
    sale.recipient.exchange.accept(sale.terms)
    sale.owner.exchange.reveal(sale.terms, sale.key)
    with pytest.raises(TooEarlyError, match="UTC"):
        sale.owner.exchange.settle(sale.terms)
    with pytest.raises(NotAPartyError):
        chain.administrator.exchange.settle(sale.terms)
    chain.advance(MIN_WINDOW + 1)
    sale.owner.exchange.settle(sale.terms)
    assert sale.sale.state is SaleState.SETTLED


# --- Those who cheat ---


def test_an_owner_who_never_reveals_loses_its_bond(chain: Chain) -> None:
    sale = deal(chain)
    sale.owner.exchange.offer(sale.terms)
    had = balance(sale.recipient)
    sale.recipient.exchange.accept(sale.terms)
    with pytest.raises(TooEarlyError):
        sale.recipient.exchange.refund(sale.terms)
    chain.advance(MIN_WINDOW + 1)
    assert isinstance(sale.recipient.exchange.refund(sale.terms), Refunded)
    assert balance(sale.recipient) > had
    with pytest.raises(WrongStateError, match="refunded"):
        sale.owner.exchange.reveal(sale.terms, sale.key)


def test_a_chunk_that_is_not_what_was_promised_is_money_back(chain: Chain) -> None:
    sale = deal(chain, wrong_chunk=3)
    sale.owner.exchange.offer(sale.terms)
    had = balance(sale.recipient)
    sale.recipient.exchange.accept(sale.terms)
    sale.owner.exchange.reveal(sale.terms, sale.key)
    with pytest.raises(ChunkIsRightError):
        sale.recipient.exchange.complain(sale.terms, *sale.complaint(2))
    proof = sale.complaint(3)
    for error, wrong in (
        (WrongChunkSizeError, (*proof[:2], proof[2][:-1], *proof[3:])),
        (NotInCipherTreeError, (*proof[:2], bytes(CHUNK_SIZE), *proof[3:])),
        (NotInPackageTreeError, (*proof[:4], bytes(32), proof[5])),
    ):
        with pytest.raises(error):
            sale.recipient.exchange.complain(sale.terms, *wrong)
    # A watcher may, and the recipient is paid.
    chain.administrator.exchange.complain(sale.terms, *proof)
    assert balance(sale.recipient) > had
    events = list(sale.owner.exchange.events([Complained, Refunded], id=sale.id))
    assert [type(event) for event in events] == [Complained, Refunded]
    assert sale.sale.state is SaleState.REFUNDED


def test_a_key_that_is_not_the_one_committed_to_is_refused(chain: Chain) -> None:
    sale = deal(chain)
    sale.owner.exchange.offer(sale.terms)
    sale.recipient.exchange.accept(sale.terms)
    with pytest.raises(WrongKeyError):
        sale.owner.exchange.reveal(sale.terms, bytes(32))


def test_nobody_acts_for_another(chain: Chain) -> None:
    sale = deal(chain)
    with pytest.raises(NotTheSellerError):
        sale.recipient.exchange.offer(sale.terms)
    sale.owner.exchange.offer(sale.terms)
    with pytest.raises(NotTheRecipientError):
        sale.owner.exchange.accept(sale.terms)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"size": 0}, EmptyPackageError),
        ({"open_until": 1}, OfferExpiredError),
        ({"reveal_window": MIN_WINDOW - 1}, WindowOutOfRangeError),
        ({"complaint_window": MAX_WINDOW + 1}, WindowOutOfRangeError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_terms_that_cannot_be_are_not_offered(
    chain: Chain, fields: dict[str, int], error: type[Exception]
) -> None:
    sale = deal(chain, **fields)
    with pytest.raises(error):
        sale.owner.exchange.offer(sale.terms)
    assert sale.sale == Sale(SaleState.NONE, 0)


# --- What is paid in, and what cannot be paid out ---


def test_a_sale_in_a_token_allows_exactly_what_is_paid(chain: Chain) -> None:
    recipient = chain.ledger(chain.account())
    token = deploy_token(recipient, 500)
    sale = deal(chain, recipient=recipient, token=token.address, price=300, bond=0)
    sale.owner.exchange.offer(sale.terms)
    accepted = recipient.exchange.accept(sale.terms)
    assert recipient.exchange.accept(sale.terms) == accepted
    holder = recipient.account.address
    assert token.functions.balanceOf(holder).call() == 200
    assert token.functions.allowance(holder, recipient.config.exchange).call() == 0
    sale.owner.exchange.reveal(sale.terms, sale.key)
    recipient.exchange.settle(sale.terms)
    assert token.functions.balanceOf(sale.terms.owner).call() == 300
    dear = replace(sale.terms, nonce=8)
    sale.owner.exchange.offer(dear)
    with pytest.raises(TokenBalanceError, match="200"):
        recipient.exchange.accept(dear)


def test_an_allowance_that_another_sale_used_up_is_given_again(chain: Chain) -> None:
    recipient = chain.ledger(chain.account())
    token = deploy_token(recipient, 500)
    first = deal(chain, recipient=recipient, token=token.address, price=300, bond=0)
    other = replace(first.terms, price=200, nonce=8)
    for terms in (first.terms, other):
        first.owner.exchange.offer(terms)
    # As far as the first came before a crash.
    recipient.exchange._allow(first.terms, 300, SaleState.OFFERED)
    recipient.exchange.accept(other)
    recipient.exchange.accept(first.terms)
    assert token.functions.balanceOf(recipient.account.address).call() == 0


def test_what_a_receiver_does_not_take_waits_for_it(chain: Chain) -> None:
    sale = deal(chain)
    exchange, owner = sale.owner.exchange, sale.terms.owner
    exchange.offer(sale.terms)
    sale.recipient.exchange.accept(sale.terms)
    exchange.reveal(sale.terms, sale.key)
    refuse_coins(sale.owner)
    sale.recipient.exchange.settle(sale.terms)
    assert sale.sale.state is SaleState.SETTLED
    assert exchange.credit(owner) == PRICE + BOND
    (credited,) = (e for e in exchange.events([Credited]) if e.receiver == owner)
    assert (credited.token, credited.amount) == (COIN, PRICE + BOND)
    with pytest.raises(TransferFailedError):
        exchange.withdraw_credit()
    other = chain.account().address
    had = sale.owner.web3.eth.get_balance(other)
    withdrawn = exchange.withdraw_credit(to=other)
    assert exchange.withdraw_credit(to=other) == withdrawn
    assert sale.owner.web3.eth.get_balance(other) == had + PRICE + BOND
    assert exchange.credit(owner) == 0


def test_there_is_nothing_to_withdraw_without_a_credit(chain: Chain) -> None:
    with pytest.raises(NoCreditError):
        chain.ledger(chain.account()).exchange.withdraw_credit()


def refuse_coins(ledger: Ledger) -> None:
    """Give an account the code of the registry, which takes no coins (EIP-7702)."""
    web3, account = ledger.web3, ledger.account
    nonce = web3.eth.get_transaction_count(account.address)
    chain_id = ledger.config.chain_id
    code = {"chainId": chain_id, "address": ledger.config.registry, "nonce": nonce + 1}
    signed = account.sign_transaction(
        {
            "type": 4,
            "chainId": chain_id,
            "nonce": nonce,
            "to": account.address,
            "gas": 100_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
            "authorizationList": [account.sign_authorization(code)],
        }
    )
    web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))
