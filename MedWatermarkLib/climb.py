"""From a geometry that is right in a window of a few blocks to one that is right everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

#: Voxels at a window's edge by which neighbouring geometries differ: half as much still shows.
APART = 0.6
# Scales that are tried.
_SMALLEST, _GREATEST = 0.5, 2.0
#: How much a window grows each time.
GROWTH = 1.7
# The parts of a change that are tried, and how often each.
_SHRINKS = (1.0, 0.5, 0.25, 0.1)
_MOST_MOVES = 4
#: Steps that are tried, in multiples of the one found last.
STEPS_NEAR = np.array([0.97, 1.0, 1.03])

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]
#: Scores states (m, 5) in a window of half a side, for some steps: (m, 4 or more) numbers, the
#: first of which is the score and the fourth the step.
Ask = Callable[[FloatArray, float, FloatArray], FloatArray]


def turns_apart(half: float) -> FloatArray:
    """Return angles, in radians, that differ as much as shows in a window."""
    return np.arange(0, 2 * np.pi, APART / half)


def scales_apart(half: float) -> FloatArray:
    """Return scales that differ as much as shows in a window."""
    return np.asarray(np.exp(np.arange(np.log(_SMALLEST), np.log(_GREATEST), APART / half)))


def turn(angle: float) -> FloatArray:
    """Return the matrix that turns (y, x) by an angle, in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def changed(matrix: FloatArray, state: FloatArray) -> FloatArray:
    """Return a matrix that was turned and stretched as a state says."""
    return np.asarray(turn(float(state[0])) @ matrix @ np.diag(np.exp(state[1:3])))


def climb(
    ask: Ask, place: FloatArray, step: float, half: float, reach: float, bars: tuple[float, float]
) -> tuple[FloatArray, float] | None:
    """Follow a geometry to where windows that grow say most.

    Parameters
    ----------
    ask : Ask
    place : (2,) array
        Where the window's middle lies in the copy.
    step : float
        Lattice step.
    half : float
        Half of the window's side at first, in voxels of the marked slices.
    reach : float
        Half of a side that takes in all of the copy, whatever its middle.
    bars : (float, float)
        Scores that a right geometry passes once the window has grown, and in the end.

    Returns
    -------
    state : (5,) float64 array
        Angle, logarithms of the scales along y and x, and place.
    step : float
        None for both if the geometry falls behind.
    """
    state = np.array([0.0, 0.0, 0.0, *place])
    is_first, is_last = True, False
    while True:
        fine = np.array([APART / 2 / half] * 3 + [0.25, 0.25])
        for shrink in _SHRINKS[: len(_SHRINKS) if is_last else 2]:
            for _ in range(_MOST_MOVES):
                states = state + _moves(fine * shrink)
                results = ask(states, half, step * STEPS_NEAR)
                best = int(results[:, 0].argmax())
                score = float(results[best, 0])
                if score > 0:
                    state, step = states[best], float(results[best, 3])
                if best == 0:
                    break
        if not is_first and score < bars[is_last]:
            return None
        if is_last:
            return state, step
        half *= GROWTH
        is_first, is_last = False, half * GROWTH >= reach


def _moves(fine: FloatArray) -> FloatArray:
    """Return changes of a state: none, and either way of each part, and of both scales at once."""
    both = np.array([[0.0, fine[1], fine[2], 0.0, 0.0]])
    ways = np.vstack([np.diag(fine), both])
    return np.vstack([np.zeros((1, len(fine))), ways, -ways])
