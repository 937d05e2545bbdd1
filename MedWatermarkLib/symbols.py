"""The symbols of a mark that was read: where each projection of each block is, and should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.layout import LAYOUTS, says_the_tag
from MedWatermarkLib.modulation import bits_at, message_word, tag_word
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, TAG, Sites

#: Most projections that any block has.
WIDEST = max(layout.width for layout in LAYOUTS)

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
        Projections, in their steps.
    points : (z, ny, nx, g) float32 array
        What each was moved to, modulo 1: 1/4 for a 1, -1/4 for a 0; NaN where a block has none.
    steps : (ny, nx, g) float64 array
        The steps, in those of the pilots; 0 where there is no projection.
    of_message : (z, ny, nx, g) bool array
        The projections that say the message.
    read : bool
        Whether the message was read. Else its points are those of zeros, and half a step further
        lie those of ones.
    """

    values: FloatBlocks
    points: FloatBlocks
    steps: npt.NDArray[np.float64]
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
    layout, shape = LAYOUTS[tag.density], body.shape[1:]
    by, bx = (axis.ravel() + start for axis, start in zip(np.indices(shape), first, strict=True))
    words = {TAG: tag_word(tag)}
    if extracted.message is not None:
        words[MESSAGE] = message_word(qr.data_codewords(extracted.message))
    roles = where.roles(by, bx)
    steps = (layout.steps(1.0) / layout.steps(1.0)[PILOT, 0])[roles]
    planes = np.full((2, PHASES, len(by), layout.width), np.nan, np.float32)
    of_message = np.zeros((2, len(by), layout.width), bool)
    for of_few in (False, True):
        of_message[int(of_few)] = layout.places(where, MESSAGE, by, bx, 0, 1, of_few) >= 0
        for phase in range(PHASES):
            phases_of = np.full(len(by), phase)
            bits, _known = bits_at(where, layout, words, by, bx, phases_of, of_few)
            planes[int(of_few), phase] = np.where(steps > 0, bits / 2 - 0.25, np.nan)
    # What says the tag in slices of few blocks and else the message.
    differing = of_message[0] != of_message[1]
    planes = planes.reshape(2, PHASES, *shape, layout.width)
    of_message = of_message.reshape(2, *shape, layout.width)
    differing = differing.reshape(*shape, layout.width)
    steps = steps.reshape(*shape, layout.width)
    sizes = (np.where(steps > 0, steps, 1.0) * step).astype(np.float32)
    values: FloatBlocks = np.divide(blocks.projections(where.patterns[: layout.width]), sizes)
    agreeing = np.cos(2 * np.pi * (values - planes[1, phases])) * (body[..., None] & differing)
    chosen = np.nonzero(body & differing.any(axis=-1))
    few = says_the_tag(agreeing[chosen][:, 1:], chosen[0], len(body))
    points = planes[few.astype(int), phases]
    _correct_gains(values, points, body)
    read = extracted.message is not None
    return Symbols(values, points, steps, of_message[few.astype(int)], read)


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
