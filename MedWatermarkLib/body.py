"""Which blocks show the patient: where a mark may lie and where it is looked for.

Where CT numbers are known they tell air from tissue. Else air is what Otsu's threshold splits off
(N. Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 1979, 62-66), provided that it
lies at the bottom of the range; an image that is filled by the patient has no such class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

# Neighbours within a slice: slices may lie far apart, and may have been dropped or shuffled.
_FACES = np.zeros((3, 3, 3), bool)
_FACES[1] = ndimage.generate_binary_structure(2, 1)
_CORNERS = np.zeros((3, 3, 3), bool)
_CORNERS[1] = True

# Air is a class whose mean lies in the lowest third of the way from the floor to tissue.
_AIR_SHARE = 0.35
# A block is solid above this share of the way from air to tissue: about -300 HU on a CT, above all
# that shares its voxels with air at the skin and below fat, however noisy.
_SOLID_SHARE = 0.65
# Gas in lungs and sinuses counts as patient where it holds at least this share of tissue.
_GAS_SHARE = 0.1
# Air from outside reaches a block that has a voxel below this share, and its neighbours.
_WALL_SHARE = 0.4
# A couch or a headrest is a thin thing: solid parts smaller than this share of the greatest go.
_PART_SHARE = 0.1
# Nothing physical lies below the -1024 HU of a vacuum, stored with an offset or without one; what
# does is what a scanner writes outside its field of view.
_VACUUM = -1100
# CT numbers of air, and of tissue a little above that of water.
_AIR_AND_WATER = (-1000.0, 50.0)
_BINS = 512


def body_blocks(
    low: FloatArray,
    high: FloatArray,
    mean: FloatArray,
    ties: npt.NDArray[np.uint8],
    clipped: int,
    air: bool,
    hounsfield: tuple[float, float] | None = None,
) -> BoolArray:
    """Return which blocks lie within the patient.

    Left out are blocks with a voxel that is not finite, constant ones, those that touch padding
    or the ends of the range (where voxels may have been clipped), air, and the couch.

    Parameters
    ----------
    low, high, mean : (z, ny, nx) float64 arrays
        Least and greatest voxel of each block and its mean; NaN where voxels are not finite.
    ties : (z, ny, nx, 2) uint8 array
        How many voxels of each block have its least and its greatest value.
    clipped : int
        How many voxels of a block may lie at an end of the range.
    air : bool
        Whether to leave out air and couch; a display window may have taken them away already, and
        with them what tells them from tissue.
    hounsfield : (slope, intercept), optional
        What makes CT numbers of the voxels, where it is known: then nothing has to be guessed.

    Returns
    -------
    (z, ny, nx) bool array
    """
    finite = np.isfinite(low)
    flat = finite & (high == low)
    body: BoolArray = finite & ~flat
    if not body.any():
        return body
    at_ends = np.where(low == low[finite].min(), ties[..., 0], 0)
    at_ends += np.where(high == high[finite].max(), ties[..., 1], 0)
    vacuum = _vacuum(low[body], hounsfield)
    body &= (at_ends <= clipped) & (low > vacuum)
    padding = _padding(low[flat])
    if not clipped:
        body &= ~np.isin(low, padding)
    if not air or not body.any():
        return body
    # Air that was clipped or masked is among the padding, and the lowest class left is tissue.
    gas: float | None
    if hounsfield is None:
        floor = min([float(np.percentile(low[body], 0.5)), *padding[padding > vacuum]])
        gas, tissue = _air_and_tissue(mean[body], floor)
    else:
        gas, tissue = ((number - hounsfield[1]) / hounsfield[0] for number in _AIR_AND_WATER)
    if gas is None:
        return body
    gap = tissue - gas
    solid = _without_small_parts(body & (low > gas + _SOLID_SHARE * gap))
    # What is not solid belongs to the patient where air does not reach it from outside.
    closed_in = _filled(solid) & ~_reached(~(low > gas + _WALL_SHARE * gap))
    return np.asarray(solid | (body & closed_in & (mean > gas + _GAS_SHARE * gap)))


def _vacuum(low: FloatArray, hounsfield: tuple[float, float] | None) -> float:
    """Return the value below which nothing is an image, in units of the voxels."""
    if hounsfield is not None:
        return (_VACUUM - hounsfield[1]) / hounsfield[0]
    # In units of which most of the image would lie below, it says nothing.
    return _VACUUM if (low > _VACUUM).mean() > 0.5 else -np.inf


def _padding(flat: FloatArray) -> FloatArray:
    """Return the values that fill whole blocks often enough to be padding or clipped."""
    values, counts = np.unique(flat, return_counts=True)
    return np.asarray(values[counts >= max(4, 0.01 * flat.size)])


def _air_and_tissue(mean: FloatArray, floor: float) -> tuple[float | None, float]:
    lowest, highest = float(mean.min()), float(mean.max())
    if highest - lowest <= _BINS * np.spacing(max(-lowest, highest)):
        return None, highest
    # On the scale of roots one bright organ, or bone, does not make air of all the others.
    counts, edges = np.histogram(np.sqrt(mean - lowest), _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = mean.size - below
    sums = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        darker, brighter = sums[:-1] / below, (sums[-1] - sums[:-1]) / above
        between = below * above * (brighter - darker) ** 2
    split = int(np.nanargmax(between))
    air, tissue = lowest + float(darker[split]) ** 2, lowest + float(brighter[split]) ** 2
    return (None if air - floor > _AIR_SHARE * (tissue - floor) else air), tissue


def _without_small_parts(solid: BoolArray) -> BoolArray:
    parts, count = ndimage.label(solid, _CORNERS)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    greatest = sizes[parts].max(axis=(1, 2), keepdims=True)
    return np.asarray(solid & (sizes[parts] >= _PART_SHARE * greatest))


def _filled(solid: BoolArray) -> BoolArray:
    """Close gaps of a block or two, then fill what is enclosed, slice by slice."""
    padded = np.pad(solid, ((0, 0), (2, 2), (2, 2)))
    open_air = _from_rim(_grown(~_grown(padded)), _FACES)
    return np.asarray(~open_air[:, 2:-2, 2:-2] | solid)


def _reached(permeable: BoolArray) -> BoolArray:
    """Return the blocks that air from outside reaches, or whose neighbours it reaches."""
    padded = np.pad(permeable, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    return _grown(_from_rim(padded, _CORNERS))[:, 1:-1, 1:-1]


def _grown(region: BoolArray) -> BoolArray:
    """Return a region and its eight neighbours within each slice.

    So plain a dilation takes a twentieth of the time of `ndimage.binary_dilation`.
    """
    tall = region.copy()
    tall[:, 1:] |= region[:, :-1]
    tall[:, :-1] |= region[:, 1:]
    wide = tall.copy()
    wide[:, :, 1:] |= tall[:, :, :-1]
    wide[:, :, :-1] |= tall[:, :, 1:]
    return wide


def _from_rim(region: BoolArray, structure: BoolArray) -> BoolArray:
    """Return the part of a region that is connected to the rim of its slice, which is all in it."""
    parts, count = ndimage.label(region, structure)
    outside = np.zeros(count + 1, bool)
    outside[parts[:, 0, 0]] = True
    return np.asarray(outside[parts])
