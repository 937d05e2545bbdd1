"""Choosing the change of every block so that it says its bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.change import BOLD_LEVELS, FINE_LEVELS, LEVELS_PER_STEP, Change
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.dct import PATTERN_BITS, STEP_BITS
from MedWatermarkLib.layout import LAYOUTS, Layout
from MedWatermarkLib.polar_code import TAG_CODE
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, TAG, TILE, Sites
from MedWatermarkLib.tag import Tag

Bits = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def tag_word(tag: Tag) -> Bits:
    """Return the code word of a tag, bit by bit."""
    return TAG_CODE.encode(np.unpackbits(np.frombuffer(tag.to_bytes(), np.uint8)))


def message_word(codewords: bytes) -> Bits:
    """Return the code word of a message, given its QR code's data codewords."""
    bits = np.unpackbits(np.frombuffer(codewords, np.uint8))
    return TurboCode(len(bits)).encode(bits)


def bits_at(
    where: Sites,
    layout: Layout,
    words: dict[int, Bits],
    by: IntArray,
    bx: IntArray,
    phases: IntArray,
    few: npt.ArrayLike,
) -> tuple[Bits, npt.NDArray[np.bool_]]:
    """Return what the projections of blocks say, and which say anything that is known.

    Parameters
    ----------
    where : Sites
    layout : Layout
    words : dict
        The code words of TAG and MESSAGE, as far as they are known.
    by, bx : (n,) int64 arrays
        Row and column of the blocks on the canonical plane.
    phases : (n,) int64 array
        Phase of each block's slice.
    few : bool or (n,) bool array
        As for `Layout.places`.

    Returns
    -------
    bits : (n, width) uint8 array
    known : (n, width) bool array
    """
    bits = np.zeros((len(by), layout.width), np.uint8)
    known = np.zeros(bits.shape, bool)
    pilots = where.roles(by, bx) == PILOT
    own = where.pilot_bits(where.ranks(by[pilots], bx[pilots]))
    bits[pilots, 0] = own[phases[pilots], np.arange(own.shape[1])]
    known[pilots, 0] = True
    for role, word in words.items():
        order, scramble = where.order(len(word))
        places = layout.places(where, role, by, bx, phases, len(word), few)
        says = places >= 0
        bits[says] = (word[order] ^ scramble)[places[says]]
        known |= says
    return bits, known


def modulate(
    blocks: Blocks,
    where: Sites,
    inside: npt.NDArray[np.bool_],
    few: npt.NDArray[np.bool_],
    tag: Tag,
    codewords: bytes,
    strength: float,
    quantum: float,
) -> Change:
    """Return the change that makes blocks carry pilots, tag and message.

    Parameters
    ----------
    blocks : Blocks
        Of the volume.
    where : Sites
    inside : (z, ny, nx) bool array
        The blocks to mark.
    few : (z,) bool array
        The slices of few blocks.
    tag : Tag
        It says what layout is used.
    codewords : bytes
        Data codewords of the message's QR code.
    strength : float
        RMSE to aim at, in units of the voxels, on the ladder.
    quantum : float
        Size of the smallest change, in units of the voxels.
    """
    z, by, bx = np.nonzero(inside)
    layout = LAYOUTS[tag.density]
    words = {TAG: tag_word(tag), MESSAGE: message_word(codewords)}
    bits, _ = bits_at(where, layout, words, by, bx, z % PHASES, few[z])
    steps = layout.steps(strength)
    values = blocks.project(where.patterns[: layout.width], z, by, bx)
    levels = levels_to(values, bits, steps[where.roles(by, bx)])
    units = steps[where.roles(*np.mgrid[:TILE, :TILE])] / LEVELS_PER_STEP / quantum
    return Change(
        mask=inside,
        steps=np.rint(units * 2**STEP_BITS).astype(np.int64),
        rows=np.rint(where.patterns[: layout.width] * 2**PATTERN_BITS).astype(np.int64),
        levels=levels,
        quantum=quantum,
    )


def reach(where: Sites, strength: float) -> float:
    """Return a bound on the change of any voxel, before it is rounded, in units of the voxels."""
    return max(
        float((layout.steps(strength) / 2 @ np.abs(where.patterns[: layout.width])).max())
        for layout in LAYOUTS
    )


def levels_to(
    values: npt.NDArray[np.float32], bits: npt.ArrayLike, steps: FloatArray
) -> npt.NDArray[np.int8]:
    """Return the levels that take projections nearest to the lattice points of their bits.

    The points of a 1 lie a quarter of a step above the multiples of the step, those of a 0 a
    quarter below. Levels are the middles of some intervals that share out a step.

    Parameters
    ----------
    values : (n, width) float32 array
        Projections: the bold one, then the fine ones.
    bits : (n, width) array, or one bit for all
    steps : (n, width) float64 array
        0 where there is no projection.

    Returns
    -------
    (n, width) int8 array, in sixteenths of the steps.
    """
    sizes = np.where(steps > 0, steps, 1.0).astype(np.float32)
    away = np.asarray(bits) / np.float32(2) - np.float32(0.25) - values / sizes
    away -= np.rint(away)
    counts = np.full(values.shape[1], FINE_LEVELS)
    counts[0] = BOLD_LEVELS
    intervals = np.clip(np.floor(away * counts), -counts // 2, counts // 2 - 1)
    levels = (2 * intervals + 1) * (LEVELS_PER_STEP // (2 * counts))
    return np.asarray(np.where(steps > 0, levels, 0), np.int8)
