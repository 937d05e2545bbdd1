"""The ledger: the registry and the exchange on a chain, behind any node's URL or in this process.

Nothing about a patient is ever sent: what goes out are the fields of `Record`, `Copy`, `Batch` and
`Terms`, which are commitments, roots, addresses, times and amounts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from platformdirs import user_state_path
from web3 import HTTPProvider, Web3
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.rpc.utils import ExceptionRetryConfiguration
from web3.types import TxReceipt

from MedWatermarkLib.chain_log import ChainLog
from MedWatermarkLib.contract import Contract, NoAccountError, answer, compiled
from MedWatermarkLib.fair_exchange import Exchange
from MedWatermarkLib.journal import Journal
from MedWatermarkLib.ledger_config import FEE_CEILING, LedgerConfig, check_url, in_wei
from MedWatermarkLib.ledger_errors import JournalError, WrongChainError, translate_failures
from MedWatermarkLib.output import check_new
from MedWatermarkLib.refusals import typed_refusal
from MedWatermarkLib.registry import Registry
from MedWatermarkLib.transactions import Transactions

if TYPE_CHECKING:
    from MedWatermarkLib.embedded_chain import EmbeddedChain

TIMEOUT = 10.0
"""Seconds to wait for each answer of a node."""
# Questions are asked again after what may pass, with pauses that double.
_PASSING = (requests.ConnectionError, requests.HTTPError, requests.Timeout)
_TRIES = 3
_PAUSE = 0.25


@dataclass(frozen=True)
class LedgerStatus:
    """How it stands with the ledger.

    Attributes
    ----------
    chain_id : int
        Which chain (EIP-155).
    block : int
        Number of the last block.
    time : int
        When that was made, in seconds since 1970-01-01 UTC.
    registry, exchange : str
        Addresses of the contracts, with checksum (EIP-55).
    account : str or None
        Address of the account that sends, if there is one.
    balance : int or None
        What it has, in wei.
    is_accreditor : bool or None
        Whether it may accredit authorities.
    """

    chain_id: int
    block: int
    time: int
    registry: str
    exchange: str
    account: str | None
    balance: int | None
    is_accreditor: bool | None


class Ledger:
    """The registry and the exchange, on a chain; made by `connect` or `embedded`.

    Attributes
    ----------
    config : LedgerConfig
        Where it is.
    web3 : Web3
        The node.
    registry : Registry
        Who may vouch, and what was vouched for.
    exchange : Exchange
        Sales.
    transactions : Transactions or None
        What sends for the account; its `resume` finishes what a crash left behind. None where the
        ledger was opened for reading alone.
    chain : EmbeddedChain or None
        The chain in this process, if it is one.
    """

    def __init__(
        self,
        web3: Web3,
        config: LedgerConfig,
        account: LocalAccount | None,
        transactions: Transactions | None,
        chain: EmbeddedChain | None = None,
    ) -> None:
        self.web3 = web3
        self.config = config
        self._account = account
        self.transactions = transactions
        self.chain = chain
        registry = Contract(web3, "ImageRegistry", config.registry, transactions)
        exchange = Contract(web3, "FairExchange", config.exchange, transactions)
        for contract in (registry, exchange):
            contract.check_code()
        self.registry = Registry(registry, ChainLog(web3, config.registry, config.first_block))
        self.exchange = Exchange(exchange, ChainLog(web3, config.exchange, config.first_block))

    @classmethod
    def connect(
        cls,
        config: LedgerConfig | str | os.PathLike[str],
        account: LocalAccount | None = None,
        journal: Journal | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> Ledger:
        """Open the ledger behind a node.

        Parameters
        ----------
        config : LedgerConfig or path-like
            Where it is, or the TOML file that says so.
        account : eth_account.signers.local.LocalAccount, optional
            Who sends; without one the ledger can be read only.
        journal : Journal, optional
            Where what is sent is kept; the chain's among the user's files, if not given. Every
            process that uses the account must use the same.
        timeout : float, optional
            Seconds to wait for each answer of the node.

        Raises
        ------
        LedgerConfigError
            If the file cannot be read or is none.
        NodeUnreachableError
            If the node does not answer.
        WrongChainError, WrongCodeError
            If it belongs to another chain, or other contracts stand at the addresses.
        JournalError
            If the journal cannot be opened.
        """
        if not isinstance(config, LedgerConfig):
            config = LedgerConfig.read(config)
        web3 = _node(config.url, timeout)
        chain_id = answer(web3, lambda: web3.eth.chain_id)
        if chain_id != config.chain_id:
            raise WrongChainError(config.chain_id, chain_id)
        transactions = None
        if account is not None:
            transactions = _transactions(
                web3, account, journal, chain_id, config.fee_ceiling, config.confirmations
            )
        return cls(web3, config, account, transactions)

    @classmethod
    def embedded(cls, account: LocalAccount | None = None) -> Ledger:
        """Start a chain in this process, with the contracts on it, for trying things out.

        It is gone when the process ends, and says so then.

        Parameters
        ----------
        account : eth_account.signers.local.LocalAccount, optional
            Who sends, and administers the registry; a new one, if not given. It is given 1,000
            ether.
        """
        # py-evm takes a second to load, and most ledgers do without.
        from MedWatermarkLib.embedded_chain import EmbeddedChain

        chain = EmbeddedChain()
        if account is None:
            account = chain.new_account()
        else:
            chain.fund(account.address)
        chain_id = chain.web3.eth.chain_id
        transactions = _transactions(chain.web3, account, Journal(chain.journal), chain_id)
        registry, exchange, _ = _deploy(transactions, account.address)
        config = LedgerConfig("http://embedded", chain_id, registry, exchange)
        return cls(chain.web3, config, account, transactions, chain)

    @classmethod
    def deploy(
        cls,
        url: str,
        account: LocalAccount,
        path: str | os.PathLike[str] | None = None,
        *,
        administrator: ChecksumAddress | None = None,
        chain_id: int | None = None,
        journal: Journal | None = None,
        fee_ceiling: Decimal = FEE_CEILING,
        confirmations: int = 1,
        timeout: float = TIMEOUT,
    ) -> LedgerConfig:
        """Put both contracts on a chain, for the administrator of a consortium.

        Asked again, after a crash or later, it returns the contracts that this account has put
        there with this administrator.

        Parameters
        ----------
        url : str
            Of a node.
        account : eth_account.signers.local.LocalAccount
            Who pays for it.
        path : path-like, optional
            Where to write the file that says where the ledger is; nothing may be there.
        administrator : str, optional
            Address of who says who accredits authorities, and accredits at first; the account, if
            not given.
        chain_id : int, optional
            Which chain the node must belong to.
        journal : Journal, optional
            As for `connect`.
        fee_ceiling : decimal.Decimal, optional
            The most to pay, in gwei per gas; for this, and for those who use the file.
        confirmations : int, optional
            How many blocks make it final; likewise.
        timeout : float, optional
            Seconds to wait for each answer of the node.

        Returns
        -------
        LedgerConfig
            Where the ledger is.

        Raises
        ------
        OutputError
            If the file cannot be written; nothing was sent then.
        LedgerError
            As for `connect`, or as `Transactions.execute`.
        """
        if path is not None:
            check_new(Path(path))
        web3 = _node(url, timeout)
        found = answer(web3, lambda: web3.eth.chain_id)
        if chain_id is not None and chain_id != found:
            raise WrongChainError(chain_id, found)
        transactions = _transactions(web3, account, journal, found, fee_ceiling, confirmations)
        registry, exchange, first_block = _deploy(
            transactions, account.address if administrator is None else administrator
        )
        config = LedgerConfig(
            url, found, registry, exchange, first_block, fee_ceiling, confirmations
        )
        if path is not None:
            config.write(path)
        return config

    @property
    def account(self) -> LocalAccount:
        """Who sends.

        Raises
        ------
        NoAccountError
            If the ledger was opened for reading alone.
        """
        if self._account is None:
            raise NoAccountError
        return self._account

    def with_account(self, account: LocalAccount, journal: Journal | None = None) -> Ledger:
        """Return the same ledger for another account.

        Parameters
        ----------
        account : eth_account.signers.local.LocalAccount
            Who sends.
        journal : Journal, optional
            As for `connect`; of an embedded chain, the chain's own.
        """
        if journal is None and self.chain is not None:
            journal = Journal(self.chain.journal)
        config = self.config
        transactions = _transactions(
            self.web3,
            account,
            journal,
            config.chain_id,
            config.fee_ceiling,
            config.confirmations,
        )
        return Ledger(self.web3, config, account, transactions, self.chain)

    def status(self) -> LedgerStatus:
        """Return how it stands with the ledger."""
        block = answer(self.web3, lambda: self.web3.eth.get_block("latest"))
        address = balance = is_accreditor = None
        if self._account is not None:
            address = self._account.address
            balance = answer(self.web3, lambda: self.web3.eth.get_balance(address))
            is_accreditor = self.registry.is_accreditor(address)
        return LedgerStatus(
            self.config.chain_id,
            block["number"],
            block["timestamp"],
            self.config.registry,
            self.config.exchange,
            address,
            balance,
            is_accreditor,
        )


def _node(url: str, timeout: float) -> Web3:
    check_url(url)
    retries = ExceptionRetryConfiguration(_PASSING, retries=_TRIES, backoff_factor=_PAUSE)
    web3 = Web3(
        HTTPProvider(
            url, request_kwargs={"timeout": timeout}, exception_retry_configuration=retries
        )
    )
    # Chains of consortia (Clique, IBFT, QBFT) keep their seals where others have 32 bytes.
    # Under this name `Transactions` knows that it is there: a second one would fail.
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, "proof of authority", layer=0)
    translate_failures(web3)
    return web3


def _transactions(
    web3: Web3,
    account: LocalAccount,
    journal: Journal | None,
    chain_id: int,
    fee_ceiling: Decimal = FEE_CEILING,
    confirmations: int = 1,
) -> Transactions:
    return Transactions(
        web3,
        account,
        _default_journal(chain_id) if journal is None else journal,
        fee_ceiling=in_wei(fee_ceiling),
        confirmations=confirmations,
        decode=typed_refusal,
        chain_id=chain_id,
    )


def _default_journal(chain_id: int) -> Journal:
    folder = user_state_path("medwatermark", appauthor=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    return Journal(folder / f"{chain_id}.sqlite")


def _put(transactions: Transactions, name: str, *arguments: ChecksumAddress) -> TxReceipt:
    """Put a contract on the chain."""
    data = compiled(name).deployment(*arguments)
    # The code belongs to it: another version is another contract.
    return transactions.execute(f"deploy:{name}:{keccak(data).hex()}", None, data)


def _deploy(
    transactions: Transactions, administrator: ChecksumAddress
) -> tuple[ChecksumAddress, ChecksumAddress, int]:
    """Put both contracts on the chain; return their addresses and the first one's block."""
    registry = _put(transactions, "ImageRegistry", administrator)
    exchange = _put(transactions, "FairExchange")
    # A receipt that names no contract would be a node's fault.
    addresses = (registry["contractAddress"], exchange["contractAddress"])
    assert addresses[0] is not None
    assert addresses[1] is not None
    return addresses[0], addresses[1], registry["blockNumber"]
