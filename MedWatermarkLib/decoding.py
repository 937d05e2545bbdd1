"""From soft code words to the tag and the message, of all slices together and of each alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.sites import MESSAGE_PROJECTIONS
from MedWatermarkLib.tag import TAG_BITS, Tag, message_id

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatRows = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ReadMessage:
    """What came of the message's code words.

    Attributes
    ----------
    message : bytes or None
    alone : (z,) bool array
        The slices that say it alone.
    confidence : float
        Mean certainty of its bits, 0 to 1.
    modules : (n, n) float64 array
        The QR code as it was read: how dark each module is, 0 to 1.
    """

    message: bytes | None
    alone: BoolArray
    confidence: float
    modules: FloatArray


def read_message(words: FloatRows, symbols: npt.NDArray[Any], tag: Tag) -> ReadMessage:
    """Decode the message that a tag announces.

    Parameters
    ----------
    words : (z, length) float32 array
        Log ratios of each slice's code word.
    symbols : (z,) array
        Symbols that each slice has; those with too few are not tried alone.
    tag : Tag
        Its eight bytes of the message's hash are the check.
    """
    bits = 8 * tag.codewords
    tried = np.flatnonzero(symbols >= bits)
    received = np.vstack([words.sum(axis=0, keepdims=True), words[tried]])
    posteriors = TurboCode(bits).decode(received)
    messages = [message_of(p > 0, tag) for p in posteriors]
    alone = np.zeros(len(words), bool)
    alone[tried] = [m is not None for m in messages[1:]]
    right = next((i for i, m in enumerate(messages) if m is not None), None)
    best = posteriors[right or 0].astype(np.float64)
    if right is None:
        seen = 1 / (1 + np.exp(-np.clip(best, -30, 30)))
    else:
        seen = (best > 0).astype(np.float64)
    return ReadMessage(
        message=None if right is None else messages[right],
        alone=alone,
        confidence=_certainty(best),
        modules=qr.module_values(qr.version_for(tag.codewords), seen),
    )


@dataclass(frozen=True, eq=False)
class TagEvidence:
    """What symbols say of a tag, read or not.

    Attributes
    ----------
    sums : (z, n) float32 array
        How much each slice speaks for a 1 in each bit of the tag's code word, less than 0 for a 0.
    rung : int
        On the ladder of strengths, where they were received, if no gain changed them.
    """

    sums: FloatRows
    rung: int


@dataclass(frozen=True, eq=False)
class ReadTag:
    """What came of the tag's code words.

    Attributes
    ----------
    tag : Tag or None
        What all slices say together, or if that does not read, most of those that read alone.
    alone : tuple of Tag or None
        What each slice says alone.
    certainty : (z,) float64 array
        Mean certainty of each slice's bits, 0 to 1.
    """

    tag: Tag | None
    alone: tuple[Tag | None, ...]
    certainty: FloatArray

    @property
    def agreeing(self) -> BoolArray:
        """Which slices say alone what is said of all."""
        return np.array([one is not None and one == self.tag for one in self.alone])

    @property
    def copies(self) -> tuple[int | None, ...]:
        """Which copy each slice says that it is of."""
        return tuple(None if one is None else one.copy for one in self.alone)


def read_tag(words: FloatRows) -> ReadTag:
    """Decode the tag.

    Parameters
    ----------
    words : (z, length) float32 array
        Log ratios of each slice's code word.
    """
    posteriors = TurboCode(TAG_BITS).decode(np.vstack([words.sum(axis=0, keepdims=True), words]))
    tag, *alone = (tag_of(p > 0) for p in posteriors)
    if tag is None:
        votes = Counter(t for t in alone if t is not None)
        tag = votes.most_common(1)[0][0] if votes else None
    certainty = np.array([_certainty(p) for p in posteriors[1:]])
    return ReadTag(tag, tuple(alone), certainty)


def tag_of(bits: npt.NDArray[Any]) -> Tag | None:
    """Return the tag that bits are, if its check holds and it can be one."""
    tag = Tag.from_bytes(np.packbits(bits).tobytes())
    if tag is None or tag.density >= len(MESSAGE_PROJECTIONS):
        return None
    return tag if 0 < tag.codewords <= qr.capacity(qr.GREATEST_VERSION) else None


def message_of(bits: npt.NDArray[Any], tag: Tag) -> bytes | None:
    """Return the message, if its SHA-256 begins as the tag says: a check of 64 bits."""
    try:
        message = qr.from_data_codewords(np.packbits(bits).tobytes())
    except qr.QRError:
        return None
    return message if message_id(message) == tag.message_id else None


def _certainty(posterior: npt.NDArray[Any]) -> float:
    return float(np.abs(np.tanh(posterior.astype(np.float64) / 2)).mean())
