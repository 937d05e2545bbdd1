"""The events of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from MedWatermarkLib.chain_log import Origin
from MedWatermarkLib.sale import Terms


@dataclass(frozen=True)
class SaleEvent:
    """Something that happened on the exchange.

    Attributes
    ----------
    origin : Origin
        Where on the chain, and when.
    """

    origin: Origin


@dataclass(frozen=True)
class Offered(SaleEvent):
    """A package was offered on these terms."""

    id: bytes
    terms: Terms


@dataclass(frozen=True)
class Cancelled(SaleEvent):
    """An offer was taken back."""

    id: bytes


@dataclass(frozen=True)
class Accepted(SaleEvent):
    """An offer was accepted and paid; the key can be expected until the deadline."""

    id: bytes
    deadline: int


@dataclass(frozen=True)
class Revealed(SaleEvent):
    """The key was revealed; until the deadline the recipient alone can settle."""

    id: bytes
    key: bytes = field(repr=False)
    deadline: int


@dataclass(frozen=True)
class Settled(SaleEvent):
    """The owner was paid."""

    id: bytes


@dataclass(frozen=True)
class Complained(SaleEvent):
    """It was proved that the chunk with this number is not what was promised."""

    id: bytes
    index: int


@dataclass(frozen=True)
class Refunded(SaleEvent):
    """The recipient has its payment back, and the bond."""

    id: bytes


@dataclass(frozen=True)
class Credited(SaleEvent):
    """A receiver did not take a payment, which waits for it at the exchange."""

    receiver: str
    token: str
    amount: int


@dataclass(frozen=True)
class CreditWithdrawn(SaleEvent):
    """A receiver took out what waited for it."""

    receiver: str
    token: str
    amount: int
    to: str


def sale_event(name: str, arguments: Mapping[str, Any], origin: Origin) -> SaleEvent:
    """Return an event as its typed record.

    Parameters
    ----------
    name : str
        In Solidity.
    arguments : mapping
        By their names in Solidity.
    origin : Origin
        Where it stands.
    """
    return _MAKE[name](origin, arguments)


_MAKE: Mapping[str, Callable[[Origin, Mapping[str, Any]], SaleEvent]] = {
    "Offered": lambda origin, a: Offered(origin, a["id"], Terms(*a["terms"].values())),
    "Cancelled": lambda origin, a: Cancelled(origin, a["id"]),
    "Accepted": lambda origin, a: Accepted(origin, a["id"], a["deadline"]),
    "Revealed": lambda origin, a: Revealed(origin, a["id"], a["key"], a["deadline"]),
    "Settled": lambda origin, a: Settled(origin, a["id"]),
    "Complained": lambda origin, a: Complained(origin, a["id"], a["index"]),
    "Refunded": lambda origin, a: Refunded(origin, a["id"]),
    "Credited": lambda origin, a: Credited(origin, a["receiver"], a["token"], a["amount"]),
    "CreditWithdrawn": lambda origin, a: CreditWithdrawn(
        origin, a["receiver"], a["token"], a["amount"], a["to"]
    ),
}
