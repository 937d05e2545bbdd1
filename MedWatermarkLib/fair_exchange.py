"""The exchange: a sale in which neither side can cheat.

The client of ``contracts/src/FairExchange.sol``. Times are in seconds since 1970-01-01 UTC,
addresses have their checksum (EIP-55). Whatever is sent raises `NoAccountError` where the ledger
was opened without an account, `RefusedError` where the contract refuses, and else what
`Transactions.execute` does; it happens once, however often it is asked for, and returns the event
that it made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, TypeVar

from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxReceipt

from MedWatermarkLib.chain_log import ChainLog
from MedWatermarkLib.contract import Contract, answer
from MedWatermarkLib.contract_events import ContractEvents
from MedWatermarkLib.sale import COIN, Sale, SaleState, Terms
from MedWatermarkLib.sale_events import (
    Accepted,
    Cancelled,
    CreditWithdrawn,
    Offered,
    Refunded,
    Revealed,
    SaleEvent,
    Settled,
    sale_event,
)

_Event = TypeVar("_Event", bound=SaleEvent)
# ERC-20, as much of it as a payment takes.
_TOKEN = [
    {
        "type": "function",
        "name": "allowance",
        "stateMutability": "view",
        "inputs": [{"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {
        "type": "function",
        "name": "approve",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "spender", "type": "address"}, {"name": "value", "type": "uint256"}],
        "outputs": [{"name": "", "type": "bool"}],
    },
]


class Exchange:
    """A typed client of the exchange.

    Parameters
    ----------
    contract : Contract
        The exchange at its address.
    log : ChainLog
        Its log.
    """

    def __init__(self, contract: Contract, log: ChainLog) -> None:
        self._contract = contract
        self._chain_id = contract.web3.eth.chain_id
        self._events: ContractEvents[SaleEvent] = ContractEvents(contract, log, sale_event)

    def sale_id(self, terms: Terms) -> bytes:
        """Return the id of a sale on these terms here: 32 bytes."""
        return terms.id(self._chain_id, self._contract.address)

    # --- What the owner does ---

    def offer(self, terms: Terms) -> Offered:
        """Offer a package, with the bond paid in."""
        value = self._ready(terms, terms.bond, SaleState.NONE)
        return self._send("offer", terms, Offered, value=value)

    def cancel(self, terms: Terms) -> Cancelled:
        """Take an offer back that was not accepted, and the bond with it."""
        return self._send("cancel", terms, Cancelled)

    def reveal(self, terms: Terms, key: bytes) -> Revealed:
        """Reveal the key of the cipher, 32 bytes."""
        return self._send("reveal", terms, Revealed, key)

    # --- What the recipient does ---

    def accept(self, terms: Terms) -> Accepted:
        """Accept an offer, with the price paid in. Everything else is to be checked before."""
        value = self._ready(terms, terms.price, SaleState.OFFERED)
        return self._send("accept", terms, Accepted, value=value)

    def refund(self, terms: Terms) -> Refunded:
        """Take back the payment, and the bond, when the key did not come in time."""
        return self._send("refund", terms, Refunded)

    def complain(
        self,
        terms: Terms,
        key: bytes,
        index: int,
        chunk: bytes,
        chunk_path: Sequence[bytes],
        leaf: bytes,
        leaf_path: Sequence[bytes],
    ) -> Refunded:
        """Prove that the key does not turn a chunk into what was promised; any account may.

        Parameters
        ----------
        terms : Terms
            Of the sale.
        key : bytes
            The key that was revealed.
        index : int
            The number of the chunk, from 0.
        chunk : bytes
            The chunk under the cipher, 1,024 bytes.
        chunk_path : sequence of bytes
            Its path to the cipher's root.
        leaf : bytes
            The leaf of the package at this index.
        leaf_path : sequence of bytes
            Its path to the package's root.
        """
        proof = (key, index, chunk, tuple(chunk_path), leaf, tuple(leaf_path))
        return self._send("complain", terms, Refunded, *proof, occasion=f":{index}")

    # --- What both do ---

    def settle(self, terms: Terms) -> Settled:
        """Pay the owner, and give the bond back: the recipient any time, the owner in the end."""
        return self._send("settle", terms, Settled)

    def withdraw_credit(self, token: str = COIN, to: str | None = None) -> CreditWithdrawn:
        """Take out what could not be paid to the account when it was due.

        Parameters
        ----------
        token : str, optional
            Address of the ERC-20 token; the chain's coin, if not given.
        to : str, optional
            Address to pay it to; the account, if not given.
        """
        account = self._contract.sender.address
        to = account if to is None else to

        def stands(_: TxReceipt) -> bool:
            return self.credit(account, token) == 0

        receipt = self._contract.send_again(
            f"withdraw-credit:{token}:{to}", "withdrawCredit", token, to, stands=stands
        )
        return self._events.of(receipt, CreditWithdrawn)

    # --- What anyone can ask ---

    def sale(self, id: bytes) -> Sale:
        """Return what is kept for a sale; its state is ``NONE`` where there is none."""
        state, deadline = self._contract.read("sale", id)
        return Sale(SaleState(state), deadline)

    def credit(self, receiver: str, token: str = COIN) -> int:
        """Return what a receiver can withdraw, in the token's least unit."""
        return int(self._contract.read("creditOf", token, receiver))

    def events(
        self,
        kinds: Sequence[type[SaleEvent]] = (),
        *,
        id: bytes | None = None,
        first_block: int | None = None,
        last_block: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[SaleEvent]:
        """Read what happened, in the order of the chain.

        Parameters
        ----------
        kinds : sequence of type, optional
            Which kinds of events; all, if empty.
        id : bytes, optional
            Of one sale alone.
        first_block, last_block : int, optional
            Both within; from the exchange's first to the chain's last, if not given.
        progress : callable, optional
            Is told the number of the last block read, from which, or a few before which for the
            sake of reorganisations, it can be gone on later.

        Yields
        ------
        SaleEvent
            Of these kinds.
        """
        words = () if id is None else (id,)
        return self._events.read(
            kinds, *words, first_block=first_block, last_block=last_block, progress=progress
        )

    # --- Parts ---

    def _send(
        self,
        function: str,
        terms: Terms,
        kind: type[_Event],
        *arguments: Any,
        value: int = 0,
        occasion: str = "",
    ) -> _Event:
        intent = f"{function}:{self.sale_id(terms).hex()}{occasion}"
        receipt = self._contract.send(intent, function, terms.abi, *arguments, value=value)
        return self._events.of(receipt, kind)

    def _ready(self, terms: Terms, amount: int, state: SaleState) -> int:
        """Return the coins to send along; of a token, allow the exchange to take the amount."""
        if terms.token == COIN:
            return amount
        # Once it is paid, the allowance is used up, and none is wanted for asking again.
        if amount and self.sale(self.sale_id(terms)).state is state:
            self._allow(terms, amount, state)
        return 0

    def _allow(self, terms: Terms, amount: int, state: SaleState) -> None:
        sender = self._contract.sender
        token = self._contract.web3.eth.contract(
            address=Web3.to_checksum_address(terms.token), abi=_TOKEN
        )
        data = bytes(HexBytes(token.encode_abi("approve", args=[self._contract.address, amount])))
        allowance = token.functions.allowance(sender.address, self._contract.address)
        for occasion in count(1):
            # Another sale in the same token may have used up what an earlier one allowed.
            allowed = answer(self._contract.web3, allowance.call)
            if allowed >= amount:
                break
            intent = f"allow:{self.sale_id(terms).hex()}:{state.name.lower()}:{occasion}"
            sender.execute(intent, token.address, data)
