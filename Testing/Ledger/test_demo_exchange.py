"""The demonstration of an exchange, with two sides and a node as processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chains import Chain, open_chain
from deals import BOND, PRICE, Deal
from eth_account import Account
from toolchain import environment
from typer.testing import CliRunner

from MedWatermarkLib import demo_exchange
from MedWatermarkLib.cli import app
from MedWatermarkLib.demo_balances import Accounts
from MedWatermarkLib.demo_chain import demo_chain
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.volume import image_hash

HOUR, ETHER = 3_600, 10**18


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("demo") / "out"
    done = CliRunner().invoke(
        app, ["demo", os.fspath(place), "--exchange", "--json"], env={"PATH": environment()["PATH"]}
    )
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with open_chain("anvil") as chain:
        yield chain


def test_the_three_stories_end_as_told_and_exact_to_the_wei(demo: dict[str, Any]) -> None:
    assert demo["chain"] == "anvil"
    assert demo["passed"]
    assert {check["outcome"] for check in demo["checks"]} == {"passed"}
    begin = ["registered", "offered", "accepted", "revealed"]
    price, bond = demo_exchange.PRICE, demo_exchange.BOND
    for story, (name, end, by, gain) in zip(
        demo["stories"],
        (
            ("honest", "settled", "recipient", price),
            ("cheat", "complained, refunded", "recipient", -bond),
            ("silent", "settled", "owner", price),
        ),
        strict=True,
    ):
        assert story["name"] == name
        assert [step["what"] for step in story["steps"]] == [*begin, end]
        assert story["steps"][-1]["by"] == by
        before, after = story["before"], story["steps"][-1]
        for side, gained in (("owner", gain), ("recipient", -gain)):
            gas = sum(step["gas"] for step in story["steps"] if step["by"] == side)
            assert gas > 0
            assert after[side] == before[side] + gained - gas
        in_escrow = [step["escrow"] for step in story["steps"]]
        assert in_escrow == [0, bond, price + bond, price + bond, 0]


def test_what_the_sides_have_stays_in_the_folder(demo: dict[str, Any]) -> None:
    folder = Path(demo["folder"])
    received = read_volume(folder / "honest" / "received" / "image")
    assert image_hash(received) == image_hash(read_volume(folder / "marked.dcm"))
    assert not (folder / "cheat" / "received").exists()
    assert len(list((folder / "store").iterdir())) == 9


def test_a_balance_that_is_off_by_a_wei_is_seen_from_that_step_on(deal: Deal) -> None:
    hospital, buyer = deal.hospital.ledger, deal.buyer
    names = hospital.account.address, buyer.account.address
    accounts = Accounts(hospital, *names, PRICE, BOND)
    before = accounts.balances()
    deal.until("revealed")
    assert [one.exact for one in accounts.moments(deal.record.id, before)] == [True] * 4
    dearer = Accounts(hospital, *names, PRICE + 1, BOND)
    exact = [one.exact for one in dearer.moments(deal.record.id, before)]
    assert exact == [True, True, False, False]


def test_without_a_node_the_embedded_chain_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    member = Account.create().address
    with demo_chain(tmp_path / "ledger.toml", [member]) as chain:
        assert chain.name == "embedded"
        eth = chain.ledger.web3.eth
        assert eth.get_balance(member) == 1_000 * ETHER
        before = chain.ledger.status().time
        chain.advance(HOUR)
        assert chain.ledger.status().time >= before + HOUR
