"""One program at a time takes a step of an exchange, and it knows what another did before."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from MedWatermarkLib.exchange_errors import ExchangeError
from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.lock import lock
from MedWatermarkLib.output import OutputError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Side(Protocol):
    _folder: Path

    def _look(self) -> None:
        """Read the file of states."""


_S = TypeVar("_S", bound=_Side)


def alone(step: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Have a step of an owner or a recipient taken by one program at a time.

    It begins with what stands in the file of states by then.

    Raises
    ------
    ExchangeError
        When it is called, if another program is at a step in the same folder.
    """

    @functools.wraps(step)
    def taken(side: _S, /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        with _locked(side._folder):
            side._look()
            return step(side, *arguments, **options)

    return taken


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {reason_of(error)}.") from error
    try:
        try:
            lock(descriptor)
        except BlockingIOError:
            raise ExchangeError(
                f"Another program is at work on the exchange in {folder}; wait for it."
            ) from None
        yield
    finally:
        os.close(descriptor)
