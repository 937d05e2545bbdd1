"""The tag: a few bytes in every slice that say which message, and which copy, it carries."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

_LAYOUT = struct.Struct(">8sIH")
_CHECK = struct.Struct(">I")
#: Bytes of its fields; bytes and bits of a tag.
FIELD_BYTES = _LAYOUT.size
TAG_BYTES = _LAYOUT.size + _CHECK.size
TAG_BITS = 8 * TAG_BYTES
#: Bits of a copy's number, and so the greatest there is.
COPY_BITS = 24
GREATEST_COPY = 2**COPY_BITS - 1
#: Rungs of the ladder of strengths are told modulo so many.
RUNGS_TOLD = 256


def message_id(message: bytes) -> bytes:
    """Return the first 8 bytes of the message's SHA-256, by which a ledger finds its record."""
    return hashlib.sha256(message).digest()[:8]


@dataclass(frozen=True)
class Tag:
    """What every slice of a marked volume says of itself.

    Attributes
    ----------
    message_id : bytes
        First 8 bytes of the SHA-256 of the message.
    copy : int
        Number of this copy, 0 to 2**24 - 1; each recipient has one of its own.
    codewords : int
        How many data codewords of a QR code the message fills, below 4096.
    density : int
        Number of the layout (`layout.LAYOUTS`), below 8.
    spared : bool
        Whether a part of the patient was left unmarked because the owner asked for it.
    rung : int
        Rung of the strength on its ladder, modulo 256; so a reader knows how the voxels were
        rescaled since.
    """

    message_id: bytes
    copy: int
    codewords: int
    density: int
    spared: bool = False
    rung: int = 0

    def to_bytes(self) -> bytes:
        """Return the tag with its check, 18 bytes."""
        form = self.spared << 15 | self.density << 12 | self.codewords
        fields = _LAYOUT.pack(self.message_id, self.rung << COPY_BITS | self.copy, form)
        return fields + _CHECK.pack(zlib.crc32(fields))

    @classmethod
    def from_bytes(cls, data: bytes) -> Tag | None:
        """Read a tag, or return None where its 32-bit check does not hold."""
        fields = data[:FIELD_BYTES]
        if len(data) != TAG_BYTES or _CHECK.pack(zlib.crc32(fields)) != data[FIELD_BYTES:]:
            return None
        identity, number, form = _LAYOUT.unpack(fields)
        return cls(
            message_id=identity,
            copy=number & GREATEST_COPY,
            codewords=form & 0xFFF,
            density=form >> 12 & 7,
            spared=bool(form >> 15),
            rung=number >> COPY_BITS,
        )
