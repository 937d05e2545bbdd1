"""Nodes for the ledger's tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import deals
import pytest
from anvil import StartAnvil, run_anvil
from chains import Chain
from deals import Deal, MakeDeal
from eth_account import Account
from eth_account.signers.local import LocalAccount

# Of anvil's default phrase: each of them holds 10,000 ether on every chain that it starts.
_PHRASE = "test test test test test test test test test test test junk"


@pytest.fixture
def anvil() -> Iterator[StartAnvil]:
    """Start a node: ``anvil()``, ``anvil(mining=False)`` or ``anvil(block_time=1)``."""
    with ExitStack() as nodes:
        yield lambda **options: nodes.enter_context(run_anvil(**options))


@pytest.fixture(scope="session")
def funded_accounts() -> tuple[LocalAccount, ...]:
    """Five accounts that hold ether on every node that `anvil` starts."""
    Account.enable_unaudited_hdwallet_features()
    return tuple(
        Account.from_mnemonic(_PHRASE, account_path=f"m/44'/60'/0'/0/{index}") for index in range(5)
    )


@pytest.fixture
def make_deal(chain: Chain, tmp_path: Path) -> MakeDeal:
    """Bring two together on the chain of the tests: ``make_deal()`` or ``make_deal(Cheat)``."""
    return lambda *arguments, **options: deals.make_deal(
        chain, tmp_path / secrets.token_hex(4), *arguments, **options
    )


@pytest.fixture
def deal(make_deal: MakeDeal) -> Deal:
    return make_deal()
