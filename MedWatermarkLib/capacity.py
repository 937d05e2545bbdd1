"""How much a volume carries, and how its blocks are divided for a given message."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.qr import GREATEST_VERSION, capacity
from MedWatermarkLib.sites import (
    MESSAGE,
    MESSAGE_PROJECTIONS,
    PHASES,
    TAG,
    TAG_PROJECTIONS,
    Sites,
    places,
)
from MedWatermarkLib.tag import TAG_BITS

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Symbols that the code needs for each bit where nothing but the patient's shape decides which of
# them there are; a short code word needs more of them than a long one.
_SYMBOLS_PER_BIT = {TAG: 1.35, MESSAGE: 1.3}
# Slices with so many blocks are to read alone, if that takes no more than so many projections.
_PROMISED_BLOCKS = {TAG: 300, MESSAGE: 1200}
_PROMISED_PROJECTIONS = 3


@dataclass(frozen=True)
class Plan:
    """How many projections blocks have: the fewer, the more robust is each."""

    tag: int
    message: int


class Room:
    """The blocks of a volume that may be marked.

    Parameters
    ----------
    where : Sites
    inside : (z, ny, nx) bool array
    """

    def __init__(self, where: Sites, inside: BoolArray) -> None:
        z, by, bx = np.nonzero(inside)
        roles, self._ranks = where.roles(by, bx), where.ranks(by, bx)
        self._of = {role: roles == role for role in (TAG, MESSAGE)}
        self._slice = z
        self._blocks = inside.sum(axis=(1, 2))

    def plan(self, message_bits: int) -> Plan | None:
        """Return the plan with the fewest projections that hold tag and message, if there is one.

        Slices of 300 blocks hold the tag alone, and slices of 1,200 the message, unless that is
        so long that blocks of three projections would not do.
        """
        tag = self._fewest(TAG, TAG_BITS, TAG_PROJECTIONS)
        message = self._fewest(MESSAGE, message_bits, MESSAGE_PROJECTIONS)
        return None if tag is None or message is None else Plan(tag, message)

    def greatest_message(self) -> int:
        """Return the greatest number of bytes that a message may have here, 0 if none fits."""
        if self.plan(8) is None:
            return 0
        fits, fails = 1, capacity(GREATEST_VERSION) + 1
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self.plan(8 * middle) else (fits, middle)
        # Mode, character count and terminator take two bytes up to version 9, then three.
        return max(0, fits - (2 if fits <= capacity(9) else 3))

    def _fewest(self, role: int, bits: int, choices: tuple[int, ...]) -> int | None:
        promised = self._blocks >= _PROMISED_BLOCKS[role]
        promised &= self._reading_alone(role, bits, _PROMISED_PROJECTIONS)
        return next(
            (
                projections
                for projections in choices
                if np.all(self._reading_alone(role, bits, projections)[promised])
                and self._holds(role, bits, projections)
            ),
            None,
        )

    def _holds(self, role: int, bits: int, projections: int) -> bool:
        """Whether enough different bits of the code word find a place in all slices together."""
        covered = self._covered(role, bits, projections).any(axis=0)
        return int(covered.sum()) >= _SYMBOLS_PER_BIT[role] * bits

    def _reading_alone(self, role: int, bits: int, projections: int) -> BoolArray:
        """Return in which slices enough different bits find a place."""
        covered = self._covered(role, bits, projections).sum(axis=1)
        return np.asarray(covered >= _SYMBOLS_PER_BIT[role] * bits)

    def _covered(self, role: int, bits: int, projections: int) -> BoolArray:
        """Return which bits of the code word find a place in each slice."""
        chosen = self._of[role]
        slices = self._slice[chosen]
        length = TurboCode.length_of(bits)
        place = places(self._ranks[chosen], projections, length, slices % PHASES)
        covered = np.zeros((len(self._blocks), length), bool)
        covered[slices[:, None], place] = True
        return covered
