"""What a recipient keeps of a sale: the folder with what it downloaded and the file of states."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Self

from MedWatermarkLib.chunks import CHUNK_SIZE
from MedWatermarkLib.exchange_errors import ExchangeError, OfferError
from MedWatermarkLib.exchange_state import (
    NAME,
    RecipientState,
    make_folder,
    read_state,
    write_state,
)
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.merkle import HASH_SIZE, MerkleTree, tree_of_chunks
from MedWatermarkLib.offer import (
    GREATEST_NOTE,
    Note,
    find_offer,
    note_name,
    registered_package,
)
from MedWatermarkLib.output import OutputError
from MedWatermarkLib.package import Package
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.sale import Sale, Terms
from MedWatermarkLib.sale_file import (
    decipher_sale_file,
    leaves_tree,
)
from MedWatermarkLib.sealed_package import read_sealed_package
from MedWatermarkLib.sealing import Identity, open_envelope
from MedWatermarkLib.store import Store, name_of

NOTE, LEAVES, SALE, SEALED = "note", "leaves", "sale", "sealed.age"


class RecipientFolder:
    """The folder of a sale, as far as it goes without paying.

    Parameters
    ----------
    folder : path
        Of an exchange that `begin` began.
    ledger : Ledger
        With the recipient's account.

    Raises
    ------
    ExchangeStateError
        If there is none, or it is on another ledger.
    """

    def __init__(self, folder: str | os.PathLike[str], ledger: Ledger) -> None:
        self._folder, self._ledger = Path(folder), ledger
        self._look()

    @classmethod
    def begin(cls, folder: str | os.PathLike[str], ledger: Ledger, sale_id: bytes) -> Self:
        """Take an offer up, or go on with it; nothing is downloaded or paid by that.

        Parameters
        ----------
        folder : path
            Made if it is not there. It can be moved to another machine. If it is lost, another can
            be begun for the same sale, at any time.
        ledger : Ledger
            With the recipient's account.
        sale_id : bytes
            32 bytes, of the sale (`find_offers`).

        Raises
        ------
        OfferError
            If there is no such sale.
        ExchangeError
            If the folder is another's.
        """
        folder = Path(folder)
        if (folder / NAME).exists():
            recipient = cls(folder, ledger)
            if recipient.sale_id != sale_id:
                raise ExchangeError(f"Another sale is in {folder}; take another folder.")
            return recipient
        found = find_offer(ledger, sale_id)
        if found is None:
            raise OfferError("There is no offer with this number on the ledger.")
        make_folder(folder)
        config = ledger.config
        write_state(folder, RecipientState(config.chain_id, config.exchange, found.terms))
        return cls(folder, ledger)

    @property
    def terms(self) -> Terms:
        """Of the sale."""
        return self._state.terms

    @property
    def sale_id(self) -> bytes:
        """32 bytes, of the sale."""
        return self._ledger.exchange.sale_id(self._state.terms)

    def content(self, identity: Identity) -> Identity:
        """Return the content identity, which opens the sealed package: a secret.

        Parameters
        ----------
        identity : Identity
            The recipient's.

        Raises
        ------
        SealError
            If the envelope is not for it, damaged, or holds another than the ledger says.
        OfferError
            If the record is of another package.
        """
        terms = self.terms
        _, package = registered_package(self._ledger, terms.record, terms.package_root)
        if package is None:
            raise OfferError("The record on the registry is of another package.")
        return open_envelope(self._note().envelope, identity, package.content_commitment)

    def unpack(
        self,
        identity: Identity,
        place: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> Package:
        """Open what was received; see `read_sealed_package`.

        Parameters
        ----------
        identity : Identity
            The recipient's.
        place : path
            A new or empty folder.
        progress : callable, optional
            Called with the share that is done, from 0 to 1.
        """
        content = self.content(identity)
        return read_sealed_package(self._folder / SEALED, content, place, progress=progress)

    # --- Parts ---

    def _sale(self) -> Sale:
        return self._ledger.exchange.sale(self.sale_id)

    def _look(self) -> None:
        self._state = read_state(self._folder, RecipientState, self._ledger)

    def _keep(self, state: RecipientState) -> None:
        write_state(self._folder, state)
        self._state = state

    def _check_room(self, count: int) -> None:
        # The file of the sale, the sealed package, and the leaves.
        needed = count * (2 * CHUNK_SIZE + HASH_SIZE)
        if shutil.disk_usage(self._folder).free < needed:
            raise OutputError(
                f"There is not enough room in {self._folder}: it needs {needed / 1e6:,.0f} MB."
            )

    def _fetch(
        self, store: Store, name: str, place: str, limit: int, progress: Progress | None = None
    ) -> None:
        path = self._folder / place
        if path.exists():
            if name_of(path) == name:
                return
            path.unlink()
        store.get(name, path, limit=limit, progress=progress)

    def _note(self) -> Note:
        path = self._folder / NOTE
        try:
            with path.open("rb") as file:
                content = file.read(GREATEST_NOTE)
        except OSError:
            raise self._incomplete() from None
        # What was damaged here says nothing of the offer.
        if hashlib.sha256(content).hexdigest() != note_name(self.terms):
            raise self._incomplete()
        return Note.from_bytes(content)

    def _leaves(self) -> MerkleTree:
        terms = self.terms
        content = (self._folder / LEAVES).read_bytes()
        return leaves_tree(content, terms.package_root, terms.size)

    def _decipher(self, key: bytes, leaves: MerkleTree, progress: Progress | None) -> Path:
        place, size = self._folder / SEALED, self.terms.size
        if place.exists():
            with place.open("rb") as file:
                if place.stat().st_size == size and tree_of_chunks(file).root == leaves.root:
                    return place
            place.unlink()
        decipher_sale_file(self._folder / SALE, place, key, size, leaves, progress)
        return place

    def _incomplete(self) -> ExchangeError:
        self._keep(replace(self._state, is_checked=False))
        return ExchangeError(
            f"What was downloaded into {self._folder} is damaged or missing: download it again."
        )
