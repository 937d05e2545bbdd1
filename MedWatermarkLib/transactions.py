"""Sending transactions such that each intent is executed once, whatever breaks down meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from eth_account.signers.local import LocalAccount
from eth_tester.exceptions import TransactionFailed
from eth_typing import BlockNumber, ChecksumAddress, HexStr
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import (
    ContractLogicError,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import BlockIdentifier, TxParams, TxReceipt, Wei

from MedWatermarkLib.fees import Fees, current_fees, higher_fees
from MedWatermarkLib.journal import Attempt, Call, Journal, State, Variant
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
    node_error,
    refusal,
    revert_data,
    translate_failures,
)

_Answer = TypeVar("_Answer")

# How a node's refusal comes from web3, and from eth-tester.
_REFUSALS = (Web3RPCError, ContractLogicError, TransactionFailed, ValidationError)
# What a transfer to an account without code takes (Yellow Paper, appendix G).
_TRANSFER_GAS = 21_000
_POA = "proof of authority"
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_BROADCASTS_IN_PATIENCE = 4
# What nodes say (geth, Nethermind, Besu, Erigon, anvil, eth-tester) when they have it already,
_KNOWN = ("already known", "already imported", "known transaction", "already exists")
# when the account cannot pay,
_UNFUNDED = ("insufficient funds", "not have enough balance", "insufficient balance")
# and when no node will ever have it as it is. Any other words may be of the moment.
_IMPOSSIBLE = (
    "intrinsic gas",
    "gas cannot be negative",
    "exceeds block gas limit",
    "exceeds gas limit",
    "gas limit too high",
    "exceeds the configured cap",
    "invalid sender",
    "chain id",
    "type not supported",
    "oversized data",
    "initcode",
)


class Transactions:
    """What one account sends to one chain.

    An intent is executed at most once: it holds one nonce, and all that is signed for it is on
    that nonce, of which a chain includes one transaction only. It is signed and in the journal
    before it is sent, so after a crash the same bytes are sent again. Whoever waits brings along
    whatever of the account stands before, also of another process.

    Parameters
    ----------
    web3 : Web3
        The node. Its requests raise `NodeUnreachableError` from here on.
    account : LocalAccount
        Who signs.
    journal : Journal
        Where what is sent is kept; every process that uses the account must use the same one.
    fee_ceiling : int
        The most that may be paid, in wei per gas.
    confirmations : int
        How many blocks make it final, its own included. A chain that takes more blocks than that
        back can undo what was reported, and bring it again when it is asked for again.
    timeout : float
        How long to wait for an intent, in seconds.
    patience : float
        How long to wait before the fees are raised, in seconds.
    decode : callable, optional
        Makes an error of what a contract gives when it refuses (selector and arguments).
    chain_id : int, optional
        Which chain it must be.

    Raises
    ------
    WrongChainError
        If the node belongs to another chain.
    NodeUnreachableError
        If it does not answer.
    """

    def __init__(
        self,
        web3: Web3,
        account: LocalAccount,
        journal: Journal,
        *,
        fee_ceiling: int,
        confirmations: int = 1,
        timeout: float = 180.0,
        patience: float = 60.0,
        decode: Callable[[bytes], Exception] = refusal,
        chain_id: int | None = None,
    ) -> None:
        if confirmations < 1:
            raise ValueError("A transaction is confirmed by one block at least.")
        translate_failures(web3)
        # Blocks of consortium chains (Clique, QBFT) say more than web3 takes without it.
        if _POA not in web3.middleware_onion:
            web3.middleware_onion.inject(ExtraDataToPOAMiddleware, _POA, layer=0)
        self._web3 = web3
        self._account = account
        self._journal = journal
        self._fee_ceiling = fee_ceiling
        self._confirmations = confirmations
        self._timeout = timeout
        self._patience = patience
        self._decode = decode
        self.address: ChecksumAddress = account.address
        self._chain_id = web3.eth.chain_id
        if chain_id is not None and chain_id != self._chain_id:
            raise WrongChainError(chain_id, self._chain_id)
        # Chains for development are begun anew under the same id, and know nothing of what was.
        genesis = web3.eth.get_block(0).get("hash") or b""
        self._chain = f"{self._chain_id}:{bytes(genesis).hex()}"

    def __repr__(self) -> str:
        return f"Transactions(address={self.address!r}, chain_id={self._chain_id})"

    def execute(
        self, intent: str, to: ChecksumAddress | None, data: bytes, value: int = 0
    ) -> TxReceipt:
        """Have something done on the chain once, and wait until it is confirmed.

        Parameters
        ----------
        intent : str
            Its name, of which there is one for an account on a chain. After a crash or a time-out
            the same name goes on with what was begun; when all is done, it returns what it did.
        to : ChecksumAddress or None
            Whom to call; None creates a contract.
        data : bytes
            The input, or the code that creates the contract.
        value : int
            In wei.

        Returns
        -------
        TxReceipt
            Of the transaction that executed it.

        Raises
        ------
        RefusedError
            Or what `decode` makes of it, if the contract refuses. Nothing was done then, and the
            intent may be tried again.
        FeeCeilingError, InsufficientFundsError, NodeUnreachableError, NodeError
            If it cannot be sent. No nonce was taken, or it is given back, or where others wait
            behind it filled by a transaction that does nothing.
        UnconfirmedError
            If it is not confirmed in time; it goes on.
        NonceTakenError
            If the account's key sent something else in its place; see `renew`.
        IntentConflictError
            If the name stands for something else.
        JournalError
            If the journal cannot be read or written.
        """
        call = Call(to, bytes(data), value)
        deadline = time.monotonic() + self._timeout
        while True:
            receipt = self._finish(
                self._running(intent, call) or self._begin(intent, call), deadline
            )
            if receipt is None:  # A filler took its place, as it should.
                continue
            if receipt["status"] == 0:
                raise self._refusal(call, receipt)
            return receipt

    def resume(self) -> list[TxReceipt]:
        """Bring every unfinished intent of the account to its end.

        Returns
        -------
        list of TxReceipt
            In the order of their nonces. Where a contract refused, its status is 0.

        Raises
        ------
        UnconfirmedError
            If one is not confirmed in time; it goes on, and so do those behind it.
        NonceTakenError
            If one cannot be executed any more; the others were brought to their ends before.
        """
        deadline = time.monotonic() + self._timeout
        receipts: list[TxReceipt] = []
        taken: NonceTakenError | None = None
        for attempt in self._journal.attempts(self._chain, self.address):
            if attempt.state in (State.OPEN, State.CANCELLED):
                try:
                    receipt = self._finish(attempt, deadline)
                except NonceTakenError as error:
                    taken = taken or error
                else:
                    receipts += [receipt] if receipt is not None else []
        if taken is not None:
            raise taken
        return receipts

    def renew(self, intent: str) -> None:
        """Let an intent take a new nonce, after `NonceTakenError`.

        It is granted only where another transaction is confirmed on its nonce, so that nothing
        which was signed for it can ever be executed. The next `execute` begins it anew.

        Parameters
        ----------
        intent : str
            Its name.

        Raises
        ------
        UnconfirmedError
            If it may still be executed where it stands, or the node cannot tell.
        """
        for attempt in self._journal.attempts(self._chain, self.address, intent=intent):
            if attempt.state in (State.OPEN, State.CANCELLED):
                try:
                    reason = self._reason_of_absence(attempt)
                except NonceTakenError:
                    self._journal.mark(attempt, State.VOID)
                else:
                    raise UnconfirmedError(intent, reason)

    # --- Beginning ---

    def _running(self, intent: str, call: Call) -> Attempt | None:
        """Return the attempt to go on with, or None where a new one can do no harm."""
        attempts = self._journal.attempts(self._chain, self.address, intent=intent)
        if attempts and attempts[0].call != call:
            raise IntentConflictError(intent)
        for attempt in attempts:
            if attempt.state in (State.OPEN, State.CANCELLED, State.DONE):
                return attempt
            # What had no effect may have one after all where the chain took blocks back.
            receipt = self._mined(attempt)
            if receipt is None:
                if attempt.state is State.REFUSED:
                    return attempt
            elif receipt["status"] == 1 and not _is_filler(attempt, receipt):
                return attempt
        return None

    def _begin(self, intent: str, call: Call) -> Attempt:
        """Take a nonce, journal and send; everything that can fail for good fails before."""
        fees = self._ask(lambda: current_fees(self._web3, self._fee_ceiling))
        balance = self._ask(lambda: self._web3.eth.get_balance(self.address))
        self._require(balance, call.value)
        gas = self._estimate(call)
        self._require(balance, call.value + gas * fees.greatest)
        block = self._ask(lambda: self._web3.eth.block_number)
        count = self._count("pending")
        attempt, is_new = self._journal.begin(
            self._chain,
            self.address,
            intent,
            call,
            gas=gas,
            block=block,
            least_nonce=count,
            sign=lambda nonce: self._sign(call, nonce, gas, fees),
        )
        if is_new:
            self._send_first(attempt)
        return attempt

    def _send_first(self, attempt: Attempt) -> None:
        """Send what was never sent before, and give its nonce back if no pool will have it."""
        try:
            said = self._send(attempt.variants[0])
        except NodeUnreachableError:
            return  # It may have arrived; the wait goes on from here.
        if said is None or not _is_final(said):
            return
        # Where it cannot be given back, whoever waits behind it fills it.
        self._journal.release(attempt)
        raise InsufficientFundsError(self.address) if _mentions(said, _UNFUNDED) else said

    def _estimate(self, call: Call) -> int:
        """Return a gas limit, or raise what the contract says; nothing is spent on that."""
        parameters = self._parameters(call)
        try:
            gas = self._ask(lambda: self._web3.eth.estimate_gas(parameters))
        except RefusedError as refused:
            # Where blocks are made on demand alone, the last is old, and its clock behind: what
            # counts is the next one.
            try:
                gas = self._ask(lambda: self._web3.eth.estimate_gas(parameters, "pending"))
            except RefusedError:
                raise  # Perhaps for another reason, and that one counts.
            except LedgerError:
                raise refused from None
        # A quarter more, since what stands before it may make it dearer.
        return gas + gas // 4 if call.data else gas

    def _require(self, balance: int, needed: int) -> None:
        if balance < needed:
            raise InsufficientFundsError(self.address, needed, balance)

    def _parameters(self, call: Call) -> TxParams:
        parameters: TxParams = {
            "from": self.address,
            "data": HexStr(HexBytes(call.data).to_0x_hex()),
            "value": Wei(call.value),
        }
        if call.to is not None:
            parameters["to"] = Web3.to_checksum_address(call.to)
        return parameters

    def _sign(
        self, call: Call, nonce: int, gas: int, fees: Fees, *, filler: bool = False
    ) -> Variant:
        transaction: dict[str, Any] = {
            **self._parameters(call),
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": fees.greatest,
            "maxPriorityFeePerGas": fees.tip,
        }
        signed = self._account.sign_transaction(transaction)
        return Variant(
            bytes(signed.hash), bytes(signed.raw_transaction), fees.greatest, fees.tip, filler
        )

    # --- Bringing to its end ---

    def _finish(self, attempt: Attempt, deadline: float) -> TxReceipt | None:
        """Wait for an attempt, and see to it that it comes; None if a filler took its place."""
        pause, next_push, reason = _SHORTEST_PAUSE, 0.0, ""
        while True:
            try:
                attempt = self._journal.attempt(attempt.id)
                receipt = self._mined(attempt)
                if receipt is not None:
                    if self._is_confirmed(receipt):
                        return self._end(attempt, receipt)
                    reason = f"{self._confirmations} blocks are to confirm it"
                    next_push = 0.0  # Should it vanish, it is sent again at once.
                elif time.monotonic() >= next_push:
                    next_push = time.monotonic() + self._patience / _BROADCASTS_IN_PATIENCE
                    reason = self._push(attempt)
                    if self._mined(attempt) is not None:
                        continue
            except (NodeUnreachableError, NodeError) as error:
                reason = error.reason
            left = deadline - time.monotonic()
            if left <= 0:
                raise UnconfirmedError(attempt.intent, reason)
            time.sleep(min(pause, left))
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _mined(self, attempt: Attempt) -> TxReceipt | None:
        """Return the receipt of whichever variant the chain has."""
        receipts = (self._receipt(variant.hash) for variant in reversed(attempt.variants))
        return next((receipt for receipt in receipts if receipt is not None), None)

    def _receipt(self, digest: bytes) -> TxReceipt | None:
        try:
            return self._ask(lambda: self._web3.eth.get_transaction_receipt(HexBytes(digest)))
        except (TransactionNotFound, TransactionIndexingInProgress):
            return None

    def _is_confirmed(self, receipt: TxReceipt) -> bool:
        """Whether enough blocks stand on it, and its own is still part of the chain."""
        height = self._ask(lambda: self._web3.eth.block_number)
        if height - receipt["blockNumber"] + 1 < self._confirmations:
            return False
        block = self._ask(lambda: self._web3.eth.get_block(receipt["blockNumber"]))
        return block["hash"] == receipt["blockHash"]

    def _end(self, attempt: Attempt, receipt: TxReceipt) -> TxReceipt | None:
        if _is_filler(attempt, receipt):
            self._journal.mark(attempt, State.VOID)
            return None
        state = State.DONE if receipt["status"] == 1 else State.REFUSED
        if attempt.state is not state:
            self._journal.mark(attempt, state)
        return receipt

    def _push(self, attempt: Attempt) -> str:
        """Send again what of the account stands before, and it; return what it waits for."""
        first = self._count("latest")
        if attempt.nonce < first:
            return self._reason_of_absence(attempt)
        waiting = [
            each
            for each in self._journal.attempts(self._chain, self.address, nonce=first)
            if each.nonce <= attempt.nonce and each.state not in (State.RELEASED, State.VOID)
        ]
        hindrances = []
        for nonce, each in enumerate(waiting, first):
            if each.nonce != nonce:
                hindrances.append(f"number {nonce} of the account is missing, not from here")
                break
            hindrances += self._broadcast(each, is_first=nonce == first)
        return hindrances[0] if hindrances else "the network has not taken it up yet"

    def _broadcast(self, attempt: Attempt, *, is_first: bool) -> list[str]:
        """Send the best variant that the node takes, a better one if due; return what hinders."""
        hindrances = []
        fills = attempt.state is State.CANCELLED and not attempt.variants[-1].filler
        waited = time.time() - attempt.variants[-1].signed_at
        # Those behind it wait for the first, not for their fees.
        if fills or (is_first and waited >= self._patience):
            try:
                attempt = self._raise_fees(attempt)
            except FeeCeilingError as error:
                hindrances.append(_over_the_ceiling(error))
        for variant in reversed(attempt.variants):
            said = self._send(variant)
            if said is None:
                break
            hindrances.append(said.reason)
        return hindrances

    def _raise_fees(self, attempt: Attempt) -> Attempt:
        """Sign a variant that replaces the last one, where the ceiling lets it."""
        last = attempt.variants[-1]
        before = Fees(last.fee, last.tip)
        now = self._ask(lambda: current_fees(self._web3, self._fee_ceiling))
        fees = higher_fees(before, now, self._fee_ceiling)
        call, gas, filler = attempt.call, attempt.gas, attempt.state is State.CANCELLED
        if filler:
            call, gas = Call(self.address, b""), _TRANSFER_GAS
            # What no pool has need not be outbid.
            fees = fees or (None if last.filler else before)
        if fees is None:
            return attempt
        return self._journal.replace(
            attempt, lambda: self._sign(call, attempt.nonce, gas, fees, filler=filler)
        )

    def _reason_of_absence(self, attempt: Attempt) -> str:
        """Return why an attempt has no receipt, or raise `NonceTakenError`, where that is sure."""
        height = self._ask(lambda: self._web3.eth.block_number)
        confirmed = height - self._confirmations + 1
        if confirmed < 0 or self._count(confirmed) <= attempt.nonce:
            return f"its place waits for {self._confirmations} blocks"
        other = self._user_of(attempt, confirmed)
        if other is None:
            return "its place was taken, and the node does not show by what"
        if other in [variant.hash for variant in attempt.variants]:
            return "the node is yet to show its receipt"
        raise NonceTakenError(attempt.intent, attempt.nonce, f"0x{other.hex()}")

    def _user_of(self, attempt: Attempt, confirmed: int) -> bytes | None:
        """Return the hash of the transaction on an attempt's nonce, by bisection of the blocks."""
        before, at = min(attempt.block, confirmed) - 1, confirmed
        try:
            while at - before > 1:
                middle = (before + at) // 2
                if self._count(middle) > attempt.nonce:
                    at = middle
                else:
                    before = middle
            block = self._ask(lambda: self._web3.eth.get_block(at, full_transactions=True))
        except NodeError:  # Nodes forget the states of old blocks.
            return None
        for transaction in block["transactions"]:
            assert not isinstance(transaction, HexBytes)
            is_own = transaction["from"] == self.address
            if is_own and transaction["nonce"] == attempt.nonce:
                return bytes(transaction["hash"])
        return None

    # --- The node ---

    def _send(self, variant: Variant) -> NodeError | None:
        """Send a transaction; return what the node said unless it has it now."""
        try:
            self._web3.eth.send_raw_transaction(variant.raw)
        except (Web3RPCError, ValidationError) as error:
            said = node_error(error, self._web3)
            return None if _mentions(said, _KNOWN) else said
        return None

    def _count(self, block: BlockIdentifier) -> int:
        """Return how many transactions of the account there are up to a block."""
        return self._ask(lambda: self._web3.eth.get_transaction_count(self.address, block))

    def _refusal(self, call: Call, receipt: TxReceipt) -> Exception:
        """Return what the contract said, by asking it the same again where it stood."""
        data = b""
        parameters = self._parameters(call)
        # After the block first: what made it fail may stand before it in its own block.
        for block in (receipt["blockNumber"], receipt["blockNumber"] - 1):
            try:
                self._web3.eth.call(parameters, BlockNumber(block), ccip_read_enabled=False)
            except _REFUSALS as error:
                data = revert_data(error) or b""
                if data:
                    break
        refused = self._refused(data)
        if isinstance(refused, RefusedError):
            refused.receipt = receipt
        return refused

    def _refused(self, data: bytes) -> Exception:
        return self._decode(data) if data else refusal(data)

    def _ask(self, request: Callable[[], _Answer]) -> _Answer:
        """Return a node's answer, or raise its refusal as an error of the ledger."""
        try:
            return request()
        except (TransactionNotFound, TransactionIndexingInProgress):
            raise
        except _REFUSALS as error:
            data = revert_data(error)
            said = node_error(error, self._web3)
        # Outside of the handler, so that the error does not drag along the one with the URL.
        if data is not None:
            raise self._refused(data)
        raise InsufficientFundsError(self.address) if _mentions(said, _UNFUNDED) else said


def _mentions(said: NodeError, words: tuple[str, ...]) -> bool:
    return any(word in said.reason.lower() for word in words)


def _is_final(said: NodeError) -> bool:
    return _mentions(said, _UNFUNDED + _IMPOSSIBLE)


def _is_filler(attempt: Attempt, receipt: TxReceipt) -> bool:
    mined = bytes(receipt["transactionHash"])
    return any(variant.filler for variant in attempt.variants if variant.hash == mined)


def _over_the_ceiling(error: FeeCeilingError) -> str:
    return f"the network asks for {error.needed} wei per gas, over the ceiling of {error.ceiling}"
