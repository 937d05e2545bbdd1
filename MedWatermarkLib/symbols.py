"""The symbols of a mark that was read: where each projection of each block is, and should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.modulation import encoded
from MedWatermarkLib.sites import (
    MESSAGE,
    MESSAGE_PROJECTIONS,
    PHASES,
    PILOT,
    TAG,
    TAG_PROJECTIONS,
    Sites,
    pilot_places,
    places,
)
from MedWatermarkLib.strength import step_ratio
from MedWatermarkLib.tag import Tag

#: Most projections that any block has.
WIDEST = max(*TAG_PROJECTIONS, *MESSAGE_PROJECTIONS)

# Gains that filters leave of a pattern, against the gain of the whole; how many symbols they are
# found from, and how much better than none one has to be.
_GAINS = np.geomspace(0.5, 1.25, 185)
_SYMBOLS, _BETTER = 4000, 1.02

BoolArray = npt.NDArray[np.bool_]
FloatBlocks = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Symbols:
    """What every block says, beside what it was made to say.

    Attributes
    ----------
    values : (z, ny, nx, g) float32 array
        Projections, in steps of their blocks.
    points : (z, ny, nx, g) float32 array
        What each was moved to, modulo 1: 1/4 for a 1, -1/4 for a 0; NaN where a block has none.
    of_message : (ny, nx) bool array
        The blocks of the message.
    read : bool
        Whether the message was read. Else its points are those of zeros, and half a step further
        lie those of ones.
    """

    values: FloatBlocks
    points: FloatBlocks
    of_message: BoolArray
    read: bool

    def errors(self) -> FloatBlocks:
        """Return how far each projection lies from the nearest of its points, -1/2 to 1/2."""
        errors = self.values - self.points
        errors -= np.rint(errors)
        return errors


def symbols_of(
    blocks: Blocks,
    body: BoolArray,
    where: Sites,
    extracted: Extracted,
    phases: IntArray,
    first: tuple[int, int],
) -> Symbols:
    """Return the symbols of a scan whose tag was read.

    Parameters
    ----------
    blocks : Blocks
        With `WIDEST` projections.
    body : (z, ny, nx) bool array
        Blocks that are marked, but for a few.
    where : Sites
    extracted : Extracted
    phases : (z,) int64 array
        Phase of each slice.
    first : (int, int)
        Row and column of the first block on the canonical plane.
    """
    tag, step = extracted.tag, extracted.step
    assert tag is not None
    assert step is not None
    by, bx = np.indices(body.shape[1:])
    by, bx = by + first[0], bx + first[1]
    roles, ranks = where.roles(by, bx), where.ranks(by, bx)
    planes = np.full((PHASES, *roles.shape, WIDEST), np.nan, np.float32)
    values: FloatBlocks = np.divide(blocks.projections, step, dtype=np.float32)
    tag_width = _tag_width(values, body, where, roles, ranks, tag, phases)
    width = MESSAGE_PROJECTIONS[tag.density]
    _lay(planes, where, roles, ranks, PILOT, tag_width, None)
    _lay(planes, where, roles, ranks, TAG, tag_width, tag.to_bytes())
    message = extracted.message
    _lay(planes, where, roles, ranks, MESSAGE, width, message and qr.data_codewords(message))
    values[:, roles == MESSAGE] /= np.float32(step_ratio(width, tag_width))
    values = values[..., : max(width, tag_width)]
    points = planes[phases][..., : max(width, tag_width)]
    _correct_gains(values, points, body)
    return Symbols(values, points, roles == MESSAGE, message is not None)


def _lay(
    planes: FloatBlocks,
    where: Sites,
    roles: IntArray,
    ranks: IntArray,
    role: int,
    width: int,
    data: bytes | None,
) -> None:
    """Lay the points of a role out on the canonical plane of each phase, in place."""
    chosen = roles == role
    for phase in range(PHASES):
        if role == PILOT:
            bits = where.pilots[phase, pilot_places(ranks[chosen], width)]
        elif data is None:
            bits = np.zeros((int(chosen.sum()), width), np.uint8)
        else:
            word = encoded(data)
            order, scramble = where.order(len(word))
            place = places(ranks[chosen], width, len(word), phase)
            bits = word[order[place]] ^ scramble[place]
        planes[phase, chosen, :width] = bits / 2 - 0.25


def _tag_width(
    values: FloatBlocks,
    body: BoolArray,
    where: Sites,
    roles: IntArray,
    ranks: IntArray,
    tag: Tag,
    phases: IntArray,
) -> int:
    """Return how many projections blocks of the tag have: as many as agree best with its bits."""
    scores = []
    for width in TAG_PROJECTIONS:
        planes = np.full((PHASES, *roles.shape, width), np.nan, np.float32)
        _lay(planes, where, roles, ranks, TAG, width, tag.to_bytes())
        chosen = body & (roles == TAG)
        errors = values[chosen, :width] - planes[phases][chosen]
        scores.append(float(np.cos(2 * np.pi * errors).sum()) / np.sqrt(max(errors.size, 1)))
    return TAG_PROJECTIONS[int(np.argmax(scores))]


def _correct_gains(values: FloatBlocks, points: FloatBlocks, body: BoolArray) -> None:
    """Undo what a filter left of each pattern, in place: coarse ones fade less than fine ones."""
    for pattern in range(values.shape[-1]):
        chosen = np.flatnonzero(body & np.isfinite(points[..., pattern]))
        chosen = chosen[:: max(1, len(chosen) // _SYMBOLS)]
        some = values[..., pattern].ravel()[chosen]
        there = points[..., pattern].ravel()[chosen]
        if not len(some):
            continue
        waves = np.cos(2 * np.pi * (some / np.append(_GAINS, 1.0)[:, None] - there)).sum(axis=1)
        best = int(waves.argmax())
        if waves[best] > _BETTER * waves[-1]:
            values[..., pattern] /= np.float32(np.append(_GAINS, 1.0)[best])
