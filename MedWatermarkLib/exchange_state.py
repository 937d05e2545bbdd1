"""The file in which a side of an exchange keeps how far it came.

It holds no secret: terms and records are public, envelopes are sealed. What the chain tells is not
in it, so that it cannot say anything else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from MedWatermarkLib.exchange_errors import ExchangeStateError, OfferError
from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.ledger import Ledger
from MedWatermarkLib.offer import Note
from MedWatermarkLib.output import OutputError, write_private
from MedWatermarkLib.record import Copy, Record, Struct
from MedWatermarkLib.sale import Terms

#: The file's name in the folder of an exchange.
NAME = "exchange.json"
VERSION = 1
_FORMAT = "MedWatermark exchange"
_GREATEST_SIZE = 1 << 22

_Struct = TypeVar("_Struct", bound=Struct)
_State = TypeVar("_State", "OwnerState", "RecipientState")


@dataclass(frozen=True)
class OwnerState:
    """What an owner keeps of an exchange.

    Attributes
    ----------
    chain_id, exchange : int, str
        Which ledger.
    record : Record
    signature : bytes
        64 bytes, of the claim; empty in a folder that was recovered, whose record is registered.
    copy : Copy or None
        If it is a copy's package that is shared, and not the record's.
    size : int
        The length of the sealed package, in bytes.
    content : bytes
        The content identity, sealed to the owner itself; empty in a folder that was recovered.
    terms : Terms or None
        Of the sale, from when it is offered.
    note : Note or None
        Likewise.
    recipient_key : str
        The recipient's age public key; likewise.
    grants : tuple of (str, Note)
        Public keys to which the package was granted, and the notes for them.
    """

    chain_id: int
    exchange: str
    record: Record
    signature: bytes
    copy: Copy | None
    size: int
    content: bytes
    terms: Terms | None = None
    note: Note | None = None
    recipient_key: str = ""
    grants: tuple[tuple[str, Note], ...] = ()

    @property
    def package(self) -> Record | Copy:
        """Which of the record is shared: itself, or a copy."""
        return self.record if self.copy is None else self.copy


@dataclass(frozen=True)
class RecipientState:
    """What a recipient keeps of an exchange.

    Attributes
    ----------
    chain_id, exchange : int, str
        Which ledger.
    terms : Terms
        Of the sale.
    is_checked : bool
        Whether all that was offered was downloaded, and found to be as it should.
    """

    chain_id: int
    exchange: str
    terms: Terms
    is_checked: bool = False


def make_folder(folder: Path) -> None:
    """Make the folder of an exchange, which others need not see, if it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {reason_of(error)}.") from error


def write_state(folder: Path, state: OwnerState | RecipientState) -> None:
    """Write the file, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written; the one before is still there then.
    """
    content: dict[str, Any] = {"format": _FORMAT, "version": VERSION, "side": _side(type(state))}
    content |= {each.name: _plain(getattr(state, each.name)) for each in fields(state)}
    text = json.dumps(content, indent=1) + "\n"
    try:
        # It tells who deals with whom.
        write_private(folder / NAME, text.encode("ascii"))
    except OSError as error:
        raise OutputError(f"{folder / NAME} cannot be written: {reason_of(error)}.") from error


def side_of(folder: Path) -> str:
    """Return whose folder it is: ``owner`` or ``recipient``.

    Raises
    ------
    ExchangeStateError
        If it is no folder of an exchange, or its file is damaged.
    """
    side = _read(folder).get("side")
    if side not in [_side(kind) for kind in _MAKE]:
        raise _damaged(folder / NAME)
    return str(side)


def read_state(folder: Path, kind: type[_State], ledger: Ledger) -> _State:
    """Read the file.

    Parameters
    ----------
    folder : pathlib.Path
    kind : type
        `OwnerState` or `RecipientState`.
    ledger : Ledger
        On which it is gone on with.

    Raises
    ------
    ExchangeStateError
        If it is missing, damaged, of the other side, of a later version, or of another ledger.
    """
    place, content = folder / NAME, _read(folder)
    if content.get("side") != _side(kind):
        raise ExchangeStateError(f"{place} is the other side's, not the {_side(kind)}'s.")
    try:
        state = _MAKE[kind](content)
    except (KeyError, TypeError, ValueError, AttributeError, OfferError):
        raise _damaged(place) from None
    if (state.chain_id, state.exchange) != (ledger.config.chain_id, ledger.config.exchange):
        raise ExchangeStateError(
            f"The exchange in {folder} is on another ledger; use the one it was begun on."
        )
    return state  # type: ignore[no-any-return]


def _read(folder: Path) -> dict[str, Any]:
    place = folder / NAME
    try:
        with place.open("rb") as file:
            content = json.loads(file.read(_GREATEST_SIZE))
    except OSError as error:
        raise ExchangeStateError(
            f"{place}, which says how far the exchange came, cannot be read: {reason_of(error)}."
        ) from error
    except (ValueError, RecursionError):
        raise _damaged(place) from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise _damaged(place)
    version = content.get("version")
    if version != VERSION:
        raise ExchangeStateError(
            f"{place} is of version {version}, which this MedWatermark does not know: update it."
        )
    return content


def _side(kind: type[Any]) -> str:
    return "owner" if kind is OwnerState else "recipient"


def _damaged(place: Path) -> ExchangeStateError:
    return ExchangeStateError(f"{place} is not the file of an exchange, or it is damaged.")


def _plain(value: Any) -> Any:
    """Make of a value what JSON can hold."""
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.TYPES}
    if isinstance(value, Note):
        return value.to_bytes().decode("ascii")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _struct(kind: type[_Struct], content: dict[str, Any]) -> _Struct:
    values = {
        name: bytes.fromhex(content[name]) if type_.startswith("bytes") else content[name]
        for name, type_ in kind.TYPES.items()
    }
    return kind(**values)


def _note(text: str) -> Note:
    return Note.from_bytes(text.encode("ascii"))


def _owner_state(content: dict[str, Any]) -> OwnerState:
    copy, terms, note = content["copy"], content["terms"], content["note"]
    return OwnerState(
        content["chain_id"],
        content["exchange"],
        _struct(Record, content["record"]),
        bytes.fromhex(content["signature"]),
        None if copy is None else _struct(Copy, copy),
        content["size"],
        bytes.fromhex(content["content"]),
        None if terms is None else _struct(Terms, terms),
        None if note is None else _note(note),
        content["recipient_key"],
        tuple((key, _note(text)) for key, text in content["grants"]),
    )


def _recipient_state(content: dict[str, Any]) -> RecipientState:
    terms = _struct(Terms, content["terms"])
    checked = content["is_checked"] is True
    return RecipientState(content["chain_id"], content["exchange"], terms, checked)


_MAKE: dict[type[Any], Any] = {OwnerState: _owner_state, RecipientState: _recipient_state}
