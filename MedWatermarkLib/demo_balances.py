"""Who had what after each step of an exchange, and whether that is what each should have had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from rich import box
from rich.table import Table

from MedWatermarkLib.audit import trail
from MedWatermarkLib.ledger import Ledger

ETHER, GWEI = 10**18, 10**9

#: What owner, recipient and the contract of the exchange hold, in wei.
Balances = tuple[int, int, int]


@dataclass(frozen=True)
class Moment:
    """What was done in one transaction, and who had what after it.

    Attributes
    ----------
    what : str
        Such as ``accepted``.
    by : str
        ``owner`` or ``recipient``.
    transaction : str
        Its hash.
    gas : int
        What it cost its sender, in wei, as its receipt says.
    owner, recipient, escrow : int
        As in `Balances`.
    exact : bool
        Whether that is, to the wei, what they should have.
    """

    what: str
    by: str
    transaction: str
    gas: int
    owner: int
    recipient: int
    escrow: int
    exact: bool


@dataclass(frozen=True)
class Accounts:
    """The accounts of both sides of sales at one price, in the chain's coin.

    Attributes
    ----------
    ledger : Ledger
        For reading.
    owner, recipient : str
        Their addresses.
    price, bond : int
        In wei.
    """

    ledger: Ledger
    owner: ChecksumAddress
    recipient: ChecksumAddress
    price: int
    bond: int

    def balances(self, block: int | None = None) -> Balances:
        """Return what they hold after a block; the last, if none is given."""
        eth, exchange = self.ledger.web3.eth, self.ledger.config.exchange
        owner, recipient, escrow = (
            int(eth.get_balance(address, "latest" if block is None else block))
            for address in (self.owner, self.recipient, exchange)
        )
        return owner, recipient, escrow

    def moments(self, record: bytes, before: Balances) -> Iterator[Moment]:
        """Yield what was done with a record that was sold, transaction by transaction.

        Parameters
        ----------
        record : bytes
            32 bytes, its id.
        before : (int, int, int)
            What was held before it was registered.
        """
        # What moves from the exchange to owner and recipient, by the last thing that was done.
        moves = {
            "registered": (0, 0),
            "offered": (-self.bond, 0),
            "accepted": (0, -self.price),
            "revealed": (0, 0),
            "settled": (self.price + self.bond, 0),
            "refunded": (0, self.price + self.bond),
        }
        done: dict[bytes, list[str]] = {}
        for entry in sorted(
            trail(self.ledger, record), key=lambda one: (one.origin.block, one.origin.index)
        ):
            done.setdefault(entry.origin.transaction, []).append(entry.what)
        due = before
        for transaction, whats in done.items():
            receipt = self.ledger.web3.eth.get_transaction_receipt(HexBytes(transaction))
            gas = receipt["gasUsed"] * receipt["effectiveGasPrice"]
            by = "owner" if receipt["from"] == self.owner else "recipient"
            moved, costs = moves[whats[-1]], (gas, 0) if by == "owner" else (0, gas)
            due = (
                due[0] + moved[0] - costs[0],
                due[1] + moved[1] - costs[1],
                due[2] - sum(moved),
            )
            held = self.balances(receipt["blockNumber"])
            name = f"0x{transaction.hex()}"
            yield Moment(", ".join(whats), by, name, gas, *held, held == due)


def balances_table(before: Balances, moments: list[Moment]) -> Table:
    """Return who had what, for a person; what should be otherwise is red."""
    table = Table(header_style="dim", box=box.SIMPLE_HEAD)
    table.add_column("Step")
    table.add_column("By")
    for name in ("Owner has", "Recipient has", "In escrow", "Gas paid"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("before", "", *map(_ether, before), "", style="dim")
    for one in moments:
        held = map(_ether, (one.owner, one.recipient, one.escrow, one.gas))
        table.add_row(one.what, one.by, *held, style="" if one.exact else "bold red")
    return table


def _ether(amount: int) -> str:
    """Write an amount in ether, cut off after the gwei."""
    return f"{amount // ETHER:,}.{amount % ETHER // GWEI:09d}"
