"""Which slices of the original a suspect shows, and how they lie on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK, PATTERNS, patterns
from MedWatermarkLib.placement import Placement
from MedWatermarkLib.pose import Pose, find_poses, register
from MedWatermarkLib.residue import tone_of

# Half the widths of the windows in which the original is looked at, in quartile ranges of its
# tissue; and the whole range.
_WINDOWS = (1.0, 5.0, np.inf)
# Below this correlation of details a slice is not taken to be shown; above this one slices of the
# same size lie where they did.
_LEAST, _SURE = 0.1, 0.6
# How much better than the next a pose has to be not to have both refined, and how many are.
_CLEAR, _CLOSE = 1.5, 3
# Slices on which a volume is registered.
_REGISTERED = 3
# Neighbours of a slice, on either side, that may have been averaged with it; the least share that
# counts; what of that which one slice leaves unexplained several may leave; pixels looked at.
_NEIGHBOURS, _LEAST_SHARE, _BETTER, _PIXELS = 2, 0.15, 0.8, 40_000

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def place(suspect: Array, original: Array) -> Placement:
    """Find the slices of a suspect on the original.

    Parameters
    ----------
    suspect : (k, h, w) array
    original : (z, y, x) array
    """
    views = _views(original)
    details = _Details(views)
    here = Placement(np.eye(2), np.zeros(2), ())
    if suspect.shape[1:] == original.shape[1:]:
        found, scores = details.matches(suspect, here)
        if np.median(scores) > _SURE:
            return _mixtures(suspect, original, _sourced(here, found, scores))
        kept = float(np.median(scores)), _sourced(here, found, scores)
    else:
        kept = 0.0, replace(here, sources=((),) * len(suspect))
    placement = _registered(suspect, original, views, details)
    found, scores = details.matches(suspect, placement)
    if np.median(scores) > kept[0]:
        kept = float(np.median(scores)), _sourced(placement, found, scores)
    return _mixtures(suspect, original, kept[1])


def _views(original: Array) -> list[Floats]:
    """Return the original as display windows of several widths would show it."""
    blocks = Blocks(np.ascontiguousarray(original), patterns(np.ones(PATTERNS))[:0])
    body = blocks.body().repeat(BLOCK, 1).repeat(BLOCK, 2)
    tissue = original[:, : body.shape[1], : body.shape[2]][body]
    values = np.where(np.isfinite(original), original, 0).astype(np.float32)
    if not tissue.size:
        return [values]
    low, middle, high = np.percentile(tissue[:: max(1, tissue.size // 1_000_000)], (25, 50, 75))
    half = max(float(high - low), 1e-6)
    ends = [(middle - w * half, middle + w * half) for w in _WINDOWS]
    return [np.clip(values, np.float32(a), np.float32(b)) for a, b in ends]


class _Details:
    """What is finer than a few voxels in each slice of the original, in several views."""

    def __init__(self, views: list[Floats]) -> None:
        self.shape = views[0].shape[1:]
        self._rows = [np.stack([_details(image) for image in view]) for view in views]

    def matches(
        self, suspect: Array, placement: Placement
    ) -> tuple[IntArray, npt.NDArray[np.float64]]:
        """Return the slice that each of the suspect resembles most, and the correlation."""
        there = placement.covered(suspect.shape[1:], self.shape)
        mask = there[: there.shape[0] // 2 * 2 : 2, : there.shape[1] // 2 * 2 : 2].ravel()
        norms = [np.sqrt(np.maximum((rows * rows) @ mask, 1e-9)) for rows in self._rows]
        best = np.full(len(suspect), -1)
        scores = np.zeros(len(suspect))
        for k, layer in enumerate(suspect):
            own = _details(placement.onto_original(_finite(layer), self.shape)) * mask
            length = max(float(np.linalg.norm(own)), 1e-9)
            for rows, norm in zip(self._rows, norms, strict=True):
                found = np.abs(rows @ own) / (norm * length)
                if found.max() > scores[k]:
                    scores[k], best[k] = found.max(), found.argmax()
        return best, scores


def _details(image: Floats) -> Floats:
    height, width = (size // 2 * 2 for size in image.shape)
    half = image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    fine = half - ndimage.gaussian_filter(half, 2)
    # A few bright edges do not say where the rest is.
    limit = 4 * float(np.median(np.abs(fine[fine != 0]))) if fine.any() else 0.0
    return np.asarray(np.clip(fine, -limit, limit).ravel(), np.float32)


def _registered(
    suspect: Array, original: Array, views: list[Floats], details: _Details
) -> Placement:
    """Find how a suspect of another size or angle lies on the original."""
    contents = np.argsort([-float(_finite(layer).std()) for layer in suspect])
    some = sorted(contents[: max(1, len(suspect) // 2)].tolist())
    some = [some[i] for i in np.linspace(0, len(some) - 1, min(_REGISTERED, len(some))).astype(int)]
    first = suspect[some[len(some) // 2]][np.newaxis]
    found = []
    for pose in find_poses(_finite(first[0]), views):
        _, scores = details.matches(first, Placement(pose.matrix, pose.offset, ()))
        found.append((float(scores[0]), pose))
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
        found, _ = details.matches(layer[np.newaxis], placement)
        if found[0] < 0:
            return pose
        z = int(found[0])
        placement = replace(placement, sources=(((z, 1.0),),))
        tone = tone_of(layer[np.newaxis], original, placement)
        host = tone(original[z].astype(np.float32))
        pose = register(_finite(layer), host, replace(pose, z=z))
    _, scores = details.matches(layer[np.newaxis], Placement(pose.matrix, pose.offset, ()))
    return replace(pose, score=float(scores[0]))


def _sourced(placement: Placement, found: IntArray, scores: npt.NDArray[np.float64]) -> Placement:
    sources = tuple(
        ((int(z), 1.0),) if score > _LEAST else () for z, score in zip(found, scores, strict=True)
    )
    return replace(placement, sources=sources)


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
