"""Regions of altered blocks, from the evidence of single ones, at a known rate of false alarms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

#: Chance that any region at all is found in a scan that was not altered, if the noise of its mark
#: is what it is taken for.
FALSE_ALARM = 0.01

# Log odds of an alteration where neighbours say nothing, and what each of eight adds.
_PRIOR, _COUPLING = -2.0, 0.5
_ROUNDS = 15
# A connected region of n blocks is one of at most exp(1.95 n) that hold a given block (the growth
# of the number of polyplets), and so needs that much evidence a block for being chosen.
_CHOICE = 1.95
# Sides of squares, in blocks, that are looked at as wholes where single blocks say little.
_SQUARES = (4, 6, 9, 13)
# Log odds within a square that as a whole was altered.
_PRIOR_IN_SQUARE = 1.0

_CONNECTED = np.zeros((3, 3, 3), bool)
_CONNECTED[1] = True

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def altered_regions(
    evidence: FloatArray, told: BoolArray
) -> tuple[BoolArray, npt.NDArray[np.float32]]:
    """Return the blocks that were altered.

    Parameters
    ----------
    evidence : (z, ny, nx) float64 array
        Log likelihood ratio of each block, positive if it was altered.
    told : (z, ny, nx) bool array
        The blocks of which anything is told.

    Returns
    -------
    altered : (z, ny, nx) bool array
    probability : (z, ny, nx) float32 array
        How likely each block was altered, given its neighbours in the slice.

    Notes
    -----
    The probabilities are those of an Ising model in the mean-field approximation. Of what they
    show, a connected region counts if its evidence exceeds ``log(2 n / FALSE_ALARM)`` (n blocks
    are told of) and what there is to choose from; since the expectation of a likelihood ratio
    under its null hypothesis is at most 1, chance does not reach that more often than stated. The
    other half of the allowance is for squares of a few sides, in which weak evidence adds up.
    """
    threshold = np.log(2 * max(int(told.sum()), 1) / FALSE_ALARM)
    within = _in_squares(evidence, threshold + np.log(len(_SQUARES)))
    prior = np.where(within, _PRIOR_IN_SQUARE, _PRIOR)
    probability = _smooth(evidence + prior, told)
    regions, count = ndimage.label((probability > 0.5) & told, _CONNECTED)
    numbers = np.arange(1, count + 1)
    enough = ndimage.sum_labels(evidence - _CHOICE, regions, numbers) > threshold
    enough |= ndimage.maximum(within, regions, numbers).astype(bool) if count else False
    altered = np.concatenate([[False], enough])[regions]
    return altered, np.where(altered, probability, np.minimum(probability, 0.5)).astype(np.float32)


def _in_squares(evidence: FloatArray, threshold: float) -> BoolArray:
    """Return the blocks of squares whose evidence together passes the threshold."""
    within = np.zeros(evidence.shape, bool)
    for side in _SQUARES:
        if side > min(evidence.shape[1:]):
            break
        size = (1, side, side)
        sums = ndimage.uniform_filter(evidence, size, mode="constant") * side**2
        hit = sums > threshold
        # The window of an even size is off centre, and is so in the other direction here.
        within |= ndimage.maximum_filter(hit, size, origin=(0, side % 2 - 1, side % 2 - 1))
    return within


def _smooth(log_odds: FloatArray, told: BoolArray) -> FloatArray:
    probability = np.where(told, special.expit(log_odds), 0.0)
    for _ in range(_ROUNDS):
        signs = np.where(told, 2 * probability - 1, 0.0)
        around = 9 * ndimage.uniform_filter(signs, (1, 3, 3), mode="constant") - signs
        probability = np.where(told, special.expit(log_odds + _COUPLING * around), 0.0)
    return probability
