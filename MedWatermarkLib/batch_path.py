"""The place of a record in a batch, as a file: what it takes to use the record later."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, TypeVar

from MedWatermarkLib.record import Record, RecordError, Struct
from MedWatermarkLib.record_batch import Batch, BatchedRecord

_FORMAT = "MedWatermark batch path 1"
_S = TypeVar("_S", bound=Struct)


class BatchPathError(ValueError):
    """A file that is not the place of a record in a batch."""


def batch_path_to_text(placed: BatchedRecord) -> str:
    """Write a record's place in its batch as JSON, bytes as hex."""
    content = {
        "format": _FORMAT,
        "batch": _members(placed.batch),
        "record": _members(placed.record),
        "index": placed.index,
        "path": [one.hex() for one in placed.path],
    }
    return json.dumps(content, indent=2) + "\n"


def batch_path_from_text(text: str) -> BatchedRecord:
    """Read what `batch_path_to_text` wrote.

    That the path leads to the batch's root is told by `BatchedRecord.holds`, and that the batch
    is registered by the registry.

    Raises
    ------
    BatchPathError
        If it is something else, or damaged.
    """
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise BatchPathError("The place in a batch is of another format: update MedWatermark.")
        index = content["index"]
        if type(index) is not int or not 0 <= index < 2**64:
            raise BatchPathError("The place in a batch has no index.")
        return BatchedRecord(
            batch=_struct(Batch, content["batch"]),
            record=_struct(Record, content["record"]),
            index=index,
            path=tuple(bytes.fromhex(one) for one in content["path"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BatchPathError):
            raise
        raise BatchPathError(
            "This file does not hold the place of a record in a batch, or it is damaged."
        ) from error


def _members(struct: Struct) -> dict[str, Any]:
    values = {field.name: getattr(struct, field.name) for field in fields(struct)}
    return {name: v.hex() if isinstance(v, bytes) else v for name, v in values.items()}


def _struct(kind: type[_S], members: dict[str, Any]) -> _S:
    """Make a struct of its members; `RecordError`, a ValueError, if one has not its form."""
    if set(members) != set(kind.TYPES):
        raise RecordError("Members are missing, or there are more.")
    return kind(
        **{
            name: bytes.fromhex(value) if kind.TYPES[name].startswith("bytes") else value
            for name, value in members.items()
        }
    )
