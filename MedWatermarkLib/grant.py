"""Grants, as their recipients see them: a package given without payment, and noted on the ledger.

What stands on the ledger for the recipient is the hash of the grant's note, which lies in a store
under that name; who it is for, only the one can tell who opens its envelope.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class OwnGrant:
    """A grant to the identity that looks.

    Attributes
    ----------
    grant : FoundGrant
    registration : Registration
        Of the record, with what speaks against it.
    package : Record or Copy
        Of that, what has the granted package.
    file : str
        Name of the sealed package in the store.
    content : Identity
        The content identity, which opens the package: a secret.
    """

    grant: FoundGrant
    registration: Registration
    package: Record | Copy
    file: str
    content: Identity = field(repr=False)


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


def find_own_grants(
    ledger: Ledger, records: Iterable[bytes], identity: Identity, store: Store
) -> Iterator[OwnGrant]:
    """Find what of some records was granted to an identity, and was not taken back.

    Parameters
    ----------
    ledger : Ledger
    records : iterable of bytes
        32 bytes each, their ids.
    identity : Identity
        The recipient's.
    store : Store
        Where the notes of the grants lie; those that are not there are passed over.

    Raises
    ------
    StoreError, LedgerError
        If one of them does not answer.
    """
    for record in records:
        for grant in find_grants(ledger, record):
            registration, package = registered_package(ledger, record, grant.package_root)
            if grant.is_withdrawn or registration is None or package is None:
                continue
            if (note := _note(store, grant)) is None:
                continue
            try:
                content = open_envelope(note.envelope, identity, package.content_commitment)
            except SealError:  # another's
                continue
            yield OwnGrant(grant, registration, package, note.file, content)


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
    own = next(find_own_grants(ledger, [record], identity, store), None)
    if own is not None:
        if own.registration.objections:
            reasons = "; ".join(own.registration.objections)
            raise OfferError(f"Do not use this package: {reasons}.")
        _fetch(store, own.file, own.package, Path(place), progress)
        return own.content
    raise OfferError("No package of this record was granted to your public key, or not any more.")


def _note(store: Store, grant: FoundGrant) -> Note | None:
    """Fetch the note of a grant, if there is one in the store."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "note"
        try:
            store.get(grant.recipient.hex(), path, limit=GREATEST_NOTE)
            return Note.from_bytes(path.read_bytes())
        except (NotInStoreError, OversizeError, DamagedDownloadError, OfferError):
            return None


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
