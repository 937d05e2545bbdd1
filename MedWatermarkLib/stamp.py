"""When something is made, and the random numbers of it: kept, both can be had again.

What is made anew after a crash, or a second time on another machine, is then the same in every
byte.
"""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from dataclasses import dataclass, field

SEED_SIZE = 32


@dataclass(frozen=True)
class Stamp:
    """Time and randomness of what is made.

    Attributes
    ----------
    time : int
        Seconds since 1970-01-01 UTC.
    seed : bytes
        A secret of `SEED_SIZE` bytes, of which all random numbers are made with HMAC-SHA-256.
    """

    time: int
    seed: bytes = field(repr=False)

    @classmethod
    def now(cls) -> Stamp:
        """Make one that nobody can repeat."""
        return cls(int(time.time()), secrets.token_bytes(SEED_SIZE))

    def of(self, *words: str) -> Stamp:
        """Return the stamp of a part, of the same time; what names the part are the words."""
        return Stamp(self.time, self._mac("part", *words))

    def random(self, size: int, *words: str) -> bytes:
        """Return up to 32 bytes that only the seed and the words can tell."""
        return self._mac("random", *words)[:size]

    def uid(self, *words: str) -> str:
        """Return a UID that only the seed and the words can tell, as of `uid_of`."""
        return uid_of(self._mac("UID", *words))

    def _mac(self, *words: str) -> bytes:
        # Lengths keep the words apart, whatever is in them.
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self.seed, message, "sha256")


def uid_of(digest: bytes) -> str:
    """Return a UID made of 16 bytes and more: of the root 2.25, of a UUID of version 8.

    See PS3.5 B.2 and RFC 9562.
    """
    octets = bytearray(digest[:16])
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return f"2.25.{uuid.UUID(bytes=bytes(octets)).int}"
