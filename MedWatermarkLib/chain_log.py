"""The log of a contract: its events, read in ranges that nodes accept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from eth_typing import BlockNumber, ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3RPCError
from web3.types import FilterParams, LogReceipt

from MedWatermarkLib.contract import answer
from MedWatermarkLib.ledger_errors import NodeError, NodeUnreachableError, node_error

RANGE = 2_000
"""How many blocks are asked for at once; public nodes seldom accept more."""
# What may come at a place of the topics: one of several words of 32 bytes, or anything.
Topics = Sequence[Sequence[bytes] | None]


@dataclass(frozen=True)
class Origin:
    """Where an event stands on the chain.

    Attributes
    ----------
    block : int
        Number of the block.
    block_hash : bytes
        32 bytes; another one at the same number says that the chain was reorganised.
    time : int
        When the block was made, in seconds since 1970-01-01 UTC.
    transaction : bytes
        32 bytes, the transaction's hash.
    index : int
        Place among the events of the block.
    """

    block: int
    block_hash: bytes
    time: int
    transaction: bytes
    index: int


class ChainLog:
    """The events of one contract.

    Parameters
    ----------
    web3 : Web3
        The node.
    address : str
        The contract's.
    first_block : int
        Where it was deployed, or earlier.
    """

    def __init__(self, web3: Web3, address: ChecksumAddress, first_block: int = 0) -> None:
        self._web3 = web3
        self._address = address
        self._first_block = first_block
        self._times: dict[bytes, int] = {}

    def read(
        self,
        topics: Topics = (),
        *,
        first_block: int | None = None,
        last_block: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[LogReceipt]:
        """Read the events in the order of the chain.

        To go on after an interruption, begin at the block that `progress` was told last, or a few
        before it, where the chain may be reorganised.

        Parameters
        ----------
        topics : sequence
            For each place the words of 32 bytes that may stand there, or None for any.
        first_block, last_block : int, optional
            Both within; from the contract's first to the chain's last, if not given.
        progress : callable, optional
            Is told the number of the last block read.

        Yields
        ------
        LogReceipt
            As web3 returns it.

        Raises
        ------
        NodeError
            If the node refuses even a single block.
        NodeUnreachableError
            If it does not answer.
        """
        first = self._first_block if first_block is None else first_block
        last = self._height() if last_block is None else last_block
        size = RANGE
        while first <= last:
            end = min(first + size, last + 1) - 1
            logs = self._range(topics, first, end)
            if logs is None:
                size = (end - first + 1) // 2
                continue
            yield from logs
            if progress is not None:
                progress(end)
            first = end + 1

    def origin(self, log: LogReceipt) -> Origin:
        """Return where an event stands.

        Raises
        ------
        NodeError
            If its block was taken back by a reorganisation meanwhile.
        """
        return Origin(
            log["blockNumber"],
            bytes(log["blockHash"]),
            self._time(log),
            bytes(log["transactionHash"]),
            log["logIndex"],
        )

    def last_time(self) -> int:
        """Return when the chain's last block was made, in seconds since 1970-01-01 UTC."""
        block = answer(self._web3, lambda: self._web3.eth.get_block("latest"))
        return int(block["timestamp"])

    def block_at(self, time: int) -> int:
        """Return the first block that was made at a time or later; one past the last, if none.

        Parameters
        ----------
        time : int
            In seconds since 1970-01-01 UTC.
        """
        low, high = self._first_block, self._height() + 1
        while low < high:
            middle = (low + high) // 2
            block = answer(self._web3, partial(self._web3.eth.get_block, BlockNumber(middle)))
            if block["timestamp"] < time:
                low = middle + 1
            else:
                high = middle
        return low

    def _height(self) -> int:
        return int(answer(self._web3, lambda: self._web3.eth.block_number))

    def _time(self, log: LogReceipt) -> int:
        """Return when the block of an event was made."""
        told: object = log.get("blockTimestamp")
        if isinstance(told, str):  # As newer nodes add it, web3 leaves it in hex.
            return int(told, 16)
        block_hash = bytes(log["blockHash"])
        if block_hash not in self._times:
            try:
                block = self._web3.eth.get_block(log["blockHash"])
            except BlockNotFound:
                raise NodeError("the chain was reorganised while it was read: try again") from None
            self._times[block_hash] = block["timestamp"]
        return self._times[block_hash]

    def _range(self, topics: Topics, first: int, last: int) -> list[LogReceipt] | None:
        """Read one range; None if the node refuses it, and would perhaps not refuse less."""
        wanted: FilterParams = {
            "address": self._address,
            "fromBlock": Web3.to_hex(first),
            "toBlock": Web3.to_hex(last),
            "topics": [
                None if words is None else [HexBytes(word).to_0x_hex() for word in words]
                for words in topics
            ],
        }
        try:
            return list(self._web3.eth.get_logs(wanted))
        except Web3RPCError as error:
            # Each node has its own limit, code and words for it.
            failure = node_error(error, self._web3)
        except NodeUnreachableError as error:
            if "HTTP status" not in error.reason:
                raise
            failure = NodeError(error.reason)
        if first == last:
            raise failure
        return None
