"""The events of a contract as typed records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from web3.types import LogReceipt, TxReceipt

from MedWatermarkLib.chain_log import ChainLog, Origin
from MedWatermarkLib.contract import Contract

Event = TypeVar("Event")
Kind = TypeVar("Kind")


class ContractEvents(Generic[Event]):
    """The events of one contract; a class of theirs is named as the event in Solidity.

    Parameters
    ----------
    contract : Contract
        Whose.
    log : ChainLog
        Where they are read from.
    make : callable
        Makes the typed record of an event from its name and arguments in Solidity, and its origin.
    """

    def __init__(
        self,
        contract: Contract,
        log: ChainLog,
        make: Callable[[str, Mapping[str, Any], Origin], Event],
    ) -> None:
        self._contract = contract
        self._log = log
        self._make = make

    def read(
        self,
        kinds: Sequence[type[Kind]],
        *words: bytes | None,
        first_block: int | None = None,
        last_block: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Kind]:
        """Read events in the order of the chain.

        Parameters
        ----------
        kinds : sequence of type
            Which ones; all, if empty.
        *words : bytes or None
            What stands in the event's indexed fields, 32 bytes each; None for anything.
        first_block, last_block, progress
            As for `ChainLog.read`.

        Yields
        ------
        Event
            Of these kinds.
        """
        topics = [self._contract.topic(kind.__name__) for kind in kinds] or None
        wanted = [topics, *(None if word is None else [word] for word in words)]
        logs = self._log.read(
            wanted, first_block=first_block, last_block=last_block, progress=progress
        )
        for log in logs:
            yield cast(Kind, self._typed(log))

    def of(self, receipt: TxReceipt, kind: type[Kind]) -> Kind:
        """Return the one event of a kind that a transaction made."""
        (log,) = self._contract.logs_of(receipt, kind.__name__)
        return cast(Kind, self._typed(log))

    def _typed(self, log: LogReceipt) -> Event:
        name, arguments = self._contract.decode(log)
        return self._make(name, arguments, self._log.origin(log))
