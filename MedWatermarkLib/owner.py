"""The owner's side of an exchange, in steps that can be days apart.

Each step can be taken again, after a crash too: what was done is seen in the folder's file and on
the chain, and is not done twice. See `exchange_state` for what the file holds, and `Recipient` for
the other side.
"""

from __future__ import annotations

from dataclasses import replace

from MedWatermarkLib.alone import alone
from MedWatermarkLib.claim import Claim
from MedWatermarkLib.contract import NoAccountError, answer
from MedWatermarkLib.exchange_errors import (
    ExchangeError,
    NotYetError,
    SaleEndedError,
    TooLateError,
)
from MedWatermarkLib.grant import find_grants
from MedWatermarkLib.next_step import REVEAL_MARGIN, NextStep, last_time, owners_step, present
from MedWatermarkLib.offer import Note
from MedWatermarkLib.owner_folder import OwnerFolder
from MedWatermarkLib.progress import Progress, part
from MedWatermarkLib.record import Record
from MedWatermarkLib.refusals import WrongStateError
from MedWatermarkLib.sale import COIN, Sale, SaleState, Terms
from MedWatermarkLib.sale_events import Accepted
from MedWatermarkLib.sealed_package import SealedPackage
from MedWatermarkLib.sealing import Identity
from MedWatermarkLib.store import Store
from MedWatermarkLib.tables import moment
from MedWatermarkLib.tag import message_id

DAY = 86_400


def record_of(claim: Claim, sealed: SealedPackage, institution: str) -> Record:
    """Return what is to be registered of a sealed package.

    Parameters
    ----------
    claim : Claim
        Which the mark in it says.
    sealed : SealedPackage
    institution : str
        Address of who registers it.
    """
    return Record(
        commitment=claim.commitment,
        issued_at=claim.issued_at,
        tag=message_id(claim.to_text().encode()),
        voxel_root=sealed.manifest.voxel_root,
        package_root=sealed.tree.root,
        chunk_count=sealed.tree.count,
        content_commitment=sealed.content_commitment,
        institution=institution,
    )


class Owner(OwnerFolder):
    """Who shares a package: for payment with one recipient, without with any number.

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

    def watch(self) -> NextStep:
        """Look where it stands, and say what can be done and until when."""
        self._look()
        if self._state.terms is None:
            is_registered = self._ledger.registry.entry(self.record.id) is not None
            return NextStep(
                SaleState.NONE,
                "offer" if is_registered else "register",
                "The package can be offered or granted."
                if is_registered
                else "The package is to be registered.",
            )
        return owners_step(self._sale(), present(self._ledger))

    @alone
    def register(self) -> bytes:
        """Register the package, unless it is; return the record's id, 32 bytes.

        Raises
        ------
        RefusedError, LedgerError
            As `Registry.register` and `Registry.add_copy`.
        """
        registry, state = self._ledger.registry, self._state
        if registry.entry(state.record.id) is None:
            registry.register(state.record, state.signature)
        if state.copy is not None and not registry.has_copy(state.record.id, state.copy):
            registry.add_copy(state.record.id, state.copy)
        return state.record.id

    # --- For payment ---

    @alone
    def offer(
        self,
        recipient: str,
        recipient_key: str,
        identity: Identity,
        store: Store,
        *,
        price: int,
        bond: int = 0,
        token: str = COIN,
        open_until: int | None = None,
        reveal_window: int = DAY,
        complaint_window: int = DAY,
        progress: Progress | None = None,
    ) -> Terms:
        """Offer the package to one recipient: store all that it needs, then pay the bond in.

        Parameters
        ----------
        recipient : str
            Address of its account.
        recipient_key : str
            Its age public key.
        identity : Identity
            The keeper's.
        store : Store
            Where the recipient will look.
        price, bond, token, open_until, reveal_window, complaint_window
            As in `Terms`; open for a week, if not given.
        progress : callable, optional
            Called with the share that is done, from 0 to 1.

        Raises
        ------
        ExchangeError
            If something else was offered in this folder.
        WrongIdentityError
            If the identity is not the keeper's.
        StoreError, OutputError, LedgerError
            If it cannot be stored, written or sent; another try goes on.
        """
        lapse = present(self._ledger) + 7 * DAY if open_until is None else open_until
        wanted = Terms(
            owner=self._ledger.account.address,
            recipient=recipient,
            record=self.record.id,
            package_root=self._state.package.package_root,
            cipher_root=bytes(32),
            key_commitment=bytes(32),
            size=self._state.size,
            token=token,
            price=price,
            bond=bond,
            open_until=lapse,
            reveal_window=reveal_window,
            complaint_window=complaint_window,
            nonce=0,
        )
        before, is_new = self._state.terms, self._sale().state is SaleState.NONE
        # Once it has lapsed by the chain's own clock, not even one on its way can come into being.
        if before is None or (is_new and last_time(self._ledger) > before.open_until):
            before = self._prepare(wanted, recipient_key, identity, part(progress, 0.0, 0.5))
        given = before.open_until if open_until is None else open_until
        agreed = replace(
            wanted,
            cipher_root=before.cipher_root,
            key_commitment=before.key_commitment,
            open_until=given,
            nonce=before.nonce,
        )
        if agreed != before or self._state.recipient_key != recipient_key:
            raise ExchangeError(
                f"Something else was offered in {self._folder}; begin in another folder."
            )
        if is_new:
            self._publish(identity, store, part(progress, 0.5, 1.0))
            self._ledger.exchange.offer(before)
        self._clear()
        return before

    @alone
    def cancel(self) -> None:
        """Take an offer back that nobody accepted, and the bond with it."""
        state = self._sale().state
        if state is SaleState.CANCELLED:
            return
        if state is not SaleState.OFFERED:
            raise SaleEndedError("There is no offer that could be cancelled.")
        self._ledger.exchange.cancel(self._offered()[0])

    @alone
    def reveal(self, identity: Identity, *, confirmations: int | None = None) -> None:
        """Reveal the key, once the acceptance is confirmed; it cannot be taken back.

        Parameters
        ----------
        identity : Identity
            The keeper's.
        confirmations : int, optional
            Blocks that make the acceptance final, its own included; as the ledger says, if not
            given.

        Raises
        ------
        NotYetError
            If nobody accepted, or it is not confirmed.
        TooLateError
            In the last ten minutes of the time for it, or after: the recipient could get both.
        SaleEndedError
            If the sale was cancelled or refunded.
        """
        sale = self._sale()
        if sale.state in (SaleState.REVEALED, SaleState.SETTLED):
            return
        if sale.state in (SaleState.NONE, SaleState.OFFERED):
            raise NotYetError("The offer was not accepted yet; wait for it.", sale.deadline or None)
        if sale.state is not SaleState.ACCEPTED:
            raise SaleEndedError(owners_step(sale, 0).sentence)
        self._check_confirmed(confirmations or self._ledger.config.confirmations)
        key = self._key(identity)
        if present(self._ledger) > sale.deadline - REVEAL_MARGIN:
            self._resume()
            sale = self._sale()
            if sale.state not in (SaleState.REVEALED, SaleState.SETTLED):
                raise TooLateError(owners_step(sale, present(self._ledger)).sentence)
            return
        self._ledger.exchange.reveal(self._offered()[0], key)

    @alone
    def collect(self) -> None:
        """Take the payment, and the bond, when the time for complaints is over.

        Raises
        ------
        NotYetError
            If it is not.
        SaleEndedError
            If the sale was cancelled or refunded.
        """
        sale = self._sale()
        if sale.state is SaleState.SETTLED:
            return
        if sale.state in (SaleState.CANCELLED, SaleState.REFUNDED):
            raise SaleEndedError(owners_step(sale, 0).sentence)
        if sale.state is not SaleState.REVEALED:
            raise NotYetError("The key was not revealed yet; nothing is due before.")
        if present(self._ledger) <= sale.deadline:
            raise NotYetError(
                f"The recipient can complain until {moment(sale.deadline)}; collect then.",
                sale.deadline,
            )
        try:
            self._ledger.exchange.settle(self._offered()[0])
        except WrongStateError:
            if self._sale().state is not SaleState.SETTLED:  # else the recipient was quicker
                raise

    # --- Without payment ---

    @alone
    def grant(
        self,
        recipient_key: str,
        identity: Identity,
        store: Store,
        *,
        progress: Progress | None = None,
    ) -> bytes:
        """Give the package away, and note on the ledger that it was given.

        Parameters
        ----------
        recipient_key : str
            The recipient's age public key.
        identity : Identity
            The keeper's.
        store : Store
            Where the recipient will look.
        progress : callable, optional
            Called with the share that is done, from 0 to 1.

        Returns
        -------
        bytes
            32 bytes, which stand on the ledger for the recipient: the hash of the note, whose
            envelope the recipient alone can open.
        """
        note = self._publish_grant(recipient_key, identity, store, progress)
        if not self._is_granted(note):
            root = self._state.package.package_root
            self._ledger.registry.grant(self.record.id, note.digest, root)
        return note.digest

    @alone
    def withdraw(self, recipient_key: str) -> None:
        """Note on the ledger that a grant was taken back; what was received cannot be."""
        note = dict(self._state.grants).get(recipient_key)
        if note is None:
            raise ExchangeError("The package was not granted to this public key.")
        if self._is_granted(note):
            self._ledger.registry.withdraw(self.record.id, note.digest)

    # --- Parts ---

    def _sale(self) -> Sale:
        id = self.sale_id
        return Sale(SaleState.NONE, 0) if id is None else self._ledger.exchange.sale(id)

    def _is_granted(self, note: Note) -> bool:
        grants = find_grants(self._ledger, self.record.id)
        return any(each.recipient == note.digest and not each.is_withdrawn for each in grants)

    def _check_confirmed(self, confirmations: int) -> None:
        accepted = next(self._ledger.exchange.events([Accepted], id=self.sale_id), None)
        web3 = self._ledger.web3
        block = int(answer(web3, lambda: web3.eth.block_number))
        if accepted is None or block - accepted.origin.block + 1 < confirmations:
            raise NotYetError(
                f"The acceptance is not confirmed by {confirmations} blocks yet; wait for them."
            )

    def _resume(self) -> None:
        """Bring to its end what was sent in time: with it the key may be known already."""
        transactions = self._ledger.transactions
        if transactions is None:
            raise NoAccountError
        transactions.resume()
