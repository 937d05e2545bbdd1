"""The terms of a sale and where it stands.

Twins of the structs in ``contracts/src/FairExchange.sol``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from MedWatermarkLib.record import Struct, struct_hash

COIN = "0x" + 40 * "0"
"""The token address that stands for the chain's own coin."""
MIN_WINDOW = 3_600
MAX_WINDOW = 90 * 86_400


class SaleState(IntEnum):
    """Where a sale stands: offered, accepted, revealed, settled; or it ended otherwise."""

    NONE = 0
    OFFERED = 1
    ACCEPTED = 2
    REVEALED = 3
    SETTLED = 4
    REFUNDED = 5
    CANCELLED = 6


@dataclass(frozen=True)
class Sale:
    """What the exchange keeps for a sale.

    Attributes
    ----------
    state : SaleState
        ``NONE`` where there is no such sale.
    deadline : int
        In seconds since 1970-01-01 UTC: offered, until when it can be accepted; accepted, until
        when the key can be expected; revealed, until when the recipient alone can settle. Else 0.
    """

    state: SaleState
    deadline: int


@dataclass(frozen=True)
class Terms(Struct):
    """What both sides of a sale agree on.

    Attributes
    ----------
    owner : str
        Address of who offers, reveals and is paid.
    recipient : str
        Address of who may accept.
    record : bytes
        32 bytes, the id of the record on the registry.
    package_root : bytes
        32 bytes, the Merkle root over the chunks of the sealed package.
    cipher_root : bytes
        32 bytes, the Merkle root over the same chunks under the cipher.
    key_commitment : bytes
        32 bytes, keccak256 of the key of the cipher.
    size : int
        The length of the sealed package in bytes.
    token : str
        Address of the ERC-20 token that is paid in, or `COIN`. Tokens whose balances change by
        themselves are not supported.
    price : int
        What the recipient pays, in the token's least unit (wei).
    bond : int
        What the owner stakes, in the same unit; it goes to the recipient if the owner cheats or
        falls silent. May be 0.
    open_until : int
        Until when the offer can be accepted, in seconds since 1970-01-01 UTC.
    reveal_window : int
        How long after the acceptance the owner has to reveal, in seconds; an hour to 90 days.
    complaint_window : int
        How long after that the recipient has to complain, in seconds; an hour to 90 days.
    nonce : int
        Anything that sets this sale apart from others on the same terms, 256 bits.

    Raises
    ------
    RecordError
        If a field has not the form above.
    """

    TYPES: ClassVar[Mapping[str, str]] = {
        "owner": "address",
        "recipient": "address",
        "record": "bytes32",
        "package_root": "bytes32",
        "cipher_root": "bytes32",
        "key_commitment": "bytes32",
        "size": "uint64",
        "token": "address",
        "price": "uint128",
        "bond": "uint128",
        "open_until": "uint64",
        "reveal_window": "uint32",
        "complaint_window": "uint32",
        "nonce": "uint256",
    }
    owner: str
    recipient: str
    record: bytes
    package_root: bytes
    cipher_root: bytes
    key_commitment: bytes
    size: int
    token: str
    price: int
    bond: int
    open_until: int
    reveal_window: int
    complaint_window: int
    nonce: int

    def id(self, chain_id: int, exchange: str) -> bytes:
        """32 bytes, the id of a sale on these terms at one exchange on one chain.

        Parameters
        ----------
        chain_id : int
            Number of the chain.
        exchange : str
            Address of the contract.
        """
        return struct_hash(self, ("uint256", chain_id), ("address", exchange))
