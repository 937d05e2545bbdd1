"""What can go wrong with the ledger, in words for a clinician or an administrator.

Nothing here repeats a node's URL, whose path or user part may be a key: host and port are named.
Nor do the errors carry the one they were made of, whose words may hold the URL.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_tester.exceptions import TransactionFailed
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import BadResponseFormat, ContractLogicError, ProviderConnectionError
from web3.middleware import Web3Middleware
from web3.types import RPCEndpoint, RPCResponse, TxReceipt

_GWEI = 10**9
_ETHER = 10**18
# Solidity's own errors: https://docs.soliditylang.org/en/latest/control-structures.html#revert
_ERROR_SELECTOR = bytes.fromhex("08c379a0")
_PANIC_SELECTOR = bytes.fromhex("4e487b71")
# What is shorter is no key worth the name, and may be in any word.
_SECRET_SIZE = 4
_REQUEST_LOGS = (
    "web3.providers.HTTPProvider",
    "web3._utils.http_session_manager.HTTPSessionManager",
    "urllib3.connectionpool",
)


class LedgerError(Exception):
    """The ledger could not do what was asked."""


class JournalError(LedgerError):
    """The journal of what was sent cannot be read or written; without it nothing is sent."""


class NodeUnreachableError(LedgerError):
    """The node does not answer, or not as a node does.

    Attributes
    ----------
    reason : str
        What happened, in a few words.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        node = f"The ledger's node at {place}" if place else "The ledger's node"
        super().__init__(
            f"{node} cannot be reached ({reason}); check the network and the node's address."
        )
        self.reason = reason


class NodeError(LedgerError):
    """The node answered that it will not do what was asked.

    Attributes
    ----------
    reason : str
        What the node said.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The ledger's node refused the request: {reason}.")
        self.reason = reason


class WrongChainError(LedgerError):
    """The node belongs to another chain than the one that was meant.

    Attributes
    ----------
    expected, found : int
        Chain ids (EIP-155).
    """

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"The node belongs to chain {found}, but the ledger is on chain {expected}; "
            "check the node's address."
        )
        self.expected = expected
        self.found = found


class WrongCodeError(LedgerError):
    """At the address of a contract stands none, or another.

    Attributes
    ----------
    contract : str
        What should be there, such as ``ImageRegistry``.
    address : str
        Where.
    """

    def __init__(self, contract: str, address: str) -> None:
        super().__init__(
            f"At {address} stands no {contract} of this version; "
            "check the ledger's addresses and its chain."
        )
        self.contract = contract
        self.address = address


class FeeCeilingError(LedgerError):
    """The network asks for a higher fee than may be paid; nothing was sent.

    Attributes
    ----------
    needed, ceiling : int
        In wei per gas.
    """

    def __init__(self, needed: int, ceiling: int) -> None:
        super().__init__(
            f"The network asks for {_decimal(needed, _GWEI)} gwei per gas, over the ceiling of "
            f"{_decimal(ceiling, _GWEI)}; nothing was sent: try later, or raise the ceiling."
        )
        self.needed = needed
        self.ceiling = ceiling


class InsufficientFundsError(LedgerError):
    """The account cannot pay; nothing was spent.

    Attributes
    ----------
    address : str
        The account.
    needed, balance : int or None
        In wei, where they are known.
    """

    def __init__(self, address: str, needed: int | None = None, balance: int | None = None) -> None:
        amounts = "too little"
        if needed is not None and balance is not None:
            amounts = f"{_decimal(balance, _ETHER)} ether, and up to {_decimal(needed, _ETHER)} is"
            amounts += " needed"
        super().__init__(f"The account {address} holds {amounts}: pay in, then try again.")
        self.address = address
        self.needed = needed
        self.balance = balance


class UnconfirmedError(LedgerError):
    """It is not confirmed in time. It was not given up: the same intent goes on where it stands.

    Attributes
    ----------
    intent : str
        Its name.
    reason : str
        What it waits for.
    """

    def __init__(self, intent: str, reason: str) -> None:
        super().__init__(
            f"{intent!r} is not confirmed yet ({reason}); it goes on, and asking for it again "
            "later finishes it without doing it twice."
        )
        self.intent = intent
        self.reason = reason


class IntentConflictError(LedgerError):
    """An intent of this name is in the journal already, and it does something else.

    Attributes
    ----------
    intent : str
        Its name.
    """

    def __init__(self, intent: str) -> None:
        super().__init__(
            f"{intent!r} was sent before with other contents, and is not sent again; "
            "what is new needs a name of its own."
        )
        self.intent = intent


class NonceTakenError(LedgerError):
    """The place of a transaction was taken by one which the journal does not know.

    Attributes
    ----------
    intent : str
        Whose place.
    nonce : int
        Which place.
    other : str
        The hash of the transaction that took it.
    """

    def __init__(self, intent: str, nonce: int, other: str) -> None:
        super().__init__(
            f"{intent!r} was not executed: its place, number {nonce} of the account, was taken by "
            f"transaction {other}, which this journal did not send; see what that one did, and "
            "renew the intent if it is still wanted."
        )
        self.intent = intent
        self.nonce = nonce
        self.other = other


class RefusedError(LedgerError):
    """A contract refused; nothing was changed.

    The contracts' custom errors are kinds of this.

    Attributes
    ----------
    name : str
        The error's name in Solidity, or its selector in hex where that is unknown, or "".
    arguments : tuple
        Its arguments.
    receipt : TxReceipt or None
        Of the transaction, where it was refused only when it was mined, and its gas was spent.
    """

    def __init__(
        self, name: str, arguments: tuple[Any, ...] = (), sentence: str | None = None
    ) -> None:
        shown = f"{name}({', '.join(map(str, arguments))})" if name else "no reason given"
        super().__init__(sentence or f"The contract refused: {shown}.")
        self.name = name
        self.arguments = arguments
        self.receipt: TxReceipt | None = None


def refusal(data: bytes) -> RefusedError:
    """Return what a contract said when it refused, where no ABI is at hand.

    Parameters
    ----------
    data : bytes
        What the call returned: a selector and its arguments, or nothing.

    Returns
    -------
    RefusedError
        With the text of ``Error(string)`` or the code of ``Panic(uint256)``, else the selector.
    """
    selector, arguments = data[:4], data[4:]
    try:
        if selector == _ERROR_SELECTOR:
            return RefusedError("Error", decode(["string"], arguments))
        if selector == _PANIC_SELECTOR:
            return RefusedError("Panic", decode(["uint256"], arguments))
    except DecodingError:
        pass
    return RefusedError(f"0x{selector.hex()}" if selector else "")


def node_error(error: Exception, web3: Web3) -> NodeError:
    """Return what a node said as it refused a request.

    Parameters
    ----------
    error : Exception
        What web3 or eth-tester raised.
    web3 : Web3
        Whose node it was; should the answer repeat a part of its URL, that part is left out.

    Returns
    -------
    NodeError
        With the node's words.
    """
    response = getattr(error, "rpc_response", None) or {}
    answer = response.get("error")
    reason = str(answer.get("message") if isinstance(answer, dict) else error)
    for secret in _secrets(_url(web3)):
        reason = reason.replace(secret, "…")
    return NodeError(" ".join(reason.split()).rstrip("."))


def revert_data(error: Exception) -> bytes | None:
    """Return what a contract gave as it refused, from the error that web3 made of it.

    Parameters
    ----------
    error : Exception
        Such as `web3.exceptions.ContractLogicError`, of a node or of eth-tester.

    Returns
    -------
    bytes or None
        b"" where it gave nothing; None where the error is none of a contract.
    """
    if isinstance(error, ContractLogicError):
        return _data_of(error.data)
    if not isinstance(error, TransactionFailed):
        return None
    # eth-tester, which tries to read the bytes as text: the deepest of its errors has them whole.
    found, data = error, b""
    while found is not None:
        data = _tester_data(found) or data
        found = found.__context__
    return data


def _tester_data(error: BaseException) -> bytes:
    """Return the bytes that an error of eth-tester holds, as they are, as Python, or as text."""
    held = error.args[0] if error.args else b""
    if isinstance(held, BaseException):
        held = held.args[0] if held.args else b""
    if isinstance(held, bytes):
        return held
    text = str(held).removeprefix("execution reverted: ")
    try:
        return bytes(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError):
        return _ERROR_SELECTOR + encode(["string"], [text])


def _data_of(data: object) -> bytes:
    """Return the bytes in what nodes call the data of an error, in any of the forms they use."""
    if isinstance(data, dict):
        return next(filter(None, map(_data_of, data.values())), b"")
    text = str(data).removeprefix("Reverted ")
    try:
        return bytes(HexBytes(text)) if text.startswith("0x") else b""
    except ValueError:
        return b""


def translate_failures(web3: Web3) -> None:
    """Have every request of a `Web3` raise `NodeUnreachableError` where the node is not reached.

    Nor are the secret parts of its URL logged from here on.

    Parameters
    ----------
    web3 : Web3
        It is changed; a second time changes nothing.
    """
    if _FailureTranslation.__name__ not in web3.middleware_onion:
        web3.middleware_onion.add(_FailureTranslation, _FailureTranslation.__name__)
    _LOG_FILTER.secrets.update(_secrets(_url(web3)))
    for name in _REQUEST_LOGS:
        logging.getLogger(name).addFilter(_LOG_FILTER)


class _FailureTranslation(Web3Middleware):
    """Turns what the connection raises into errors without the URL."""

    def wrap_make_request(
        self, make_request: Callable[[RPCEndpoint, Any], RPCResponse]
    ) -> Callable[[RPCEndpoint, Any], RPCResponse]:
        def request(method: RPCEndpoint, params: Any) -> RPCResponse:
            try:
                return make_request(method, params)
            # What requests raises is an OSError, also where the answer is no JSON.
            except (OSError, ProviderConnectionError, BadResponseFormat) as error:
                failure = NodeUnreachableError(_reason(error), _split(_url(self._w3))[0])
            # Outside of the handler, so that the error does not drag along the one with the URL.
            raise failure

        return request


def _reason(error: Exception) -> str:
    """Return why the node was not reached, without its URL."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and status >= 400:
        return f"it answered with HTTP status {status}"
    if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError):
        return "it did not answer in time"
    if "JSON" in type(error).__name__ or isinstance(error, BadResponseFormat):
        return "what answered is no Ethereum node"
    if "SSL" in type(error).__name__:
        return "its certificate is not trusted"
    return "no connection"


def _url(web3: object) -> str:
    return str(getattr(getattr(web3, "provider", None), "endpoint_uri", None) or "")


def _split(url: str) -> tuple[str, str]:
    """Return host and port of a URL, which may be shown, and all of it that may not."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    rest = "/".join((parts.path, parts.query, parts.fragment))
    # Before an @ stand user and password; a password with a slash puts the @ behind the host.
    if "@" in rest:
        return "", url.partition("://")[2]
    user, _, place = parts.netloc.rpartition("@")
    return place, f"{user}/{rest}"


def _secrets(url: str) -> list[str]:
    parts = re.split(r"[/?&=@:]+", _split(url)[1])
    return [part for part in parts if len(part) >= _SECRET_SIZE]


class _WithoutSecrets(logging.Filter):
    """Takes the secret parts of the nodes' URLs out of what web3 and urllib3 log of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if any(secret in text for secret in self.secrets):
            for secret in self.secrets:
                text = text.replace(secret, "…")
            record.msg, record.args = text, ()
        return True


_LOG_FILTER = _WithoutSecrets()


def _decimal(amount: int, unit: int) -> str:
    """Return an amount of wei in a greater unit, exact, without idle zeros."""
    whole, rest = divmod(amount, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
