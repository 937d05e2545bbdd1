"""From soft code words to the tag and the message, of all slices together and of each alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.modulation import tag_word
from MedWatermarkLib.polar_code import TAG_CODE
from MedWatermarkLib.tag import TAG_BITS, Tag, message_id

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatRows = npt.NDArray[np.float32]


# How many likely tags are held against their check: few first, and more of a word that has none;
# most only where there surely is one.
_FEW, _MORE, _MOST = 8, 32, 256


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
    step : float
        The pilots' step.
    """

    sums: FloatRows
    step: float


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
        How well what each slice says agrees with the tag: 1 wholly, 0 as chance would have it.
    checked : int
        How many tags were held against their check.
    """

    tag: Tag | None
    alone: tuple[Tag | None, ...]
    certainty: FloatArray
    checked: int

    @property
    def agreeing(self) -> BoolArray:
        """Which slices say alone what is said of all."""
        return np.array([one is not None and one == self.tag for one in self.alone])

    @property
    def copies(self) -> tuple[int | None, ...]:
        """Which copy each slice says that it is of."""
        return tuple(None if one is None else one.copy for one in self.alone)


def read_tag(words: FloatRows, sure: bool = True) -> ReadTag:
    """Decode the tag.

    Parameters
    ----------
    words : (z, length) float32 array
        Log ratios of each slice's code word.
    sure : bool
        Whether there surely is one, and so more pains are taken.
    """
    received = np.vstack([words.sum(axis=0, keepdims=True), words])
    (tag, *alone), checked = _decoded(received, _MOST if sure else _MORE)
    if tag is None:
        votes = Counter(t for t in alone if t is not None)
        tag = votes.most_common(1)[0][0] if votes else None
    return ReadTag(tag, tuple(alone), _agreement(words, tag), checked)


def read_more(read: ReadTag, words: FloatRows) -> ReadTag:
    """Decode the tag of those slices that did not say it alone, from more symbols."""
    missing = [z for z, tag in enumerate(read.alone) if tag is None]
    found, checked = _decoded(words[missing], _MORE)
    alone = list(read.alone)
    for z, tag in zip(missing, found, strict=True):
        alone[z] = tag
    return ReadTag(read.tag, tuple(alone), _agreement(words, read.tag), read.checked + checked)


def _decoded(received: FloatRows, most: int) -> tuple[list[Tag | None], int]:
    """Return the tag that each word is, and how many were held against their check."""
    found: list[Tag | None] = [None] * len(received)
    checked = 0
    # Fewer symbols than a tag has bits do not say it.
    enough = np.count_nonzero(received, axis=1) >= TAG_BITS
    for count in (_FEW, most):
        open_ = [n for n, tag in enumerate(found) if tag is None and enough[n]]
        for n, candidates in zip(open_, TAG_CODE.decode(received[open_], count), strict=True):
            for bits in np.packbits(candidates, axis=1):
                checked += 1
                found[n] = tag_of(bits.tobytes())
                if found[n] is not None:
                    break
    return found, checked


def _agreement(words: FloatRows, tag: Tag | None) -> FloatArray:
    """Return how well each word agrees with a tag: 1 wholly, 0 as chance would have it."""
    if tag is None:
        return np.zeros(len(words))
    sums = words @ (2.0 * tag_word(tag) - 1)
    return np.asarray(np.clip(sums / np.maximum(np.abs(words).sum(axis=1), 1e-9), 0, 1))


def tag_of(data: bytes) -> Tag | None:
    """Return the tag that some bytes are, if its check holds and it can be one."""
    tag = Tag.from_bytes(data)
    if tag is None or tag.density >= len(LAYOUTS):
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
