"""What is given to commands as text: addresses, ids, amounts."""

from __future__ import annotations

import re
from fractions import Fraction

from eth_utils.address import is_address, to_checksum_address

from MedWatermarkLib.report import ExitCode
from MedWatermarkLib.sale import COIN

_WORD_SIZE = 32
_ETHER = 10**18
_GREATEST_AMOUNT = 2**128 - 1
_AMOUNT = re.compile(r"\d{1,40}(\.\d{1,18})?", re.ASCII)


class ArgumentError(ValueError):
    """An argument of a command that is none."""

    exit_code = ExitCode.USAGE


def address(text: str, what: str) -> str:
    """Return an address with its checksum; `what` says whose it should be: ``an authority``."""
    if not is_address(text):
        raise ArgumentError(f"{text} is not the address of {what}: 0x and 40 hex digits.")
    return str(to_checksum_address(text))


def words(text: str, what: str) -> bytes:
    """Return 32 bytes from hex; `what` says what they should be: ``the id of a record``."""
    try:
        word = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        word = b""
    if len(word) != _WORD_SIZE:
        raise ArgumentError(f"{text} is neither a file nor 64 hex digits, {what}.")
    return word


def amount(text: str, token: str) -> int:
    """Return an amount in the token's least unit: of the chain's coin, `text` is in ether."""
    value = Fraction(text) if _AMOUNT.fullmatch(text) else Fraction(-1)
    if token == COIN:
        value *= _ETHER
    if value.denominator != 1 or not 0 <= value <= _GREATEST_AMOUNT:
        unit = "ether, such as 0.25" if token == COIN else "the token's least unit, a whole number"
        raise ArgumentError(f"{text} is no amount in {unit}.")
    return int(value)


def shown_amount(value: int, token: str) -> str:
    """Write an amount for a person."""
    if token == COIN:
        digits = f"{value // _ETHER}.{value % _ETHER:018d}".rstrip("0").rstrip(".")
        return f"{digits} ether"
    return f"{value} of token {token}"
