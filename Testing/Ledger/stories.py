"""How exchanges go, turn by turn, and how each must end, however often its sides are killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chains import Chain
from deals import BOND, PRICE, Deal, Purse, make_deal
from parties import Party, parties

from MedWatermarkLib.cheat import Cheat
from MedWatermarkLib.exchange import Owner, find_grants
from MedWatermarkLib.sale import MIN_WINDOW, SaleState
from MedWatermarkLib.sale_events import Accepted, Offered

#: Both windows are over.
WAIT = "wait"

_SIDES = {"sell": 0, "cancel": 0, "grant": 0, "withdraw": 0, "buy": 1, "reclaim": 1, "take": 1}


@dataclass(frozen=True)
class Story:
    """An exchange.

    Attributes
    ----------
    turns : tuple of str
        What is done, as in `parties`.
    end : SaleState
    gains : (int, int)
        In wei, of owner and recipient, but for gas.
    sent : (int, int)
        How many transactions each sends.
    arrives : bool
        Whether the recipient has the package in the end.
    kind : type
        `Owner` or `Cheat`.
    """

    turns: tuple[str, ...]
    end: SaleState
    gains: tuple[int, int]
    sent: tuple[int, int]
    arrives: bool
    kind: type[Owner] = Owner


STORIES = {
    "honest": Story(
        ("sell", "buy", "sell", "buy"), SaleState.SETTLED, (PRICE, -PRICE), (3, 2), True
    ),
    "cheat": Story(
        ("sell", "buy", "sell", "buy"), SaleState.REFUNDED, (-BOND, BOND), (3, 2), False, Cheat
    ),
    "silent owner": Story(
        ("sell", "buy", WAIT, "reclaim"), SaleState.REFUNDED, (-BOND, BOND), (2, 2), False
    ),
    "silent recipient": Story(
        ("sell", "buy", "sell", WAIT, "sell", "buy"),
        SaleState.SETTLED,
        (PRICE, -PRICE),
        (4, 1),
        True,
    ),
    "cancelled": Story(("sell", "cancel"), SaleState.CANCELLED, (0, 0), (3, 0), False),
    "grant": Story(("grant", "take", "withdraw"), SaleState.NONE, (0, 0), (3, 0), True),
}

#: Takes a turn: the side, what it does, and the number of the turn.
Take = Callable[[Party, str, int], object]


def tell(story: Story, chain: Chain, place: Path, take: Take) -> None:
    """Have a story happen in an empty folder, and check that it ended as it must.

    Parameters
    ----------
    story : Story
    chain : Chain
        Real.
    place : pathlib.Path
    take : callable
        Takes each turn.
    """
    deal = make_deal(chain, place, story.kind)
    purses = Purse(deal.hospital.ledger), Purse(deal.buyer)
    sides = parties(deal)
    for number, act in enumerate(story.turns):
        if act == WAIT:
            chain.advance(MIN_WINDOW + 1)
        else:
            take(sides[_SIDES[act]], act, number)
    assert tuple(purse.gained for purse in purses) == story.gains
    # No step was taken twice.
    count = deal.buyer.web3.eth.get_transaction_count
    assert (count(deal.hospital.address), count(deal.buyer.account.address)) == story.sent
    _check_ledger(story, deal)
    received = deal.place / "recipient" / "sealed.age"
    assert received.exists() == story.arrives
    if story.arrives:
        assert received.read_bytes() == deal.sealed.read_bytes()
    # The note, and what it names.
    stored = 2 if story.end is SaleState.NONE else 3
    assert len(list(deal.place.glob("store/[!.]*"))) == stored
    # Of what killed ones had half written nothing is left.
    assert not list(deal.place.rglob(".*.part/content/*"))


def _check_ledger(story: Story, deal: Deal) -> None:
    assert deal.state is story.end
    sales = list(deal.buyer.exchange.events([Offered, Accepted], id=deal.owner.sale_id))
    if story.end is SaleState.NONE:
        (grant,) = find_grants(deal.buyer, deal.record.id)
        assert grant.is_withdrawn
    else:
        assert len(sales) == (1 if story.end is SaleState.CANCELLED else 2)
