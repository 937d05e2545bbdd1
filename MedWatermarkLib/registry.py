"""The registry: who may vouch for an image, and what was vouched for.

The client of ``contracts/src/ImageRegistry.sol``. Times are in seconds since 1970-01-01 UTC,
addresses have their checksum (EIP-55), and ids, roots and commitments have 32 bytes. Whatever is
sent raises `NoAccountError` where the ledger was opened without an account, `RefusedError` where
the contract refuses, and else what `Transactions.execute` does; it happens once, however often it
is asked for, and returns the event that it made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from web3.types import TxReceipt

from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import BatchedRecord, SignedBatch
from MedWatermarkLib.refusals import FromTheFutureError, NotAccreditedError
from MedWatermarkLib.registry_events import (
    AccreditationEnded,
    Accredited,
    BatchRegistered,
    ClaimRevoked,
    CopyAdded,
    Granted,
    Invalidated,
    OwnershipTransferred,
    Registered,
    RegistryEvent,
    Revoked,
    Withdrawn,
)
from MedWatermarkLib.registry_reader import RegistryReader
from MedWatermarkLib.signature import halves

CLOCK_PATIENCE = 60
"""Seconds to wait for a block that is not older than what was signed."""
_Sent = TypeVar("_Sent")


class Registry(RegistryReader):
    """A typed client of the registry: what can be asked of it, and what can be done there.

    Parameters
    ----------
    contract : Contract
        The registry at its address.
    log : ChainLog
        Its log.
    """

    # --- Authorities ---

    def accredit(self, institution: str, authority: str, start: int, until: int) -> Accredited:
        """Let an authority vouch for an institution in a period; takes the accreditor's role.

        Parameters
        ----------
        institution, authority : str
            Addresses.
        start, until : int
            Begin, within the period, and end, without.

        Returns
        -------
        Accredited
            With the period's number. The same period as before is given again only if that was
            ended before its time.
        """
        receipt = self._contract.send_again(
            f"accredit:{institution}:{authority}:{start}:{until}",
            "accredit",
            institution,
            authority,
            start,
            until,
            stands=self._is_not_ended,
        )
        return self._events.of(receipt, Accredited)

    def end_accreditation(
        self, institution: str, authority: str, period: int
    ) -> AccreditationEnded:
        """End a period now; what was registered in it stands. Takes the accreditor's role."""
        receipt = self._contract.send(
            f"end-accreditation:{institution}:{authority}:{period}",
            "endAccreditation",
            institution,
            authority,
            period,
        )
        return self._events.of(receipt, AccreditationEnded)

    def invalidate_since(self, authority: str, since: int) -> Invalidated:
        """Disown what was registered under a lost key since a time, and will be.

        The authority may, and so may an accreditor; the time can be moved to an earlier one later.
        """
        intent = f"invalidate:{authority}:{since}"
        receipt = self._when_due(
            since, lambda: self._contract.send(intent, "invalidateSince", authority, since)
        )
        return self._events.of(receipt, Invalidated)

    def revoke_claim(self, commitment: bytes) -> ClaimRevoked:
        """Take back a claim that the account signed, wherever it is registered or not."""
        receipt = self._contract.send(f"revoke-claim:{commitment.hex()}", "revokeClaim", commitment)
        return self._events.of(receipt, ClaimRevoked)

    # --- Records ---

    def register(self, record: Record, signature: bytes) -> Registered:
        """Register a marked image; the account must be the institution in the record.

        Where the chain's clock is behind the claim, a block is waited for, `CLOCK_PATIENCE` at
        the most.

        Parameters
        ----------
        record : Record
            The fields.
        signature : bytes
            64 bytes, `Claim.signature`.

        Raises
        ------
        NotAccreditedError
            If the signer was not accredited for the institution when it signed, or is not now.
        SignatureError
            If nobody can have made the signature.
        """
        authority = record.signer(signature)
        period = self._period(record.institution, authority, record.issued_at)
        receipt = self._when_due(
            record.issued_at,
            lambda: self._contract.send(
                # The period belongs to it: after a refusal another one may do.
                f"register:{record.id.hex()}:{period}",
                "register",
                record.abi,
                period,
                *halves(signature),
            ),
        )
        return self._events.of(receipt, Registered)

    def register_batch(self, signed: SignedBatch) -> BatchRegistered:
        """Register many records at once; the account must be their institution.

        Parameters
        ----------
        signed : SignedBatch
            The records under the authority's signature; its `placed` gives what each is used with
            later, and is to be kept.

        Raises
        ------
        NotAccreditedError
            If the signer was not accredited for the institution when it signed, or is not now.
        """
        batch = signed.batch
        period = self._period(batch.institution, batch.authority, batch.issued_at)
        receipt = self._when_due(
            batch.issued_at,
            lambda: self._contract.send(
                f"register-batch:{batch.id.hex()}:{period}",
                "registerBatch",
                batch.root,
                batch.issued_at,
                signed.tags,
                period,
                *halves(signed.signature),
            ),
        )
        return self._events.of(receipt, BatchRegistered)

    def register_from_batch(self, placed: BatchedRecord, signature: bytes) -> Registered:
        """Give a record of a batch an entry of its own, to revoke, grant, copy or hand it over.

        Any account may; the entry is the institution's, and bears the time of the batch.

        Parameters
        ----------
        placed : BatchedRecord
            The record with its index and path.
        signature : bytes
            64 bytes, `Claim.signature`.
        """
        receipt = self._contract.send(
            f"register-from-batch:{placed.record.id.hex()}",
            "registerFromBatch",
            placed.batch.abi,
            placed.record.abi,
            placed.index,
            placed.path,
            *halves(signature),
        )
        return self._events.of(receipt, Registered)

    def add_copy(self, id: bytes, copy: Copy) -> CopyAdded:
        """Add a copy that is marked for one recipient; the account must own the record."""
        intent = f"add-copy:{id.hex()}:{copy.hash.hex()}"
        receipt = self._contract.send(intent, "addCopy", id, copy.abi)
        return self._events.of(receipt, CopyAdded)

    def revoke(self, id: bytes) -> Revoked:
        """Take a record back, for good; the account must own it."""
        receipt = self._contract.send(f"revoke:{id.hex()}", "revoke", id)
        return self._events.of(receipt, Revoked)

    def transfer_ownership(self, id: bytes, to: str) -> OwnershipTransferred:
        """Hand a record over to another owner; the account must own it."""

        def stands(_: TxReceipt) -> bool:
            entry = self.entry(id)
            return entry is not None and entry.owner == to

        receipt = self._contract.send_again(
            f"transfer:{id.hex()}:{to}", "transferOwnership", id, to, stands=stands
        )
        return self._events.of(receipt, OwnershipTransferred)

    def grant(self, id: bytes, recipient: bytes, package_root: bytes) -> Granted:
        """Note that a recipient was given a package without payment; the account must own it.

        Parameters
        ----------
        id : bytes
            Of the record.
        recipient : bytes
            A commitment to who it is.
        package_root : bytes
            Which package.
        """
        receipt = self._contract.send_again(
            f"grant:{id.hex()}:{recipient.hex()}:{package_root.hex()}",
            "grant",
            id,
            recipient,
            package_root,
            stands=lambda sent: not self._happened_since(sent, Withdrawn, id, recipient),
        )
        return self._events.of(receipt, Granted)

    def withdraw(self, id: bytes, recipient: bytes) -> Withdrawn:
        """Note that a grant was taken back; what was received cannot be."""
        receipt = self._contract.send_again(
            f"withdraw:{id.hex()}:{recipient.hex()}",
            "withdraw",
            id,
            recipient,
            stands=lambda sent: not self._happened_since(sent, Granted, id, recipient),
        )
        return self._events.of(receipt, Withdrawn)

    # --- Parts ---

    def _period(self, institution: str, authority: str, issued_at: int) -> int:
        """Return the number of the period to register in."""
        begun = [
            (period, number)
            for number, period in enumerate(self.periods(institution, authority))
            if period.start <= issued_at
        ]
        if not begun:
            raise NotAccreditedError(institution, authority)
        # The one that lasts longest; whether it lasts still is for the contract to say.
        return max(begun, key=lambda each: each[0].until)[1]

    def _is_not_ended(self, receipt: TxReceipt) -> bool:
        event = self._events.of(receipt, Accredited)
        period = self.periods(event.institution, event.authority)[event.period]
        return period.until == event.until

    def _happened_since(self, receipt: TxReceipt, kind: type[RegistryEvent], *words: bytes) -> bool:
        place = (receipt["blockNumber"], receipt["logs"][0]["logIndex"])
        return any(
            (event.origin.block, event.origin.index) > place
            for event in self._events.read([kind], *words, first_block=place[0])
        )

    def _when_due(self, due: int, send: Callable[[], _Sent]) -> _Sent:
        """Send what the chain refuses until its clock has come to a time."""
        end = time.monotonic() + CLOCK_PATIENCE
        while True:
            try:
                return send()
            except FromTheFutureError:
                # The later of both clocks: the last block may be old, and this computer slow.
                present = max(time.time(), self._log.last_time())
                if time.monotonic() > end or due > present + CLOCK_PATIENCE:
                    raise
            time.sleep(1)
