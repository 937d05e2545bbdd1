"""What each call of the contracts costs, in whole transactions on a real node (anvil).

Run from the root of the project:

    python Testing/Benchmarks/gas.py
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import tempfile
from pathlib import Path

from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from rich.console import Console
from rich.table import Table

from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import leaf_hash, node_hash
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import sign_batch
from MedWatermarkLib.sale import COIN, Terms
from MedWatermarkLib.signature import sign_struct

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "Ledger"))
from anvil import Anvil, run_anvil

BATCH = 1_000
DEPTH = 20
CHUNK = 1_024
HOUR = 3_600
ETHER = 10**18
#: Gas of one honest sale by FairSwap's published contract at the same sizes, measured once with
#: solc 0.4.25, depth 20 and 32-word chunks: deploy, accept, reveal, finish.
FAIRSWAP = 878_688 + 33_216 + 55_912 + 37_807
BARS = {
    "register": 85_000,
    "registerBatch, per record": 400,
    "honest sale": 185_000,
    "complain": 140_000,
}

random = secrets.token_bytes


class Gas:
    """The gas of what was sent, by name."""

    def __init__(self, anvil: Anvil) -> None:
        self._web3 = anvil.web3()
        self.used: dict[str, float] = {}

    def note(self, name: str, event: object) -> None:
        receipt = self._web3.eth.get_transaction_receipt(event.origin.transaction)
        self.used[name] = receipt["gasUsed"]

    def note_deployment(self) -> None:
        for number, name in enumerate(("ImageRegistry", "FairExchange"), start=1):
            (transaction,) = self._web3.eth.get_block(number)["transactions"]
            receipt = self._web3.eth.get_transaction_receipt(transaction)
            self.used[f"deploy {name}"] = receipt["gasUsed"]


def record(institution: str, authority: LocalAccount, now: int) -> tuple[Record, bytes]:
    """Return a record with random fields, and its claim's signature."""
    made = Record(
        random(32), now, random(8), random(32), random(32), 2**DEPTH, random(32), institution
    )
    values = {"commitment": made.commitment, "issuedAt": made.issued_at}
    return made, sign_struct("Claim", values, authority)


def registry(gas: Gas, ledgers: dict[str, Ledger], authority: LocalAccount, now: int) -> None:
    hospital = ledgers["hospital"].registry
    institution = ledgers["hospital"].account.address
    event = ledgers["administrator"].registry.accredit(
        institution, authority.address, now - HOUR, now + HOUR**2
    )
    gas.note("accredit", event)
    hospital.register(*record(institution, authority, now))
    registered = hospital.register(*record(institution, authority, now))
    gas.note("register", registered)
    pairs = [record(institution, authority, now) for _ in range(BATCH)]
    signed = sign_batch([made for made, _ in pairs], authority, issued_at=now)
    gas.note("registerBatch", hospital.register_batch(signed))
    gas.used["registerBatch, per record"] = gas.used["registerBatch"] / BATCH
    placed = signed.placed()
    chosen = BATCH // 3
    event = hospital.register_from_batch(placed[chosen], pairs[chosen][1])
    gas.note("registerFromBatch", event)
    for each, (made, _) in zip(placed, pairs, strict=True):
        standing = hospital.standing(made, authority.address, each)
        assert standing.counts, "a record of the batch cannot be used"
    copy = Copy(7, random(32), random(32), random(32), 2**DEPTH, random(32))
    gas.note("addCopy", hospital.add_copy(registered.id, copy))
    recipient = random(32)
    gas.note("grant", hospital.grant(registered.id, recipient, random(32)))
    gas.note("withdraw", hospital.withdraw(registered.id, recipient))
    gas.note("revoke", hospital.revoke(registered.id))


class Goods:
    """A chunk far to the right in a package of 1 GiB, its paths, and what a complaint takes."""

    def __init__(self) -> None:
        self.key, self.chunk = random(32), random(CHUNK)
        self.index = 2**DEPTH - 3
        self.leaf = hashlib.sha256(random(CHUNK)).digest()
        self.chunk_path = [random(32) for _ in range(DEPTH)]
        self.leaf_path = [random(32) for _ in range(DEPTH)]

    def terms(self, owner: str, recipient: str, bond: int, now: int) -> Terms:
        return Terms(
            owner,
            recipient,
            random(32),
            self._root(self.leaf, self.leaf_path),
            self._root(leaf_hash(self.index, self.chunk), self.chunk_path),
            keccak(self.key),
            2**DEPTH * CHUNK,
            COIN,
            ETHER,
            bond,
            now + HOUR,
            HOUR,
            HOUR,
            int.from_bytes(random(32)),
        )

    def _root(self, node: bytes, path: list[bytes]) -> bytes:
        for level, beside in enumerate(path):
            pair = (beside, node) if self.index >> level & 1 else (node, beside)
            node = node_hash(*pair)
        return node


def sales(gas: Gas, ledgers: dict[str, Ledger], now: int) -> None:
    owner, recipient = ledgers["hospital"], ledgers["recipient"]
    parties = owner.account.address, recipient.account.address
    goods = Goods()
    for end in ("settle", "complain", "cancel"):
        terms = goods.terms(*parties, 0, now)
        gas.note("offer", owner.exchange.offer(terms))
        if end == "cancel":
            gas.note("cancel", owner.exchange.cancel(terms))
            continue
        gas.note("accept", recipient.exchange.accept(terms))
        gas.note("reveal", owner.exchange.reveal(terms, goods.key))
        if end == "settle":
            gas.note("settle", recipient.exchange.settle(terms))
            steps = ("offer", "accept", "reveal", "settle")
            gas.used["honest sale"] = sum(gas.used[step] for step in steps)
        else:
            complaint = recipient.exchange.complain(
                terms,
                goods.key,
                goods.index,
                goods.chunk,
                goods.chunk_path,
                goods.leaf,
                goods.leaf_path,
            )
            gas.note("complain", complaint)
    gas.note("offer with a bond", owner.exchange.offer(goods.terms(*parties, ETHER, now)))


def main() -> None:
    with run_anvil() as anvil, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.toml"
        accounts = {name: anvil.account() for name in ("administrator", "hospital", "recipient")}
        Ledger.deploy(anvil.url, accounts["administrator"], file)
        gas = Gas(anvil)
        gas.note_deployment()
        ledgers = {
            name: Ledger.connect(
                file, account=account, journal=Journal(Path(folder) / f"{name}.sqlite")
            )
            for name, account in accounts.items()
        }
        now = anvil.web3().eth.get_block("latest")["timestamp"]
        registry(gas, ledgers, anvil.account(), now)
        sales(gas, ledgers, now)
    table = Table("call", "gas", "bar", box=None)
    for name, used in gas.used.items():
        bar = BARS.get(name)
        verdict = "" if bar is None else f"{bar:,} {'kept' if used <= bar else 'MISSED'}"
        table.add_row(name, f"{used:,.0f}", verdict)
    table.add_row("FairSwap, one honest sale", f"{FAIRSWAP:,}", "")
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
