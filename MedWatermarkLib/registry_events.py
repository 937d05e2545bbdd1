"""The events of the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from MedWatermarkLib.chain_log import Origin
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.record_batch import Batch

TAG_SIZE = 8


@dataclass(frozen=True)
class RegistryEvent:
    """Something that happened on the registry.

    Attributes
    ----------
    origin : Origin
        Where on the chain, and when.
    """

    origin: Origin


@dataclass(frozen=True)
class Accredited(RegistryEvent):
    """An authority may vouch for an institution, in the period with this number."""

    institution: str
    authority: str
    period: int
    start: int
    until: int


@dataclass(frozen=True)
class AccreditationEnded(RegistryEvent):
    """A period of accreditation was ended before its time."""

    institution: str
    authority: str
    period: int
    until: int


@dataclass(frozen=True)
class Invalidated(RegistryEvent):
    """An authority's key is disowned for whatever was registered since a time."""

    authority: str
    since: int


@dataclass(frozen=True)
class ClaimRevoked(RegistryEvent):
    """An authority took a claim back."""

    authority: str
    commitment: bytes


@dataclass(frozen=True)
class Registered(RegistryEvent):
    """A record was registered; the authority's signature of its claim was good."""

    id: bytes
    authority: str
    record: Record


@dataclass(frozen=True)
class BatchRegistered(RegistryEvent):
    """Many records were registered under one root; the tags are told, not proved."""

    id: bytes
    batch: Batch
    tags: bytes = field(repr=False)

    def indices(self, tag: bytes) -> tuple[int, ...]:
        """Return where records with a tag stand in the batch."""
        places = range(0, len(self.tags), TAG_SIZE)
        return tuple(
            place // TAG_SIZE for place in places if self.tags[place : place + TAG_SIZE] == tag
        )


@dataclass(frozen=True)
class CopyAdded(RegistryEvent):
    """A copy was marked for one recipient."""

    id: bytes
    copy: Copy


@dataclass(frozen=True)
class Revoked(RegistryEvent):
    """A record was taken back."""

    id: bytes


@dataclass(frozen=True)
class OwnershipTransferred(RegistryEvent):
    """A record was handed over."""

    id: bytes
    giver: str
    receiver: str


@dataclass(frozen=True)
class Granted(RegistryEvent):
    """A recipient was given a package without payment."""

    id: bytes
    recipient: bytes
    package_root: bytes


@dataclass(frozen=True)
class Withdrawn(RegistryEvent):
    """A grant was taken back."""

    id: bytes
    recipient: bytes


@dataclass(frozen=True)
class RoleGranted(RegistryEvent):
    """An account was given a role: 32 zero bytes are the administrator's."""

    role: bytes
    account: str
    sender: str


@dataclass(frozen=True)
class RoleRevoked(RegistryEvent):
    """A role was taken from an account."""

    role: bytes
    account: str
    sender: str


def registry_event(name: str, arguments: Mapping[str, Any], origin: Origin) -> RegistryEvent:
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


def _registered(origin: Origin, a: Mapping[str, Any]) -> Registered:
    record = Record(
        a["commitment"],
        a["issuedAt"],
        a["tag"],
        a["voxelRoot"],
        a["packageRoot"],
        a["chunkCount"],
        a["contentCommitment"],
        a["institution"],
    )
    return Registered(origin, a["id"], a["authority"], record)


def _batch_registered(origin: Origin, a: Mapping[str, Any]) -> BatchRegistered:
    batch = Batch(a["root"], a["count"], a["issuedAt"], a["institution"], a["authority"])
    return BatchRegistered(origin, a["id"], batch, a["tags"])


def _copy_added(origin: Origin, a: Mapping[str, Any]) -> CopyAdded:
    copy = Copy(
        a["number"],
        a["recipient"],
        a["voxelRoot"],
        a["packageRoot"],
        a["chunkCount"],
        a["contentCommitment"],
    )
    return CopyAdded(origin, a["id"], copy)


_MAKE: Mapping[str, Callable[[Origin, Mapping[str, Any]], RegistryEvent]] = {
    "Accredited": lambda origin, a: Accredited(
        origin, a["institution"], a["authority"], a["period"], a["from"], a["until"]
    ),
    "AccreditationEnded": lambda origin, a: AccreditationEnded(
        origin, a["institution"], a["authority"], a["period"], a["until"]
    ),
    "Invalidated": lambda origin, a: Invalidated(origin, a["authority"], a["since"]),
    "ClaimRevoked": lambda origin, a: ClaimRevoked(origin, a["authority"], a["commitment"]),
    "Registered": _registered,
    "BatchRegistered": _batch_registered,
    "CopyAdded": _copy_added,
    "Revoked": lambda origin, a: Revoked(origin, a["id"]),
    "OwnershipTransferred": lambda origin, a: OwnershipTransferred(
        origin, a["id"], a["from"], a["to"]
    ),
    "Granted": lambda origin, a: Granted(origin, a["id"], a["recipient"], a["packageRoot"]),
    "Withdrawn": lambda origin, a: Withdrawn(origin, a["id"], a["recipient"]),
    "RoleGranted": lambda origin, a: RoleGranted(origin, a["role"], a["account"], a["sender"]),
    "RoleRevoked": lambda origin, a: RoleRevoked(origin, a["role"], a["account"], a["sender"]),
}
