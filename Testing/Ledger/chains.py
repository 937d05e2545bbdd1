"""The ledger on each kind of chain, and those who use it."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from anvil import Anvil, run_anvil
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from toolchain import run

from MedWatermarkLib.claim import Claim, sign
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.record import Record

KINDS = ("embedded", "anvil")
DAY = 86_400
TOKEN = Path(__file__).with_name("Token.sol")


@dataclass(frozen=True)
class Chain:
    """A chain with the contracts on it.

    Attributes
    ----------
    administrator : Ledger
        Of who deployed it and may accredit.
    account : callable
        Makes an account with coins.
    advance : callable
        Puts the clock forward by so many seconds, and makes a block.
    ledger : callable
        The ledger for an account.
    node : Anvil or None
        Where it is not embedded.
    """

    administrator: Ledger
    account: Callable[[], LocalAccount]
    advance: Callable[[int], None]
    ledger: Callable[[LocalAccount], Ledger]
    node: Anvil | None = None

    @property
    def now(self) -> int:
        """When the last block was made."""
        return self.administrator.status().time

    def institution(self) -> Institution:
        """Return a hospital, and a radiologist accredited for a year around now."""
        hospital, authority = self.ledger(self.account()), self.account()
        start, until = self.now - DAY, self.now + 365 * DAY
        address = hospital.account.address
        self.administrator.registry.accredit(address, authority.address, start, until)
        return Institution(self, hospital, authority)


@dataclass(frozen=True)
class Institution:
    """A hospital on the ledger and its radiologist."""

    chain: Chain
    ledger: Ledger
    authority: LocalAccount

    @property
    def address(self) -> ChecksumAddress:
        return self.ledger.account.address

    def record(self, **fields: Any) -> tuple[Record, Claim]:
        """Return a record of an image that nobody saw before, and its claim."""
        issued_at = fields.get("issued_at", self.chain.now)
        claim = sign(secrets.token_bytes(32), "Normal.", self.authority, issued_at=issued_at)
        record = Record(
            commitment=claim.commitment,
            issued_at=claim.issued_at,
            tag=secrets.token_bytes(8),
            voxel_root=secrets.token_bytes(32),
            package_root=secrets.token_bytes(32),
            chunk_count=5,
            content_commitment=secrets.token_bytes(32),
            institution=self.address,
        )
        return replace(record, **fields), claim

    def registered(self) -> Record:
        """Return a record that is registered."""
        record, claim = self.record()
        self.ledger.registry.register(record, claim.signature)
        return record


@contextmanager
def open_chain(kind: str) -> Iterator[Chain]:
    """Start a chain of a kind, and end it."""
    if kind == "embedded":
        ledger = Ledger.embedded()
        chain = ledger.chain
        assert chain is not None
        yield Chain(ledger, chain.new_account, chain.advance, ledger.with_account)
        return
    with run_anvil() as node, tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal")
        administrator = node.account()
        config = Ledger.deploy(node.url, administrator, journal=journal)

        def advance(seconds: int) -> None:
            node.rpc("evm_increaseTime", seconds)
            node.mine()

        def connect(account: LocalAccount) -> Ledger:
            return Ledger.connect(config, account, journal)

        yield Chain(connect(administrator), node.account, advance, connect, node)
        journal.close()


def deploy_token(ledger: Ledger, amount: int) -> Any:
    """Have an account make a token for itself, and return it as web3's contract."""
    abi, bytecode = _token()
    factory = ledger.web3.eth.contract(abi=abi, bytecode=bytecode)
    data = factory.constructor(ledger.account.address, amount).data_in_transaction
    sender = ledger.transactions
    assert sender is not None
    receipt = sender.execute(f"token:{secrets.token_hex(8)}", None, bytes.fromhex(data[2:]))
    return ledger.web3.eth.contract(address=receipt["contractAddress"], abi=abi)


@cache
def _token() -> tuple[Any, str]:
    with tempfile.TemporaryDirectory() as folder:
        build = ("--contracts", str(TOKEN.parent), "--out", folder, "--cache-path", folder)
        forge = run("forge", "build", str(TOKEN), *build)
        assert forge.returncode == 0, forge.stdout + forge.stderr
        artifact = json.loads((Path(folder) / "Token.sol" / "Token.json").read_bytes())
    return artifact["abi"], artifact["bytecode"]["object"]
