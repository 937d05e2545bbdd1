"""Geometries that a copy may have, and what the pilots say of them in a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.climb import changed, turn
from MedWatermarkLib.pilot_search import KnownBits, ask_pilots
from MedWatermarkLib.suspect import Suspect

#: Columns of `Candidates.turns`.
ANGLE, SCALE = 0, 1

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Geometries that may be.

    Attributes
    ----------
    turns : (n, 4) float64 array
        Angle, logarithm of the scale, -1 if it is mirrored, and 1 for the other of two sizes that
        the picture may have had before: where it was turned one from which it grew with that,
        where it was scaled one whose outermost voxels' centres, not edges, stayed outermost.
    maps : (n, 6) float64 array
        Matrix, row by row, and shift.
    centres : (n, 2) float64 array
        Middle of the window on the canonical plane.
    beside : int
        How many that follow each other are beside each other.
    """

    turns: FloatArray
    maps: FloatArray
    centres: FloatArray
    beside: int


@dataclass(frozen=True, eq=False)
class Seen(Candidates):
    """Geometries and what the pilots say of them, as `ask_pilots` returns it, (n, 5)."""

    found: FloatArray

    @classmethod
    def by(
        cls,
        copy: Suspect,
        table: KnownBits,
        steps: FloatArray,
        some: Candidates,
        half: float,
        offsets: int = 1,
    ) -> Seen:
        """Ask the pilots in a window."""
        found = ask_pilots(
            copy.splines, copy.inside, copy.slices, some.maps, some.centres, half, table, steps,
            offsets,
        )  # fmt: skip
        return cls(some.turns, some.maps, some.centres, some.beside, found)

    @property
    def scores(self) -> FloatArray:
        """Scores, in standard deviations of a chance one, (n,)."""
        return self.found[:, 0]

    def order(self) -> npt.NDArray[np.intp]:
        """Return which are the best, best first."""
        return np.argsort(-self.scores, kind="stable")

    def best(self) -> Seen:
        """Return of those that are beside each other the best."""
        rows = self.scores.reshape(-1, self.beside)
        best = rows.argmax(axis=1) + self.beside * np.arange(len(rows))
        return Seen(self.turns[best], self.maps[best], self.centres[best], 1, self.found[best])

    def beside_best(self, most: int, apart: float) -> Candidates:
        """Return the best, each with what is beside it in the window.

        A right one may be behind hundreds by chance where a window holds few pilots.
        """
        kept = self.order()[:most]
        ways = apart * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        turns = np.repeat(self.turns[kept], len(ways), axis=0)
        turns[:, :2] += np.tile(ways, (len(kept), 1))
        maps = []
        for i in kept:
            matrix = self.maps[i, :4].reshape(2, 2)
            place = matrix @ (self.centres[i] + self.found[i, 1:3]) + self.maps[i, 4:]
            for angle, scale in ways:
                there = changed(matrix, np.array([angle, scale, scale]))
                maps.append([*there.ravel(), *(place - there @ self.centres[i])])
        centres = np.repeat(self.centres[kept], len(ways), axis=0)
        return Candidates(turns, np.array(maps).reshape(-1, 6), centres, len(ways))

    def lines(self, most: int, column: int, apart: float, away: int) -> FloatArray:
        """Return the turns of the best, each with so many on either side that differ in a column.

        Of angle and scale the other one is nothing.
        """
        kept = self.turns[self.order()[:most]]
        kept[:, ANGLE + SCALE - column] = 0
        beside = np.zeros((2 * away + 1, 4))
        beside[:, column] = apart * np.arange(-away, away + 1)
        return np.asarray((kept[:, None] + beside).reshape(-1, 4))


def turns_of(copy: Suspect, angles: FloatArray, scales: FloatArray, mirrored: bool) -> FloatArray:
    """Return the turns that may be, (n, 4)."""
    return np.array(
        [
            (angle, np.log(scale), mirror, other)
            for angle in angles
            for scale in scales
            for other in range(len(_middles_before(turn(float(angle)), float(scale), copy.size)))
            for mirror in ((1.0, -1.0) if mirrored else (1.0,))
        ]
    )


def centred(copy: Suspect, turns: FloatArray, beside: int = 1) -> Candidates:
    """Return the geometries that turn and scale and leave the middle in the middle."""
    maps = []
    for angle, scale, mirror, other in turns:
        way = turn(float(angle))
        matrix = np.exp(scale) * way @ np.diag([1.0, mirror])
        middles = _middles_before(way, float(np.exp(scale)), copy.size)
        middle = middles[-1 if other else 0]
        maps.append([*matrix.ravel(), *(copy.middle - matrix @ middle)])
    table = np.array(maps)
    matrices, moved = table[:, :4].reshape(-1, 2, 2), copy.window - table[:, 4:]
    centres = np.linalg.solve(matrices, moved[..., None])[..., 0].astype(np.float64)
    return Candidates(turns, table, centres, beside)


def _middles_before(way: FloatArray, scale: float, size: FloatArray) -> list[FloatArray]:
    """Return where the middle may have been before a picture was turned and scaled."""
    grown, edges = np.abs(way), (size / scale - 1) / 2
    if grown[0, 1] < 1e-9:
        # What scales may keep the outermost voxels' edges where they are, or their centres.
        return [edges] if scale == 1 else [edges, (size - 1) / scale / 2]
    if abs(np.linalg.det(grown)) < 0.05:
        # At half a right angle the sizes follow only where they are alike.
        before = np.asarray(size / grown.sum(axis=1))
    else:
        before = np.asarray(np.linalg.solve(grown, size), np.float64)
    # Unless it kept its size, it grew, so that nothing of it was lost.
    return [edges, (before / scale - 1) / 2] if before.min() > 0.5 * size.min() else [edges]
