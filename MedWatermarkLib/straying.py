"""How far the symbols of a scan stray from their lattice points, as learned from the scan itself.

Compression and noise move all symbols alike, or those of one slice more than those of another;
filters bend strong textures more than weak ones. Everything is taken from medians, which a part
that was altered hardly moves.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from MedWatermarkLib.symbols import Symbols

# Deviations that are told apart, in steps, from the intervals of a restoration record to where a
# symbol says nothing any more.
_DEVIATIONS = np.linspace(0.035, 0.4, 147)
# Blocks are looked at by their range, in steps of the mark: an octave each.
_RANGES = 2.0 ** np.arange(0, 9)
# How many symbols of a kind weigh as much as what is known of all kinds.
_WEIGHT = 300.0
# How much noisier than the volume a slice may be, and a part of it than the slice, before they
# count as altered.
_NOISIER = 1.6
# Share of symbols that stray further than normal noise explains, at least; and the multiple of
# the deviation beyond which they are counted, as far as it lies within reach.
_OUTLIERS, _FAR, _REACH = 0.01, 3.0, 0.4

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatBlocks = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def log_likelihood(symbols: Symbols, core: BoolArray, ranges: FloatArray) -> FloatArray:
    """Return the logarithm of how likely each block is to carry its bits, against chance.

    Parameters
    ----------
    symbols : Symbols
    core : (z, ny, nx) bool array
        Blocks that are marked, but for a few, from which the noise is learned.
    ranges : (z, ny, nx) array
        Greatest less least voxel of each block, in steps.

    Returns
    -------
    (z, ny, nx) float64 array, 0 where a block has no symbols.

    Notes
    -----
    Errors are wrapped normal but for outliers, which lie anywhere.
    """
    errors = symbols.errors()
    kind = np.digitize(ranges, _RANGES)
    deviation, outliers = _noise(symbols, errors, core, kind)
    density = _wrapped_normal(errors, deviation)
    if not symbols.read:
        other = _wrapped_normal(errors + np.float32(0.5), deviation)
        density = np.where(symbols.of_message, (density + other) / 2, density)
    logarithms = np.log((1 - outliers[..., None]) * density + outliers[..., None])
    return np.asarray(np.nansum(logarithms, axis=-1, dtype=np.float64))


def _wrapped_normal(errors: FloatBlocks, deviation: FloatBlocks) -> FloatBlocks:
    total = sum(np.exp(-0.5 * ((errors + turn) / deviation) ** 2) for turn in (-1, 0, 1))
    return np.asarray(total / (np.sqrt(2 * np.pi) * deviation), np.float32)


def _noise(
    symbols: Symbols, errors: FloatBlocks, core: BoolArray, kind: IntArray
) -> tuple[FloatBlocks, FloatBlocks]:
    """Return the deviation of each symbol, in its step, and the share of outliers in each block.

    The deviation is learned from the bold symbols of pilots and tag: it is that of the volume,
    times what is peculiar to blocks of a range and to the slice; and then that of such blocks in
    this slice, if there are many. Other symbols have the same noise on other steps, and what is
    peculiar to them where they are known.
    """
    depth, kinds = len(core), len(_RANGES) + 1
    form = np.where(symbols.of_message, 1, 0)
    form[..., 1:] = 2
    known = np.isfinite(errors) & core[..., None]
    bold = known & (form == 0)
    z, by, bx, _ = np.nonzero(bold)
    size = np.abs(errors[bold])
    of_all = float(_deviations(size, np.zeros(len(z), int), 1, np.array([_DEVIATIONS[-1]]))[0])

    def ratio(group: IntArray, count: int) -> FloatArray:
        return _deviations(size, group, count, np.full(count, of_all)) / of_all

    by_kind = ratio(kind[z, by, bx], kinds)
    # A slice that was replaced as a whole is not to pass for a noisy one.
    by_slice = np.minimum(ratio(z, depth), _NOISIER)
    expected = of_all * by_slice[:, None] * by_kind
    cells = _deviations(size, z * kinds + kind[z, by, bx], depth * kinds, expected.ravel())
    cells = np.minimum(cells.reshape(expected.shape), _NOISIER * expected)
    of_block = cells[np.arange(depth)[:, None, None], kind]
    deviation = of_block[..., None] / np.where(symbols.steps > 0, symbols.steps, 1.0)
    if not symbols.read:
        known &= ~symbols.of_message
    else:
        for other in (1, 2):
            chosen = known & (form == other)
            if chosen.any():
                usual = np.array([float(np.median(deviation[chosen]))])
                found = _deviations(np.abs(errors[chosen]), np.zeros(chosen.sum(), int), 1, usual)
                deviation[form == other] *= found[0] / usual[0]
    deviations: FloatBlocks = np.clip(deviation, *_DEVIATIONS[[0, -1]]).astype(np.float32)
    z, by, bx, _ = np.nonzero(known)
    outliers = _outliers(np.abs(errors[known]), deviations[known], kind[z, by, bx], kinds)
    return deviations, outliers[kind]


def _deviations(
    size: FloatBlocks, group: IntArray, count: int, otherwise: FloatArray
) -> FloatArray:
    """Return the deviation of each group of errors from their median size.

    Of a group of few it is drawn towards what is said otherwise.
    """
    order = np.lexsort((size, group))
    starts = np.searchsorted(group[order], np.arange(count + 1))
    numbers = np.diff(starts)
    middle = np.minimum(starts[:-1] + numbers // 2, max(len(size) - 1, 0))
    medians = size[order][middle] if len(size) else np.zeros(count)
    own = np.interp(medians, _medians(), _DEVIATIONS)
    weight = numbers / (numbers + _WEIGHT)
    weight[(numbers > 0) & (otherwise >= _DEVIATIONS[-1])] = 1.0
    return np.asarray(weight * own + (1 - weight) * otherwise)


def _outliers(size: FloatBlocks, deviation: FloatBlocks, kind: IntArray, kinds: int) -> FloatBlocks:
    """Return the share of outliers among blocks of each range.

    Outliers lie anywhere, so that a share of 1 - 2 t of them lies further than t.
    """
    far = _FAR * deviation
    within = far < _REACH
    beyond = np.bincount(kind[within], size[within] > far[within], kinds)
    room = np.bincount(kind[within], 1 - 2 * far[within], kinds)
    return np.clip(beyond / (room + _WEIGHT), _OUTLIERS, 1).astype(np.float32)


@lru_cache(maxsize=1)
def _medians() -> FloatArray:
    """Return the median size of wrapped normal errors of each of the deviations."""
    size = np.linspace(0, 0.5, 501)
    turns = np.arange(-2, 3)[:, None, None]
    upper, lower = (turns + size) / _DEVIATIONS[:, None], (turns - size) / _DEVIATIONS[:, None]
    shares = (special.ndtr(upper) - special.ndtr(lower)).sum(axis=0)
    return np.array([np.interp(0.5, share, size) for share in shares])
