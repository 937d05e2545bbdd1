"""A chain in this process, for trying things out without a node: eth-tester with py-evm."""

from __future__ import annotations

import ast
import atexit
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

from eth.vm.spoof import SpoofTransaction
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_typing import ChecksumAddress
from web3 import Web3
from web3.providers.eth_tester import EthereumTesterProvider
from web3.types import RPCEndpoint, RPCResponse, Wei

_ETHER = 10**18
_GIFT = 1_000 * _ETHER
# The code of nodes for a call that reverted, with its data.
_REVERTED = 3
_USES_CLOCK = frozenset({"eth_call", "eth_estimateGas", "eth_sendRawTransaction"})


class EmbeddedChain:
    """A chain that lives as long as this process, and says so when it ends.

    Each transaction makes a block of its own at once. The clock is this computer's, and can be
    put forward.

    Attributes
    ----------
    web3 : Web3
        Its node.
    journal : pathlib.Path
        Where a journal of what is sent can be kept, as long as the chain.
    """

    _announced = False

    def __init__(self) -> None:
        self._backend = _Backend()
        self._ahead = 0
        self.web3 = Web3(_Provider(self._backend, self._set_clock))
        folder = Path(tempfile.mkdtemp(prefix="medwatermark-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.journal = folder / "journal.sqlite"
        if not EmbeddedChain._announced:
            EmbeddedChain._announced = True
            atexit.register(_announce_end)

    def new_account(self) -> LocalAccount:
        """Make an account with 1,000 ether."""
        account: LocalAccount = Account.create()
        self.fund(account.address)
        return account

    def fund(self, address: ChecksumAddress, amount: int = _GIFT) -> None:
        """Give an account coins, in wei."""
        giver = self.web3.eth.accounts[0]
        self.web3.eth.send_transaction({"from": giver, "to": address, "value": Wei(amount)})

    def advance(self, seconds: int) -> None:
        """Put the clock forward, and make a block."""
        # From the chain's own time: blocks in quick succession bring it before the computer's.
        self._ahead = self._backend.chain.header.timestamp + seconds - int(time.time())
        self._set_clock()
        self._backend.mine_blocks()

    def _set_clock(self) -> None:
        """Have the next block made at the present time; left alone, each adds a second."""
        present = int(time.time()) + self._ahead
        header = self._backend.chain.header
        if header.timestamp < present:
            self._backend.chain.header = header.copy(timestamp=present)


class _Backend(PyEVMBackend):  # type: ignore[misc]
    """Spares what takes long in pure Python: a search for gas, and receipts made anew."""

    def __init__(self) -> None:
        super().__init__()
        self._receipts: dict[bytes, Any] = {}

        self.chain.gas_estimator = _ample_gas

    def get_transaction_receipt(self, transaction_hash: bytes) -> Any:
        if transaction_hash not in self._receipts:
            receipt = super().get_transaction_receipt(transaction_hash)
            if receipt["block_number"] is None:
                return receipt
            self._receipts[transaction_hash] = receipt  # No block is ever taken back here.
        return self._receipts[transaction_hash]


class _Provider(EthereumTesterProvider):
    """Answers as nodes do: with the time as it is, and with the data of what was refused."""

    def __init__(self, backend: PyEVMBackend, set_clock: Any) -> None:
        super().__init__(EthereumTester(backend))
        self._set_clock = set_clock

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if method in _USES_CLOCK:
            self._set_clock()
        try:
            return super().make_request(method, params)
        except TransactionFailed as error:
            message = str(error)
            return {
                "jsonrpc": "2.0",
                "id": 0,
                "error": {
                    "code": _REVERTED,
                    "message": "execution reverted",
                    "data": f"0x{_revert_data(message).hex()}",
                },
            }


def _ample_gas(state: Any, transaction: Any) -> int:
    """Return more gas than a transaction takes, from one run instead of a search."""
    snapshot = state.snapshot()
    greatest = SpoofTransaction(transaction, gas=state.gas_limit, gas_price=0)
    try:
        computation = state.apply_transaction(greatest)
    finally:
        state.revert(snapshot)
    computation.raise_if_error()
    # Three times covers the floor of calldata, two and a half times its price (EIP-7623).
    return int(3 * (transaction.intrinsic_gas + computation.get_gas_used()))


def _revert_data(message: str) -> bytes:
    """Take the data out of eth-tester's words, where it stands as a literal of Python."""
    try:
        data = ast.literal_eval(message.removeprefix("execution reverted: "))
    except (SyntaxError, ValueError):
        return b""
    return data if isinstance(data, bytes) else b""


def _announce_end() -> None:
    print("The embedded chain is gone, and with it whatever was registered on it.", file=sys.stderr)
