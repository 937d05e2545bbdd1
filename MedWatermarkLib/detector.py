"""Reading a mark blind: from voxels and key alone.

Where the plain reading finds no message, impulses are taken out, a filter is taken back and
contrast is evened; where it finds nothing, two cuts are tried and the geometries that the pilots
speak for, each at most twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.alignment import Alignment, find_alignments
from MedWatermarkLib.averaged import MEANS
from MedWatermarkLib.contrast import even_contrast
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.gain import RESAMPLED
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.geometry_search import find_geometries, look_around
from MedWatermarkLib.grid_search import find_grids
from MedWatermarkLib.impulses import without_impulses
from MedWatermarkLib.interpolation import undo_linear
from MedWatermarkLib.reader import read_at
from MedWatermarkLib.sites import Sites
from MedWatermarkLib.smoothing import find_smoothing
from MedWatermarkLib.undone import Undone

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Attempt:
    """A way to read what the plain reading does not.

    Attributes
    ----------
    share : float
        What share of the work is done when it begins.
    wanted : "message" or "tag"
        It is tried where this was not read before.
    read : callable
        Yields readings, until one gives what is wanted.
    """

    share: float
    wanted: str
    read: Callable[[Array, Sites], Iterator[Extracted]]


def detect(
    voxels: Array,
    where: Sites,
    progress: Callable[[float], None],
    leave_out: Collection[str] = (),
) -> Extracted:
    """Read a mark.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites
    progress : callable
        Called with the share that is done, from 0 to 1.
    leave_out : collection of str
        Names of `ATTEMPTS` that need not be made.
    """
    progress(0.0)
    best = read_at(voxels, where)
    checked = best.checked
    if best.message is None and (repaired := without_impulses(voxels)) is not None:
        voxels = repaired
        again = read_at(voxels, where)
        checked += again.checked
        best = max(again, best, key=_worth)
    for name, attempt in ATTEMPTS.items():
        if name in leave_out or getattr(best, attempt.wanted) is not None:
            continue
        progress(attempt.share)
        for found in attempt.read(voxels, where):
            checked += found.checked
            if _says(found) > _says(best):
                best = found
    progress(1.0)
    undone = None if best.undone is None or best.undone.is_nothing else best.undone
    # What was held against the check in other readings had no message to agree with.
    checked = checked if best.message is None else best.checked
    return replace(best, checked=checked, undone=undone)


def _unfiltered(voxels: Array, where: Sites) -> Iterator[Extracted]:
    smoothing = find_smoothing(voxels, where)
    if smoothing is not None:
        found = read_at(smoothing.taken_back(voxels), where)
        yield _also(found, smoothing=smoothing, gain=None)


def _evened(voxels: Array, where: Sites) -> Iterator[Extracted]:
    yield _also(read_at(even_contrast(voxels, where), where), nonlinear=True, gain=None)


def _cut(voxels: Array, where: Sites) -> Iterator[Extracted]:
    for alignment in find_alignments(voxels, where):
        found = read_at(voxels, where, alignment)
        yield _also(found, geometry=Geometry(np.eye(2), -np.array(found.origin, np.float64)))
        if found.tag is not None:
            break


def _averaged(voxels: Array, where: Sites) -> Iterator[Extracted]:
    for mean in MEANS:
        found = read_at(voxels, where, mean=mean)
        yield _also(found, averaged=mean)
        if found.tag is not None:
            break


def _bent(voxels: Array, where: Sites) -> Iterator[Extracted]:
    searches = zip(find_geometries(voxels, where), find_grids(voxels, where), strict=True)
    for geometry in chain.from_iterable(chain.from_iterable(searches)):
        found = _also(_read_straight(voxels, where, geometry), geometry=geometry)
        # Of readings that are worth as much that with the exact geometry comes first.
        yield from sorted([*_beside(voxels, where, found), found], key=_worth, reverse=True)
        if found.tag is not None:
            break


#: What is tried, in turn.
ATTEMPTS = {
    "filters": Attempt(0.05, "message", _unfiltered),
    "contrast": Attempt(0.1, "message", _evened),
    "cuts": Attempt(0.2, "tag", _cut),
    "means": Attempt(0.35, "tag", _averaged),
    "turns": Attempt(0.4, "tag", _bent),
}


def _also(found: Extracted, **changes: Any) -> Extracted:
    """Return what was read, with more of what was undone for it."""
    undone = replace(found.undone or Undone(), **changes)
    if not undone.geometry.is_exact and abs((undone.gain or 1) - 1) < RESAMPLED:
        undone = replace(undone, gain=None)
    y, x = (0, 0) if undone.bent else map(round, undone.origin)
    return replace(found, origin=(y, x), undone=undone)


def _read_straight(voxels: Array, where: Sites, geometry: Geometry) -> Extracted:
    """Read a copy that is laid straight, and if that is not enough, without interpolation's blur.

    The blur of linear interpolation is taken out only then, since of another it would make more.
    """
    straight, first = geometry.straighten(voxels)
    alignment = Alignment(dy=first[0], dx=first[1])
    found = read_at(straight, where, alignment)
    if found.message is not None or not found.evidence or geometry.is_exact:
        return found
    sharp = read_at(undo_linear(voxels, geometry, straight, first), where, alignment)
    return replace(max(found, sharp, key=_worth), checked=found.checked + sharp.checked)


def _beside(voxels: Array, where: Sites, found: Extracted) -> Iterator[Extracted]:
    """Read with geometries beside one that reads: an exact one, and that of which most is said."""
    was = found.undone
    if was is None or found.tag is None or found.step is None or was.geometry.is_exact:
        return
    exact = was.geometry.exact_beside((np.array(voxels.shape[1:]) - 1) / 2)
    if exact is not None:
        read = _also(_read_straight(voxels, where, exact), geometry=exact)
        yield read
        if all(one.tag for one in read.slices):
            return
    geometry = look_around(voxels, where, was.geometry, found.step, found.tag, found.message)
    if geometry is not None:
        yield _also(_read_straight(voxels, where, geometry), geometry=geometry)


def _worth(found: Extracted) -> tuple[tuple[bool, bool], int, float]:
    return _says(found), sum(one.tag for one in found.slices), found.confidence


def _says(found: Extracted) -> tuple[bool, bool]:
    return found.message is not None, found.tag is not None
