"""Two who share a package, and what they have of it in the end."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chains import Chain, Institution

from MedWatermarkLib.exchange import Owner, Recipient, find_offers
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import tree_of_chunks
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.sale import MIN_WINDOW, SaleState, Terms
from MedWatermarkLib.sealing import Identity, seal
from MedWatermarkLib.store import Store

PRICE, BOND = 10**18, 10**17
CONTENT = secrets.token_bytes(4_321)


@dataclass
class Deal:
    """Two who share a package, each with a folder, an account and an age identity."""

    chain: Chain
    hospital: Institution
    buyer: Ledger
    place: Path
    keeper: Identity
    reader: Identity
    content: Identity
    record: Record
    signature: bytes
    kind: type[Owner] = Owner
    copy: Copy | None = None
    url: str = ""

    @property
    def store(self) -> Store:
        return Store(self.url or self.place / "store")

    @property
    def sealed(self) -> Path:
        return self.place / "package.age"

    @property
    def owner(self) -> Owner:
        """The owner anew, as a program finds it that was just started."""
        return self.kind(self.place / "owner", self.hospital.ledger)

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.place / "recipient", self.buyer)

    @property
    def state(self) -> SaleState:
        return self.owner.watch().state

    def begin(self) -> Owner:
        return self.kind.begin(
            self.place / "owner",
            self.hospital.ledger,
            self.sealed,
            self.record,
            self.signature,
            self.content,
            self.keeper.recipient,
            copy=self.copy,
        )

    def offer(self, **terms: Any) -> Terms:
        terms = {
            "price": PRICE,
            "bond": BOND,
            "reveal_window": MIN_WINDOW,
            "complaint_window": MIN_WINDOW,
            **terms,
        }
        buyer = self.buyer.account.address
        return self.owner.offer(buyer, self.reader.recipient, self.keeper, self.store, **terms)

    def take_up(self) -> Recipient:
        (found,) = find_offers(self.buyer, self.buyer.account.address)
        return Recipient.begin(self.place / "recipient", self.buyer, found.id)

    def download(self) -> None:
        self.recipient.download(self.reader, self.store)

    def accept(self) -> None:
        self.recipient.accept(PRICE)

    def reveal(self) -> None:
        self.owner.reveal(self.keeper)

    def until(self, step: str) -> Deal:
        """Go on to a step, with nothing in the way."""
        steps: dict[str, Callable[[], object]] = {
            "registered": lambda: self.owner.register(),
            "offered": self.offer,
            "taken up": self.take_up,
            "downloaded": self.download,
            "accepted": self.accept,
            "revealed": self.reveal,
        }
        self.begin()
        for name, take in steps.items():
            take()
            if name == step:
                return self
        raise AssertionError(step)

    def files(self) -> list[Path]:
        """What either side keeps, and what lies in the store; but for what was received."""
        kept = [path for path in self.place.rglob("*") if path.is_file()]
        return [path for path in kept if path.name not in ("sealed.age", "package.age")]


def make_deal(
    chain: Chain, place: Path, kind: type[Owner] = Owner, plain_content: bytes = CONTENT
) -> Deal:
    """Have two come together over a package that is sealed and signed for, in an empty folder."""
    (place / "store").mkdir(parents=True)
    content = Identity.generate()
    (place / "plain").write_bytes(plain_content)
    with (place / "plain").open("rb") as plain, (place / "package.age").open("w+b") as sealed:
        seal(plain, sealed, content.recipient)
        sealed.seek(0)
        tree = tree_of_chunks(sealed)
    (place / "plain").unlink()
    hospital = chain.institution()
    record, claim = hospital.record(
        package_root=tree.root,
        chunk_count=tree.count,
        content_commitment=content.commitment,
    )
    return Deal(
        chain,
        hospital,
        chain.ledger(chain.account()),
        place,
        Identity.generate(),
        Identity.generate(),
        content,
        record,
        claim.signature,
        kind,
    )


#: Takes what `make_deal` does after chain and place.
MakeDeal = Callable[..., Deal]


class Purse:
    """What an account has, but for the gas that it paid since."""

    def __init__(self, ledger: Ledger) -> None:
        self._web3, self._address = ledger.web3, ledger.account.address
        self._block = self._web3.eth.block_number
        self._had = self._web3.eth.get_balance(self._address)

    @property
    def gained(self) -> int:
        """In wei."""
        eth, gas = self._web3.eth, 0
        for number in range(self._block + 1, eth.block_number + 1):
            for hash in eth.get_block(number)["transactions"]:
                receipt = eth.get_transaction_receipt(hash)
                if receipt["from"] == self._address:
                    gas += receipt["gasUsed"] * receipt["effectiveGasPrice"]
        return eth.get_balance(self._address) + gas - self._had


def twice(step: Callable[[], Any]) -> Any:
    """Take a step, and take it again, as after a crash that hid that it was taken."""
    first = step()
    assert step() == first
    return first
