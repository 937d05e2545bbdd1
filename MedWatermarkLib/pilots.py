"""The pilots: bits known from the key alone, which tell a mark's step, phases and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from MedWatermarkLib.averaged import shift_of
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.layout import LAYOUTS, STEPS_PER_OCTAVE
from MedWatermarkLib.sites import PHASES, PILOT, Sites

#: A score that chance alone reaches about once in a hundred unmarked volumes. It only spares the
#: work of decoding; what is read has to pass a check of its own.
SIGNIFICANT = 4.5

# A step whose distance from others in parts of an octave is whole: those of all layouts are.
_STEP = float(LAYOUTS[0].steps(1.0)[PILOT, 0])
# Steps are tried up to this multiple of the spread of projections, and this many octaves down.
# A step above it would show as projections far apart; 10 octaves lie between metal and water.
_GREATEST_STEP, _OCTAVES = 8.0, 10
_SLICES = 32
# Pilots that are so few, and how many guesses are then worth a try.
_FEW_PILOTS, _CANDIDATES = 60, 24
# Mean and standard deviation of the greatest of sixteen standard normal variables.
_MAX_OF_PHASES = 1.7660, 0.5477

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sync:
    """What the pilots say.

    Attributes
    ----------
    score : float
        Standard deviations above what chance gives.
    step : float
        Lattice step of pilots and tag, in units of the voxels as they arrived.
    phases : (z,) int64 array
        Phase of each slice.
    """

    score: float
    step: float
    phases: IntArray


def synchronise(
    blocks: Blocks, body: BoolArray, where: Sites, dy: int = 0, dx: int = 0, mean: int = 1
) -> Sync | None:
    """Look for the pilots.

    Parameters
    ----------
    blocks : Blocks
    body : (z, ny, nx) bool array
        The blocks to look at.
    where : Sites
    dy, dx : int
        Row and column of the first block on the canonical plane.
    mean : int
        Of how many neighbours each slice is the mean. The phase is then that of the first of
        them, and the step that of the mean, an m-th of a slice's.

    Returns
    -------
    Sync, or None if there are too few blocks to look at.
    """
    found = _pilots(blocks, body, where, dy, dx, mean)
    if found is None:
        return None
    z, values, signs = found
    depth, shift = len(body), shift_of(mean)
    counts = np.bincount(z, minlength=depth)
    looked_at = np.zeros(depth, bool)
    looked_at[np.argsort(-counts, kind="stable")[:_SLICES]] = True
    some = looked_at[z]
    steps = steps_to_try(values) / mean
    scores = _scores(_correlate(values[some], z[some], signs[some], steps, depth, shift), counts)
    best = int(np.argmax(scores))
    if scores[best] >= SIGNIFICANT:
        near = steps[best] * 2.0 ** (np.linspace(-1, 1, 17) / STEPS_PER_OCTAVE)
        refined = _scores(
            _correlate(values[some], z[some], signs[some], near, depth, shift), counts
        )
        # A step on the ladder is exact, and better than one that fits the noise.
        if refined.max() > 1.02 * scores[best]:
            steps, scores, best = near, refined, int(np.argmax(refined))
    return _sync(found, depth, float(steps[best]), float(scores[best]), shift)


def candidates(
    blocks: Blocks, body: BoolArray, where: Sites, dy: int = 0, dx: int = 0
) -> list[Sync]:
    """Return the likeliest steps and phases where there are so few pilots that chance rivals them.

    Parameters
    ----------
    blocks, body, where, dy, dx
        As for `synchronise`.

    Returns
    -------
    list of Sync, the likeliest first; none where there are pilots enough for `synchronise`.
    """
    found = _pilots(blocks, body, where, dy, dx, 1)
    if found is None or len(found[0]) > _FEW_PILOTS:
        return []
    z, values, signs = found
    steps, every = steps_to_try(values), np.arange(len(body))
    ways = _in_order(_correlate(values, z, signs, steps, len(body), 0.0), every)
    syncs = []
    for index in np.argsort(-ways, axis=None, kind="stable")[:_CANDIDATES]:
        k, way = divmod(int(index), 2 * PHASES)
        phases = (way % PHASES + (1 if way < PHASES else -1) * every) % PHASES
        syncs.append(Sync(float(ways[k, way] / np.sqrt(len(z) / 2)), float(steps[k]), phases))
    return syncs


def synchronise_at(
    blocks: Blocks, body: BoolArray, where: Sites, step: float, dy: int = 0, dx: int = 0
) -> Sync | None:
    """Ask the pilots where the step is known, as it is of a mark that was read.

    Parameters
    ----------
    blocks, body, where, dy, dx
        As for `synchronise`.
    step : float
        Lattice step of pilots and tag.

    Returns
    -------
    Sync, or None if there are too few blocks to look at.
    """
    found = _pilots(blocks, body, where, dy, dx, 1)
    if found is None:
        return None
    z, values, signs = found
    counts = np.bincount(z, minlength=len(body))
    sums = _correlate(values, z, signs, np.array([step]), len(body), 0.0)
    return _sync(found, len(body), step, float(_scores(sums, counts)[0]), 0.0)


def _pilots(
    blocks: Blocks, body: BoolArray, where: Sites, dy: int, dx: int, mean: int
) -> tuple[IntArray, Floats, Floats] | None:
    """Return slice, projection (n, 1) and signs (n, 1, phases) of the pilots' blocks."""
    z, by, bx = np.nonzero(body)
    pilot = where.roles(by + dy, bx + dx) == PILOT
    z, by, bx = z[pilot], by[pilot], bx[pilot]
    if len(z) < 4:
        return None
    values = blocks.project(where.patterns[:1], z, by, bx)
    bits = where.pilot_bits(where.ranks(by + dy, bx + dx)).T[:, None]
    # What a mean says is the sum of what its slices said.
    sums = np.bitwise_xor.reduce([np.roll(bits, -m, axis=2) for m in range(mean)])
    signs = 2.0 * sums.astype(np.float32) - 1
    return z, values, signs


def _sync(
    found: tuple[IntArray, Floats, Floats],
    depth: int,
    step: float,
    score: float,
    shift: float,
) -> Sync:
    z, values, signs = found
    sums = _correlate(values, z, signs, np.array([step]), depth, shift)[0]
    return Sync(score, step, _phases(sums, np.bincount(z, minlength=depth)))


def steps_to_try(values: npt.NDArray[np.float32]) -> FloatArray:
    """Return the steps to try: those of the ladder of strengths, and three between each two."""
    spread = max(float(np.median(np.abs(values))), 1e-12)
    highest = np.floor(STEPS_PER_OCTAVE * np.log2(_GREATEST_STEP * spread / _STEP))
    rungs = highest - np.arange(_OCTAVES * STEPS_PER_OCTAVE)
    return np.asarray(_STEP * 2.0 ** (rungs / STEPS_PER_OCTAVE))


@njit(parallel=True, cache=True, fastmath=True)
def _correlate(values, slices, signs, steps, depth, shift):  # type: ignore[no-untyped-def]
    """Sum sin(2 pi (value / step + shift)) times the signs, for each step, slice and phase."""
    sums = np.zeros((steps.size, depth, PHASES), np.float64)
    for k in prange(steps.size):
        scale = np.float32(2 * np.pi / steps[k])
        start = np.float32(2 * np.pi * shift)
        for n in range(values.shape[0]):
            for g in range(values.shape[1]):
                wave = np.sin(values[n, g] * scale + start)
                for p in range(PHASES):
                    sums[k, slices[n], p] += wave * signs[n, g, p]
    return sums


def _scores(sums: FloatArray, counts: IntArray) -> FloatArray:
    """Return the significance of each step: slices in order, or each for itself."""
    present = np.flatnonzero(np.any(sums != 0, axis=(0, 2)))
    if not len(present):
        return np.zeros(len(sums))
    deviation = np.sqrt(counts[present] / 2)
    ordered = np.max(np.abs(_in_order(sums[:, present], present)), axis=1)
    ordered /= np.sqrt(np.sum(deviation**2))
    alone = (sums[:, present] / deviation[:, None]).max(axis=2)
    mean, spread = _MAX_OF_PHASES
    loose = (alone.sum(axis=1) - mean * len(present)) / (spread * np.sqrt(len(present)))
    return np.asarray(np.maximum(ordered, loose))


def _in_order(sums: FloatArray, present: IntArray) -> FloatArray:
    """Add up slices whose phases count on, or back, from any start."""
    slices = np.arange(len(present))
    ways = [
        sums[:, slices, (start + direction * present) % PHASES].sum(axis=1)
        for direction in (1, -1)
        for start in range(PHASES)
    ]
    return np.stack(ways, 1)


def _phases(sums: FloatArray, counts: IntArray) -> IntArray:
    """Return each slice's phase: its own best, unless the order of all says better."""
    depth = len(sums)
    every = np.arange(depth)
    ways = _in_order(sums[None], every)[0]
    way = int(np.argmax(ways))
    ordered = (way % PHASES + (1 if way < PHASES else -1) * every) % PHASES
    deviation = np.sqrt(np.maximum(counts, 1) / 2)
    normal = sums / deviation[:, None]
    if ways[way] > SIGNIFICANT * np.sqrt(np.sum(deviation**2)):
        normal[every, ordered] += SIGNIFICANT
    return np.asarray(np.argmax(normal, axis=1))
