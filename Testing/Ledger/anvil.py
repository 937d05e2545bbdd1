"""A node for tests: anvil, on a port and with a chain of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from toolchain import CONTRACTS, environment
from web3 import Web3
from web3.types import RPCEndpoint

HARDFORK = "prague"
_START_TIMEOUT = 30.0
_ATTEMPTS = 5
_ETHER = 10**18
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Anvil:
    """A running node.

    Attributes
    ----------
    url : str
        Where it listens.
    process : subprocess.Popen
        It; `kill` ends it before its time.
    """

    url: str
    process: subprocess.Popen[bytes]

    def web3(self, timeout: float = 10.0) -> Web3:
        """Return a new connection."""
        provider = Web3.HTTPProvider(
            self.url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None
        )
        return Web3(provider)

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Ask what only anvil knows, such as ``evm_mine`` or ``anvil_reorg``."""
        answer = self.web3().provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        """Make blocks now, the first of them with all that waits and pays enough."""
        self.rpc("anvil_mine", hex(blocks))

    def pending(self) -> int:
        """Return how many transactions wait for a block."""
        return int(self.rpc("txpool_status")["pending"], 16)

    def wait_for_pending(self, count: int, timeout: float = 10.0) -> None:
        """Wait until at least so many transactions wait for a block."""
        deadline = time.monotonic() + timeout
        while self.pending() < count:
            assert time.monotonic() < deadline, f"{self.pending()} of {count} transactions came"
            time.sleep(0.02)

    def account(self, ether: float = 100) -> LocalAccount:
        """Return a new account that holds so much."""
        account: LocalAccount = Account.create()
        self.fund(account.address, ether)
        return account

    def fund(self, address: str, ether: float) -> None:
        """Have an account hold so much."""
        self.rpc("anvil_setBalance", address, hex(int(ether * _ETHER)))

    def kill(self) -> None:
        """End the node at once, with what it started; a second time does nothing."""
        if self.process.poll() is None:
            # npm's command starts the real one, so the whole group.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


#: Starts a node that ends with the test; takes what `run_anvil` does.
StartAnvil = Callable[..., Anvil]


@contextmanager
def run_anvil(
    *, mining: bool = True, block_time: float | None = None, chain_id: int = 31337
) -> Iterator[Anvil]:
    """Start a node, and end it for sure.

    Parameters
    ----------
    mining : bool
        Whether it makes a block for each transaction; else only when it is told to.
    block_time : float, optional
        Makes a block each so many seconds instead.
    chain_id : int
        Which chain it says it is.
    """
    options = ["--quiet", "--hardfork", HARDFORK, "--chain-id", str(chain_id)]
    options += [] if mining else ["--no-mining"]
    options += [] if block_time is None else ["--block-time", str(block_time)]
    anvil = _start(options)
    try:
        yield anvil
    finally:
        anvil.kill()


def _start(options: list[str]) -> Anvil:
    for _ in range(_ATTEMPTS):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen(
            ["anvil", "--port", str(port), *options],
            cwd=CONTRACTS,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        anvil = Anvil(f"http://127.0.0.1:{port}", process)
        if _answers(anvil):
            return anvil
        anvil.kill()  # Another was quicker to take the port.
    raise RuntimeError("anvil does not start")


def _answers(anvil: Anvil) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and anvil.process.poll() is None:
        if anvil.web3().is_connected():
            return anvil.process.poll() is None
        time.sleep(0.02)
    return False


def _end_with_parent() -> None:
    # Should the tests be killed, Linux tells npm's command, which ends the node.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
