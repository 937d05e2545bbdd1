"""The exchange of a package between two who do not trust each other: one object for each side.

`Docs/threat-model.md` says what either can and cannot do to the other.
"""

from __future__ import annotations

from MedWatermarkLib.exchange_errors import (
    ExchangeError,
    ExchangeStateError,
    NotYetError,
    OfferError,
    OfferRefusedError,
    SaleEndedError,
    TooLateError,
)
from MedWatermarkLib.grant import (
    FoundGrant,
    OwnGrant,
    find_grants,
    find_own_grants,
    receive_grant,
)
from MedWatermarkLib.next_step import NextStep
from MedWatermarkLib.offer import FoundOffer, Inspection, find_offer, find_offers
from MedWatermarkLib.owner import Owner, record_of
from MedWatermarkLib.recipient import Recipient

__all__ = [
    "ExchangeError",
    "ExchangeStateError",
    "FoundGrant",
    "FoundOffer",
    "Inspection",
    "NextStep",
    "NotYetError",
    "OfferError",
    "OfferRefusedError",
    "OwnGrant",
    "Owner",
    "Recipient",
    "SaleEndedError",
    "TooLateError",
    "find_grants",
    "find_offer",
    "find_offers",
    "find_own_grants",
    "receive_grant",
    "record_of",
]
