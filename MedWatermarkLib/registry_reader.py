"""What can be asked of the registry.

Times are in seconds since 1970-01-01 UTC, addresses have their checksum (EIP-55), and ids, roots
and commitments have 32 bytes. Whatever is asked raises `NodeUnreachableError` or `NodeError` where
the node does not answer as it should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from MedWatermarkLib.chain_log import ChainLog
from MedWatermarkLib.contract import Contract
from MedWatermarkLib.contract_events import ContractEvents
from MedWatermarkLib.record import Copy, Record, check_field
from MedWatermarkLib.record_batch import BatchedRecord
from MedWatermarkLib.registry_events import (
    BatchRegistered,
    CopyAdded,
    Granted,
    OwnershipTransferred,
    Registered,
    RegistryEvent,
    Revoked,
    Withdrawn,
    registry_event,
)
from MedWatermarkLib.registry_state import Entry, Period, RecordState, Standing

_ACCREDITOR_ROLE = keccak(text="ACCREDITOR_ROLE")
_NEVER = 2**64 - 1


class RegistryReader:
    """What anyone can ask, without an account.

    Parameters
    ----------
    contract : Contract
        The registry at its address.
    log : ChainLog
        Its log.
    """

    def __init__(self, contract: Contract, log: ChainLog) -> None:
        self._contract = contract
        self._log = log
        self._events: ContractEvents[RegistryEvent] = ContractEvents(contract, log, registry_event)

    def entry(self, id: bytes) -> Entry | None:
        """Return what is kept for a record, or None."""
        owner, registered_at, state = self._contract.read("entry", id)
        if state == RecordState.NONE:
            return None
        return Entry(to_checksum_address(owner), registered_at, RecordState(state))

    def has_copy(self, id: bytes, copy: Copy) -> bool:
        """Tell whether a record has exactly this copy."""
        return bytes(self._contract.read("copyOf", id, copy.number)) == copy.hash

    def periods(self, institution: str, authority: str) -> tuple[Period, ...]:
        """Return the periods in which an authority may vouch, or might, by their numbers."""
        periods = self._contract.read("periodsOf", institution, authority)
        return tuple(Period(start, until) for start, until in periods)

    def is_claim_revoked(self, authority: str, commitment: bytes) -> bool:
        """Tell whether an authority took one of its claims back."""
        return bool(self._contract.read("isClaimRevoked", authority, commitment))

    def invalid_since(self, authority: str) -> int | None:
        """Return since when an authority's key is disowned, or None."""
        since = int(self._contract.read("invalidSince", authority))
        return None if since == _NEVER else since

    def is_accreditor(self, account: str) -> bool:
        """Tell whether an account may accredit authorities."""
        return bool(self._contract.read("hasRole", _ACCREDITOR_ROLE, account))

    def standing(
        self, record: Record, authority: str, placed: BatchedRecord | None = None
    ) -> Standing:
        """Return what speaks for and against a record.

        Parameters
        ----------
        record : Record
            The fields.
        authority : str
            Who vouches for it: `Claim.signer` of the claim that was read from the image.
        placed : BatchedRecord, optional
            Its place in a batch, if it was registered in one.
        """
        entry = self.entry(record.id)
        if entry is None and placed is not None:
            entry = self._batched_entry(record, authority, placed)
        # Ended within the second of the registration: what was registered in it stands.
        accredited = entry is not None and any(
            period.start <= record.issued_at and entry.registered_at <= period.until
            for period in self.periods(record.institution, authority)
        )
        revoked = self.is_claim_revoked(authority, record.commitment)
        return Standing(entry, accredited, revoked, self.invalid_since(authority))

    def find(self, id: bytes) -> Registered | None:
        """Return how a record was registered, by its id, or None."""
        entry = self.entry(id)
        if entry is None:
            return None
        # A search by time spares the reading of a long chain; of a batch's record the time is the
        # batch's, and the event follows later.
        first = self._log.block_at(entry.registered_at)
        return next(self._events.read([Registered], id, first_block=first), None)

    def find_voxel_root(self, voxel_root: bytes) -> Iterator[Registered | CopyAdded]:
        """Find the records and copies with a voxel root."""
        kinds: list[type[Registered | CopyAdded]] = [Registered, CopyAdded]
        return self._events.read(kinds, None, voxel_root)

    def find_tag(self, tag: bytes) -> Iterator[Registered]:
        """Find the records with a tag of 8 bytes, as it was read from a slice."""
        check_field("tag", "bytes8", tag)
        return self._events.read([Registered], None, None, tag.ljust(32, b"\0"))

    def find_batches(self, tag: bytes) -> Iterator[BatchRegistered]:
        """Find the batches that tell of a record with a tag; their `indices` say where it is."""
        check_field("tag", "bytes8", tag)
        return (event for event in self._events.read([BatchRegistered]) if event.indices(tag))

    def events(
        self,
        kinds: Sequence[type[RegistryEvent]] = (),
        *,
        first_block: int | None = None,
        last_block: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[RegistryEvent]:
        """Read what happened, in the order of the chain.

        Parameters
        ----------
        kinds : sequence of type, optional
            Which kinds of events; all, if empty.
        first_block, last_block : int, optional
            Both within; from the registry's first to the chain's last, if not given.
        progress : callable, optional
            Is told the number of the last block read, from which, or a few before which for the
            sake of reorganisations, it can be gone on later.

        Yields
        ------
        RegistryEvent
            Of these kinds.
        """
        return self._events.read(
            kinds, first_block=first_block, last_block=last_block, progress=progress
        )

    def history(self, id: bytes) -> Iterator[RegistryEvent]:
        """Read what happened to a record, from its registration on."""
        entry = self.entry(id)
        if entry is None:
            return iter(())
        kinds: list[type[RegistryEvent]] = [
            Registered,
            CopyAdded,
            Revoked,
            OwnershipTransferred,
            Granted,
            Withdrawn,
        ]
        first = self._log.block_at(entry.registered_at)
        return self._events.read(kinds, id, first_block=first)

    def _batched_entry(self, record: Record, authority: str, placed: BatchedRecord) -> Entry | None:
        if placed.record != record or placed.batch.authority != authority:
            return None
        registered_at = self._contract.read(
            "batchedAt", placed.batch.abi, record.abi, placed.index, placed.path
        )
        if not registered_at:
            return None
        return Entry(record.institution, registered_at, RecordState.REGISTERED)
