"""The recipient's side of a sale, in steps that can be days apart.

Each step can be taken again, after a crash too: what was done is seen in the folder and on the
chain, and is not done twice. See `Owner` for the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from MedWatermarkLib.alone import alone
from MedWatermarkLib.chunks import CHUNK_SIZE
from MedWatermarkLib.exchange_errors import (
    NotYetError,
    OfferRefusedError,
    SaleEndedError,
    TooLateError,
)
from MedWatermarkLib.merkle import HASH_SIZE, MerkleTree
from MedWatermarkLib.next_step import NextStep, present, recipients_step
from MedWatermarkLib.offer import (
    GREATEST_NOTE,
    Inspection,
    inspect_offer,
    note_name,
)
from MedWatermarkLib.progress import Progress, part
from MedWatermarkLib.recipient_folder import LEAVES, NOTE, SALE, RecipientFolder
from MedWatermarkLib.refusals import WrongStateError
from MedWatermarkLib.sale import COIN, SaleState, Terms
from MedWatermarkLib.sale_events import Revealed
from MedWatermarkLib.sale_file import (
    SaleFileError,
    WrongChunkError,
    check_sale_file,
    chunk_count,
)
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import moment

#: The greatest sealed package that is downloaded, in bytes, unless another limit is given.
GREATEST_PACKAGE = 1 << 34


class Recipient(RecipientFolder):
    """Who buys a package.

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

    def watch(self) -> NextStep:
        """Look where it stands, and say what can be done and until when."""
        self._look()
        return recipients_step(self._sale(), self._state.is_checked, present(self._ledger))

    def inspect(self) -> Inspection:
        """Ask the ledger what speaks against the offer; nothing is downloaded."""
        address, now = self._ledger.account.address, present(self._ledger)
        return inspect_offer(self._ledger, self.sale_id, self.terms, address, now)

    @alone
    def download(
        self,
        identity: Identity,
        store: Store,
        *,
        greatest: int = GREATEST_PACKAGE,
        progress: Progress | None = None,
    ) -> None:
        """Fetch what is offered, and check everything that can be checked before paying.

        That is: what the ledger says of the record, the content identity against its commitment,
        the leaves against the package root, and the file against the cipher root.

        Parameters
        ----------
        identity : Identity
            The recipient's, to whose public key the envelope was sealed.
        store : Store
            Where the owner said that it lies. No other place is asked.
        greatest : int
            Bytes that the sealed package can have at most.
        progress : callable, optional
            Called with the share that is done, from 0 to 1.

        Raises
        ------
        OfferRefusedError
            If the ledger speaks against it.
        SealError
            If the envelope is not for this identity, damaged, or holds another content identity.
        OfferError, SaleFileError
            If a file is not what the terms say.
        StoreError, OutputError, LedgerError
            If it cannot be fetched, written or asked; another try goes on.
        """
        terms = self.terms
        if terms.size > greatest:
            raise OfferRefusedError([f"the package is larger than {greatest:,} bytes"])
        if self._sale().state is SaleState.OFFERED and (reasons := self.inspect().objections):
            raise OfferRefusedError(reasons)
        count = chunk_count(terms.size)
        self._check_room(count)
        self._fetch(store, note_name(terms), NOTE, GREATEST_NOTE)
        note = self._note()
        self.content(identity)
        self._fetch(store, note.leaves, LEAVES, count * HASH_SIZE)
        self._fetch(store, note.file, SALE, count * CHUNK_SIZE, part(progress, 0.0, 0.8))
        self._check(part(progress, 0.8, 1.0))
        self._keep(replace(self._state, is_checked=True))

    @alone
    def accept(self, price: int, token: str = COIN) -> None:
        """Accept the offer and pay into escrow.

        Parameters
        ----------
        price : int
            What the recipient means to pay, in the token's least unit (wei).
        token : str, optional
            Address of the ERC-20 token that it means to pay in; the chain's coin, if not given.

        Raises
        ------
        NotYetError
            If it was not downloaded and checked.
        OfferRefusedError
            If something speaks against it by now, or price or token are others.
        SaleEndedError
            If it was cancelled.
        ExchangeError
            If what was downloaded is damaged or missing: download again.
        LedgerError
            As `Exchange.accept`.
        """
        sale = self._sale()
        if sale.state in (SaleState.ACCEPTED, SaleState.REVEALED, SaleState.SETTLED):
            return
        if sale.state is not SaleState.OFFERED:
            raise SaleEndedError(recipients_step(sale, True, 0).sentence)
        if not self._state.is_checked:
            raise NotYetError("Download and check what is offered before you accept it.")
        reasons = list(self.inspect().objections)
        if (price, token) != (self.terms.price, self.terms.token):
            reasons.append("its price is another than you mean to pay")
        if reasons:
            raise OfferRefusedError(reasons)
        try:
            self._check()
        except (OSError, SaleFileError):
            raise self._incomplete() from None
        self._ledger.exchange.accept(self.terms)

    @alone
    def receive(self, *, progress: Progress | None = None) -> Path | None:
        """Take the cipher off with the revealed key; then settle, or complain with the proof.

        Parameters
        ----------
        progress : callable, optional
            Called with the share that is done, from 0 to 1.

        Returns
        -------
        pathlib.Path or None
            The sealed package, every chunk of which was checked; None if the payment was taken
            back instead.

        Raises
        ------
        NotYetError
            If the key was not revealed.
        TooLateError
            If a chunk is wrong, but the owner has collected already.
        SaleEndedError
            If the offer was cancelled.
        ExchangeError
            If what was downloaded is damaged or missing: download again.
        """
        sealed = self._opened(progress)
        if sealed is not None and self._sale().state is SaleState.REVEALED:
            self._try(self._ledger.exchange.settle, SaleState.SETTLED)
        return sealed

    @alone
    def complain(self, *, progress: Progress | None = None) -> bool:
        """Do what `receive` does, but pay nothing: if all chunks are right, nothing is sent.

        Returns
        -------
        bool
            Whether the payment was taken back.

        Raises
        ------
        ExchangeError
            As `receive` does.
        """
        return self._opened(progress) is None

    @alone
    def refund(self) -> None:
        """Take the payment back, and the bond, when the key did not come in time.

        Raises
        ------
        NotYetError
            If the owner has time still.
        SaleEndedError
            If nothing is in escrow, or the key has come after all: receive then.
        """
        sale = self._sale()
        if sale.state is SaleState.REFUNDED:
            return
        if sale.state is not SaleState.ACCEPTED:
            raise SaleEndedError(recipients_step(sale, True, 0).sentence)
        if present(self._ledger) <= sale.deadline:
            raise NotYetError(
                f"The owner has until {moment(sale.deadline)} to reveal the key.", sale.deadline
            )
        self._try(self._ledger.exchange.refund, SaleState.REFUNDED)

    # --- Parts ---

    def _opened(self, progress: Progress | None) -> Path | None:
        """Return the sealed package, or None after a complaint."""
        sale = self._sale()
        if sale.state is SaleState.REFUNDED:
            return None
        if sale.state not in (SaleState.REVEALED, SaleState.SETTLED):
            step = recipients_step(sale, True, present(self._ledger))
            error = SaleEndedError if sale.state is SaleState.CANCELLED else NotYetError
            raise error(step.sentence)
        key = self._key()
        try:
            leaves = self._leaves()
            return self._decipher(key, leaves, progress)
        except WrongChunkError as wrong:
            self._complain(key, wrong.index, leaves)
            return None
        except (OSError, SaleFileError):
            raise self._incomplete() from None

    def _check(self, progress: Progress | None = None) -> None:
        """Check the files against the terms: what a complaint may have to be made from."""
        self._leaves()
        check_sale_file(self._folder / SALE, self.terms.size, self.terms.cipher_root, progress)

    def _key(self) -> bytes:
        event = next(self._ledger.exchange.events([Revealed], id=self.sale_id), None)
        if not isinstance(event, Revealed):
            raise NotYetError("The key is not to be seen on the ledger yet; try again.")
        return event.key

    def _complain(self, key: bytes, index: int, leaves: MerkleTree) -> None:
        """Prove to the contract that a chunk is wrong."""
        terms, place = self.terms, self._folder / SALE
        try:
            # What was damaged here is no proof.
            tree = check_sale_file(place, terms.size, terms.cipher_root)
        except SaleFileError:
            raise self._incomplete() from None
        with place.open("rb") as file:
            file.seek(index * CHUNK_SIZE)
            chunk = file.read(CHUNK_SIZE)
        leaf, paths = leaves.leaves[index].tobytes(), (tree.path(index), leaves.path(index))
        if self._sale().state is SaleState.SETTLED:
            raise TooLateError(
                f"Chunk {index:,} is not the promised one, but the owner has collected already; "
                "the files in the folder and the ledger are the evidence."
            )
        self._try(
            lambda terms: self._ledger.exchange.complain(
                terms, key, index, chunk, paths[0], leaf, paths[1]
            ),
            SaleState.REFUNDED,
        )

    def _try(self, step: Callable[[Terms], object], aim: SaleState) -> None:
        """Do what another may do at the same moment; only where it leads counts."""
        try:
            step(self.terms)
        except WrongStateError:
            sale = self._sale()
            if sale.state is not aim:
                raise SaleEndedError(
                    recipients_step(sale, True, present(self._ledger)).sentence
                ) from None
