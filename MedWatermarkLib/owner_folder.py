"""What an owner keeps of an exchange: the folder with the sealed package and the file of states."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from MedWatermarkLib.alone import alone
from MedWatermarkLib.exchange_errors import ExchangeError, NotYetError
from MedWatermarkLib.exchange_state import NAME, OwnerState, make_folder, read_state, write_state
from MedWatermarkLib.keystream import key_commitment
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import MerkleError, MerkleTree, tree_of_chunks
from MedWatermarkLib.offer import (
    GREATEST_NOTE,
    Note,
    find_offer,
    new_salt,
    note_name,
    registered_package,
    sale_key,
)
from MedWatermarkLib.output import new_files
from MedWatermarkLib.progress import Progress, part
from MedWatermarkLib.record import Copy, Record
from MedWatermarkLib.sale import Terms
from MedWatermarkLib.sale_file import write_sale_file
from MedWatermarkLib.sealing import Identity, make_envelope, open_envelope
from MedWatermarkLib.store import Store, name_of

SEALED = "sealed.age"
# What lies there until it is offered: all of it can be made again.
_SALE, _LEAVES, _NOTE = "sale", "leaves", "note"


class OwnerFolder:
    """The folder of an exchange, as far as it goes without the chain.

    Parameters
    ----------
    folder : path
        Of an exchange that `begin` began.
    ledger : Ledger
        With the owner's account.

    Raises
    ------
    ExchangeStateError
        If there is none, or it is on another ledger.
    """

    def __init__(self, folder: str | os.PathLike[str], ledger: Ledger) -> None:
        self._folder, self._ledger = Path(folder), ledger
        self._look()

    @classmethod
    def begin(
        cls,
        folder: str | os.PathLike[str],
        ledger: Ledger,
        sealed: str | os.PathLike[str],
        record: Record,
        signature: bytes,
        content: Identity,
        keeper: str,
        *,
        copy: Copy | None = None,
    ) -> Self:
        """Begin an exchange, or go on with the one that was begun in the folder.

        Parameters
        ----------
        folder : path
            Made if it is not there. It can be moved to another machine.
        ledger : Ledger
            With the owner's account.
        sealed : path
            The sealed package, of which the folder gets a copy.
        record : Record
            What is, or will be, registered of it (`record_of`).
        signature : bytes
            64 bytes, `Claim.signature`.
        content : Identity
            The content identity. It is kept in the folder, sealed to the keeper.
        keeper : str
            The owner's own age public key.
        copy : Copy, optional
            If the package is that of a copy of the record.

        Raises
        ------
        ExchangeError
            If package, content identity and record do not belong together.
        """
        folder, sealed = Path(folder), Path(sealed)
        if (folder / NAME).exists():
            owner = cls(folder, ledger)
            if (owner._state.record, owner._state.copy) != (record, copy):
                raise ExchangeError(f"Another package is shared in {folder}; take another folder.")
            return owner
        package = record if copy is None else copy
        if content.commitment != package.content_commitment:
            raise ExchangeError("The content identity is not that of the record.")
        _tree(sealed, package.package_root)
        make_folder(folder)
        place = folder / SEALED
        if place.exists():
            _tree(place, package.package_root)
        else:
            with new_files(place) as [staged]:
                shutil.copyfile(sealed, staged)
        state = OwnerState(
            chain_id=ledger.config.chain_id,
            exchange=ledger.config.exchange,
            record=record,
            signature=signature,
            copy=copy,
            size=sealed.stat().st_size,
            content=make_envelope(content, keeper),
        )
        write_state(folder, state)
        return cls(folder, ledger)

    @classmethod
    def recover(
        cls,
        folder: str | os.PathLike[str],
        ledger: Ledger,
        sale_id: bytes,
        identity: Identity,
        store: Store,
    ) -> Self:
        """Go on with a sale whose folder was lost: what ends it is on the chain and in the store.

        Package and content identity went with the folder, so that nothing can be stored again or
        granted from this one.

        Parameters
        ----------
        folder : path
            Made if it is not there.
        ledger : Ledger
            With the owner's account.
        sale_id : bytes
            32 bytes, of a sale that the account offered.
        identity : Identity
            The keeper's.
        store : Store
            Where its note lies.

        Raises
        ------
        ExchangeError
            If another sale is in the folder, this is none of the account, or it was offered with
            another identity.
        StoreError, OfferError
            If its note cannot be fetched, or is none.
        """
        folder = Path(folder)
        if (folder / NAME).exists():
            owner = cls(folder, ledger)
            if owner.sale_id != sale_id:
                raise ExchangeError(f"Another sale is in {folder}; take another folder.")
            return owner
        found = find_offer(ledger, sale_id)
        if found is None or found.terms.owner != ledger.account.address:
            raise ExchangeError("There is no such offer by your account on the ledger.")
        terms = found.terms
        registration, package = registered_package(ledger, terms.record, terms.package_root)
        if registration is None or package is None:
            raise ExchangeError("The record on the registry is of another package.")
        make_folder(folder)
        place = folder / _NOTE
        place.unlink(missing_ok=True)
        store.get(note_name(terms), place, limit=GREATEST_NOTE)
        note = Note.from_bytes(place.read_bytes())
        place.unlink()
        _sale_key(identity, terms, note)
        state = OwnerState(
            chain_id=ledger.config.chain_id,
            exchange=ledger.config.exchange,
            record=registration.record,
            signature=b"",
            copy=package if isinstance(package, Copy) else None,
            size=terms.size,
            content=b"",
            terms=terms,
            note=note,
        )
        write_state(folder, state)
        return cls(folder, ledger)

    @property
    def record(self) -> Record:
        """What is registered."""
        return self._state.record

    @property
    def terms(self) -> Terms | None:
        """Of the sale, once it was begun to be offered."""
        return self._state.terms

    @property
    def sale_id(self) -> bytes | None:
        """32 bytes, likewise."""
        terms = self._state.terms
        return None if terms is None else self._ledger.exchange.sale_id(terms)

    @property
    def grants(self) -> tuple[tuple[str, bytes], ...]:
        """To which public keys it was granted, and as what each stands on the ledger: 32 bytes."""
        return tuple((key, note.digest) for key, note in self._state.grants)

    @alone
    def publish(
        self, identity: Identity, store: Store, *, progress: Progress | None = None
    ) -> None:
        """Store what was offered or granted, also again or elsewhere: where a store lost it.

        Raises
        ------
        NotYetError
            If nothing was.
        StoreError, OutputError, ExchangeError
            As `Owner.offer`.
        """
        keys = [key for key, _ in self._state.grants]
        shares = len(keys) + 1
        if self._state.terms is not None or not keys:
            self._publish(identity, store, part(progress, 0.0, 1 / shares))
        for index, key in enumerate(keys, start=1):
            told = part(progress, index / shares, (index + 1) / shares)
            self._publish_grant(key, identity, store, told)
        self._clear()

    # --- Parts ---

    def _publish(self, identity: Identity, store: Store, progress: Progress | None) -> None:
        _, note = self._offered()
        key = self._key(identity)
        sale = self._folder / _SALE
        leaves = self._write(_LEAVES, self._tree().leaves.tobytes())
        if not sale.exists() or name_of(sale) != note.file:
            _place(sale, lambda staged: self._encrypt(key, staged, part(progress, 0.0, 0.5)))
        store.put(leaves)
        if store.put(sale, progress=part(progress, 0.5, 1.0)) != note.file:
            raise ExchangeError(f"The file of the sale in {self._folder} is not the one offered.")
        # Last, so that whoever finds the note finds all.
        store.put(self._write(_NOTE, note.to_bytes()))

    def _prepare(
        self, wanted: Terms, recipient_key: str, identity: Identity, progress: Progress | None
    ) -> Terms:
        """Make what is to be stored, and keep the terms; nothing has left the house then."""
        leaves_of_package = self._tree().leaves.tobytes()
        salt = new_salt()
        key = sale_key(identity, salt)
        envelope = make_envelope(self._content(identity), recipient_key)
        place = self._folder / _SALE
        _place(place, lambda staged: self._encrypt(key, staged, progress))
        with place.open("rb") as file:
            root = tree_of_chunks(file).root
        leaves = self._write(_LEAVES, leaves_of_package)
        note = Note(name_of(place), envelope, name_of(leaves), salt)
        terms = replace(
            wanted,
            cipher_root=root,
            key_commitment=key_commitment(key),
            nonce=int.from_bytes(note.digest),
        )
        self._keep(replace(self._state, terms=terms, note=note, recipient_key=recipient_key))
        return terms

    def _encrypt(self, key: bytes, place: Path, progress: Progress | None) -> MerkleTree:
        return write_sale_file(self._folder / SEALED, place, key, progress)

    def _tree(self) -> MerkleTree:
        if not self._state.content:
            raise ExchangeError(
                f"The folder that came before {self._folder} was lost, and with it what opens the "
                "package: share the scan anew, into another folder."
            )
        return _tree(self._folder / SEALED, self._state.package.package_root)

    def _write(self, name: str, content: bytes) -> Path:
        place = self._folder / name
        _place(place, lambda staged: staged.write_bytes(content))
        return place

    def _clear(self) -> None:
        """Remove what was stored."""
        for name in (_SALE, _LEAVES, _NOTE):
            (self._folder / name).unlink(missing_ok=True)

    def _publish_grant(
        self, recipient_key: str, identity: Identity, store: Store, progress: Progress | None
    ) -> Note:
        self._tree()
        note = dict(self._state.grants).get(recipient_key)
        if note is None:
            envelope = make_envelope(self._content(identity), recipient_key)
            note = Note(name_of(self._folder / SEALED), envelope)
            self._keep(replace(self._state, grants=(*self._state.grants, (recipient_key, note))))
        store.put(self._folder / SEALED, progress=progress)
        store.put(self._write(_NOTE, note.to_bytes()))
        self._clear()
        return note

    def _look(self) -> None:
        self._state = read_state(self._folder, OwnerState, self._ledger)

    def _keep(self, state: OwnerState) -> None:
        write_state(self._folder, state)
        self._state = state

    def _offered(self) -> tuple[Terms, Note]:
        terms, note = self._state.terms, self._state.note
        if terms is None or note is None:
            raise NotYetError("Nothing was offered yet.")
        return terms, note

    def _content(self, identity: Identity) -> Identity:
        return open_envelope(self._state.content, identity, self._state.package.content_commitment)

    def _key(self, identity: Identity) -> bytes:
        return _sale_key(identity, *self._offered())


def _sale_key(identity: Identity, terms: Terms, note: Note) -> bytes:
    key = sale_key(identity, note.salt)
    if key_commitment(key) != terms.key_commitment:
        raise ExchangeError("The offer was made with another age identity; use that one.")
    return key


def _place(place: Path, write: Callable[[Path], object]) -> None:
    """Write a file of the folder anew, whole or not at all."""
    place.unlink(missing_ok=True)
    with new_files(place) as [staged]:
        write(staged)


def _tree(sealed: Path, root: bytes) -> MerkleTree:
    """Return the tree of a sealed package; a damaged one would cost the bond."""
    try:
        with sealed.open("rb") as file:
            tree = tree_of_chunks(file)
    except (OSError, MerkleError):
        tree = None
    if tree is None or tree.root != root:
        raise ExchangeError(
            f"{sealed} is missing, or not the package of the record: put a whole copy there."
        )
    return tree
