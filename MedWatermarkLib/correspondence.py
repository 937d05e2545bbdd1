"""Which slices of the original a suspect shows, and how they lie on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.placement import Placement
from MedWatermarkLib.pose import Pose, find_poses, register
from MedWatermarkLib.residue import tone_of

# Half the widths of the windows in which the original is looked at, in quartile ranges of its
# tissue; and the whole range.
_WINDOWS = (1.0, 5.0, np.inf)
# A slice is shown if its details correlate so many times better than by chance. Slices of the same
# size lie about where they did if the correlation is above a share, or so many times that with
# slices that are not neighbours of the best; another place then has to leave so much less open.
_SEEN, _NEAR, _LEAD, _OPEN = 5.0, 0.6, 2.0, 0.9
# Share of the correlation that slices in order need of what each finds for itself.
_ORDERED = 0.85
# Details greater than so many times the usual one are edges.
_EDGE = 4.0
# How much better than the next a pose has to be not to have both refined, and how many are.
_CLEAR, _CLOSE = 1.5, 3
# Slices on which a volume is registered.
_REGISTERED = 3
# Neighbours of a slice, on either side, that may have been averaged with it; the least share that
# counts; what of that which one slice leaves unexplained several may leave; pixels looked at.
_NEIGHBOURS, _LEAST_SHARE, _BETTER, _PIXELS = 2, 0.15, 0.8, 40_000

_STILL = Pose(0.0, 0, 0, np.eye(2), np.zeros(2))

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def place(suspect: Array, original: Array) -> Placement:
    """Find the slices of a suspect on the original.

    Parameters
    ----------
    suspect : (k, h, w) array
    original : (z, y, x) array
    """
    views, region = _views(original)
    details = _Details(views, region)
    placement = Placement(np.eye(2), np.zeros(2), ())
    found = _Matches.none(len(suspect))
    if suspect.shape[1:] == original.shape[1:]:
        found = details.matches(suspect, placement)
    other = _registered(suspect, original, None if found.usual > _NEAR else views, details)
    others = details.matches(suspect, other)
    if 1 - others.usual < (_OPEN if found.sure else 1) * (1 - found.usual):
        placement, found = other, others
    return _mixtures(suspect, original, replace(placement, sources=found.sources))


def _views(original: Array) -> tuple[list[Floats], BoolArray]:
    """Return the original as windows of several widths would show it, and where the patient is."""
    blocks = Blocks(np.ascontiguousarray(original))
    body = blocks.body().repeat(BLOCK, 1).repeat(BLOCK, 2)
    tissue = original[:, : body.shape[1], : body.shape[2]][body]
    values = np.where(np.isfinite(original), original, 0).astype(np.float32)
    if not tissue.size:
        return [values], np.ones(original.shape, bool)
    low, middle, high = np.percentile(tissue[:: max(1, tissue.size // 1_000_000)], (25, 50, 75))
    half = max(float(high - low), 1e-6)
    ends = [(middle - w * half, middle + w * half) for w in _WINDOWS]
    region = np.zeros(original.shape, bool)
    region[:, : body.shape[1], : body.shape[2]] = body
    region = ndimage.binary_dilation(region, np.ones((1, 3, 3), bool), iterations=BLOCK)
    return [np.clip(values, np.float32(a), np.float32(b)) for a, b in ends], region


@dataclass(frozen=True, eq=False)
class _Matches:
    """Which slice each of a suspect resembles most, the correlation, and that by chance."""

    slices: IntArray
    scores: FloatArray
    chance: float
    lead: float

    @classmethod
    def none(cls, depth: int) -> _Matches:
        return cls(np.zeros(depth, np.int64), np.zeros(depth), 1.0, 1.0)

    @property
    def usual(self) -> float:
        return float(np.median(self.scores))

    @property
    def sure(self) -> bool:
        """Whether slices lie about where they are thought: alike, or like none but their own."""
        return self.usual > _NEAR or (self.usual > _SEEN * self.chance and self.lead > _LEAD)

    @property
    def sources(self) -> tuple[tuple[tuple[int, float], ...], ...]:
        seen = self.scores > _SEEN * self.chance
        return tuple(
            ((int(z), 1.0),) if one else () for z, one in zip(self.slices, seen, strict=True)
        )


class _Details:
    """What is finer than a few voxels in each slice of the original, in several views."""

    def __init__(self, views: list[Floats], region: BoolArray) -> None:
        self.shape = views[0].shape[1:]
        self._regions = np.stack([_halved(one.astype(np.float32)) > 0 for one in region])
        self._rows = [
            np.stack([_details(image, one) for image, one in zip(view, self._regions, strict=True)])
            for view in views
        ]

    def matches(self, suspect: Array, placement: Placement) -> _Matches:
        """Compare the slices of a suspect with those of the original, where the patient is."""
        there = _halved(placement.covered(suspect.shape[1:], self.shape).astype(np.float32)) == 1
        regions = (self._regions & there).reshape(len(self._regions), -1).astype(np.float32)
        size = float(np.median(regions.sum(axis=1)))
        norms = [np.sqrt(np.maximum((rows * rows) @ there.ravel(), 1e-9)) for rows in self._rows]
        anywhere = self._regions.any(axis=0) & there
        found = np.zeros((len(suspect), len(regions)))
        for scores, layer in zip(found, suspect, strict=True):
            own = _details(placement.onto_original(_finite(layer), self.shape), anywhere)
            length = np.sqrt(np.maximum(regions @ (own * own), 1e-9))
            for rows, norm in zip(self._rows, norms, strict=True):
                np.maximum(scores, np.abs(rows @ own) / (norm * length), out=scores)
        best = _in_order(found)
        apart = np.abs(np.arange(found.shape[1]) - best[:, None]) > _NEIGHBOURS
        others = np.where(apart, found, 0).max(axis=1)
        highest = found[np.arange(len(found)), best]
        lead = float(np.median(highest / np.maximum(others, 1e-9))) if others.all() else 1.0
        return _Matches(best, highest, float(1 / np.sqrt(max(size, 1.0))), lead)


def _in_order(scores: FloatArray) -> IntArray:
    """Return the best slice for each of the suspect: all evenly in order, if that is as good."""
    best = scores.argmax(axis=1)
    count, depth = scores.shape
    numbers = np.arange(count)
    wanted = _ORDERED * float(scores.max(axis=1).sum())
    for step in range(-depth // max(count - 1, 1), depth // max(count - 1, 1) + 1):
        for start in range(depth):
            ordered = start + step * numbers
            if step and 0 <= ordered[-1] < depth:
                total = float(scores[numbers, ordered].sum())
                if total > wanted:
                    best, wanted = ordered, total
    return np.asarray(best)


def _details(image: Floats, mask: BoolArray) -> Floats:
    half = _halved(image)
    fine = (half - ndimage.gaussian_filter(half, 2)) * mask
    # A few bright edges do not say where the rest is.
    seen = np.abs(fine[fine != 0])
    limit = _EDGE * float(np.median(seen)) if seen.size else 0.0
    return np.asarray(np.clip(fine, -limit, limit).ravel(), np.float32)


def _halved(image: Floats) -> Floats:
    height, width = (size // 2 * 2 for size in image.shape)
    quarters = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return np.asarray(quarters.mean(axis=(1, 3)))


def _registered(
    suspect: Array, original: Array, views: list[Floats] | None, details: _Details
) -> Placement:
    """Find how a suspect lies on the original: about as it did, if there are no views to search."""
    contents = np.argsort([-float(_finite(layer).std()) for layer in suspect])
    some = sorted(contents[: max(1, len(suspect) // 2)].tolist())
    some = [some[i] for i in np.linspace(0, len(some) - 1, min(_REGISTERED, len(some))).astype(int)]
    first = suspect[some[len(some) // 2]][np.newaxis]
    found = []
    poses = [_STILL] if views is None else find_poses(_finite(first[0]), views)
    for pose in poses:
        matches = details.matches(first, Placement(pose.matrix, pose.offset, ()))
        found.append((matches.usual, pose))
    found.sort(key=lambda one: -one[0])
    pose = found[0][1]
    if len(found) > 1 and found[0][0] < _CLEAR * found[1][0]:
        finer = [_refined(first[0], original, details, one[1]) for one in found[:_CLOSE]]
        pose = max(finer, key=lambda pose: pose.score)
    refined = [_refined(suspect[k], original, details, pose) for k in some]
    matrix = np.median([one.matrix for one in refined], axis=0)
    offset = np.median([one.offset for one in refined], axis=0)
    return Placement(matrix, offset, ()).snapped(suspect.shape[1:])


def _refined(layer: Array, original: Array, details: _Details, pose: Pose) -> Pose:
    """Register one slice to the one it resembles, shown with its own grey values.

    The score is then the correlation of details.
    """
    for _ in range(2):
        placement = Placement(pose.matrix, pose.offset, ())
        z = int(details.matches(layer[np.newaxis], placement).slices[0])
        placement = replace(placement, sources=(((z, 1.0),),))
        tone = tone_of(layer[np.newaxis], original, placement)
        host = tone(original[z].astype(np.float32))
        pose = register(_finite(layer), host, replace(pose, z=z))
    matches = details.matches(layer[np.newaxis], Placement(pose.matrix, pose.offset, ()))
    return replace(pose, score=matches.usual)


def _mixtures(suspect: Array, original: Array, placement: Placement) -> Placement:
    """Find the slices that are means of neighbours, by least squares with no negative shares."""
    tone = tone_of(suspect, original, placement)
    shape = suspect.shape[1:]
    sources = list(placement.sources)
    for k, source in enumerate(placement.sources):
        if not source:
            continue
        z = source[0][0]
        near = range(max(0, z - _NEIGHBOURS), min(len(original), z + _NEIGHBOURS + 1))
        fine = []
        for n in near:
            moved, valid = placement.onto_suspect(tone(original[n].astype(np.float32)), shape)
            fine.append(_fine(moved))
        own = fine[near.index(z)]
        # Bright edges lie at the same place in all of them, and would drown what does not.
        good = np.flatnonzero(
            valid & (np.abs(own) < 4 * np.median(np.abs(own[valid & (own != 0)])))
        )
        good = good[:: max(1, len(good) // _PIXELS)]
        table = np.stack([image.ravel()[good] for image in fine], 1).astype(np.float64)
        values = _fine(_finite(suspect[k])).ravel()[good].astype(np.float64)
        shares, left = optimize.nnls(table, values)
        alone = table[:, near.index(z)]
        explained = float(alone @ values) / max(float(np.linalg.norm(alone)), 1e-9)
        if left**2 > _BETTER * (values @ values - explained**2) or not shares.any():
            continue
        shares /= shares.sum()
        kept = [(n, float(s)) for n, s in zip(near, shares, strict=True) if s > _LEAST_SHARE]
        total = sum(share for _, share in kept)
        sources[k] = tuple((n, share / total) for n, share in kept)
    return replace(placement, sources=tuple(sources))


def _fine(image: Floats) -> Floats:
    return image - ndimage.gaussian_filter(image, 2)


def _finite(layer: Array) -> Floats:
    return np.nan_to_num(layer.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
