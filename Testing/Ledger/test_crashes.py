"""Processes that are killed, and processes that share an account."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anvil import Anvil
from kills import STEPS, kill_at, start_writing
from notes import NOTEBOOK, notes
from web3 import Web3


def test_no_intent_is_lost_or_executed_twice_when_its_process_is_killed(tmp_path: Path) -> None:
    steps = [*STEPS, "journal", "time"]
    killing = kill_at(steps, tmp_path, seed=11)
    assert sum(killing.kills.values()) == len(steps)
    assert (killing.twice, killing.lost) == (0, 0)
    assert killing.nonces == killing.intents == len(killing.notes)


def test_two_processes_use_one_account_at_the_same_time(
    anvil: Callable[..., Anvil], tmp_path: Path
) -> None:
    node = anvil()
    account = node.account()
    notebook = Web3.to_checksum_address("0x" + "b0" * 20)
    node.rpc("anvil_setCode", notebook, "0x" + NOTEBOOK.hex())
    # They share the notes 4 to 7, too, and must not write them twice.
    processes = [
        start_writing(node.url, account, tmp_path / "journal", first=first, count=8)
        for first in (0, 4)
    ]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    web3 = node.web3()
    assert sorted(int.from_bytes(note) for note in notes(web3, notebook)) == list(range(12))
    assert web3.eth.get_transaction_count(account.address) == 12
