"""What a transaction offers for its gas (EIP-1559)."""

from __future__ import annotations

from dataclasses import dataclass

from web3 import Web3

from MedWatermarkLib.ledger_errors import FeeCeilingError, NodeError

# Base fees rise by an eighth a block at most (EIP-1559): doubled, one holds for six full blocks.
_BASE_FEE_FACTOR = 2


@dataclass(frozen=True)
class Fees:
    """An offer.

    Attributes
    ----------
    greatest : int
        The most that is paid, tip included, in wei per gas.
    tip : int
        The most of it that goes to whoever makes the block, in wei per gas.
    """

    greatest: int
    tip: int


def current_fees(web3: Web3, ceiling: int) -> Fees:
    """Return what to offer now.

    Parameters
    ----------
    web3 : Web3
        The node that is asked.
    ceiling : int
        The most that may be paid, in wei per gas.

    Returns
    -------
    Fees
        Twice the present base fee and the usual tip, or the ceiling where that is less.

    Raises
    ------
    FeeCeilingError
        If the present base fee and the usual tip alone are over the ceiling.
    """
    base = web3.eth.get_block("latest").get("baseFeePerGas")
    if base is None:
        raise NodeError("its chain has no base fee, as Ethereum has since the London upgrade")
    tip = web3.eth.max_priority_fee
    if base + tip > ceiling:
        raise FeeCeilingError(base + tip, ceiling)
    return Fees(min(_BASE_FEE_FACTOR * base + tip, ceiling), tip)


def higher_fees(before: Fees, now: Fees, ceiling: int) -> Fees | None:
    """Return what to offer so that nodes replace a transaction by another on the same nonce.

    Parameters
    ----------
    before : Fees
        Of the transaction to be replaced.
    now : Fees
        What a new one would offer.
    ceiling : int
        The most that may be paid, in wei per gas.

    Returns
    -------
    Fees or None
        At least an eighth more in both, where geth asks for a tenth (`txpool.pricebump`); None
        where that is over the ceiling.
    """
    raised = Fees(
        max(_an_eighth_more(before.greatest), min(now.greatest, ceiling)),
        max(_an_eighth_more(before.tip), now.tip),
    )
    if raised.greatest > ceiling:
        return None
    return Fees(raised.greatest, min(raised.tip, raised.greatest))


def _an_eighth_more(fee: int) -> int:
    return fee + fee // 8 + 1
