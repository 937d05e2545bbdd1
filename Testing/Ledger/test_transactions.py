"""An intent is executed once, on a chain in process and on a real node that is made to fail."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from anvil import Anvil, StartAnvil
from eth_account import Account
from eth_account.signers.local import LocalAccount
from notes import FIRST_COME, NOTEBOOK, creation, notes
from web3 import EthereumTesterProvider, Web3
from web3.middleware import Web3Middleware
from web3.types import TxReceipt

from MedWatermarkLib.journal import Journal, State
from MedWatermarkLib.ledger_errors import (
    FeeCeilingError,
    InsufficientFundsError,
    IntentConflictError,
    LedgerError,
    NodeError,
    NodeUnreachableError,
    NonceTakenError,
    RefusedError,
    UnconfirmedError,
    WrongChainError,
)
from MedWatermarkLib.transactions import Transactions

GWEI, ETHER = 10**9, 10**18
CEILING = 500 * GWEI

Start = Callable[..., Future[TxReceipt]]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal")
    yield opened
    opened.close()


@pytest.fixture
def start() -> Iterator[Start]:
    """Call something that waits, while the test goes on: ``start(function, ...)``."""
    with ThreadPoolExecutor(8) as threads:
        yield threads.submit


def _transactions(
    node: Anvil, account: LocalAccount, journal: Journal, **options: Any
) -> Transactions:
    defaults = {"fee_ceiling": CEILING, "timeout": 20.0}
    return Transactions(node.web3(), account, journal, **(defaults | options))


def _notebook(node: Anvil, code: bytes = NOTEBOOK) -> str:
    address = Web3.to_checksum_address(secrets.token_bytes(20))
    node.rpc("anvil_setCode", address, "0x" + code.hex())
    return address


def _states(transactions: Transactions, journal: Journal) -> list[tuple[int, str, State]]:
    attempts = journal.attempts(transactions._chain, transactions.address)
    return [(attempt.nonce, attempt.intent, attempt.state) for attempt in attempts]


def _variants(transactions: Transactions, journal: Journal, intent: str) -> list[tuple[int, int]]:
    attempts = journal.attempts(transactions._chain, transactions.address, intent=intent)
    return [(variant.fee, variant.tip) for variant in attempts[-1].variants]


def _mine_until_done(node: Anvil, waiting: Future[TxReceipt]) -> TxReceipt:
    while not waiting.done():
        node.mine()
        time.sleep(0.1)
    return waiting.result()


def _drop_all(node: Anvil) -> None:
    """Have the node forget what waits for a block."""
    node.rpc("anvil_dropAllTransactions")


# --- On both chains ---


@pytest.fixture(params=["in process", "anvil"])
def anywhere(
    request: pytest.FixtureRequest, anvil: StartAnvil, journal: Journal
) -> Callable[..., Transactions]:
    """Make `Transactions` of one account with 100 ether, on a chain that mines at once."""
    account = Account.create()
    if request.param == "anvil":
        node = anvil()
        node.fund(account.address, 100)
        web3 = node.web3()
    else:
        web3 = Web3(EthereumTesterProvider())
        rich = web3.eth.accounts[0]
        web3.eth.send_transaction({"from": rich, "to": account.address, "value": 100 * ETHER})

    def make(**options: Any) -> Transactions:
        defaults = {"fee_ceiling": CEILING, "timeout": 20.0}
        return Transactions(web3, account, journal, **(defaults | options))

    return make


def test_an_intent_is_executed_once_however_often_it_is_asked_for(
    anywhere: Callable[..., Transactions],
) -> None:
    transactions = anywhere()
    created = transactions.execute("create", None, creation(NOTEBOOK))
    notebook = created["contractAddress"]
    assert notebook is not None
    first = transactions.execute("note", notebook, b"written once")
    # A new object, as after a start of the program.
    again = anywhere().execute("note", notebook, b"written once")
    assert first["transactionHash"] == again["transactionHash"]
    assert notes(transactions._web3, notebook) == [b"written once"]
    assert transactions.resume() == []


def test_a_name_is_not_used_for_something_else(
    anywhere: Callable[..., Transactions],
) -> None:
    transactions = anywhere()
    someone, another = (Account.create().address for _ in range(2))
    transactions.execute("pay", someone, b"", 5)
    for to, data, value in ((another, b"", 5), (someone, b"x", 5), (someone, b"", 6)):
        with pytest.raises(IntentConflictError, match="pay"):
            transactions.execute("pay", to, data, value)
    assert transactions._web3.eth.get_balance(someone) == 5


class _TooLateError(RefusedError):
    """What the ledger's author makes of a custom error."""


@pytest.mark.parametrize("arguments", [b"", bytes(32), bytes([7] * 64), b"\xff" * 32])
def test_a_refusal_is_typed_and_takes_no_nonce(
    anywhere: Callable[..., Transactions], journal: Journal, arguments: bytes
) -> None:
    said: list[bytes] = []

    def decode(data: bytes) -> Exception:
        said.append(data)
        return _TooLateError("TooLate")

    transactions = anywhere(decode=decode)
    place = transactions.execute("create", None, creation(FIRST_COME))["contractAddress"]
    assert place is not None
    transactions.execute("first", place, b"")
    error = b"\x12\x34\x56\x78" + arguments
    with pytest.raises(_TooLateError) as caught:
        transactions.execute("second", place, error)
    assert set(said) == {error}
    assert caught.value.receipt is None
    assert _states(transactions, journal) == [(0, "create", State.DONE), (1, "first", State.DONE)]


def test_text_and_panics_are_told_without_an_abi(anywhere: Callable[..., Transactions]) -> None:
    transactions = anywhere()
    place = transactions.execute("create", None, creation(FIRST_COME))["contractAddress"]
    assert place is not None
    transactions.execute("first", place, b"")
    text = Web3().codec.encode(["string"], ["closed on Sundays"])
    with pytest.raises(RefusedError, match="closed on Sundays"):
        transactions.execute("second", place, bytes.fromhex("08c379a0") + text)
    with pytest.raises(RefusedError, match=r"Panic\(17\)"):
        transactions.execute("third", place, bytes.fromhex("4e487b71") + (17).to_bytes(32))
    with pytest.raises(RefusedError, match="no reason"):
        transactions.execute("fourth", place, b"")


def test_who_cannot_pay_is_told_before_a_nonce_is_taken(
    anywhere: Callable[..., Transactions], journal: Journal
) -> None:
    transactions = anywhere()
    with pytest.raises(InsufficientFundsError, match="100 ether") as caught:
        transactions.execute("pay", Account.create().address, b"", 101 * ETHER)
    assert caught.value.needed == 101 * ETHER
    with pytest.raises(InsufficientFundsError):
        transactions.execute("pay all", Account.create().address, b"", 100 * ETHER)
    assert _states(transactions, journal) == []


def test_fees_over_the_ceiling_are_not_paid(
    anywhere: Callable[..., Transactions], journal: Journal
) -> None:
    transactions = anywhere(fee_ceiling=1000)
    with pytest.raises(FeeCeilingError, match=r"ceiling of 0\.000001; nothing was sent"):
        transactions.execute("pay", Account.create().address, b"", 1)
    assert _states(transactions, journal) == []


def test_a_node_of_another_chain_is_refused(anywhere: Callable[..., Transactions]) -> None:
    with pytest.raises(WrongChainError) as caught:
        anywhere(chain_id=1)
    assert caught.value.expected == 1


def test_no_key_is_shown_or_kept(
    anywhere: Callable[..., Transactions],
    journal: Journal,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    transactions = anywhere()
    transactions.execute("pay", Account.create().address, b"", 1)
    with pytest.raises(InsufficientFundsError) as caught:
        transactions.execute("more", Account.create().address, b"", 101 * ETHER)
    key = bytes(transactions._account.key)
    shown = f"{transactions!r}{journal!r}{caught.value!r}{caplog.text}"
    assert key.hex() not in shown
    assert key not in (tmp_path / "journal").read_bytes()
    assert key.hex().encode() not in (tmp_path / "journal").read_bytes()


# --- Waiting ---


def test_it_waits_for_as_many_blocks_as_were_asked_for(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal, confirmations=3)
    waiting = start(transactions.execute, "note", _notebook(node), b"patience")
    node.wait_for_pending(1)
    node.mine(2)
    time.sleep(1.0)
    assert not waiting.done()
    node.mine()
    assert waiting.result(10)["blockNumber"] == 1


def test_an_intent_that_timed_out_goes_on_and_is_finished_later(
    anvil: StartAnvil, journal: Journal
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal, timeout=0.2)
    notebook = _notebook(node)
    for _ in range(2):
        with pytest.raises(UnconfirmedError, match="'note' is not confirmed yet"):
            transactions.execute("note", notebook, b"late")
    assert node.pending() == 1
    node.mine()
    assert transactions.execute("note", notebook, b"late")["status"] == 1
    assert notes(node.web3(), notebook) == [b"late"]


def test_all_that_is_unfinished_is_resumed(anvil: StartAnvil, journal: Journal) -> None:
    node = anvil(mining=False)
    account, notebook = node.account(), _notebook(node)
    hasty = _transactions(node, account, journal, timeout=0.1)
    for note in (b"one", b"two", b"three"):
        with pytest.raises(UnconfirmedError):
            hasty.execute(note.decode(), notebook, note)
    _drop_all(node)
    node.rpc("evm_setAutomine", True)
    receipts = _transactions(node, account, journal).resume()
    assert [receipt["status"] for receipt in receipts] == [1, 1, 1]
    assert notes(node.web3(), notebook) == [b"one", b"two", b"three"]


def test_what_another_left_behind_is_brought_along(anvil: StartAnvil, journal: Journal) -> None:
    node = anvil(mining=False)
    account, notebook = node.account(), _notebook(node)
    with pytest.raises(UnconfirmedError):
        _transactions(node, account, journal, timeout=0.1).execute("one", notebook, b"one")
    _drop_all(node)
    node.rpc("evm_setAutomine", True)
    # Without the first nonce, that of the second would wait for ever.
    _transactions(node, account, journal).execute("two", notebook, b"two")
    assert notes(node.web3(), notebook) == [b"one", b"two"]


# --- Refused only when mined ---


def test_a_refusal_in_a_block_is_typed_and_may_be_tried_again(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal)
    place = _notebook(node, FIRST_COME)
    # Both are possible as they are sent, and then only one.
    first = start(transactions.execute, "first", place, b"")
    node.wait_for_pending(1)
    second = start(transactions.execute, "second", place, b"\x12\x34\x56\x78")
    node.wait_for_pending(2)
    node.mine()
    assert first.result(10)["status"] == 1
    with pytest.raises(RefusedError) as caught:
        second.result(10)
    assert caught.value.name == "0x12345678"
    assert caught.value.receipt is not None
    assert transactions.resume() == []

    node.rpc("anvil_setStorageAt", place, "0x0", "0x" + "0" * 64)
    node.rpc("evm_setAutomine", True)
    assert transactions.execute("second", place, b"\x12\x34\x56\x78")["status"] == 1
    assert _states(transactions, journal) == [
        (0, "first", State.DONE),
        (1, "second", State.REFUSED),
        (2, "second", State.DONE),
    ]


def test_a_refusal_whose_block_is_taken_back_is_judged_again_on_its_nonce(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal)
    place = _notebook(node, FIRST_COME)
    node.mine(3)
    before = node.rpc("evm_snapshot")
    first = start(transactions.execute, "first", place, b"")
    node.wait_for_pending(1)
    second = start(transactions.execute, "second", place, b"\x12\x34\x56\x78")
    node.wait_for_pending(2)
    node.mine()
    assert first.result(10)["status"] == 1
    with pytest.raises(RefusedError):
        second.result(10)

    node.rpc("evm_revert", before)
    _drop_all(node)
    again = start(transactions.execute, "second", place, b"\x12\x34\x56\x78")
    node.wait_for_pending(2)
    # This time the contract has nothing against it.
    node.rpc("anvil_setCode", place, "0x" + NOTEBOOK.hex())
    node.mine()
    assert again.result(10)["status"] == 1
    assert _states(transactions, journal) == [
        (0, "first", State.DONE),
        (1, "second", State.DONE),
    ]


# --- Stalls ---


def test_a_stalled_transaction_is_replaced_on_its_nonce(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal, patience=0.5)
    notebook = _notebook(node)
    waiting = start(transactions.execute, "note", notebook, b"dear")
    node.wait_for_pending(1)
    ((stalled, _),) = _variants(transactions, journal, "note")
    # The next block takes more than was offered, and those after it too.
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(4 * stalled))
    node.mine()
    assert not waiting.done()
    receipt = _mine_until_done(node, waiting)
    offers = _variants(transactions, journal, "note")
    assert len(offers) >= 2
    for (fee, tip), (next_fee, next_tip) in pairwise(offers):
        assert next_fee >= 1.125 * fee
        assert next_tip >= 1.125 * tip
    assert receipt["effectiveGasPrice"] > stalled
    assert notes(node.web3(), notebook) == [b"dear"]
    assert _states(transactions, journal) == [(0, "note", State.DONE)]


def test_fees_are_raised_up_to_the_ceiling_and_no_further(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    ceiling = 5 * GWEI
    transactions = _transactions(
        node, node.account(), journal, fee_ceiling=ceiling, timeout=2.0, patience=0.1
    )
    notebook = _notebook(node)
    with pytest.raises(UnconfirmedError):
        transactions.execute("note", notebook, b"cheap")
    offers = _variants(transactions, journal, "note")
    assert len(offers) > 2
    assert ceiling / 1.125 - 2 < offers[-1][0] <= ceiling
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(100 * GWEI))
    node.mine()
    with pytest.raises(UnconfirmedError, match="over the ceiling"):
        transactions.execute("note", notebook, b"cheap")
    node.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    node.mine()
    waiting = start(transactions.execute, "note", notebook, b"cheap")
    assert _mine_until_done(node, waiting)["effectiveGasPrice"] <= ceiling
    assert notes(node.web3(), notebook) == [b"cheap"]


# --- Blocks that are taken back ---


def test_what_vanishes_with_its_block_is_sent_again(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal, confirmations=4, patience=4.0)
    notebook = _notebook(node)
    node.mine(5)
    waiting = start(transactions.execute, "note", notebook, b"again")
    node.wait_for_pending(1)
    node.mine(2)
    time.sleep(0.5)
    node.rpc("anvil_reorg", 2, [])
    assert notes(node.web3(), notebook) == []
    node.wait_for_pending(1)
    node.mine(3)
    time.sleep(0.5)
    assert not waiting.done()
    node.mine()
    receipt = waiting.result(10)
    assert receipt["blockNumber"] == 8
    assert notes(node.web3(), notebook) == [b"again"]


def test_what_was_done_is_brought_back_when_it_is_asked_for(
    anvil: StartAnvil, journal: Journal
) -> None:
    node = anvil()
    transactions = _transactions(node, node.account(), journal)
    notebook = _notebook(node)
    node.mine(3)
    before = node.rpc("evm_snapshot")
    first = transactions.execute("note", notebook, b"lasting")
    node.rpc("evm_revert", before)
    assert notes(node.web3(), notebook) == []
    again = transactions.execute("note", notebook, b"lasting")
    assert again["transactionHash"] == first["transactionHash"]
    assert notes(node.web3(), notebook) == [b"lasting"]


def test_what_comes_later_brings_back_what_was_undone_before_it(
    anvil: StartAnvil, journal: Journal
) -> None:
    node = anvil()
    transactions = _transactions(node, node.account(), journal)
    notebook = _notebook(node)
    node.mine(3)
    before = node.rpc("evm_snapshot")
    transactions.execute("one", notebook, b"one")
    node.rpc("evm_revert", before)
    transactions.execute("two", notebook, b"two")
    assert notes(node.web3(), notebook) == [b"one", b"two"]


# --- The node ---


def test_a_node_that_is_not_there_is_named_without_its_key(
    anvil: StartAnvil, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    node = anvil()
    node.kill()
    url = node.url.replace("http://", "http://clinic:hunter22@") + "/v3/5ec2e7ap1key"
    web3 = Web3(Web3.HTTPProvider(url, exception_retry_configuration=None))
    with pytest.raises(NodeUnreachableError) as caught:
        Transactions(web3, Account.create(), journal, fee_ceiling=CEILING)
    error: BaseException | None = caught.value
    assert node.url.removeprefix("http://") in str(error)
    while error is not None:
        assert "hunter22" not in repr(error)
        assert "5ec2e7ap1key" not in repr(error)
        error = error.__cause__ or error.__context__
    assert "Making request HTTP" in caplog.text
    assert "hunter22" not in caplog.text
    assert "5ec2e7ap1key" not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://clinic:hunter22@127.0.0.1:1/5ec2e7ap1key",
        "http://clinic:hunt/er22@127.0.0.1:1/5ec2e7ap1key",
        "http://127.0.0.1:1?key=5ec2e7ap1key&of=hunter22",
        "http://[127.0.0.1:1/5ec2e7ap1key/hunter22",
        "127.0.0.1:1/5ec2e7ap1key/hunter22",
        "http://no-such-host.invalid/5ec2e7ap1key/hunter22",
    ],
)
def test_no_form_of_url_gives_its_key_away(url: str, journal: Journal) -> None:
    web3 = Web3(Web3.HTTPProvider(url, exception_retry_configuration=None))
    with pytest.raises(NodeUnreachableError) as caught:
        Transactions(web3, Account.create(), journal, fee_ceiling=CEILING)
    shown = "".join(traceback.format_exception(caught.value))
    assert not re.search("5ec2|hunt|er22", shown)


def test_a_node_that_dies_meanwhile_is_waited_for(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    transactions = _transactions(node, node.account(), journal, timeout=1.5)
    waiting = start(transactions.execute, "note", _notebook(node), b"lost?")
    node.wait_for_pending(1)
    node.kill()
    with pytest.raises(UnconfirmedError, match="no connection"):
        waiting.result(10)
    assert _states(transactions, journal) == [(0, "note", State.OPEN)]


def test_a_chain_that_was_begun_anew_starts_at_its_own_nonce(
    anvil: StartAnvil, journal: Journal
) -> None:
    account = Account.create()
    for _ in range(2):
        time.sleep(1.1)  # A chain is told from another by the second in which it began.
        node = anvil()
        node.fund(account.address, 1)
        notebook = _notebook(node)
        transactions = _transactions(node, account, journal)
        transactions.execute("note", notebook, b"first of this chain")
        assert notes(node.web3(), notebook) == [b"first of this chain"]


class _BeforeSending(Web3Middleware):
    """Lets something happen on the real node just before a transaction is sent, once."""

    event: Callable[[], Any] | None = None

    def request_processor(self, method: Any, params: Any) -> Any:
        if method == "eth_sendRawTransaction" and type(self).event is not None:
            event, type(self).event = type(self).event, None
            assert event is not None
            event()
        return method, params


def _just_before_sending(transactions: Transactions, event: Callable[[], Any]) -> None:
    happening = type("Happening", (_BeforeSending,), {"event": staticmethod(event)})
    transactions._web3.middleware_onion.add(happening)


def test_a_nonce_that_no_pool_would_have_is_given_back(anvil: StartAnvil, journal: Journal) -> None:
    node = anvil()
    account = node.account()
    transactions, notebook = _transactions(node, account, journal), _notebook(node)
    _just_before_sending(transactions, lambda: node.fund(account.address, 0))
    with pytest.raises(InsufficientFundsError):
        transactions.execute("poor", notebook, b"poor")
    node.fund(account.address, 1)
    transactions.execute("other", notebook, b"other")
    transactions.execute("poor", notebook, b"poor")
    assert notes(node.web3(), notebook) == [b"other", b"poor"]
    assert _states(transactions, journal) == [
        (0, "poor", State.RELEASED),
        (0, "other", State.DONE),
        (1, "poor", State.DONE),
    ]


def test_a_nonce_that_others_wait_behind_is_filled(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil()
    account, notebook = node.account(), _notebook(node)
    first, second = (_transactions(node, account, journal, patience=0.5) for _ in range(2))
    waiting: list[Future[TxReceipt]] = []

    def overtake() -> None:
        waiting.append(start(second.execute, "second", notebook, b"second"))
        while len(_states(first, journal)) < 2:
            time.sleep(0.01)
        node.fund(account.address, 0)

    funded = threading.Event()
    _just_before_sending(second, lambda: funded.wait(20))
    _just_before_sending(first, overtake)
    with pytest.raises(InsufficientFundsError):
        first.execute("first", notebook, b"first")
    assert _states(first, journal)[0] == (0, "first", State.CANCELLED)
    node.fund(account.address, 100)
    funded.set()
    assert waiting[0].result(10)["status"] == 1
    assert first.execute("first", notebook, b"first")["status"] == 1
    assert sorted(notes(node.web3(), notebook)) == [b"first", b"second"]


# --- The key used elsewhere ---


def _send_from_elsewhere(node: Anvil, account: LocalAccount, nonce: int) -> str:
    """Send a transaction with the account's key, past the journal."""
    transaction = {
        "type": 2,
        "chainId": 31337,
        "nonce": nonce,
        "to": account.address,
        "value": 0,
        "gas": 21_000,
        "maxFeePerGas": 50 * GWEI,
        "maxPriorityFeePerGas": 20 * GWEI,
    }
    raw = account.sign_transaction(transaction).raw_transaction
    return node.web3().eth.send_raw_transaction(raw).to_0x_hex()


def test_a_nonce_that_was_used_elsewhere_is_told_and_renewed_when_that_is_sure(
    anvil: StartAnvil, journal: Journal
) -> None:
    node = anvil(mining=False)
    account, notebook = node.account(), _notebook(node)
    node.mine(10)
    hasty = _transactions(node, account, journal, timeout=0.1)
    with pytest.raises(UnconfirmedError):
        hasty.execute("note", notebook, b"ours")
    with pytest.raises(UnconfirmedError):
        hasty.renew("note")
    _drop_all(node)
    other = _send_from_elsewhere(node, account, 0)
    node.mine(5)
    transactions = _transactions(node, account, journal, confirmations=3)
    with pytest.raises(NonceTakenError) as caught:
        transactions.execute("note", notebook, b"ours")
    assert caught.value.other == other
    with pytest.raises(NonceTakenError):
        transactions.resume()
    transactions.renew("note")
    node.rpc("evm_setAutomine", True)
    assert hasty.execute("note", notebook, b"ours")["status"] == 1
    assert notes(node.web3(), notebook) == [b"ours"]


def test_an_intent_is_not_renewed_before_the_other_is_confirmed(
    anvil: StartAnvil, journal: Journal
) -> None:
    node = anvil(mining=False)
    account, notebook = node.account(), _notebook(node)
    transactions = _transactions(node, account, journal, timeout=0.1, confirmations=4)
    with pytest.raises(UnconfirmedError):
        transactions.execute("note", notebook, b"ours")
    _drop_all(node)
    _send_from_elsewhere(node, account, 0)
    node.mine(3)
    with pytest.raises(UnconfirmedError):
        transactions.renew("note")
    # The block of the other is taken back, and ours comes first.
    node.rpc("anvil_reorg", 3, [])
    _drop_all(node)
    with pytest.raises(UnconfirmedError):
        transactions.execute("note", notebook, b"ours")
    node.mine(4)
    assert transactions.execute("note", notebook, b"ours")["status"] == 1
    assert notes(node.web3(), notebook) == [b"ours"]


def test_transactions_from_elsewhere_that_wait_are_not_replaced(
    anvil: StartAnvil, journal: Journal, start: Start
) -> None:
    node = anvil(mining=False)
    account, notebook = node.account(), _notebook(node)
    other = _send_from_elsewhere(node, account, 0)
    transactions = _transactions(node, account, journal)
    waiting = start(transactions.execute, "note", notebook, b"ours")
    node.wait_for_pending(2)
    node.mine()
    assert waiting.result(10)["status"] == 1
    assert node.web3().eth.get_transaction_receipt(other)["status"] == 1


def test_what_a_node_says_is_passed_on(anvil: StartAnvil, journal: Journal) -> None:
    node = anvil()
    transactions = _transactions(node, node.account(), journal)
    with pytest.raises(LedgerError) as caught:
        transactions.execute("create", None, creation(NOTEBOOK) + bytes(60_000))
    assert isinstance(caught.value, NodeError | RefusedError)
    assert _states(transactions, journal) == []
