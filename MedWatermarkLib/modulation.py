"""Choosing the change of every block so that it says its bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.capacity import Plan
from MedWatermarkLib.change import GREATEST_LEVEL, LEVELS_PER_STEP, Change
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.dct import PATTERN_BITS, PATTERNS, STEP_BITS
from MedWatermarkLib.sites import (
    MESSAGE,
    PHASES,
    PILOT,
    TAG,
    TILE,
    Sites,
    pilot_places,
    places,
)
from MedWatermarkLib.strength import step

Bits = npt.NDArray[np.uint8]


def encoded(data: bytes) -> Bits:
    """Return the code word of some bytes, bit by bit."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    return TurboCode(len(bits)).encode(bits)


def modulate(
    blocks: Blocks,
    where: Sites,
    inside: npt.NDArray[np.bool_],
    plan: Plan,
    tag: bytes,
    message: bytes,
    strength: float,
    quantum: float,
) -> Change:
    """Return the change that makes blocks carry pilots, tag and message.

    Parameters
    ----------
    blocks : Blocks
        The volume's projections on all of the key's patterns.
    where : Sites
    inside : (z, ny, nx) bool array
        The blocks to mark.
    plan : Plan
    tag, message : bytes
        What is carried, before coding.
    strength : float
        RMSE to aim at, in units of the voxels, on the ladder.
    quantum : float
        Size of the smallest change, in units of the voxels.
    """
    z, by, bx = np.nonzero(inside)
    roles, ranks, phases = where.roles(by, bx), where.ranks(by, bx), z % PHASES
    widths = {PILOT: plan.tag, TAG: plan.tag, MESSAGE: plan.message}
    widest = max(widths.values())
    levels = np.zeros((len(z), widest), np.int8)
    for role, width in widths.items():
        chosen = np.flatnonzero(roles == role)
        if role == PILOT:
            places_of = pilot_places(ranks[chosen], width)
            bits = where.pilots[phases[chosen][:, None], places_of]
        else:
            word = encoded(tag if role == TAG else message)
            order, scramble = where.order(len(word))
            place = places(ranks[chosen], width, len(word), phases[chosen])
            bits = word[order[place]] ^ scramble[place]
        values = blocks.projections[z[chosen], by[chosen], bx[chosen], :width]
        levels[chosen, :width] = levels_to(values, bits, step(strength, role, width))
    tile = where.roles(*np.mgrid[:TILE, :TILE])
    width_of = np.array([widths[role] for role in range(len(widths))])
    step_of = [step(strength, r, w) / LEVELS_PER_STEP / quantum for r, w in enumerate(width_of)]
    return Change(
        mask=inside,
        projections=width_of[tile].astype(np.uint8),
        steps=np.rint(np.array(step_of) * 2**STEP_BITS).astype(np.int64)[tile],
        rows=np.rint(where.patterns[:widest] * 2**PATTERN_BITS).astype(np.int64),
        levels=levels,
        quantum=quantum,
    )


def reach(where: Sites, strength: float) -> float:
    """Return a bound on the change of any voxel, before it is rounded, in units of the voxels."""
    most = np.cumsum(np.abs(where.patterns), axis=0).max(axis=1)
    share = GREATEST_LEVEL / LEVELS_PER_STEP
    return float(max(share * most[g - 1] * step(strength, TAG, g) for g in range(2, PATTERNS + 1)))


def levels_to(values: npt.NDArray[np.float32], bits: Bits, size: float) -> npt.NDArray[np.int8]:
    """Return the level that takes each projection nearest to a lattice point of its bit.

    The points of a 1 lie a quarter of a step above the multiples of the step, those of a 0 a
    quarter below.
    """
    away = (bits / 2.0 - 0.25) - values / size
    away -= np.rint(away)
    # Of the sixteen intervals of half a step's reach, the middles are odd sixteenths.
    eighths = np.clip(np.floor(away * (LEVELS_PER_STEP // 2)), -4, 3)
    return np.asarray(2 * eighths + 1, np.int8)
