"""How much a volume carries, and how its blocks are divided for a given message."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.layout import LAYOUTS, Layout
from MedWatermarkLib.polar_code import TAG_CODE
from MedWatermarkLib.qr import GREATEST_VERSION, capacity
from MedWatermarkLib.sites import MESSAGE, PHASES, TAG, Sites
from MedWatermarkLib.tag import TAG_BITS

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Symbols that the codes need for each bit where nothing but the patient's shape decides which of
# them there are.
_SYMBOLS_PER_BIT = {TAG: 1.15, MESSAGE: 1.3}
# Slices with so many blocks are to read alone, if so many fine projections will do; the message
# also where a display window or a codec has taken a third of the symbols.
_PROMISED_BLOCKS, _PROMISED_FINE = {TAG: 300, MESSAGE: 1200}, 3
_PROMISED_SYMBOLS = {TAG: 1.15, MESSAGE: 1.9}


class Room:
    """The blocks of a volume that may be marked.

    Parameters
    ----------
    where : Sites
    inside : (z, ny, nx) bool array
    few : (z,) bool array
        The slices of few blocks.
    """

    def __init__(self, where: Sites, inside: BoolArray, few: BoolArray) -> None:
        z, by, bx = np.nonzero(inside)
        self._where, self._slices, self._by, self._bx = where, z, by, bx
        self._few = few
        self._blocks = inside.sum(axis=(1, 2))

    def layout(self, message_bits: int) -> Layout | None:
        """Return the layout of least projections that holds tag and message, if there is one.

        Slices of 300 blocks hold the tag alone, and slices of 1,200 the message, unless that is
        so long that three fine projections would not do.
        """
        sizes = {TAG: TAG_BITS, MESSAGE: message_bits}
        covered = cache(lambda word, layout: self._covered(word, sizes[word], layout))
        most = next(one for one in LAYOUTS if one.fine == _PROMISED_FINE)
        promised = {
            word: (self._blocks >= _PROMISED_BLOCKS[word])
            & _read_alone(word, bits, covered(word, most))
            for word, bits in sizes.items()
        }
        return next(
            (
                layout
                for layout in LAYOUTS
                if all(
                    _holds(word, bits, covered(word, layout))
                    and np.all(_read_alone(word, bits, covered(word, layout))[promised[word]])
                    for word, bits in sizes.items()
                )
            ),
            None,
        )

    def greatest_message(self) -> int:
        """Return the greatest number of bytes that a message may have here, 0 if none fits."""
        if self.layout(8) is None:
            return 0
        fits, fails = 1, capacity(GREATEST_VERSION) + 1
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self.layout(8 * middle) else (fits, middle)
        # Mode, character count and terminator take two bytes up to version 9, then three.
        return max(0, fits - (2 if fits <= capacity(9) else 3))

    def _covered(self, word: int, bits: int, layout: Layout) -> BoolArray:
        """Return which bits of the code word find a place in each slice."""
        length = TAG_CODE.length if word == TAG else TurboCode.length_of(bits)
        phases, few = self._slices % PHASES, self._few[self._slices]
        places = layout.places(self._where, word, self._by, self._bx, phases, length, few)
        covered = np.zeros((len(self._blocks), length), bool)
        says = places >= 0
        slices = np.broadcast_to(self._slices[:, None], places.shape)
        covered[slices[says], places[says]] = True
        return covered


def _holds(word: int, bits: int, covered: BoolArray) -> bool:
    """Whether enough different bits of the code word find a place in all slices together."""
    return int(covered.any(axis=0).sum()) >= _SYMBOLS_PER_BIT[word] * bits


def _read_alone(word: int, bits: int, covered: BoolArray) -> BoolArray:
    """Return in which slices enough different bits of the code word find a place."""
    return np.asarray(covered.sum(axis=1) >= _PROMISED_SYMBOLS[word] * bits)
