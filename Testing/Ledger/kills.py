"""Processes that execute intents, and are killed at it.

A child process writes numbered notes into a notebook on a real node that makes blocks at its own
times, each note once, and is killed (SIGKILL) while it does; the next one begins from the first
note again, as a program does that does not know how far it came. In the end each note must stand
in the notebook, and none twice.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from anvil import Anvil, run_anvil
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from notes import NOTEBOOK, notes
from web3 import Web3

from MedWatermarkLib.journal import Attempt, Journal, State
from MedWatermarkLib.transactions import Transactions

STEPS = ("time", "journal", "sending", "block")
_GWEI = 10**9
_BLOCK_TIMES = (0.2, 1.0)
_STEP_TIMEOUT = 20.0
# The place of the notebook; any will do.
_NOTEBOOK = Web3.to_checksum_address("0x" + "b0" * 20)


@dataclass(frozen=True)
class Killing:
    """What came of it.

    Attributes
    ----------
    kills : Counter
        How often each thing was so when the child was killed.
    notes : list of int
        What stands in the notebook.
    nonces : int
        How many transactions the account made.
    intents : int
        How many notes were begun, and so must stand there.
    """

    kills: Counter[str]
    notes: list[int]
    nonces: int
    intents: int

    @property
    def twice(self) -> int:
        """How many notes stand there more than once."""
        return len(self.notes) - len(set(self.notes))

    @property
    def lost(self) -> int:
        """How many notes are missing."""
        return len(set(range(self.intents)) - set(self.notes))


def kill_at(steps: Sequence[str], folder: Path, seed: int) -> Killing:
    """Kill a child once at each of `steps`, then let one finish, and see what stands there.

    Parameters
    ----------
    steps : sequence of str
        "time" is a random time; "journal" as soon as the journal's file changes, "sending" as a
        transaction comes to the pool, "block" as one gets into a block.
    folder : Path
        For the journal.
    seed : int
        Of the times.
    """
    chance = random.Random(seed)
    path = folder / "journal"
    with run_anvil(mining=False) as node:
        account = node.account()
        node.rpc("anvil_setCode", _NOTEBOOK, "0x" + NOTEBOOK.hex())
        with _blocks(node, chance):
            kills = Counter(_kill_one(node, account, path, step, chance) for step in steps)
            begun = len({attempt.intent for attempt in _attempts(path, account)})
            intents = begun + 1
            last = start_writing(node.url, account, path, count=intents)
            last.join(120)
            assert last.exitcode == 0, "the last process did not finish"
        web3 = node.web3()
        written = [int.from_bytes(note) for note in notes(web3, _NOTEBOOK)]
        nonces = web3.eth.get_transaction_count(account.address)
    return Killing(kills, written, nonces, intents)


def start_writing(
    url: str,
    account: LocalAccount,
    path: Path,
    *,
    notebook: ChecksumAddress = _NOTEBOOK,
    count: int = 1_000_000,
    first: int = 0,
) -> BaseProcess:
    """Start a process that writes the notes from `first` on, `count` of them, one by one."""
    context = multiprocessing.get_context("forkserver")
    # So that a child is at work at once.
    context.set_forkserver_preload(["MedWatermarkLib.transactions"])
    arguments = (url, bytes(account.key), path, notebook, range(first, first + count))
    process = context.Process(target=_write, args=arguments, daemon=True)
    process.start()
    return process


def _write(
    url: str, key: bytes, path: Path, notebook: ChecksumAddress, numbers: Sequence[int]
) -> None:
    web3 = Web3(Web3.HTTPProvider(url, exception_retry_configuration=None))
    transactions = Transactions(
        web3,
        Account.from_key(key),
        Journal(path),
        fee_ceiling=500 * _GWEI,
        timeout=60.0,
        patience=1.0,
    )
    for number in numbers:
        transactions.execute(f"note {number}", notebook, number.to_bytes(32))


def _kill_one(
    node: Anvil, account: LocalAccount, path: Path, step: str, chance: random.Random
) -> str:
    """Kill a child at a step; return what was so then."""
    reached = _reaching(node, account, path, step, chance)
    child = start_writing(node.url, account, path)
    deadline = time.monotonic() + _STEP_TIMEOUT
    while not reached():
        assert child.is_alive(), "the process ended by itself"
        assert time.monotonic() < deadline, f"no {step} in {_STEP_TIMEOUT} s"
    child.kill()
    child.join()
    return _standing(node, account, path)


def _reaching(
    node: Anvil, account: LocalAccount, path: Path, step: str, chance: random.Random
) -> Callable[[], bool]:
    """Return what tells that a step is reached."""
    web3 = node.web3()
    if step == "time":
        end = time.monotonic() + chance.uniform(0.1, 1.5)
        return lambda: time.monotonic() >= end
    if step == "journal":
        attempts = _attempts(path, account)
        is_noted = not attempts or attempts[-1].state is State.DONE
        # What the one before left is noted as done first.
        return _commits(path, 1 if is_noted else 2)
    if step == "sending":
        return lambda: node.pending() > 0
    count = web3.eth.get_transaction_count(account.address)
    return lambda: web3.eth.get_transaction_count(account.address) > count


def _commits(path: Path, count: int) -> Callable[[], bool]:
    """Return what tells that so many changes were written to a file of SQLite, and are whole."""
    seen = [_written(path)]

    def reached() -> bool:
        now = _written(path)
        if now != seen[-1] and not path.with_name(f"{path.name}-journal").exists():
            seen.append(now)
        return len(seen) > count

    return reached


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _standing(node: Anvil, account: LocalAccount, path: Path) -> str:
    """Return where the last intent stood."""
    attempts = _attempts(path, account)
    if not attempts or attempts[-1].state is State.DONE:
        return "between intents"
    web3 = node.web3()
    if web3.eth.get_transaction_count(account.address) > attempts[-1].nonce:
        return "in a block, not noted as done"
    pending = web3.eth.get_transaction_count(account.address, "pending")
    return "sent" if pending > attempts[-1].nonce else "journalled, not sent"


def _attempts(path: Path, account: LocalAccount) -> list[Attempt]:
    if not path.exists():
        return []
    journal = Journal(path)
    (chain,) = journal._database.execute("SELECT max(chain) FROM attempts").fetchone()
    attempts = journal.attempts(chain or "", account.address)
    journal.close()
    return attempts


@contextmanager
def _blocks(node: Anvil, chance: random.Random) -> Iterator[None]:
    """Have blocks made at random times meanwhile."""
    ended = threading.Event()
    pauses = random.Random(chance.random())

    def mine() -> None:
        while not ended.wait(pauses.uniform(*_BLOCK_TIMES)):
            node.mine()

    miner = threading.Thread(target=mine)
    miner.start()
    try:
        yield
    finally:
        ended.set()
        miner.join()
