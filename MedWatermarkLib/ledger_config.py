"""Where the ledger is: a small TOML file that a consortium's administrator gives to its members."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from eth_typing import ChecksumAddress
from eth_utils.address import is_checksum_address

from MedWatermarkLib.ledger_errors import LedgerError
from MedWatermarkLib.output import new_files

FEE_CEILING = Decimal(100)
"""In gwei per gas: far above what is usual, and a bound on what a peak can cost."""
_GWEI = 10**9
_TEMPLATE = """\
# Where the ledger of MedWatermark is. Should the URL hold a key, keep this file to yourself.
url = "{url}"
chain_id = {chain_id}
registry = "{registry}"
exchange = "{exchange}"
# The block from which on there is anything to read.
first_block = {first_block}
# The most to pay, in gwei per gas.
fee_ceiling = {fee_ceiling}
# How many blocks make a transaction final, its own included.
confirmations = {confirmations}
"""


class LedgerConfigError(LedgerError):
    """The file that says where the ledger is cannot be read, or says something that cannot be."""


@dataclass(frozen=True)
class LedgerConfig:
    """Where the ledger is.

    Attributes
    ----------
    url : str
        Of a node, with ``http`` or ``https``. It may hold a key, and is never shown.
    chain_id : int
        Which chain (EIP-155).
    registry, exchange : str
        Addresses of the contracts, with checksum (EIP-55).
    first_block : int
        Where the first of them was deployed, or earlier.
    fee_ceiling : decimal.Decimal
        The most to pay, in gwei per gas.
    confirmations : int
        How many blocks make a transaction final, its own included.

    Raises
    ------
    LedgerConfigError
        If a value has not the form above.
    """

    url: str = field(repr=False)
    chain_id: int
    registry: ChecksumAddress
    exchange: ChecksumAddress
    first_block: int = 0
    fee_ceiling: Decimal = FEE_CEILING
    confirmations: int = 1

    def __post_init__(self) -> None:
        check_url(self.url)
        for name, least in (("chain_id", 1), ("first_block", 0), ("confirmations", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise LedgerConfigError(f"The ledger's {name} is not a number from {least} on.")
        for name in ("registry", "exchange"):
            if not is_checksum_address(getattr(self, name)):
                raise LedgerConfigError(
                    f"The ledger's {name} is not an address with its checksum: 0x and 40 digits."
                )
        ceiling = self.fee_ceiling
        if not isinstance(ceiling, Decimal) or not ceiling.is_finite() or not 0 <= ceiling < _GWEI:
            raise LedgerConfigError("The ledger's fee_ceiling is not an amount in gwei per gas.")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LedgerConfig:
        """Read the file.

        Parameters
        ----------
        path : path-like
            A file in TOML, as `write` makes it.

        Raises
        ------
        LedgerConfigError
            If it cannot be read, or its entries are not those of a ledger.
        """
        place = Path(path)
        try:
            with place.open("rb") as file:
                entries = tomllib.load(file, parse_float=Decimal)
        except OSError as error:
            raise LedgerConfigError(f"{place} cannot be read: {error.strerror}.") from error
        except ValueError:  # Not TOML, or no text; the words may quote the URL.
            raise LedgerConfigError(
                f"{place} is not a file that says where a ledger is, or it is damaged."
            ) from None
        unknown = entries.keys() - cls.__dataclass_fields__.keys()
        missing = {"url", "chain_id", "registry", "exchange"} - entries.keys()
        if unknown or missing:
            names = ", ".join(sorted(missing or unknown))
            fault = "does not say" if missing else "has entries that are not known:"
            raise LedgerConfigError(f"{place} {fault} {names}.")
        if type(entries.get("fee_ceiling")) is int:
            entries["fee_ceiling"] = Decimal(entries["fee_ceiling"])
        return cls(**entries)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file; never over another.

        Raises
        ------
        OutputError
            If something is there, or it cannot be written.
        """
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        text = _TEMPLATE.format(**values | {"fee_ceiling": f"{self.fee_ceiling:f}"})
        with new_files(Path(path)) as (staged,):
            staged.write_text(text, encoding="utf-8")


def in_wei(gwei: Decimal) -> int:
    """Return an amount of gwei in wei."""
    return int(gwei * _GWEI)


def check_url(url: object) -> None:
    """Refuse what is not the URL of a node.

    Raises
    ------
    LedgerConfigError
        If so; the URL is not repeated.
    """
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() else None
    except ValueError:
        parts = None
    # Quotation marks and backslashes stand in no URL (RFC 3986, appendix A), and would not in TOML.
    quoting = parts is not None and any(mark in parts.geturl() for mark in '"\\ ')
    if parts is None or quoting or parts.scheme not in ("http", "https") or not parts.hostname:
        raise LedgerConfigError(
            "The ledger's url is not a node's address, such as https://node.example.org."
        )
