"""The ledger: where it is, who may send, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from anvil import Anvil, run_anvil
from chains import KINDS, Chain, open_chain
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.abi import function_signature_to_4byte_selector
from toolchain import CONTRACTS, environment

from MedWatermarkLib import refusals
from MedWatermarkLib.contract import NoAccountError, compiled
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.ledger_config import LedgerConfig, LedgerConfigError
from MedWatermarkLib.ledger_errors import (
    NodeError,
    NodeUnreachableError,
    RefusedError,
    WrongChainError,
    WrongCodeError,
)
from MedWatermarkLib.output import OutputExistsError
from MedWatermarkLib.refusals import CustomError, typed_refusal
from MedWatermarkLib.sale import COIN

ROOT = Path(__file__).parents[2]
ADDRESS = "0x" + 40 * "1"
CONFIG = LedgerConfig("https://node.example.org/v3/my-secret-key", 1, ADDRESS, ADDRESS)


@pytest.fixture(scope="module")
def node() -> Iterator[Anvil]:
    with run_anvil() as node:
        yield node


@pytest.fixture(scope="module", params=KINDS)
def chain(request: pytest.FixtureRequest) -> Iterator[Chain]:
    with open_chain(request.param) as chain:
        yield chain


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        yield journal


# --- The compiled contracts ---


def test_the_compiled_contracts_are_those_of_the_source(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(CONTRACTS / "export.py"), str(tmp_path)],
        env=environment(),
        check=True,
        timeout=600,
    )
    kept = ROOT / "MedWatermarkLib" / "abi"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(os.listdir(kept))
    for file in kept.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def _errors() -> list[str]:
    signatures = set()
    for contract in ("ImageRegistry", "FairExchange"):
        for item in compiled(contract).abi:
            if item["type"] == "error":
                types = ",".join(argument["type"] for argument in item["inputs"])
                signatures.add(f"{item['name']}({types})")
    return sorted(signatures)


@pytest.mark.parametrize("signature", _errors())
def test_each_custom_error_has_a_class_and_a_sentence(signature: str) -> None:
    name, _, types = signature[:-1].partition("(")
    samples = {
        "address": "0xdAC17F958D2ee523a2206206994597C13D831ec7",
        "bytes32": b"\1" * 32,
        "uint64": 1_800_000_000,
    }
    arguments = [(kind, samples.get(kind, 5)) for kind in types.split(",") if kind]
    data = encode([kind for kind, _ in arguments], [value for _, value in arguments])
    error = typed_refusal(function_signature_to_4byte_selector(signature) + data)
    assert isinstance(error, CustomError)
    assert (error.name, error.arguments) == (name, tuple(value for _, value in arguments))
    assert re.fullmatch(r"[A-Z0-9].{20,}[^.{}]\.", str(error))


def test_each_class_of_custom_errors_is_of_another_error() -> None:
    kinds = CustomError.__subclasses__()
    assert len({kind.SIGNATURE for kind in kinds}) == len(kinds)
    assert {kind.SIGNATURE for kind in kinds if not kind.SIGNATURE.startswith("ERC20")} == set(
        _errors()
    )


def test_errors_of_other_contracts_are_shown_as_they_are() -> None:
    assert "0x12345678" in str(typed_refusal(bytes.fromhex("12345678")))
    # A known selector before too little data is not that error.
    selector = function_signature_to_4byte_selector(refusals.NotTheOwnerError.SIGNATURE)
    error = typed_refusal(selector + b"1")
    assert type(error) is RefusedError


# --- Where the ledger is ---


def test_where_the_ledger_is_can_be_written_and_read_again(tmp_path: Path) -> None:
    config = replace(CONFIG, first_block=7, fee_ceiling=Decimal("0.05"), confirmations=3)
    config.write(tmp_path / "ledger.toml")
    assert LedgerConfig.read(tmp_path / "ledger.toml") == config
    with pytest.raises(OutputExistsError):
        CONFIG.write(tmp_path / "ledger.toml")
    assert LedgerConfig.read(tmp_path / "ledger.toml") == config


def test_a_short_file_says_enough(tmp_path: Path) -> None:
    file = tmp_path / "ledger.toml"
    lines = [f'url = "{CONFIG.url}"', "chain_id = 1", "fee_ceiling = 20"]
    lines += [f'registry = "{ADDRESS}"', f'exchange = "{ADDRESS}"']
    file.write_text("\n".join(lines))
    assert LedgerConfig.read(file) == replace(CONFIG, fee_ceiling=Decimal(20))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("chain_id = 1", "url"),
        ("chian_id = 1", "does not say"),
        ("nonsense", "not a file"),
        ("\xff\xfe", "not a file"),
        ("", "does not say"),
    ],
)
def test_a_file_that_does_not_say_where_is_refused(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "ledger.toml"
    file.write_bytes(line.encode("latin-1"))
    with pytest.raises(LedgerConfigError, match=words):
        LedgerConfig.read(file)
    with pytest.raises(LedgerConfigError, match=r"other\.toml"):
        Ledger.connect(tmp_path / "other.toml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://node.example.org/my-secret-key"},
        {"url": "my-secret-key"},
        {"url": 'https://node.example.org/"my-secret-key'},
        {"url": "https://node.example.org/\nmy-secret-key"},
        {"url": "https://[my-secret-key"},
        {"chain_id": 0},
        {"chain_id": "1"},
        {"registry": ADDRESS[:-1]},
        {"exchange": "0xABCDEFabcdefABCDEFabcdefABCDEFabcdefABCD"},
        {"first_block": -1},
        {"confirmations": True},
        {"fee_ceiling": Decimal(-1)},
        {"fee_ceiling": Decimal("NaN")},
        {"fee_ceiling": "dear"},
    ],
    ids=str,
)
def test_what_a_ledger_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LedgerConfigError, match=next(iter(wrong))) as caught:
        replace(CONFIG, **wrong)
    assert "my-secret-key" not in str(caught.value)


def test_the_url_is_never_shown() -> None:
    assert "my-secret-key" not in repr(CONFIG)


# --- Connecting ---


def test_a_ledger_without_an_account_is_for_reading(chain: Chain, node: Anvil) -> None:
    institution = chain.institution()
    record, claim = institution.record()
    institution.ledger.registry.register(record, claim.signature)
    config = chain.administrator.config
    if chain.node is not None:
        reader = Ledger.connect(config)
    else:
        reader = Ledger(chain.administrator.web3, config, None, None)
    assert reader.registry.standing(record, claim.signer).counts
    assert reader.status().account is None
    for attempt in (
        lambda: reader.registry.revoke(record.id),
        lambda: reader.exchange.withdraw_credit(),
        lambda: reader.account,
    ):
        with pytest.raises(NoAccountError, match="key file"):
            attempt()


def test_the_status_says_how_it_stands(chain: Chain) -> None:
    ledger = chain.administrator
    status = ledger.status()
    assert status.block == ledger.web3.eth.block_number
    assert status.account == ledger.account.address
    assert status.balance == ledger.web3.eth.get_balance(ledger.account.address)
    assert status.is_accreditor
    assert not chain.ledger(chain.account()).status().is_accreditor


def test_a_node_of_another_chain_is_refused(node: Anvil, journal: Journal) -> None:
    config = Ledger.deploy(node.url, node.account(), journal=journal)
    with pytest.raises(WrongChainError, match="chain 31337"):
        Ledger.connect(replace(config, chain_id=1))
    with pytest.raises(WrongChainError):
        Ledger.deploy(node.url, node.account(), chain_id=1, journal=journal)


def test_other_code_at_the_addresses_is_refused(node: Anvil, journal: Journal) -> None:
    config = Ledger.deploy(node.url, node.account(), journal=journal)
    with pytest.raises(WrongCodeError, match=f"{ADDRESS} stands no ImageRegistry"):
        Ledger.connect(replace(config, registry=ADDRESS))
    with pytest.raises(WrongCodeError, match="FairExchange"):
        Ledger.connect(replace(config, exchange=config.registry))
    altered = bytearray(compiled("FairExchange").deployed_bytecode)
    altered[-1] ^= 1
    node.rpc("anvil_setCode", config.exchange, f"0x{altered.hex()}")
    with pytest.raises(WrongCodeError, match="FairExchange"):
        Ledger.connect(config)


def test_a_node_that_is_not_there_is_named_without_its_key() -> None:
    with closing(socket.socket()) as taken:  # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        config = replace(CONFIG, url=f"http://me:my-password@127.0.0.1:{port}/my-secret-key")
        with pytest.raises(NodeUnreachableError, match=f"127.0.0.1:{port}") as caught:
            Ledger.connect(config)
    assert "my-" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_a_node_that_never_answers_is_not_waited_for_long() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NodeUnreachableError, match="in time"):
            Ledger.connect(replace(CONFIG, url=url), timeout=0.2)


# --- Deploying ---


def test_deploying_writes_where_the_ledger_is(
    node: Anvil, journal: Journal, tmp_path: Path
) -> None:
    account, administrator = node.account(), node.account()
    file = tmp_path / "ledger.toml"
    config = Ledger.deploy(
        node.url,
        account,
        file,
        administrator=administrator.address,
        journal=journal,
        fee_ceiling=Decimal("7.5"),
    )
    ledger = Ledger.connect(file)
    assert ledger.config == config
    assert config.fee_ceiling == Decimal("7.5")
    assert ledger.registry.is_accreditor(administrator.address)
    assert not ledger.registry.is_accreditor(account.address)
    assert next(iter(ledger.registry.events())).origin.block == config.first_block


def test_deploying_again_after_a_crash_finds_what_was_deployed(node: Anvil, tmp_path: Path) -> None:
    account = node.account()
    with closing(Journal(tmp_path / "journal")) as journal:
        first = Ledger.deploy(node.url, account, journal=journal)
    with closing(Journal(tmp_path / "journal")) as journal:
        assert Ledger.deploy(node.url, account, tmp_path / "a.toml", journal=journal) == first
    assert node.web3().eth.get_transaction_count(account.address) == 2


def test_nothing_is_deployed_if_the_file_cannot_be_written(
    node: Anvil, journal: Journal, tmp_path: Path
) -> None:
    account, file = node.account(), tmp_path / "ledger.toml"
    file.write_text("something else")
    with pytest.raises(OutputExistsError):
        Ledger.deploy(node.url, account, file, journal=journal)
    assert file.read_text() == "something else"
    assert node.web3().eth.get_transaction_count(account.address) == 0


def test_the_journal_lies_among_the_users_files_and_is_found_again(
    node: Anvil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    account = node.account()
    config = Ledger.deploy(node.url, account)
    first = Ledger.connect(config, account).registry.accredit(ADDRESS, ADDRESS, 1, 2)
    assert Ledger.connect(config, account).registry.accredit(ADDRESS, ADDRESS, 1, 2) == first
    if sys.platform == "linux":
        file = tmp_path / "medwatermark" / "31337.sqlite"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


# --- The embedded chain ---


def test_the_embedded_chain_says_once_that_it_is_gone() -> None:
    code = "from MedWatermarkLib.ledger import Ledger; Ledger.embedded(); Ledger.embedded()"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
    assert run.stderr.count("The embedded chain is gone") == 1


def test_the_embedded_chain_takes_an_account_and_funds_it() -> None:
    account = Account.create()
    ledger = Ledger.embedded(account)
    assert ledger.account == account
    assert ledger.registry.is_accreditor(account.address)
    assert ledger.exchange.credit(account.address, COIN) == 0


# --- Nodes that answer for few blocks at once ---


def test_ranges_that_a_node_refuses_are_halved(journal: Journal, node: Anvil) -> None:
    account = node.account()
    config = Ledger.deploy(node.url, account, journal=journal)
    ledger = Ledger.connect(config, account, journal)
    for until in range(3, 6):
        ledger.registry.accredit(ADDRESS, ADDRESS, 1, until)
        node.mine(40)
    everything = list(ledger.registry.events())
    assert len(everything) == 5
    for status in (200, 413):
        with limited(node.url, 30, status) as (url, asked):
            reader = Ledger.connect(replace(config, url=url)).registry
            done: list[int] = []
            assert list(reader.events(progress=done.append)) == everything
            assert max(asked) > 30
            assert done == sorted(done)
            assert done[-1] == node.web3().eth.block_number
    with limited(node.url, 0, 200) as (url, asked):
        reader = Ledger.connect(replace(config, url=url)).registry
        with pytest.raises(NodeError, match="range"):
            list(reader.events())


@contextmanager
def limited(url: str, blocks: int, status: int) -> Iterator[tuple[str, list[int]]]:
    """Stand before a node and refuse to read more than so many blocks at once."""
    asked: list[int] = []

    class Gate(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            if request["method"] == "eth_getLogs":
                wanted = request["params"][0]
                asked.append(1 + int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16))
                if asked[-1] > blocks:
                    error = {"code": -32005, "message": "block range too wide"}
                    refused = {"jsonrpc": "2.0", "id": request["id"], "error": error}
                    self.answer(status, json.dumps(refused).encode())
                    return
            headers = {"Content-Type": "application/json"}
            forwarded = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(forwarded, timeout=10) as answer:
                self.answer(200, answer.read())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
