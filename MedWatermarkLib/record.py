"""What is registered of an image: nothing but commitments, roots, addresses, times and counts.

Twins of the structs in ``contracts/src/ImageRegistry.sol``; the ids here and there are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, ClassVar

from eth_abi.abi import encode
from eth_utils.address import is_checksum_address
from eth_utils.crypto import keccak

from MedWatermarkLib.signature import signer_of

# The kinds of Solidity that the structs are made of, with their sizes in bits or bytes.
_SIZES = {"bytes32": 32, "bytes8": 8, "uint32": 32, "uint64": 64, "uint128": 128, "uint256": 256}


class RecordError(ValueError):
    """A field that has not the form that the ledger keeps."""


@dataclass(frozen=True)
class Struct:
    """A struct of the contracts: its fields in their order, each checked for its type there."""

    TYPES: ClassVar[Mapping[str, str]]

    def __post_init__(self) -> None:
        for name, kind in self.TYPES.items():
            check_field(name, kind, getattr(self, name))

    @property
    def abi(self) -> tuple[Any, ...]:
        """The fields as the contracts take them."""
        return astuple(self)

    @property
    def abi_type(self) -> str:
        """The type of the tuple in the ABI."""
        return f"({','.join(self.TYPES.values())})"


@dataclass(frozen=True)
class Record(Struct):
    """What is registered for one marked image.

    Attributes
    ----------
    commitment : bytes
        32 bytes, `Claim.commitment`.
    issued_at : int
        When the authority signed the claim, in seconds since 1970-01-01 UTC.
    tag : bytes
        The first 8 bytes of the SHA-256 of the message that every slice carries.
    voxel_root : bytes
        32 bytes, the Merkle root over the tiles of the marked image.
    package_root : bytes
        32 bytes, the Merkle root over the chunks of the sealed package.
    chunk_count : int
        How many chunks the sealed package has.
    content_commitment : bytes
        32 bytes, the hash of the identity that opens the sealed package.
    institution : str
        Address of who registers it, with checksum (EIP-55).

    Raises
    ------
    RecordError
        If a field has not the form above.
    """

    TYPES: ClassVar[Mapping[str, str]] = {
        "commitment": "bytes32",
        "issued_at": "uint64",
        "tag": "bytes8",
        "voxel_root": "bytes32",
        "package_root": "bytes32",
        "chunk_count": "uint64",
        "content_commitment": "bytes32",
        "institution": "address",
    }
    commitment: bytes
    issued_at: int
    tag: bytes
    voxel_root: bytes
    package_root: bytes
    chunk_count: int
    content_commitment: bytes
    institution: str

    @cached_property
    def id(self) -> bytes:
        """32 bytes, under which the registry keeps it."""
        return struct_hash(self)

    def signer(self, signature: bytes) -> str:
        """Address of who signed the claim, with checksum (EIP-55).

        Parameters
        ----------
        signature : bytes
            64 bytes, `Claim.signature`.

        Raises
        ------
        SignatureError
            If nobody can have made it.
        """
        values = {"commitment": self.commitment, "issuedAt": self.issued_at}
        return signer_of("Claim", values, signature)


@dataclass(frozen=True)
class Copy(Struct):
    """A copy of a registered image, marked with a number of its own for one recipient.

    Attributes
    ----------
    number : int
        The copy number in the mark, 24 bits.
    recipient : bytes
        32 bytes, a commitment to who it was made for.
    voxel_root, package_root : bytes
        As in a record.
    chunk_count : int
        As in a record.
    content_commitment : bytes
        As in a record.

    Raises
    ------
    RecordError
        If a field has not the form above.
    """

    TYPES: ClassVar[Mapping[str, str]] = {
        "number": "uint32",
        "recipient": "bytes32",
        "voxel_root": "bytes32",
        "package_root": "bytes32",
        "chunk_count": "uint64",
        "content_commitment": "bytes32",
    }
    number: int
    recipient: bytes
    voxel_root: bytes
    package_root: bytes
    chunk_count: int
    content_commitment: bytes

    @property
    def hash(self) -> bytes:
        """32 bytes, which the registry keeps under the number."""
        return struct_hash(self)


def struct_hash(struct: Struct, *more: tuple[str, Any]) -> bytes:
    """Hash a struct as Solidity's ``keccak256(abi.encode(struct, ...))``.

    Parameters
    ----------
    struct : Struct
        A struct without members of dynamic size.
    *more : tuple of str and value
        ABI types and values that are encoded after it.
    """
    types, values = [struct.abi_type], [struct.abi]
    for kind, value in more:
        types.append(kind)
        values.append(value)
    return keccak(encode(types, values))


def check_field(name: str, kind: str, value: object) -> None:
    """Refuse a value that its type in Solidity cannot hold.

    Parameters
    ----------
    name : str
        How to name it in the error.
    kind : str
        The type in Solidity.
    value : object
        What is to be checked.

    Raises
    ------
    RecordError
        If it does not fit.
    """
    name = name.replace("_", " ")
    if kind == "address":
        if not isinstance(value, str) or not is_checksum_address(value):
            raise RecordError(f"The {name} is not an address with its checksum: 0x and 40 digits.")
    elif kind.startswith("uint"):
        if type(value) is not int or not 0 <= value < 2 ** _SIZES[kind]:
            raise RecordError(f"The {name} is not a number from 0 to 2**{_SIZES[kind]} - 1.")
    elif not isinstance(value, bytes) or len(value) != _SIZES[kind]:
        raise RecordError(f"The {name} is not {_SIZES[kind]} bytes.")
