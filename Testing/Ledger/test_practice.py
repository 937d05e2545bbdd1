"""The ledger to practise with, as a process of its own that other programs ask."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from eth_account import Account

from MedWatermarkLib.account import create_key_file, load_account
from MedWatermarkLib.claim import sign
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.record import Record
from MedWatermarkLib.refusals import RefusedError

PASSWORD = "correct horse"


def serve(*words: object, **options: object) -> subprocess.Popen[str]:
    """Start a ledger to practise with, and wait until it is served."""
    command = ["ledger", "practice", *words, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "MedWatermarkLib", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert process.stdout is not None
    told = next(
        line for line in map(json.loads, process.stdout) if line["event"] in ("result", "error")
    )
    assert told["event"] == "result", told
    return process


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of ledger.toml and of the members' key files, while the ledger is served."""
    folder = tmp_path_factory.mktemp("practice")
    files = [folder / "hospital.json", folder / "doctor.json"]
    for file in files:
        create_key_file(file, PASSWORD, iterations=2)
    process = serve(folder / "ledger.toml", *files)
    yield folder
    process.terminate()
    assert process.wait(30) == 130


def test_it_ends_with_the_program_that_started_it(place: Path, tmp_path: Path) -> None:
    process = serve(
        *(tmp_path / "ledger.toml", place / "doctor.json", "--until-stdin-closes"),
        stdin=subprocess.PIPE,
    )
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()  # as the system does when the program has gone, however it went
    assert process.wait(30) == 0


def connect(place: Path, name: str) -> Ledger:
    account = load_account(place / f"{name}.json", PASSWORD)
    return Ledger.connect(place / "ledger.toml", account, journal=Journal(place / f"{name}.sqlite"))


def record_of_a_claim(place: Path, institution: str) -> tuple[Record, bytes]:
    doctor = load_account(place / "doctor.json", PASSWORD)
    claim = sign(bytes(32), "No acute bleeding.", doctor)
    record = Record(
        commitment=claim.commitment,
        issued_at=claim.issued_at,
        tag=b"8 bytes.",
        voxel_root=b"2" * 32,
        package_root=b"3" * 32,
        chunk_count=4,
        content_commitment=b"4" * 32,
        institution=institution,
    )
    return record, claim.signature


def test_a_member_registers_what_another_vouched_for(place: Path) -> None:
    hospital = connect(place, "hospital")
    assert hospital.status().balance == 1_000 * 10**18
    record, signature = record_of_a_claim(place, hospital.account.address)
    hospital.registry.register(record, signature)
    seen = connect(place, "doctor").registry.entry(record.id)
    assert seen is not None
    assert seen.owner == hospital.account.address


def test_what_the_contracts_refuse_is_told_as_on_any_node(place: Path) -> None:
    hospital = connect(place, "hospital")
    record, _ = record_of_a_claim(place, hospital.account.address)
    stranger = sign(bytes(32), "No acute bleeding.", Account.create())
    with pytest.raises(RefusedError):
        hospital.registry.register(record, stranger.signature)


def test_what_is_no_call_is_answered_by_an_error(place: Path) -> None:
    url = connect(place, "hospital").config.url
    asked = [{"jsonrpc": "2.0", "id": n, "method": "no_such", "params": []} for n in (1, 2)]
    answers = requests.post(url, json=asked, timeout=10).json()
    assert [one["id"] for one in answers] == [1, 2]
    assert all("error" in one for one in answers)
    assert requests.post(url, data=b"x" * 2_000_000, timeout=10).status_code == 413


def test_its_clock_can_be_put_forward_as_that_of_anvil(place: Path) -> None:
    ledger = connect(place, "hospital")
    before = ledger.status().time
    asked = {"jsonrpc": "2.0", "id": 1, "method": "evm_increaseTime", "params": [3_600]}
    assert "error" not in requests.post(ledger.config.url, json=asked, timeout=10).json()
    assert ledger.status().time >= before + 3_600
