"""Slices of a scan as pictures, with what was altered marked on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from MedWatermarkLib.tamper import ALTERED, NOT_TOLD, TamperMap
from MedWatermarkLib.volume import Volume

#: Orange and blue are told apart by almost everyone, and in print by their lightness.
ALTERED_COLOUR, NOT_TOLD_COLOUR = (255, 96, 0), (64, 110, 200)
#: Of the colour that lies over what is not told, so that what is below is seen.
NOT_TOLD_SHARE = 0.35

_SIDE = 448
_OUTLINE = 2
_ALTERED_SHARE = 0.22
# Soft tissue, where a CT brings no window of its own.
_CT_WINDOW = (40.0, 400.0)
_TOWARDS = (("L", "R"), ("P", "A"), ("S", "I"))  # ends of the axes of LPS

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SlicePicture:
    """A slice, drawn.

    Attributes
    ----------
    number : int
        Of the slice, from 0.
    picture : PIL.Image.Image
        RGB where something is marked on it, else grey.
    altered : bool
        Whether anything in it was altered.
    left, top : str
        Where in the patient these edges of the picture lie: one of ``LRPASI``; empty where it is
        not known.
    """

    number: int
    picture: Image.Image
    altered: bool
    left: str
    top: str


def choose_slices(depth: int, found: TamperMap | None, most: int = 12, few: int = 6) -> list[int]:
    """Choose the slices to show: altered ones first, then some from all of the scan.

    Parameters
    ----------
    depth : int
        How many there are.
    found : TamperMap or None
    most : int
        No more than these; of more altered ones, those that are so most.
    few : int
        As many of those that were not altered as it takes to show so many.
    """
    altered: list[int] = []
    if found is not None:
        counts = found.altered.sum(axis=(1, 2))
        by_count = sorted(np.flatnonzero(counts).tolist(), key=lambda z: (-int(counts[z]), z))
        altered = sorted(by_count[:most])
    spread = ((np.arange(few) + 0.5) * depth / few).astype(int).tolist()
    others = [z for z in dict.fromkeys(spread) if z not in altered]
    return altered + others[: max(0, few - len(altered))]


def draw_slices(volume: Volume, numbers: list[int], found: TamperMap | None) -> list[SlicePicture]:
    """Draw slices as one would look at them, in the scan's window.

    Parameters
    ----------
    volume : Volume
    numbers : list of int
        Which slices, from 0.
    found : TamperMap or None
        Its altered cells are outlined and tinted, and those that nothing is known of are tinted.
    """
    labels = None if found is None else found.volume().voxels
    values = [volume.voxels[z] * volume.slope[z] + volume.intercept[z] for z in numbers]
    low, high = _window(volume, values)
    (left, mirrored), (top, upturned) = _edges(volume)
    pictures = []
    for z, one in zip(numbers, values, strict=True):
        grey = np.clip((np.nan_to_num(one) - low) / (high - low), 0, 1) * 255
        steps = np.s_[:: -1 if upturned else 1, :: -1 if mirrored else 1]
        image = Image.fromarray(np.rint(grey).astype(np.uint8)[steps])
        image = image.resize(_size(volume), Image.Resampling.BICUBIC)
        label = None if labels is None else labels[z][steps]
        altered = label is not None and bool((label == ALTERED).any())
        if label is not None:
            image = _marked(image, label)
        pictures.append(SlicePicture(z, image, altered, left, top))
    return pictures


def is_placed(volume: Volume) -> bool:
    """Tell whether it is known how large a scan is and where it lies; of a photo it is not."""
    nowhere = Volume(volume.voxels)
    names = ("spacing", "origin", "direction")
    return any(getattr(volume, name) != getattr(nowhere, name) for name in names)


def _window(volume: Volume, values: list[Array]) -> tuple[float, float]:
    """Return least and greatest value that are told apart."""
    window = volume.window
    if window is None and volume.modality == "CT":
        window = _CT_WINDOW
    if window is not None and window[1] > 0:
        return window[0] - window[1] / 2, window[0] + window[1] / 2
    everything = np.concatenate([one[np.isfinite(one)] for one in values])
    if not everything.size:
        return 0.0, 1.0
    low, high = (float(end) for end in np.percentile(everything, (1, 99.5)))
    return low, max(high, low + 1e-9)


def _size(volume: Volume) -> tuple[int, int]:
    """Return width and height of a picture, such that a millimetre is as long in both."""
    width = volume.voxels.shape[2] * volume.spacing[0]
    height = volume.voxels.shape[1] * volume.spacing[1]
    scale = _SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _edges(volume: Volume) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """Return for left and top what lies there, and whether the slice is turned to have it there.

    As is customary: the patient's left on the right, in front above and on the left, the head
    above.
    """
    if not is_placed(volume):
        return ("", False), ("", False)
    direction = np.array(volume.direction).reshape(3, 3)
    edges = []
    for axis, customary in ((0, (1, 1, 1)), (1, (1, 1, -1))):
        vector = direction[:, axis]
        which = int(np.argmax(np.abs(vector)))
        turned = bool(np.sign(vector[which]) != customary[which])
        ends = _TOWARDS[which]
        edges.append((ends[1] if customary[which] > 0 else ends[0], turned))
    return edges[0], edges[1]


def _marked(image: Image.Image, labels: Array) -> Image.Image:
    grown = Image.fromarray(labels).resize(image.size, Image.Resampling.NEAREST)
    cells = np.asarray(grown)
    altered = cells == ALTERED
    colours = np.repeat(np.asarray(image, np.float64)[..., None], 3, axis=2)
    _tint(colours, cells == NOT_TOLD, NOT_TOLD_COLOUR, NOT_TOLD_SHARE)
    _tint(colours, altered, ALTERED_COLOUR, _ALTERED_SHARE)
    outline = altered & ~ndimage.binary_erosion(altered, iterations=_OUTLINE)
    _tint(colours, outline, ALTERED_COLOUR, 1.0)
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def _tint(colours: Array, where: BoolArray, colour: tuple[int, int, int], share: float) -> None:
    colours[where] = (1 - share) * colours[where] + share * np.array(colour)
