"""What a run has marked, registered in one transaction, on a real node."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import PASSWORD, batch, done, events, lines
from typer.testing import CliRunner, Result

from MedWatermarkLib.account import create_key_file, load_account
from MedWatermarkLib.batch_path import batch_path_from_text
from MedWatermarkLib.cli import app

sys.path.append(str(Path(__file__).parents[1] / "Ledger"))
from anvil import Anvil, run_anvil


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as anvil:
        yield anvil


@pytest.fixture(scope="module")
def hospital(node, key_file, tmp_path_factory) -> dict[str, Path]:
    """The files of a hospital on a ledger that has its radiologist accredited."""
    folder = tmp_path_factory.mktemp("hospital")
    files = {name: folder / name for name in ("administrator", "key", "ledger", "state")}
    for name in ("administrator", "key"):
        node.fund(create_key_file(files[name], PASSWORD, iterations=2), 100)

    def ledger(*arguments: object) -> Result:
        environment = {"MEDWATERMARK_PASSWORD": PASSWORD, "XDG_STATE_HOME": str(files["state"])}
        result = CliRunner().invoke(app, ["ledger", *map(str, arguments)], env=environment)
        assert result.exit_code == 0, result.output
        return result

    ledger("deploy", files["ledger"], "--url", node.url, "--key-file", files["administrator"])
    address = load_account(files["key"], PASSWORD).address
    doctor = load_account(key_file, PASSWORD).address
    accredit = ("accredit", address, doctor, "--from", "2020-01-01", "--until", "2120-01-01")
    ledger(*accredit, "--ledger", files["ledger"], "--key-file", files["administrator"])
    return files


def revert(node: Anvil, snapshot: str) -> None:
    """Have the chain forget; its clock, which it puts back too, must not be behind ours."""
    node.rpc("evm_revert", snapshot)
    node.rpc("evm_increaseTime", 600)
    node.mine()


@pytest.fixture
def run(marked, hospital, node, tmp_path) -> Iterator[Path]:
    """A run that is not registered, on a chain that forgets it afterwards."""
    snapshot = node.rpc("evm_snapshot")
    yield shutil.copytree(marked, tmp_path / "run")
    revert(node, snapshot)


def register(run: Path, hospital: dict[str, Path], key_file: Path, state: str = "state") -> Result:
    return batch(
        *("register", run, "--ledger", hospital["ledger"], "--key-file", hospital["key"]),
        *("--signer-key-file", key_file, "--json"),
        XDG_STATE_HOME=str(run.with_name(state)),
    )


def sent(node: Anvil, hospital: dict[str, Path]) -> int:
    address = load_account(hospital["key"], PASSWORD).address
    return node.web3().eth.get_transaction_count(address)


def test_a_run_is_registered_in_one_transaction_and_each_scan_is_shown_alone(
    run, hospital, key_file, node, tmp_path
) -> None:
    before = sent(node, hospital)
    result = events(register(run, hospital, key_file))[-1]
    assert result["registered"] == 4
    assert [one["records"] for one in result["batches"]] == [4]
    assert sent(node, hospital) == before + 1
    for line in lines(run):
        placed = batch_path_from_text((run / line["batch_path"]).read_text())
        assert placed.holds()
        assert placed.record.id.hex() == line["record_id"]
    verified = done("verify", run, tmp_path / "verified", "--ledger", hospital["ledger"])
    assert verified["outcomes"] == {"passed": 4}

    assert events(register(run, hospital, key_file))[-1]["registered"] == 0
    assert sent(node, hospital) == before + 1


@pytest.mark.parametrize("state", ["state", "other"], ids=["the same", "another"])
def test_what_was_sent_before_a_crash_is_not_sent_again_from_this_computer_or_another(
    run, hospital, key_file, node, state
) -> None:
    results = (run / "results.jsonl").read_bytes()
    first = events(register(run, hospital, key_file))[-1]["batches"]
    count = sent(node, hospital)
    # As a crash leaves it that comes before the answer of the node.
    (run / "results.jsonl").write_bytes(results)
    shutil.rmtree(run / "batch-paths")
    again = events(register(run, hospital, key_file, state))[-1]["batches"]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert sent(node, hospital) == count
    assert all("batch_path" in line for line in lines(run))


def test_what_was_written_down_and_never_sent_is_sent_as_it_was(
    run, hospital, key_file, node
) -> None:
    snapshot, results = node.rpc("evm_snapshot"), (run / "results.jsonl").read_bytes()
    first = events(register(run, hospital, key_file, "first"))[-1]["batches"]
    # As a crash leaves it that comes before the node is asked.
    (run / "results.jsonl").write_bytes(results)
    revert(node, snapshot)
    count = sent(node, hospital)
    again = events(register(run, hospital, key_file, "second"))[-1]["batches"]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert sent(node, hospital) == count + 1


def test_paths_that_are_lost_are_made_again_and_nothing_is_sent(
    run, hospital, key_file, node
) -> None:
    register(run, hospital, key_file)
    paths = {file.name: file.read_bytes() for file in (run / "batch-paths").iterdir()}
    count = sent(node, hospital)
    shutil.rmtree(run / "batch-paths")
    register(run, hospital, key_file)
    assert {file.name: file.read_bytes() for file in (run / "batch-paths").iterdir()} == paths
    assert sent(node, hospital) == count


def test_scans_whose_signer_is_not_accredited_are_not_registered(
    run, hospital, key_file, node
) -> None:
    before = sent(node, hospital)
    own = batch(
        *("register", run, "--ledger", hospital["ledger"], "--key-file", key_file, "--json"),
        XDG_STATE_HOME=str(run.with_name("state")),
    )
    assert events(own)[-1]["kind"] == "NotAccreditedError"
    another = batch(
        *("register", run, "--ledger", hospital["ledger"], "--key-file", hospital["key"], "--json"),
        XDG_STATE_HOME=str(run.with_name("state")),
    )
    assert "give the key file of their signer" in events(another)[-1]["message"]
    assert sent(node, hospital) == before
    assert not list(run.glob("registration-*.json"))
