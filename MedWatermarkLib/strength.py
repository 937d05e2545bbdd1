"""How strong a mark is: the RMSE that it aims at.

Strengths stand on a ladder of sixteen rungs to the octave, so that a reader who is told nothing
finds the one that was used by trying all.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.blocks import Blocks, working_copy

Preset: TypeAlias = Literal["diagnostic", "robust"]
#: What may be asked for: a preset, or an RMSE in units of the scan.
Strength: TypeAlias = float | Preset
#: RMSE of the presets in multiples of the diagnostic one.
PRESETS: dict[Preset, float] = {"diagnostic": 1.0, "robust": 2.0}
#: RMSE in units of the voxels that `diagnostic` never exceeds: 1.5 HU on a CT.
GREATEST_DEFAULT = 1.5
#: RMSE of `diagnostic` as a share of the noise.
NOISE_SHARE = 0.3
#: Below this RMSE, in whole numbers, rounding would take the mark away.
LEAST_INTEGRAL = 0.6
# A mark that a reader could not see is no mark: the least share of the range.
_SPAN_SHARE = 1e-3
#: Rungs of the ladder to the octave.
RUNGS = 16


def preset_strength(
    preset: Preset, blocks: Blocks, inside: npt.NDArray[np.bool_], integral: bool
) -> float:
    """Return the RMSE of a preset where the modality is not known.

    That of `diagnostic` is 0.3 of the noise, but at most 1.5; `robust` is twice that. Noise that a
    scanner has smoothed away says little: a range of a thousand values and more, as on a CT, asks
    for 1.5 whatever the noise.

    Parameters
    ----------
    preset : "diagnostic" or "robust"
    blocks : Blocks
    inside : (z, ny, nx) bool array
        The blocks that may be marked.
    integral : bool
        Whether voxels are whole numbers.

    Returns
    -------
    float, in units of the voxels.
    """
    return PRESETS[preset] * min(_by_noise(blocks, inside, integral), GREATEST_DEFAULT)


def noise_strength(preset: Preset, voxels: npt.ArrayLike) -> float:
    """Return the RMSE of a preset where the modality is known, and is not CT.

    That of `diagnostic` is 0.3 of the noise, however great.

    Parameters
    ----------
    preset : "diagnostic" or "robust"
    voxels : (z, y, x) array

    Returns
    -------
    float, in units of the voxels; at least what the mark needs to show.

    Raises
    ------
    WatermarkError
        If the array is not a volume of numbers.
    """
    array = np.asarray(voxels)
    blocks = Blocks(working_copy(array))
    return PRESETS[preset] * _by_noise(blocks, blocks.body(), array.dtype.kind in "iu")


def rung_below(strength: float) -> float:
    """Return the greatest strength on the ladder that does not exceed another."""
    return rung(math.floor(RUNGS * math.log2(strength) + 1e-9))


def rung_of(strength: float) -> int:
    """Return the number of a strength on the ladder, or of that next to another."""
    return round(RUNGS * math.log2(strength))


def rung(number: int) -> float:
    """Return a strength on the ladder, RMSE in units of the voxels."""
    return float(2.0 ** (number / RUNGS))


def _by_noise(blocks: Blocks, inside: npt.NDArray[np.bool_], integral: bool) -> float:
    wanted = max(NOISE_SHARE * blocks.noise(inside), _SPAN_SHARE * blocks.span(inside))
    return max(wanted, LEAST_INTEGRAL if integral else 0.0)
