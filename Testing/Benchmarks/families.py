"""The attacks: what scans go through, in families with a range of strengths.

The one list of them. Voxels are CT numbers, (z, y, x); what is shown in a window has 8 bits.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import exposure

sys.path.append(str(Path(__file__).parents[1]))
from attacks import jpeg, jpeg2000, jpeg_of, noisy, scaled, turned, windowed

Voxels = np.ndarray
Change = Callable[[Voxels, int], Voxels]

#: The soft-tissue window in which scans are shown.
WINDOW = (40.0, 400.0)
AIR = -1000
#: The family of attacks one after the other.
PAIRS = "two at once"
# In the names of attacks after which a copy has to be laid straight.
_BENDING = ("mirrored", "rotation", "rescale", "screenshot")
# The same where blocks have to be looked for.
_MOVING = ("crop", "shift", "screenshot")
# Added before JPEG-LS, which takes no negative values.
_OFFSET = 2000


@dataclass(frozen=True)
class Attack:
    """One attack at one strength.

    Attributes
    ----------
    family : str
    label : str
        Its name, which no other has.
    level : float or str
        Its place on the family's axis.
    change : callable
        From voxels and a seed to a copy.
    window : (center, width) or None
        The window in which the scan is shown before, in 8 bits.
    whole : bool
        Whether it is done to volumes alone, so that slices have no counterpart in the copy.
    bends, moves : bool
        Whether it turns, mirrors or scales; whether it cuts or shifts.
    """

    family: str
    label: str
    level: float | str
    change: Change
    window: tuple[float, float] | None = None
    whole: bool = False

    @property
    def bends(self) -> bool:
        return any(word in self.label for word in _BENDING) and "and back" not in self.label

    @property
    def moves(self) -> bool:
        return any(word in self.label for word in _MOVING)

    def __call__(self, voxels: Voxels, seed: int = 0) -> Voxels:
        """Attack a scan."""
        shown = voxels if self.window is None else windowed(voxels, *self.window)
        return np.ascontiguousarray(self.change(shown, seed))


def _of(
    family: str,
    label: str,
    levels: Iterable[float | str],
    change: Callable[[Voxels, float, int], Voxels],
    *,
    window: tuple[float, float] | None = None,
    whole: bool = False,
) -> list[Attack]:
    return [
        Attack(family, label.format(x), x, lambda v, s, x=x: change(v, x, s), window, whole)
        for x in levels
    ]


def salted(voxels: Voxels, percent: float, seed: int) -> Voxels:
    """Set voxels to the ends of the range."""
    chance = np.random.default_rng(seed).random(voxels.shape)
    result = np.where(chance < percent / 200, voxels.min(), voxels)
    return np.where(chance > 1 - percent / 200, voxels.max(), result)


def jpeg_ls(voxels: Voxels, near: int) -> Voxels:
    """Compress each slice as JPEG-LS in which no voxel strays further than `near`."""
    import jpeg_ls as codec

    slices = []
    for layer in voxels.astype(np.int32) + _OFFSET:
        data = codec.encode_array(layer.astype(np.uint16), lossy_error=near)
        slices.append(codec.decode(np.frombuffer(data, np.uint8)))
    return (np.stack(slices).astype(np.int32) - _OFFSET).astype(voxels.dtype)


def rounded(voxels: Voxels, values: Voxels) -> Voxels:
    """Return values in the dtype of the voxels, cut off at its ends."""
    limits = np.iinfo(voxels.dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(voxels.dtype)


def _filtered(voxels: Voxels, values: Callable[[Voxels], Voxels]) -> Voxels:
    return rounded(voxels, np.stack([values(layer.astype(np.float64)) for layer in voxels]))


def blurred(voxels: Voxels, deviation: float) -> Voxels:
    return _filtered(voxels, lambda layer: ndimage.gaussian_filter(layer, deviation))


def sharpened(voxels: Voxels, amount: float) -> Voxels:
    """Add to each slice what a blur of one voxel takes from it, so many times."""
    return _filtered(voxels, lambda s: s + amount * (s - ndimage.gaussian_filter(s, 1)))


def cropped(voxels: Voxels, share: float) -> Voxels:
    """Keep all but a share of each slice, from a place that is no multiple of a block."""
    side = np.sqrt(1 - share / 100)
    height, width = (round(side * n) for n in voxels.shape[1:])
    top = (voxels.shape[1] - height) // 2 - 3
    left = (voxels.shape[2] - width) // 2 + 2
    return voxels[:, max(top, 0) : top + height, left : left + width]


def shifted(voxels: Voxels, distance: int) -> Voxels:
    """Move each slice down and to the right, and fill with air or black."""
    air = AIR if voxels.min() < 0 else 0
    moved = np.pad(voxels, ((0, 0), (distance, 0), (distance, 0)), constant_values=air)
    return moved[:, :-distance, :-distance]


def mirrored(voxels: Voxels, way: str) -> Voxels:
    axes = {"left to right": (2,), "upside down": (1,), "both": (1, 2)}
    return np.flip(voxels, axes[way])


def scaled_and_back(voxels: Voxels, factor: float) -> Voxels:
    small = scaled(voxels, factor)
    factors = np.array(voxels.shape[1:]) / small.shape[1:]
    layers = [
        ndimage.zoom(layer.astype(float), factors, order=1, mode="nearest") for layer in small
    ]
    return np.rint(np.stack(layers)).astype(voxels.dtype)


def gamma(picture: Voxels, exponent: float) -> Voxels:
    return np.rint(255 * (picture / 255) ** exponent).astype(np.uint8)


def equalised(picture: Voxels, share: float) -> Voxels:
    """Mix a share of the picture with equalised histogram into each slice."""
    even = np.stack([255 * exposure.equalize_hist(layer) for layer in picture])
    return np.rint(share * even + (1 - share) * picture).astype(np.uint8)


def screenshot(picture: Voxels, factor: float) -> Voxels:
    """Show each slice in a viewer: of another size, framed, with words in the corners."""
    shots = []
    for number, layer in enumerate(picture):
        size = [round(factor * n) for n in layer.shape]
        image = Image.fromarray(layer).resize(size[::-1], Image.Resampling.BILINEAR)
        frame = Image.new("L", (size[1] + 160, size[0] + 90), 46)
        frame.paste(image, (130, 60))
        draw = ImageDraw.Draw(frame)
        draw.rectangle((129, 59, 130 + size[1], 60 + size[0]), outline=120)
        draw.text((140, 66), f"Im: {number + 1}/{len(picture)}", 230)
        draw.text((140, 40 + size[0]), "WL: 40  WW: 400", 230)
        draw.text((8, 8), "File  Edit  View", 210)
        shots.append(np.asarray(frame))
    return np.stack(shots)


def averaged(voxels: Voxels, count: int) -> Voxels:
    """Replace each so many slices by their mean."""
    whole = voxels[: len(voxels) // count * count].astype(np.float64)
    return rounded(voxels, whole.reshape(-1, count, *voxels.shape[1:]).mean(axis=1))


def reordered(voxels: Voxels, way: str, seed: int) -> Voxels:
    if way == "reversed":
        return voxels[::-1]
    return voxels[np.random.default_rng(seed).permutation(len(voxels))]


def _jpeg(voxels: Voxels, quality: float) -> Voxels:
    return (
        jpeg_of(voxels, int(quality))
        if voxels.dtype == np.uint8
        else jpeg(voxels, *WINDOW, int(quality))
    )


# What happens first comes first.
_PARTS: dict[str, Change] = {
    "crop": lambda v, s: cropped(v, 25),
    "rotation 5°": lambda v, s: turned(v, 5),
    "rescale 0.8": lambda v, s: scaled(v, 0.8),
    "noise 5 HU": lambda v, s: noisy(v, 5, s),
    "JPEG 75": lambda v, s: _jpeg(v, 75),
}


def _pairs() -> list[Attack]:
    return [
        Attack(
            PAIRS,
            f"{one}, then {two}",
            f"{one}, {two}",
            lambda v, s, one=one, two=two: _PARTS[two](_PARTS[one](v, s), s),
            whole=True,
        )
        for one, two in itertools.combinations(_PARTS, 2)
    ]


#: All attacks, family by family.
ATTACKS: list[Attack] = [
    *_of("none", "none", [0], lambda v, x, s: v),
    *_of("noise, HU", "noise {:g} HU", [2, 5, 10, 20, 40], lambda v, x, s: noisy(v, x, s)),
    *_of("salt and pepper, %", "salt and pepper {:g} %", [0.5, 1, 2, 5], salted),
    *[Attack("window of a PNG, HU", f"PNG, window {c:g}/{w:g}", w, lambda v, s: v, (c, w))
      for c, w in ((35, 100), WINDOW, (300, 1500))],
    *_of("JPEG quality", "JPEG {:g}", [90, 75, 50, 30], lambda v, x, s: _jpeg(v, x),
         window=WINDOW),
    *_of("JPEG 2000, ratio", "JPEG 2000 {:g}:1", [8, 15, 25], lambda v, x, s: jpeg2000(v, x)),
    *_of("JPEG-LS, near", "JPEG-LS near {:g}", [3, 5, 10], lambda v, x, s: jpeg_ls(v, int(x))),
    *_of("median, voxels", "median {:g}", [3, 5],
         lambda v, x, s: ndimage.median_filter(v, (1, int(x), int(x)))),
    *_of("blur, voxels", "blur {:g}", [0.5, 1, 1.5], lambda v, x, s: blurred(v, x)),
    *_of("sharpening", "sharpen {:g}", [0.5, 1, 2], lambda v, x, s: sharpened(v, x)),
    *_of("gain", "gain {:g}", [0.9, 1.1], lambda v, x, s: rounded(v, v * x)),
    *_of("offset, HU", "offset {:g} HU", [-100, 50], lambda v, x, s: v + np.int16(x)),
    *_of("gamma", "gamma {:g}", [0.8, 1.25], lambda v, x, s: gamma(v, x), window=WINDOW),
    *_of("equalisation", "equalisation, {:g}", [0.5, 1], lambda v, x, s: equalised(v, x),
         window=WINDOW),
    *_of("crop, % of the area", "crop {:g} %", [10, 25, 50], lambda v, x, s: cropped(v, x)),
    *_of("shift, voxels", "shift {:g}", [3, 21], lambda v, x, s: shifted(v, int(x))),
    *_of("mirror", "mirrored {}", ["left to right", "upside down", "both"],
         lambda v, x, s: mirrored(v, x)),
    *_of("rotation, degrees", "rotation {:g}°", [1, 5, 17, 45, 90], lambda v, x, s: turned(v, x)),
    *_of("rescale, kept so", "rescale {:g}", [0.5, 0.75, 1.25, 2], lambda v, x, s: scaled(v, x)),
    *_of("rescale and back", "rescale {:g} and back", [0.5, 0.75, 1.25],
         lambda v, x, s: scaled_and_back(v, x)),
    *_of("screenshot, size", "screenshot {:g}", [1, 1.25], lambda v, x, s: screenshot(v, x),
         window=WINDOW),
    *_of("slices dropped, one left of", "one slice of {:g}", [2, 10],
         lambda v, x, s: v[:: int(x)], whole=True),
    *_of("slices averaged", "mean of {:g} slices", [2, 3], lambda v, x, s: averaged(v, int(x)),
         whole=True),
    *_of("slices in another order", "slices {}", ["reversed", "shuffled"], reordered, whole=True),
    *_pairs(),
]  # fmt: skip
