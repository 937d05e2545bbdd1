"""What can stand in the way of a step of an exchange."""

from __future__ import annotations

from collections.abc import Sequence


class ExchangeError(Exception):
    """A step of an exchange that cannot be taken; nothing was paid or given away by it."""


class ExchangeStateError(ExchangeError):
    """The file that says how far an exchange came is missing, damaged, or of another."""


class NotYetError(ExchangeError):
    """A step whose time has not come.

    Attributes
    ----------
    due : int or None
        When it comes, in seconds since 1970-01-01 UTC, where that is known.
    """

    #: Of commands, `report.ExitCode.NOT_YET`.
    exit_code = 4

    def __init__(self, message: str, due: int | None = None) -> None:
        super().__init__(message)
        self.due = due


class TooLateError(ExchangeError):
    """A step whose time is over."""


class SaleEndedError(ExchangeError):
    """A sale that ended in another way."""


class OfferError(ExchangeError):
    """An offer, or a grant, that is not what it should be, and so not to be accepted."""


class OfferRefusedError(OfferError):
    """An offer against which the ledger speaks.

    Attributes
    ----------
    objections : tuple of str
        What speaks against it, in parts of a sentence.
    """

    #: Of commands, `report.ExitCode.NOT_READ`.
    exit_code = 3

    def __init__(self, objections: Sequence[str]) -> None:
        super().__init__(f"Do not accept this offer: {'; '.join(objections)}.")
        self.objections = tuple(objections)
