"""What the ledger says of a claim: its records, how they stand, and which voxels they are of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from MedWatermarkLib.claim import Claim
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import BatchedRecord
from MedWatermarkLib.registry_state import RecordState, Standing
from MedWatermarkLib.tables import moment
from MedWatermarkLib.tag import message_id

if TYPE_CHECKING:
    from MedWatermarkLib.registry_events import BatchRegistered
    from MedWatermarkLib.registry_reader import RegistryReader


@dataclass(frozen=True)
class Registration:
    """A record of a claim.

    Attributes
    ----------
    record : Record
    standing : Standing
        What speaks for and against it.
    copies : tuple of Copy
        Those that were marked for recipients.
    """

    record: Record
    standing: Standing
    copies: tuple[Copy, ...] = ()

    @property
    def roots(self) -> frozenset[bytes]:
        """The voxel roots that count as registered: the record's, and those of its copies."""
        return frozenset([self.record.voxel_root, *(copy.voxel_root for copy in self.copies)])

    @property
    def objections(self) -> list[str]:
        """What speaks against it, in parts of a sentence."""
        standing, entry = self.standing, self.standing.entry
        revoked = entry is not None and entry.state is RecordState.REVOKED
        reasons = {
            "the institution revoked the record": revoked,
            "the signer was not accredited for the institution, from when it signed until when "
            "that was registered": not standing.accredited,
            "the signer took the claim back": standing.claim_revoked,
            f"the signer's key is disowned for all that was registered since "
            f"{moment(standing.invalid_since or 0)}": standing.key_invalidated,
        }
        return [reason for reason, holds in reasons.items() if holds]


@dataclass(frozen=True)
class Lookup:
    """What a ledger holds for a claim.

    Attributes
    ----------
    registrations : tuple of Registration
        Each names this claim, and was registered under its signer's signature.
    batches : tuple of BatchRegistered
        Batches of this signer that tell of a record with the claim's tag; only the record's path
        proves it.
    others : int
        How many records bear the tag of this claim but name another.
    path_is_foreign : bool
        Whether a place in a batch was given that is not of this claim, or leads to no batch that
        is registered.
    """

    registrations: tuple[Registration, ...]
    batches: tuple[BatchRegistered, ...] = ()
    others: int = 0
    path_is_foreign: bool = False


def look_up(registry: RegistryReader, claim: Claim, placed: BatchedRecord | None = None) -> Lookup:
    """Ask a ledger for a claim that was read from a scan.

    Parameters
    ----------
    registry : RegistryReader
    claim : Claim
    placed : BatchedRecord, optional
        The record's place in a batch, if it was registered in one.

    Raises
    ------
    LedgerError
        If the node does not answer as it should.
    """
    tag = message_id(claim.to_text().encode())
    events = list(registry.find_tag(tag))
    named = {
        event.record: event.id
        for event in events
        if event.authority == claim.signer and _names(event.record, claim)
    }
    registrations = [
        Registration(
            record, registry.standing(record, claim.signer, placed), tuple(_copies(registry, id))
        )
        for record, id in named.items()
    ]
    in_batch = False
    if placed is not None and _names(placed.record, claim):
        # The contract follows the path itself.
        standing = registry.standing(placed.record, claim.signer, placed)
        in_batch = standing.entry is not None
        if in_batch and placed.record not in named:
            registrations.append(Registration(placed.record, standing))
    batches: Iterable[BatchRegistered] = ()
    if not registrations:
        batches = (
            event for event in registry.find_batches(tag) if event.batch.authority == claim.signer
        )
    return Lookup(
        registrations=tuple(registrations),
        batches=tuple(batches),
        others=len(events) - sum(event.record in named for event in events),
        path_is_foreign=placed is not None and not in_batch,
    )


def _names(record: Record, claim: Claim) -> bool:
    return record.commitment == claim.commitment and record.issued_at == claim.issued_at


def _copies(registry: RegistryReader, id: bytes) -> Iterable[Copy]:
    # What speaks to nodes takes long to load, and is wanted only with a ledger.
    from MedWatermarkLib.registry_events import CopyAdded

    return (event.copy for event in registry.history(id) if isinstance(event, CopyAdded))
