"""How a copy was turned and scaled where nobody knows which part of the marked slices it shows.

What was cut, or put on a larger picture, keeps no middle. Then blocks are looked for first, by
their lattice alone (`comb`): a window of the flattest tissue is sampled with every geometry that
may be, and wherever blocks may begin. The likeliest are followed to the whole slice; only then the
pilots say which block is which, and how it was mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.alignment import BODIES, place_blocks
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.climb import changed, climb, scales_apart, turn, turns_apart
from MedWatermarkLib.comb import CombTable, ask_everywhere, ask_here
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.sites import Sites
from MedWatermarkLib.suspect import Suspect

# Half of the window's side in voxels for so many slices, the most that are looked at.
_HALVES = {n: max(32.0, 8.0 * round(14 / n**0.7)) for n in range(1, 17)}
# The most where angles are looked for, of which there are more than sizes.
_HALF_OF_ANGLES = 80.0
# The same where both angle and scale are looked for, in at least so many slices.
_HALF_OF_BOTH, _SEVERAL = 24.0, 8
# Geometries of each kind that are followed, and the scores that a right one passes: in the first
# window, in those that grew, and in the last.
_FOLLOWED, _WORTHWHILE = 12, 4.5
_BARS = (5.0, 7.0)

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


def find_grids(voxels: Array, where: Sites) -> tuple[Iterator[Geometry], ...]:
    """Look for the geometry of a copy of which nobody knows what part it shows.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Returns
    -------
    one, both : iterators of Geometry
        Those that the lattice speaks for, each when it is found: of one, sizes first, then angles;
        of both, in a volume, sizes and angles at once.
    """
    copy = Suspect.of(voxels, where, _HALVES)
    if copy is None:
        return iter(()), iter(())
    search = _Search(copy, where, voxels)
    half, less = copy.half, min(copy.half, _HALF_OF_ANGLES)
    one = chain(
        search.among(np.array([0, np.pi / 2]), scales_apart(half), half),
        search.among(turns_apart(less), np.ones(1), less),
    )
    if len(copy.slices) < _SEVERAL:
        return one, iter(())
    half = _HALF_OF_BOTH
    return one, search.among(turns_apart(half), scales_apart(half), half)


class _Search:
    def __init__(self, copy: Suspect, where: Sites, voxels: Array) -> None:
        self._copy, self._where = copy, where
        self._voxels = np.ascontiguousarray(voxels[copy.slices])
        self._table = CombTable(where.patterns[0])
        self._splines = np.ascontiguousarray(copy.splines.transpose(1, 2, 0))
        self._inside = np.ascontiguousarray(copy.inside.transpose(1, 2, 0), np.float32)

    def among(self, angles: FloatArray, scales: FloatArray, half: float) -> Iterator[Geometry]:
        # But for its sign the pattern looks alike from behind, and mirrored on the diagonal.
        matrices = np.array(
            [
                scale * turn(float(angle))
                for angle in angles[angles < np.pi - 1e-9]
                for scale in scales
            ]
        )
        steps = np.tile(self._copy.steps_at(scales), (len(matrices) // len(scales), 1))
        window = np.broadcast_to(self._copy.window, (len(matrices), 2))
        maps = np.hstack([matrices.reshape(-1, 4), window])
        found = ask_everywhere(self._splines, self._inside, maps, half, self._table, steps)
        for i in np.argsort(-found[:, 0], kind="stable")[:_FOLLOWED]:
            if found[i, 0] < _WORTHWHILE:
                break
            first = window[i] + matrices[i] @ found[i, 1:3]
            grid = self._follow(matrices[i], first, float(found[i, 3]), half)
            if grid is not None:
                yield self._placed(*grid)

    def _follow(
        self, matrix: FloatArray, first: FloatArray, step: float, half: float
    ) -> tuple[Geometry, float] | None:
        def ask(states: FloatArray, half: float, steps: FloatArray) -> FloatArray:
            maps = np.array([[*changed(matrix, one).ravel(), *one[3:]] for one in states])
            return ask_here(self._splines, self._inside, maps, half, self._table, steps)

        found = climb(ask, first, step, half, self._copy.reach(matrix), _BARS)
        if found is None:
            return None
        state, step = found
        return Geometry(changed(matrix, state), state[3:]), step

    def _placed(self, grid: Geometry, step: float) -> Geometry:
        """Return the geometry with its place on the canonical plane, as the pilots have it."""
        straight, first = grid.straighten(self._voxels)
        height, width = (BLOCK * (size // BLOCK) for size in straight.shape[1:])
        straight = straight[:, :height, :width]
        far = np.array([height - 1, width - 1], np.float64)
        best, best_score = grid, -np.inf
        for behind in (False, True):
            for mirrored in (False, True):
                seen = straight[:, ::-1, ::-1] if behind else straight
                seen = seen.transpose(0, 2, 1) if mirrored else seen
                # Voxel p of what is seen is voxel view @ p + start of the straight copy.
                view = np.eye(2)[::-1] if mirrored else np.eye(2)
                view, start = (-view, far) if behind else (view, np.zeros(2))
                for score, *place in self._places(np.ascontiguousarray(seen), step):
                    if score > best_score:
                        origin = start + BLOCK * (np.array(first) - view @ place)
                        shift = grid.matrix @ origin + grid.shift
                        best, best_score = Geometry.nearest(grid.matrix @ view, shift), score
        return best

    def _places(self, straight: Array, step: float) -> Iterator[tuple[float, int, int]]:
        """Return where the straight copy may begin on the canonical plane, in blocks."""
        blocks = Blocks(straight)
        for guess in BODIES:
            body = blocks.body(*guess)
            if body.any():
                yield place_blocks(blocks, body, self._where, step)
