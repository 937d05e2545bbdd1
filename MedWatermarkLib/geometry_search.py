"""How a copy was turned, mirrored and scaled: found from the pilots alone.

Every geometry that may be is tried on a window of a few blocks, of the flattest tissue, where half
a degree or half a percent more or less still shows the lattice. Where the window lies on the
canonical plane follows from the geometry: whatever turns or scales a picture leaves its middle in
the middle, whether it lets the picture grow with that or not. The likeliest are then refined in
windows that grow to the whole slice, where a right one stands out from all the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.pilot_search import WIDTH, PilotTable, ask_pilots
from MedWatermarkLib.sites import PILOT, Sites
from MedWatermarkLib.strength import GREATEST_DEFAULT, rung_below, step

# Slices looked at, the fullest ones; half of the window's side in voxels for so many slices.
_SLICES = 8
_HALVES = {1: 104.0, 2: 88.0, 3: 72.0, 4: 64.0, 5: 56.0, 6: 48.0, 7: 48.0, 8: 48.0}
# The same where both angle and scale are looked for, in a volume.
_HALF_OF_BOTH = 32.0
# Voxels at the window's edge by which neighbouring geometries differ: half as much still shows.
_APART = 0.6
# Scales that are tried.
_SMALLEST, _GREATEST = 0.5, 2.0
# Shifts, half a voxel apart, that rounding of sizes leaves open.
_OFFSETS = 8
# Steps tried where the voxels' unit is not known, in multiples of the noise.
_STEPS = 4.0 * 1.2 ** np.arange(14)
# Geometries of each kind that are refined, the best that score so much; the score that a right one
# then passes in a window that grew, and that over all of a slice: chance seldom does, and what is
# read has to pass a check of its own.
_REFINED, _WORTHWHILE = 12, 4.2
_LEFT_BEHIND, _SURE = 4.5, 5.5
# While one is refined: how much the window grows each time, the parts of a change that are tried,
# how often each, and the steps, in multiples of the one found last.
_GROWTH = 1.7
_SHRINKS = (1.0, 0.5, 0.25, 0.1)
_MOST_MOVES = 4
_STEPS_NEAR = np.array([0.97, 1.0, 1.03])

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Copy:
    """What is looked at of a copy."""

    splines: npt.NDArray[np.float32]
    inside: BoolArray
    slices: npt.NDArray[np.int64]
    size: FloatArray
    window: FloatArray
    noise: float

    @property
    def half(self) -> float:
        return _HALVES[len(self.slices)]

    @property
    def middle(self) -> FloatArray:
        return (self.size - 1) / 2


def find_geometries(voxels: Array, where: Sites) -> Iterator[Geometry]:
    """Look for the geometry of a copy.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Yields
    ------
    Those that the pilots speak for, each when it is found: mirrors and right angles first, then
    sizes, then angles, then, in a volume, both together.
    """
    copy = _looked_at(voxels, where)
    if copy is None:
        return
    table = PilotTable(where)
    usual = step(rung_below(GREATEST_DEFAULT), PILOT, WIDTH)
    steps = np.append(copy.noise * _STEPS, usual)
    turns, scales = _turns(copy.half), _scales(copy.half)
    straight, same = np.zeros(1), np.ones(1)
    kinds = [
        (np.arange(4) * np.pi / 2, same, steps, True, copy.half),
        (straight, scales, steps, False, copy.half),
        (turns, same, steps, True, copy.half),
    ]
    if len(copy.slices) == _SLICES:
        half = _HALF_OF_BOTH
        kinds.append((_turns(half), _scales(half), np.array([usual]), False, half))
    for angles, sizes, tried, mirrored, half in kinds:
        maps, centres = _geometries(copy, angles, sizes, mirrored)
        found = ask_pilots(
            copy.splines, copy.inside, copy.slices, maps, centres, half, table, tried, _OFFSETS
        )
        for i in np.argsort(-found[:, 0], kind="stable")[:_REFINED]:
            if found[i, 0] < _WORTHWHILE:
                break
            geometry = _refine(copy, table, maps[i], centres[i], found[i], half)
            if geometry is not None:
                yield geometry


def _turns(half: float) -> FloatArray:
    return np.arange(0, 2 * np.pi, _APART / half)


def _scales(half: float) -> FloatArray:
    return np.asarray(np.exp(np.arange(np.log(_SMALLEST), np.log(_GREATEST), _APART / half)))


def _looked_at(voxels: Array, where: Sites) -> _Copy | None:
    blocks = Blocks(voxels, where.patterns[:WIDTH])
    inside = blocks.body(4)
    counts = inside.sum(axis=(1, 2))
    full = np.argsort(-counts, kind="stable")[:_SLICES]
    slices = np.sort(full[counts[full] > 0])
    if not len(slices):
        return None
    chosen = np.ascontiguousarray(voxels[slices], np.float32)
    splines = np.stack(
        [ndimage.spline_filter(np.nan_to_num(s), 3, np.float32, "mirror") for s in chosen]
    )
    # Where the host is even, an error of half a voxel moves projections by little.
    energy = (blocks.projections[slices] ** 2).sum(axis=-1)
    usual = np.median(energy[inside[slices]])
    even = (inside[slices] / (1 + energy / max(usual, 1e-9))).mean(axis=0)
    side = int(2 * _HALVES[len(slices)] // BLOCK)
    place = ndimage.uniform_filter(even, side, mode="constant").argmax()
    window = BLOCK * (np.array(np.unravel_index(place, even.shape), np.float64) + 0.5)
    return _Copy(
        splines,
        np.ascontiguousarray(inside[slices]),
        slices.astype(np.int64),
        np.array(voxels.shape[1:], np.float64),
        window,
        max(blocks.noise(inside), 1e-6),
    )


def _geometries(
    copy: _Copy, angles: FloatArray, scales: FloatArray, mirrored: bool
) -> tuple[FloatArray, FloatArray]:
    """Return maps, and the middle of the window on the canonical plane for each."""
    maps = []
    for angle in angles:
        turn = _turn(float(angle))
        for size in _sizes_before(turn, copy.size):
            for mirror in (1.0, -1.0) if mirrored else (1.0,):
                for scale in scales:
                    matrix = scale * turn @ np.diag([1.0, mirror])
                    middle = (size / scale - 1) / 2
                    maps.append([*matrix.ravel(), *(copy.middle - matrix @ middle)])
    table = np.array(maps)
    return table, _centres(table, copy.window)


def _turn(angle: float) -> FloatArray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _sizes_before(turn: FloatArray, size: FloatArray) -> Iterator[FloatArray]:
    """Return the sizes, height and width, that a picture may have had before it was turned."""
    yield size
    grown = np.abs(turn)
    if grown[0, 1] > 1e-9 and abs(np.linalg.det(grown)) > 0.05:
        # It grew, so that nothing of it was lost.
        before = np.asarray(np.linalg.solve(grown, size), np.float64)
        if before.min() > 0.5 * size.min():
            yield before
    elif grown[0, 1] > 1e-9:
        # At half a right angle the sizes follow only where they are alike.
        yield size / grown.sum(axis=1)


def _centres(maps: FloatArray, window: FloatArray) -> FloatArray:
    matrices, moved = maps[:, :4].reshape(-1, 2, 2), window - maps[:, 4:]
    return np.asarray(np.linalg.solve(matrices, moved[..., None])[..., 0], np.float64)


def _refine(
    copy: _Copy,
    table: PilotTable,
    start: FloatArray,
    centre: FloatArray,
    found: FloatArray,
    half: float,
) -> Geometry | None:
    """Follow a geometry to where the pilots of windows that grow say most; None if they do not."""
    matrix = start[:4].reshape(2, 2)
    # Angle, logarithms of the scales along y and x, and where the window's middle lies.
    state = np.array([0.0, 0.0, 0.0, *(matrix @ (centre + found[1:3]) + start[4:])])
    step_found = float(found[3])
    reach = float(np.hypot(*copy.size)) / np.sqrt(abs(np.linalg.det(matrix)))
    is_first, is_last = True, False
    while True:
        fine = np.array([_APART / 2 / half] * 3 + [0.25, 0.25])
        for shrink in _SHRINKS[: len(_SHRINKS) if is_last else 2]:
            for _ in range(_MOST_MOVES):
                states = state + _moves(fine * shrink)
                maps = np.array([_map(one, matrix, centre) for one in states])
                centres = np.broadcast_to(centre, (len(maps), 2)).copy()
                steps = step_found * _STEPS_NEAR
                results = ask_pilots(
                    copy.splines, copy.inside, copy.slices, maps, centres, half, table, steps, 1
                )
                best = int(results[:, 0].argmax())
                score = float(results[best, 0])
                state, step_found = states[best], float(results[best, 3])
                if best == 0:
                    break
        if not is_first and score < (_SURE if is_last else _LEFT_BEHIND):
            return None
        if is_last:
            final = _map(state, matrix, centre)
            return Geometry.nearest(final[:4].reshape(2, 2), final[4:])
        half *= _GROWTH
        is_first, is_last = False, half * _GROWTH >= reach


def _moves(fine: FloatArray) -> FloatArray:
    """Return changes of a state: none, and either way of each part, and of both scales at once."""
    both = np.array([[0.0, fine[1], fine[2], 0.0, 0.0]])
    ways = np.vstack([np.diag(fine), both])
    return np.vstack([np.zeros((1, len(fine))), ways, -ways])


def _map(state: FloatArray, matrix: FloatArray, centre: FloatArray) -> FloatArray:
    changed = _turn(float(state[0])) @ matrix @ np.diag(np.exp(state[1:3]))
    return np.array([*changed.ravel(), *(state[3:] - changed @ centre)])
