"""Offers: what a recipient needs to find and check one, from the ledger and a store.

An offer's *note* says under which names its files lie. It lies in the store itself, and its own
name, the SHA-256, is the nonce of the sale's terms: so whoever has the terms from the chain finds
it, it needs no way of its own from owner to recipient, and it cannot be replaced once the sale is
offered. It names no store. The recipient says which ones it asks, so that no stranger can have it
open addresses of the stranger's choice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from MedWatermarkLib.exchange_errors import OfferError
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.registration import Registration
from MedWatermarkLib.registry_events import CopyAdded
from MedWatermarkLib.sale import Sale, SaleState, Terms
from MedWatermarkLib.sale_events import Offered
from MedWatermarkLib.sale_file import chunk_count
from MedWatermarkLib.sealing import Identity

#: Bytes of a note at most; one has some 900.
GREATEST_NOTE = 1 << 14
SALT_SIZE = 32
VERSION = 1
_NAME = re.compile("[0-9a-f]{64}")
_DOMAIN = b"MedWatermark key of a sale, version 1"


@dataclass(frozen=True)
class Note:
    """Where in a store the files of a sale or a grant lie, and the envelope that goes with them.

    Attributes
    ----------
    file : str
        Name of the file of the sale; in a grant, of the sealed package.
    envelope : bytes
        The content identity, sealed to the recipient.
    leaves : str
        Name of the package's leaves; empty in a grant.
    salt : bytes
        32 bytes, with which the owner finds the key of the sale again; empty in a grant.
    """

    file: str
    envelope: bytes = field(repr=False)
    leaves: str = ""
    salt: bytes = b""

    @property
    def digest(self) -> bytes:
        """32 bytes, its SHA-256; in hexadecimal digits its name in a store."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """Return it as canonical JSON."""
        content = {
            "envelope": base64.b64encode(self.envelope).decode("ascii"),
            "file": self.file,
            "format": "MedWatermark note",
            "leaves": self.leaves,
            "salt": self.salt.hex(),
            "version": VERSION,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Note:
        """Read one that comes from anybody.

        Raises
        ------
        OfferError
            If it is none, or of a later version.
        """
        try:
            told = json.loads(content[:GREATEST_NOTE])
            version = told["version"]
            is_note = told["format"] == "MedWatermark note"
            if is_note and isinstance(version, int) and version > VERSION:
                raise OfferError(
                    f"The offer is of version {version}, which this MedWatermark does not know: "
                    "update it."
                )
            envelope = base64.b64decode(told["envelope"], validate=True)
            note = cls(told["file"], envelope, told["leaves"], bytes.fromhex(told["salt"]))
            # Any other spelling, type or field shows here.
            if note._is_sound() and note.to_bytes() == content:
                return note
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
            pass
        raise OfferError("What lies in the store for this offer is no note of MedWatermark.")

    def _is_sound(self) -> bool:
        names = [self.file, self.leaves] if self.leaves or self.salt else [self.file]
        return all(map(_NAME.fullmatch, names)) and len(self.salt) in (0, SALT_SIZE)


@dataclass(frozen=True)
class FoundOffer:
    """An offer on the ledger.

    Attributes
    ----------
    id : bytes
        32 bytes, of the sale.
    terms : Terms
    sale : Sale
        Where it stands now.
    """

    id: bytes
    terms: Terms
    sale: Sale


@dataclass(frozen=True)
class Inspection:
    """What the ledger says of an offer.

    Attributes
    ----------
    terms : Terms
    sale : Sale
    registration : Registration or None
        Of the record that it names, with what speaks against that.
    package : Record or Copy or None
        Of that, what has the offered package.
    objections : tuple of str
        What speaks against accepting, in parts of a sentence; the price is for others to judge.
    """

    terms: Terms
    sale: Sale
    registration: Registration | None
    package: Record | Copy | None
    objections: tuple[str, ...]


def sale_key(identity: Identity, salt: bytes) -> bytes:
    """Return the key of a sale: 32 bytes, from the owner's identity and the sale's salt.

    It is kept nowhere, so that a crash cannot lose it nor a file give it away: the salt stands in
    the note, and HMAC-SHA-256 (RFC 2104) tells nobody a key who has not the identity.
    """
    return hmac.digest(identity.text.encode("ascii"), _DOMAIN + salt, "sha256")


def new_salt() -> bytes:
    """Return a salt for one sale; two sales with one salt would have one key."""
    return secrets.token_bytes(SALT_SIZE)


def note_name(terms: Terms) -> str:
    """Return under which name the note of a sale lies in a store."""
    return f"{terms.nonce:064x}"


def find_offer(ledger: Ledger, id: bytes) -> FoundOffer | None:
    """Find a sale on the ledger by its id, or return None."""
    event = next(ledger.exchange.events([Offered], id=id), None)
    if not isinstance(event, Offered) or ledger.exchange.sale_id(event.terms) != id:
        return None
    return FoundOffer(id, event.terms, ledger.exchange.sale(id))


def find_offers(
    ledger: Ledger, recipient: str, *, first_block: int | None = None, **progress: Any
) -> Iterator[FoundOffer]:
    """Find all that was ever offered to a recipient, the oldest first.

    Parameters
    ----------
    ledger : Ledger
    recipient : str
        Address of its account.
    first_block : int, optional
        From which on; the ledger's first, if not given.
    **progress
        ``progress`` as for `Exchange.events`.
    """
    for event in ledger.exchange.events([Offered], first_block=first_block, **progress):
        if isinstance(event, Offered) and event.terms.recipient == recipient:
            yield FoundOffer(event.id, event.terms, ledger.exchange.sale(event.id))


def registered_package(
    ledger: Ledger, record: bytes, package_root: bytes
) -> tuple[Registration | None, Record | Copy | None]:
    """Return a record by its id, and which of it, itself or a copy, has a package."""
    event = ledger.registry.find(record)
    if event is None or event.record.id != record:
        return None, None
    history = ledger.registry.history(record)
    copies = tuple(each.copy for each in history if isinstance(each, CopyAdded))
    standing = ledger.registry.standing(event.record, event.authority)
    registration = Registration(event.record, standing, copies)
    packages: tuple[Record | Copy, ...] = (event.record, *copies)
    fitting = (each for each in packages if each.package_root == package_root)
    return registration, next(fitting, None)


def inspect_offer(ledger: Ledger, id: bytes, terms: Terms, recipient: str, now: int) -> Inspection:
    """Ask the ledger for all that speaks against an offer.

    Parameters
    ----------
    ledger : Ledger
    id : bytes
        Of the sale.
    terms : Terms
    recipient : str
        Address of who thinks of accepting.
    now : int
        The time, in seconds since 1970-01-01 UTC.
    """
    sale = ledger.exchange.sale(id)
    registration, package = registered_package(ledger, terms.record, terms.package_root)
    objections = [] if registration is None else registration.objections
    entry = None if registration is None else registration.standing.entry
    found = {
        "it is for another account": terms.recipient != recipient,
        f"it is {sale.state.name.lower()}, and so open no more": sale.state
        is not SaleState.OFFERED,
        "its time is over": now > terms.open_until,
        "its record is not on the registry": registration is None,
        "who offers it is not the owner of the record": entry is not None
        and entry.owner != terms.owner,
        "the record is of another package": registration is not None and package is None,
        "the package has another size than was registered": package is not None
        and package.chunk_count != chunk_count(terms.size),
    }
    objections = [reason for reason, holds in found.items() if holds] + objections
    return Inspection(terms, sale, registration, package, tuple(objections))
