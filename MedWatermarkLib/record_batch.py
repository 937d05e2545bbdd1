"""Many records under one root, signed once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from eth_account.signers.local import LocalAccount

from MedWatermarkLib.merkle import MerkleTree, holds, leaf_hash
from MedWatermarkLib.record import Record, RecordError, Struct, struct_hash
from MedWatermarkLib.signature import sign_struct, signer_of


@dataclass(frozen=True)
class Batch(Struct):
    """What a batch of records is known by.

    Attributes
    ----------
    root : bytes
        32 bytes, the Merkle root over the ids of the records.
    count : int
        How many records there are.
    issued_at : int
        When the authority signed the batch, in seconds since 1970-01-01 UTC.
    institution : str
        Address of who registers it, with checksum (EIP-55).
    authority : str
        Address of who signed it, and the claim of each record.

    Raises
    ------
    RecordError
        If a field has not the form above.
    """

    TYPES: ClassVar[Mapping[str, str]] = {
        "root": "bytes32",
        "count": "uint64",
        "issued_at": "uint64",
        "institution": "address",
        "authority": "address",
    }
    root: bytes
    count: int
    issued_at: int
    institution: str
    authority: str

    @property
    def id(self) -> bytes:
        """32 bytes, under which the registry keeps it."""
        return struct_hash(self)


@dataclass(frozen=True)
class BatchedRecord:
    """A record and its way to the root of a batch, which is all that it takes to use it.

    Attributes
    ----------
    batch : Batch
        The batch.
    record : Record
        The record.
    index : int
        Where it stands in the batch, from 0.
    path : tuple of bytes
        The hashes beside its way to the root, from the leaf up.
    """

    batch: Batch
    record: Record
    index: int
    path: tuple[bytes, ...] = field(repr=False)

    def holds(self) -> bool:
        """Tell whether the batch's root holds the record at the index."""
        leaf = leaf_hash(self.index, self.record.id)
        return holds(self.batch.root, self.batch.count, self.index, leaf, self.path)


@dataclass(frozen=True)
class SignedBatch:
    """Records, and the authority's signature over all of them.

    Attributes
    ----------
    records : tuple of Record
        In the order of the batch; all of one institution, and at least one.
    issued_at : int
        When the authority signed, in seconds since 1970-01-01 UTC; no claim may be younger.
    signature : bytes
        64 bytes, compact (EIP-2098), over the EIP-712 hash of root, count and time.

    Raises
    ------
    RecordError
        If there are no records, or they are of several institutions, or one was issued later.
    SignatureError
        If nobody can have made the signature.
    """

    records: tuple[Record, ...] = field(repr=False)
    issued_at: int
    signature: bytes = field(repr=False)
    batch: Batch = field(init=False)
    tree: MerkleTree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tree = _tree(self.records, self.issued_at)
        authority = signer_of("Batch", _values(tree, self.issued_at), self.signature)
        institution = self.records[0].institution
        batch = Batch(tree.root, tree.count, self.issued_at, institution, authority)
        object.__setattr__(self, "tree", tree)
        object.__setattr__(self, "batch", batch)

    @property
    def tags(self) -> bytes:
        """The tags of the records, 8 bytes each, in their order."""
        return b"".join(record.tag for record in self.records)

    def placed(self) -> list[BatchedRecord]:
        """Return each record with its index and path."""
        return [
            BatchedRecord(self.batch, record, index, self.tree.path(index))
            for index, record in enumerate(self.records)
        ]


def sign_batch(
    records: Sequence[Record], account: LocalAccount, *, issued_at: int | None = None
) -> SignedBatch:
    """Sign many records at once. The claim of each must bear the signature of the same account.

    Parameters
    ----------
    records : sequence of Record
        All of one institution, and at least one.
    account : eth_account.signers.local.LocalAccount
        The authority.
    issued_at : int, optional
        Seconds since 1970-01-01 UTC; now, if not given.

    Raises
    ------
    RecordError
        If there are no records, or they are of several institutions, or one was issued later.
    """
    issued_at = int(time.time()) if issued_at is None else issued_at
    values = _values(_tree(records, issued_at), issued_at)
    return SignedBatch(tuple(records), issued_at, sign_struct("Batch", values, account))


def _tree(records: Sequence[Record], issued_at: int) -> MerkleTree:
    if not records:
        raise RecordError("A batch holds at least one record.")
    if len({record.institution for record in records}) > 1:
        raise RecordError("The records of a batch are all of one institution.")
    if max(record.issued_at for record in records) > issued_at:
        raise RecordError("A batch is signed after the claims of its records, not before.")
    return MerkleTree(leaf_hash(index, record.id) for index, record in enumerate(records))


def _values(tree: MerkleTree, issued_at: int) -> dict[str, object]:
    return {"root": tree.root, "count": tree.count, "issuedAt": issued_at}
