"""How voxels were rescaled since they were marked: the lattice's step against that of its rung.

The tag says on which rung of the ladder of strengths the volume was marked, and so how long the
step of its own lattice was. How long it is now is found to a part of a percent, once every bit of
the tag is known. Of an offset a mark says nothing, since its patterns sum to 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.sites import PILOT
from MedWatermarkLib.strength import RUNGS, rung
from MedWatermarkLib.tag import RUNGS_TOLD, Tag

# Projections are looked at to a part of a step, as far as so many of these parts around none: the
# transform of how many there are in each tells a step to a two thousandth.
_PARTS, _BINS = 64, 1 << 17
# Frequencies, to a step as it is taken to be, of lattices that are up to a tenth longer or shorter.
_FREQUENCIES = np.arange(_BINS // 2 + 1) * _PARTS / _BINS
_NEAR = np.flatnonzero(np.abs(1 / np.maximum(_FREQUENCIES, 0.1) - 1) < 0.1)
# Variance of the sine of a symbol that says little.
_VARIANCE = 0.5
# A gain is never told that differs from 1 by less than this, nor by less than so many deviations
# and so many times what the patterns differ in more than chance explains: a gain stretches all
# patterns alike, and a filter does not.
_LEAST, _DEVIATIONS, _SPREADS = 0.005, 4.0, 3.0
# Where it may be wrong by more, the pilots' step is as good.
_WORTHWHILE = 0.02
# Patterns that differ by more were filtered.
_APART = 0.02
# The tag tells a gain but for a factor of 2**16. It is the nearest to 1, unless that is more than
# these octaves away and would make of the patient a range that no scan has, and the other not.
_FAR, _RANGES = 3.0, (0.5, 2.0**17)
#: What filters may leave of a mark, and resampling, is as if voxels were multiplied by less than 1:
#: of a copy of which one of them is not excluded no gain is told that is nearer to that.
FILTERED, RESAMPLED = 0.5, 0.2

FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def stretch(phase: Floats, signs: Floats, shift: float = 0.0) -> tuple[float, float]:
    """Return by what a lattice is longer than it is taken to be.

    Parameters
    ----------
    phase : (n, g) float32 array
        Projections, in the steps that they are taken to have.
    signs : (n, g) float32 array
        Their bits, 1 and -1, and 0 where they say nothing that is known.
    shift : float
        By what the lattice lies beside its own, in steps.

    Returns
    -------
    stretch, error : float
        The error, as a share, is exceeded by rare chance only. If it is so great that the steps
        that were taken are as good, the stretch is 1.
    """
    phase = phase - np.float32(shift)
    rows = np.stack([_correlations(phase[:, g], signs[:, g], shift) for g in range(phase.shape[1])])
    whole = rows.sum(axis=0)
    best = _peak(whole)
    known = signs != 0
    energies = ((2 * np.pi * phase) ** 2).sum(axis=0, where=known, dtype=np.float64)
    coherent = np.maximum(rows.max(axis=1) / np.maximum(known.sum(axis=0), 1), 1e-3)
    deviations = np.sqrt(_VARIANCE / np.maximum(energies, 1e-9)) / coherent
    apart = np.abs([_peak(row) - best for row in rows]) - _DEVIATIONS * deviations
    deviation = 1 / np.sqrt((1 / deviations**2).sum())
    spread = float(_SPREADS * max(0.0, apart.max()))
    error = _DEVIATIONS * float(deviation) + spread
    if spread > _APART:
        return 1.0, max(FILTERED, error)
    return best if error < _WORTHWHILE else 1.0, max(_LEAST, error)


def gain_of(step: float, error: float, tag: Tag, span: float) -> float | None:
    """Return by what voxels were multiplied since they were marked.

    Parameters
    ----------
    step : float
        Lattice step of the pilots as it arrived.
    error : float
        By what share that may be wrong.
    tag : Tag
    span : float
        Range of the patient's voxels as they arrived.

    Returns
    -------
    float, or None where it does not differ from 1 by more than the error.
    """
    octaves = float(np.log2(step / LAYOUTS[tag.density].steps(rung(tag.rung))[PILOT, 0]))
    turn = RUNGS_TOLD / RUNGS
    octaves -= turn * round(octaves / turn)
    other = octaves - np.sign(octaves) * turn
    if abs(octaves) > _FAR and not _is_range(span, octaves) and _is_range(span, other):
        octaves = float(other)
    gain = 2.0**octaves
    return gain if abs(gain - 1) > error else None


def _is_range(span: float, octaves: float) -> bool:
    return bool(_RANGES[0] <= span / 2.0**octaves <= _RANGES[1])


def _correlations(phase: Floats, signs: Floats, shift: float) -> FloatArray:
    """Return how well symbols agree with lattices of each frequency."""
    place = np.floor(phase * np.float32(_PARTS)).astype(np.int64)
    seen = np.abs(place) < _BINS // 2
    counts = np.bincount(place[seen] % _BINS, signs[seen], _BINS)
    # From the start of each part to its middle, and by the shift.
    moved = np.exp(1j * np.pi * (_FREQUENCIES[_NEAR] / _PARTS + 2 * shift))
    return np.asarray((moved * np.conj(np.fft.rfft(counts)[_NEAR])).imag)


def _peak(scores: FloatArray) -> float:
    """Return the stretch at which a correlation is greatest, between those tried."""
    i = int(np.clip(scores.argmax(), 1, len(scores) - 2))
    before, at, after = scores[i - 1 : i + 2]
    bend = before - 2 * at + after
    beside = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(1 / (_FREQUENCIES[_NEAR[i]] + np.clip(beside, -1, 1) * _PARTS / _BINS))
