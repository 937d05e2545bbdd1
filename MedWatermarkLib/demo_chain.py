"""A chain for a demonstration, with the ledger on it: anvil where there is one, else py-evm."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_typing import ChecksumAddress
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_errors import NodeError
from MedWatermarkLib.report import Findings

_GIFT = 1_000 * 10**18  # in wei
# In seconds.
_PATIENCE, _PAUSE = 120.0, 0.05
_YEARS = 2**40


@dataclass(frozen=True)
class DemoChain:
    """A node of its own, on this computer.

    Attributes
    ----------
    name : str
        ``anvil`` or ``embedded``.
    ledger : Ledger
        For reading.
    """

    name: str
    ledger: Ledger

    def advance(self, seconds: int) -> None:
        """Put the chain's clock forward, and make a block."""
        _ask(self.ledger.web3, "evm_increaseTime", seconds)
        _ask(self.ledger.web3, "evm_mine")


@contextmanager
def demo_chain(config: Path, members: Sequence[ChecksumAddress]) -> Iterator[DemoChain]:
    """Start a chain, put the ledger on it, and end it for sure.

    Parameters
    ----------
    config : pathlib.Path
        New file that says where the ledger is.
    members : sequence of str
        Addresses of accounts, which get 1,000 ether each; the first may register what the last
        vouches for.

    Raises
    ------
    NodeError
        If it does not start.
    """
    program = shutil.which("anvil")
    with _practice(config, members) if program is None else _anvil(program, config, members):
        yield DemoChain("embedded" if program is None else "anvil", Ledger.connect(config))


@contextmanager
def _anvil(program: str, config: Path, members: Sequence[ChecksumAddress]) -> Iterator[None]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # By its number it is known, should another program have been quicker to take the port.
    chain_id = 1_000_000 + secrets.randbelow(1_000_000_000)
    command = [program, "--quiet", "--hardfork", "prague"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--chain-id", str(chain_id)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        web3 = Web3(HTTPProvider(url, exception_retry_configuration=None))
        _wait(web3.is_connected, lambda: process.poll() is None)
        administrator = Account.create()
        for address in (administrator.address, *members):
            _ask(web3, "anvil_setBalance", address, hex(_GIFT))
        journal = Journal(config.with_name("administrator.sqlite"))
        Ledger.deploy(url, administrator, config, chain_id=chain_id, journal=journal)
        registry = Ledger.connect(config, administrator, journal).registry
        registry.accredit(members[0], members[-1], 0, _YEARS)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _practice(config: Path, members: Sequence[ChecksumAddress]) -> Iterator[None]:
    process = get_context("spawn").Process(target=_serve, args=(config, members), daemon=True)
    process.start()
    try:
        _wait(config.exists, process.is_alive)
        yield
    finally:
        process.kill()
        process.join()


def _serve(config: Path, members: Sequence[ChecksumAddress]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever started it ends it.
    from MedWatermarkLib.practice import serve_practice

    serve_practice(config, members, Findings())


def _wait(is_there: Callable[[], bool], lives: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_there():
        if not lives() or time.monotonic() > deadline:
            raise NodeError("the chain of the demonstration does not start")
        time.sleep(_PAUSE)


def _ask(web3: Web3, method: str, *parameters: Any) -> None:
    said = web3.provider.make_request(RPCEndpoint(method), list(parameters))
    if said.get("error"):
        raise NodeError(f"it refuses {method}")
