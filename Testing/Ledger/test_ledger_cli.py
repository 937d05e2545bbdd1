"""The ledger's commands, called as a hospital's scripts call them, on a real node."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anvil import Anvil, run_anvil
from typer.testing import CliRunner, Result

from MedWatermarkLib.account import create_key_file, load_account
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import write_volume
from MedWatermarkLib.merkle import tree_of_chunks
from MedWatermarkLib.scan import mark_scan
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.volume import Volume

sys.path.append(str(Path(__file__).parents[1] / "Library"))
from phantoms import head

PASSWORD = "correct horse battery staple"
DIAGNOSIS = "No acute bleeding."
ADDRESS = "0x71C7656EC7ab88b098defB751B7401B5f6d8976F"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as anvil:
        yield anvil


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[..., Result]:
    """Run a command of the ledger; whatever it says, it must not be a traceback."""

    def run_command(*arguments: object) -> Result:
        environment = {
            "MEDWATERMARK_PASSWORD": PASSWORD,
            "MEDWATERMARK_LEDGER": os.fspath(folder / "ledger.toml"),
            "XDG_STATE_HOME": os.fspath(folder / "state"),
        }
        result = CliRunner().invoke(app, ["ledger", *map(str, arguments)], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        assert PASSWORD not in result.output
        return result

    return run_command


@pytest.fixture(scope="module")
def addresses(folder: Path, node: Anvil) -> dict[str, str]:
    """Key files of three accounts, the first two of which hold coins."""
    made = {}
    for name in ("administrator", "hospital", "doctor"):
        made[name] = create_key_file(folder / f"{name}.json", PASSWORD, iterations=2)
        if name != "doctor":
            node.fund(made[name], 100)
    return made


@pytest.fixture(scope="module")
def deployed(folder: Path, node: Anvil, addresses, run) -> dict:
    done = run(
        "deploy",
        folder / "ledger.toml",
        "--url",
        node.url,
        "--key-file",
        folder / "administrator.json",
        "--json",
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def marked(folder: Path, addresses) -> Volume:
    account = load_account(folder / "doctor.json", PASSWORD)
    volume = mark_scan(
        Volume(head(4, 256, 256).astype("int16"), modality="CT"), DIAGNOSIS, account
    ).volume
    write_volume(volume, folder / "marked.nrrd")
    return volume


@pytest.fixture(scope="module")
def registered(folder: Path, marked, deployed, addresses, run) -> dict:
    """What `register` says, after the doctor was accredited."""
    accredited = run(
        "accredit",
        addresses["hospital"],
        addresses["doctor"],
        "--from",
        "2026-01-01",
        "--until",
        "2100-01-01",
        "--key-file",
        folder / "administrator.json",
    )
    assert accredited.exit_code == 0, accredited.output
    done = run("register", folder / "marked.nrrd", "--key-file", folder / "hospital.json", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_the_status_names_the_chain_and_what_an_account_may(folder, deployed, run) -> None:
    done = run("status", "--key-file", folder / "administrator.json", "--json")
    status = json.loads(done.stdout.splitlines()[-1])
    assert status["chain_id"] == 31337
    assert status["registry"] == deployed["registry"]
    assert status["is_accreditor"] is True
    assert run("status").exit_code == 0


def test_a_scan_is_registered_by_what_it_carries_and_nothing_else(registered, marked) -> None:
    record = registered["record"]
    assert record["voxel_root"] == tile_leaves(marked).root.hex()
    assert record["chunk_count"] == 0
    assert DIAGNOSIS not in json.dumps(registered)


def test_a_registered_scan_is_found_by_its_mark_and_by_its_id(folder, registered, run) -> None:
    by_scan = run("show", folder / "marked.nrrd", "--json")
    by_id = run("show", "0x" + registered["id"], "--json")
    for done in (by_scan, by_id):
        (shown,) = json.loads(done.stdout.splitlines()[-1])["records"]
        assert done.exit_code == 0
        assert shown["counts"] is True
        assert shown["id"] == registered["id"]


def test_registering_again_changes_nothing(folder, registered, run, node) -> None:
    before = node.web3().eth.block_number
    again = run("register", folder / "marked.nrrd", "--key-file", folder / "hospital.json")
    assert again.exit_code == 0, again.output
    assert registered["id"] in again.stdout
    assert node.web3().eth.block_number == before


def test_the_history_tells_of_the_registration(folder, registered, run) -> None:
    done = run("history", registered["id"])
    assert done.exit_code == 0
    assert "registered" in done.stdout
    assert registered["authority"] in done.stdout


def test_a_package_is_registered_with_its_root(folder, registered, run) -> None:
    package = folder / "package.age"
    package.write_bytes(bytes(range(256)) * 13)
    done = run(
        "register",
        folder / "marked.nrrd",
        "--package",
        package,
        "--content-commitment",
        "ab" * 32,
        "--key-file",
        folder / "hospital.json",
        "--json",
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout.splitlines()[-1])["record"]
    with package.open("rb") as content:
        tree = tree_of_chunks(content)
    assert record["package_root"] == tree.root.hex()
    assert record["chunk_count"] == tree.count
    assert record["content_commitment"] == "ab" * 32


def test_someone_who_is_not_the_institution_is_told_whom_to_accredit(
    folder, registered, run, node, addresses
) -> None:
    create_key_file(folder / "stranger.json", PASSWORD, iterations=2)
    node.fund(load_account(folder / "stranger.json", PASSWORD).address, 1)
    done = run("register", folder / "marked.nrrd", "--key-file", folder / "stranger.json")
    assert done.exit_code == 1
    assert "not accredited" in done.output
    assert addresses["doctor"] in done.output


def test_a_scan_without_a_mark_is_not_registered(folder, deployed, run) -> None:
    write_volume(Volume(head(4, 64, 64).astype("int16"), modality="CT"), folder / "plain.nrrd")
    done = run("register", folder / "plain.nrrd", "--key-file", folder / "hospital.json")
    assert done.exit_code == 3
    assert "embed" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "11" * 32), 3, "Nothing is registered"),
        (("show", "no-such-file"), 2, "64 hex digits"),
        (("history", "22" * 32), 3, "Nothing is registered"),
    ],
)
def test_what_is_not_there_is_said_so(deployed, run, arguments, code, said) -> None:
    done = run(*arguments)
    assert done.exit_code == code
    assert said in done.output


def test_an_address_that_is_none_is_refused_before_anything_is_sent(
    folder, deployed, run, node
) -> None:
    before = node.web3().eth.block_number
    done = run(
        "accredit",
        "0x12",
        ADDRESS,
        "--until",
        "2030-01-01",
        "--key-file",
        folder / "administrator.json",
    )
    assert done.exit_code == 2
    assert "institution" in done.output
    assert node.web3().eth.block_number == before


def test_only_an_accreditor_accredits(folder, deployed, run, addresses) -> None:
    done = run(
        "accredit",
        addresses["hospital"],
        ADDRESS,
        "--until",
        "2030-01-01",
        "--key-file",
        folder / "hospital.json",
    )
    assert done.exit_code == 1
    assert addresses["hospital"] in done.output


def test_the_ledgers_file_is_not_written_over(folder, deployed, run, node) -> None:
    done = run(
        "deploy",
        folder / "ledger.toml",
        "--url",
        node.url,
        "--key-file",
        folder / "administrator.json",
    )
    assert done.exit_code == 1
    assert "exists already" in done.output


def test_what_a_stolen_key_may_have_vouched_for_counts_no_more(
    folder, registered, run, addresses
) -> None:
    done = run(
        "revoke-authority",
        addresses["hospital"],
        addresses["doctor"],
        "--stolen-since",
        "2026-01-01",
        "--key-file",
        folder / "administrator.json",
    )
    assert done.exit_code == 0, done.output
    shown = run("show", folder / "marked.nrrd")
    assert shown.exit_code == 3
    assert "disowned" in shown.stdout
    again = run(
        "revoke-authority",
        addresses["hospital"],
        addresses["doctor"],
        "--key-file",
        folder / "administrator.json",
    )
    assert again.exit_code == 3
    assert "nothing to revoke" in again.output
