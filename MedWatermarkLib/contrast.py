"""How contrast was changed from grey to grey: by a gamma, or an equalised histogram.

A change of grey values that is not linear stretches lattices as much as it stretches the grey
values around them. Whatever the bits are, bold projections lie a quarter of a step from a lattice,
so that the second harmonic shows its step (see `reliability.fine_of`); the likeliest course of the
step over grey values, which changes little from one to the next, is found by dynamic programming
(A. J. Viterbi, IEEE Transactions on Information Theory 13(2), 1967). Its inverse, summed up, is the
change that takes the voxels back, but for a constant factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.sites import PLAIN, Sites

# Bold projections that tell a step together, and parts of an octave in which steps are told apart.
_TOGETHER, _PER_OCTAVE = 40, 16
# Octaves below and above the usual projection in which the steps lie.
_BELOW, _ABOVE = 1, 4
# How much what is seen counts against a step that changes by one part from grey to grey, and by how
# many parts it changes at most.
_SEEN, _CHANGE, _MOST = 1.2, 0.3, 12
# Times that what is left is looked for anew, and grey values at which the change is known.
_TIMES, _GREYS = 4, 2048

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def even_contrast(voxels: Array, where: Sites) -> npt.NDArray[np.float32]:
    """Take out of each slice what was not linear in a change of its grey values.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Returns
    -------
    (z, y, x) float32 array
    """
    evened = voxels.astype(np.float32)
    for _ in range(_TIMES):
        blocks = Blocks(evened)
        body = blocks.body(4, False)
        by, bx = np.indices(body.shape[1:])
        body &= where.roles(by, bx) != PLAIN
        values = np.zeros(body.shape)
        values[body] = blocks.project(where.patterns[:1], *np.nonzero(body))[:, 0]
        for layer, inside, mean, value in zip(evened, body, blocks.mean, values, strict=True):
            if inside.any():
                _even(layer, mean[inside], np.abs(value[inside]))
    return evened


def _even(layer: npt.NDArray[np.float32], means: FloatArray, values: FloatArray) -> None:
    """Even the contrast of a slice, in place."""
    order = np.argsort(means, kind="stable")
    parts = np.array_split(order, max(1, len(order) // _TOGETHER))
    steps = np.arange(-_BELOW * _PER_OCTAVE, _ABOVE * _PER_OCTAVE + 1) / _PER_OCTAVE
    ladder = max(float(np.median(values)), 1e-6) * 2.0**steps
    seen = [-np.cos(4 * np.pi * values[part, None] / ladder).sum(axis=0) for part in parts]
    course = np.log(ladder)[_course(_SEEN * np.array(seen))]
    finite = layer[np.isfinite(layer)]
    greys = np.linspace(float(finite.min()), float(finite.max()), _GREYS)
    middles = [float(np.median(means[part])) for part in parts]
    slopes = np.exp(np.median(course) - np.interp(greys, middles, course))
    there = np.concatenate([[0], np.cumsum((slopes[1:] + slopes[:-1]) / 2 * np.diff(greys))])
    layer[:] = np.interp(layer, greys, there)


def _course(seen: FloatArray) -> npt.NDArray[np.int64]:
    """Return the likeliest rung for each row, where neighbours change little."""
    count, rungs = seen.shape
    away = np.abs(np.subtract.outer(np.arange(rungs), np.arange(rungs)))
    cost = np.where(away <= _MOST, _CHANGE * away, np.inf)
    best, came = seen[0], np.empty((count, rungs), np.int64)
    for row in range(1, count):
        ways = best[:, None] - cost
        came[row] = ways.argmax(axis=0)
        best = seen[row] + ways.max(axis=0)
    course = np.empty(count, np.int64)
    course[-1] = best.argmax()
    for row in range(count - 1, 0, -1):
        course[row - 1] = came[row][course[row]]
    return course
