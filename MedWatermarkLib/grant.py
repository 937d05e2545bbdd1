"""Grants, as their recipients see them: a package given without payment, and noted on the ledger.

What stands on the ledger for the recipient is the hash of the grant's note, which lies in a store
under that name; who it is for, only the one can tell who opens its envelope.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from MedWatermarkLib.chunks import CHUNK_SIZE
from MedWatermarkLib.exchange_errors import OfferError
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import tree_of_chunks
from MedWatermarkLib.offer import GREATEST_NOTE, Note, registered_package
from MedWatermarkLib.output import check_new
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.registration import Registration
from MedWatermarkLib.registry_events import Granted, Withdrawn
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.sealing import Identity, SealError, open_envelope
from MedWatermarkLib.store import Store
from MedWatermarkLib.store_errors import DamagedDownloadError, NotInStoreError, OversizeError


@dataclass(frozen=True)
class FoundGrant:
    """A grant of a record, for whom ever.

    Attributes
    ----------
    record : bytes
        32 bytes, the id of the record.
    recipient : bytes
        32 bytes, the hash of the grant's note.
    package_root : bytes
        32 bytes.
    is_withdrawn : bool
        Whether the owner took it back since.
    """

    record: bytes
    recipient: bytes
    package_root: bytes
    is_withdrawn: bool


def find_grants(ledger: Ledger, record: bytes) -> Iterator[FoundGrant]:
    """Read the grants of a record from the ledger, each once, the oldest first.

    Parameters
    ----------
    ledger : Ledger
    record : bytes
        32 bytes, the record's id.
    """
    grants: dict[bytes, tuple[bytes, bool]] = {}
    for event in ledger.registry.history(record):
        if isinstance(event, Granted):
            grants[event.recipient] = (event.package_root, False)
        elif isinstance(event, Withdrawn) and event.recipient in grants:
            grants[event.recipient] = (grants[event.recipient][0], True)
    for recipient, (root, is_withdrawn) in grants.items():
        yield FoundGrant(record, recipient, root, is_withdrawn)


def receive_grant(
    ledger: Ledger,
    record: bytes,
    identity: Identity,
    store: Store,
    place: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Identity:
    """Fetch the package of a record that was granted to an identity, and check it.

    Parameters
    ----------
    ledger : Ledger
    record : bytes
        32 bytes, the record's id.
    identity : Identity
        The recipient's.
    store : Store
        Where the owner said that it lies. No other place is asked.
    place : path
        A new file, for the sealed package.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    Identity
        The content identity, which opens the package: a secret.

    Raises
    ------
    OfferError
        If nothing of the record was granted to this identity, that stands and is in the store; if
        the ledger speaks against the record; or if the package is not the registered one.
    StoreError, OutputError, LedgerError
        If it cannot be fetched, written or asked; another try goes on.
    """
    place = Path(place)
    for grant in find_grants(ledger, record):
        registration, package = registered_package(ledger, record, grant.package_root)
        note = None if grant.is_withdrawn or package is None else _note(store, grant, place)
        if note is None or package is None:
            continue
        try:
            content = open_envelope(note.envelope, identity, package.content_commitment)
        except SealError:  # another's
            continue
        _check(registration)
        _fetch(store, note.file, package, place, progress)
        return content
    raise OfferError("No package of this record was granted to your public key, or not any more.")


def _note(store: Store, grant: FoundGrant, place: Path) -> Note | None:
    """Fetch the note of a grant, if there is one in the store."""
    with scratch(place) as folder:
        path = folder / "note"
        try:
            store.get(grant.recipient.hex(), path, limit=GREATEST_NOTE)
            return Note.from_bytes(path.read_bytes())
        except (NotInStoreError, OversizeError, DamagedDownloadError, OfferError):
            return None


def _check(registration: Registration | None) -> None:
    if registration is not None and registration.objections:
        raise OfferError(f"Do not use this package: {'; '.join(registration.objections)}.")


def _fetch(
    store: Store, name: str, package: Record | Copy, place: Path, progress: Progress | None
) -> None:
    if place.is_file() and _root(place) == package.package_root:
        return
    check_new(place)
    # Beside its place, so that a download that broke off can be gone on with.
    beside = place.with_name(f".{name}")
    beside.unlink(missing_ok=True)
    store.get(name, beside, limit=package.chunk_count * CHUNK_SIZE, progress=progress)
    if _root(beside) != package.package_root:
        beside.unlink()
        raise OfferError("What was granted is not the package that is registered.")
    os.replace(beside, place)


def _root(file: Path) -> bytes:
    """Return the root over a file's chunks; of an empty one, which has none, nothing."""
    with file.open("rb") as source:
        return tree_of_chunks(source).root if file.stat().st_size else b""
