"""What the registry keeps, and whether a record counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class RecordState(IntEnum):
    """Where a record stands."""

    NONE = 0
    REGISTERED = 1
    REVOKED = 2


@dataclass(frozen=True)
class Entry:
    """What the registry keeps for a record.

    Attributes
    ----------
    owner : str
        Address of who may revoke it and hand it over.
    registered_at : int
        When it was registered, in seconds since 1970-01-01 UTC; of a batch's record, when the
        batch was.
    state : RecordState
        Registered, or taken back.
    """

    owner: str
    registered_at: int
    state: RecordState


@dataclass(frozen=True)
class Period:
    """A time in which an authority may vouch for an institution, in seconds since 1970-01-01 UTC.

    Attributes
    ----------
    start, until : int
        `start` is within it, `until` is not.
    """

    start: int
    until: int


@dataclass(frozen=True)
class Standing:
    """What speaks for and against a record.

    Attributes
    ----------
    entry : Entry or None
        What the registry keeps for it; None if it is not registered.
    accredited : bool
        Whether the authority was accredited for the institution when it signed the claim, and in
        the same period when the record was registered.
    claim_revoked : bool
        Whether the authority took the claim back.
    invalid_since : int or None
        Since when the authority's key is disowned, in seconds since 1970-01-01 UTC.
    """

    entry: Entry | None
    accredited: bool
    claim_revoked: bool
    invalid_since: int | None

    @property
    def key_invalidated(self) -> bool:
        """Whether the authority's key was disowned since before the record was registered."""
        # It is the time of registration that counts, since a thief can date a claim back.
        return (
            self.entry is not None
            and self.invalid_since is not None
            and self.entry.registered_at >= self.invalid_since
        )

    @property
    def counts(self) -> bool:
        """Whether the record is registered and nothing speaks against it."""
        return (
            self.entry is not None
            and self.entry.state is RecordState.REGISTERED
            and self.accredited
            and not self.claim_revoked
            and not self.key_invalidated
        )
