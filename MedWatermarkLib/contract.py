"""The contracts as they were compiled, and one of them at its address."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any, cast

from eth_typing import ABIEvent, ChecksumAddress
from eth_utils.abi import event_abi_to_log_topic
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import LogReceipt, TxReceipt

from MedWatermarkLib.ledger_errors import LedgerError, WrongCodeError, node_error, revert_data
from MedWatermarkLib.refusals import typed_refusal
from MedWatermarkLib.transactions import Transactions


class NoAccountError(LedgerError):
    """Something is to be sent, and the ledger was opened for reading alone."""

    def __init__(self) -> None:
        super().__init__(
            "The ledger was opened without an account, for reading alone; "
            "give a key file to send something."
        )


@dataclass(frozen=True, eq=False)
class CompiledContract:
    """What the compiler made of a contract.

    Attributes
    ----------
    name : str
        Its name in Solidity.
    abi : list of dict
        Its functions, events and errors.
    bytecode : bytes
        What is sent to deploy it, before the arguments of its constructor.
    deployed_bytecode : bytes
        What then stands at its address.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes

    def deployment(self, *arguments: Any) -> bytes:
        """Return what is sent to deploy it.

        Parameters
        ----------
        *arguments
            Of its constructor.
        """
        factory = Web3().eth.contract(abi=self.abi, bytecode=self.bytecode)
        return bytes(HexBytes(factory.constructor(*arguments).data_in_transaction))


@cache
def compiled(name: str) -> CompiledContract:
    """Return what the compiler made of a contract.

    Parameters
    ----------
    name : str
        ``"ImageRegistry"`` or ``"FairExchange"``.
    """
    text = files("MedWatermarkLib").joinpath("abi", f"{name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return CompiledContract(
        name,
        content["abi"],
        bytes.fromhex(content["bytecode"].removeprefix("0x")),
        bytes.fromhex(content["deployedBytecode"].removeprefix("0x")),
    )


class Contract:
    """A contract at its address: what it says and does, with its refusals as typed errors.

    Parameters
    ----------
    web3 : Web3
        The node.
    name : str
        The contract's name in Solidity.
    address : str
        Where it stands.
    transactions : Transactions, optional
        Sends for an account; without it the contract can be read only.
    """

    def __init__(
        self,
        web3: Web3,
        name: str,
        address: ChecksumAddress,
        transactions: Transactions | None = None,
    ) -> None:
        self.web3 = web3
        self.name = name
        self.address = address
        self.transactions = transactions
        self.abi = web3.eth.contract(address=address, abi=compiled(name).abi)
        self._event_abi = {
            item["name"]: item for item in compiled(name).abi if item["type"] == "event"
        }
        self._events = {self.topic(event): event for event in self._event_abi}

    def check_code(self) -> None:
        """Refuse an address at which another contract stands, or none.

        Raises
        ------
        WrongCodeError
            If so.
        """
        code = answer(self.web3, lambda: self.web3.eth.get_code(self.address))
        if bytes(code) != compiled(self.name).deployed_bytecode:
            raise WrongCodeError(self.name, self.address)

    def read(self, function: str, *arguments: Any) -> Any:
        """Ask the contract.

        Parameters
        ----------
        function : str
            Name in Solidity.
        *arguments
            As web3 takes them.

        Raises
        ------
        RefusedError
            If it reverts.
        NodeError, NodeUnreachableError
            If the node does not answer as it should.
        """
        return answer(self.web3, self.abi.functions[function](*arguments).call)

    def send(self, intent: str, function: str, *arguments: Any, value: int = 0) -> TxReceipt:
        """Have the contract do something, once for each intent.

        Parameters
        ----------
        intent : str
            A name that says what is meant to happen once.
        function : str
            Name in Solidity.
        *arguments
            As web3 takes them.
        value : int, optional
            What is paid with it, in wei.

        Raises
        ------
        NoAccountError
            If there is no account to send for.
        RefusedError
            If the contract refuses.
        LedgerError
            As `Transactions.execute`.
        """
        data = bytes(HexBytes(self.abi.encode_abi(function, args=list(arguments))))
        return self.sender.execute(intent, self.address, data, value)

    def send_again(
        self,
        intent: str,
        function: str,
        *arguments: Any,
        stands: Callable[[TxReceipt], bool],
    ) -> TxReceipt:
        """Send what can be meant a second time, after it was undone.

        Parameters
        ----------
        intent, function, *arguments
            As for `send`.
        stands : callable
            Whether what an earlier transaction, whose receipt it gets, did was not undone since.
            If it was, the next one is sent under the intent's name with a number.
        """
        for occasion in count(1):
            head = self.web3.eth.block_number
            name = intent if occasion == 1 else f"{intent}#{occasion}"
            receipt = self.send(name, function, *arguments)
            if receipt["blockNumber"] > head or stands(receipt):
                break
        return receipt

    def topic(self, event: str) -> bytes:
        """Return the word of 32 bytes by which an event's log entries are known.

        Parameters
        ----------
        event : str
            Name in Solidity.
        """
        return bytes(HexBytes(event_abi_to_log_topic(cast(ABIEvent, self._event_abi[event]))))

    def decode(self, log: LogReceipt) -> tuple[str, dict[str, Any]]:
        """Return the name of an event, and its arguments by their names in Solidity."""
        event = self._events[bytes(log["topics"][0])]
        arguments = self.abi.events[event]().process_log(log)["args"]
        return event, {
            name: bytes(value) if isinstance(value, bytes) else value
            for name, value in arguments.items()
        }

    def logs_of(self, receipt: TxReceipt, event: str) -> list[LogReceipt]:
        """Return the entries that this contract made of an event in a transaction."""
        topic = self.topic(event)
        return [
            log
            for log in receipt["logs"]
            if log["address"] == self.address and bytes(log["topics"][0]) == topic
        ]

    @property
    def sender(self) -> Transactions:
        """What sends for the account.

        Raises
        ------
        NoAccountError
            If there is none.
        """
        if self.transactions is None:
            raise NoAccountError
        return self.transactions


def answer(web3: Web3, request: Callable[[], Any]) -> Any:
    """Return what a contract answers, or raise its refusal, or the node's, as a typed error.

    Parameters
    ----------
    web3 : Web3
        The node.
    request : callable
        Asks it.

    Raises
    ------
    RefusedError
        If the contract reverts.
    NodeError, NodeUnreachableError
        If the node does not answer as it should.
    """
    try:
        return request()
    except Web3Exception as error:
        data = revert_data(error)
        failure = node_error(error, web3)
    # Outside of the handler, so that the error does not drag along the one with the URL.
    raise failure if data is None else typed_refusal(data)
