"""How a copy was turned, mirrored and scaled: found from the pilots alone.

Every geometry that may be is tried on a window of a few blocks, of the flattest tissue, where half
a degree or half a percent more or less still shows the lattice. Where the window lies on the
canonical plane follows from the geometry: whatever turns or scales a picture leaves its middle in
the middle, whether it lets the picture grow with that or not. The likeliest are then refined in
windows that grow to the whole slice, where a right one stands out from all the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.candidates import ANGLE, SCALE, Seen, centred, turns_of
from MedWatermarkLib.climb import (
    APART,
    GROWTH,
    STEPS_NEAR,
    changed,
    climb,
    scales_apart,
    turn,
    turns_apart,
)
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.modulation import message_word, tag_word
from MedWatermarkLib.pilot_search import KnownBits, ask_pilots, known_bits, pilot_bits
from MedWatermarkLib.sites import MESSAGE, PILOT, PLAIN, TAG, Sites
from MedWatermarkLib.suspect import Suspect
from MedWatermarkLib.tag import Tag

# Half of the window's side in voxels for so many slices, the most that are looked at.
_HALVES = {1: 104.0, 2: 88.0, 3: 72.0, 4: 64.0, 5: 56.0, 6: 48.0, 7: 48.0, 8: 48.0}
# The same where both angle and scale are looked for, in a volume.
_HALF_OF_BOTH = 32.0
# Shifts, half a voxel apart, that rounding of sizes leaves open.
_OFFSETS = 3
# Geometries of each kind that are refined, the best that score so much: as many of a single slice,
# fewer of more, and at least so many; the score that a right one then passes in windows that grow,
# and that over all of a slice: chance seldom does, and what is read has to pass a check of its own.
_REFINED, _LEAST_REFINED, _WORTHWHILE = 24, 12, 4.2
_BARS = (4.5, 5.5)
# How many of a single slice are looked at twice, the second time in a window that is so much wider.
_SEEN_TWICE, _WIDER = 1000, 1.5
# Of how many of these all of a slice is asked, so many times on either side, and the score that
# makes one worth reading: where nothing was cut away the middle stays in the middle, which leaves
# one number to be found.
_ASKED_WHOLE, _AWAY, _LIKELY = 100, 9, 5.0
# How far around a geometry that reads another is looked for, in halves of what shows; and how many
# of those that are found are followed.
_AROUND, _CLIMBED = 12, 4

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


def find_geometries(voxels: Array, where: Sites) -> tuple[Iterator[Geometry], ...]:
    """Look for the geometry of a copy.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites

    Returns
    -------
    one, both : iterators of Geometry
        Those that the pilots speak for, each when it is found: of one, mirrors and right angles
        first, then sizes, then angles; of both, in a volume, sizes and angles at once.
    """
    copy = Suspect.of(voxels, where, _HALVES)
    if copy is None:
        return iter(()), iter(())
    turns, scales = turns_apart(copy.half), scales_apart(copy.half)
    straight, same = np.zeros(1), np.ones(1)
    search = partial(_among, copy, pilot_bits(where))
    one = chain(
        search(np.arange(4) * np.pi / 2, same, copy.steps, True, copy.half),
        search(straight, scales, copy.steps, False, copy.half),
        search(turns, same, copy.steps, True, copy.half),
    )
    if len(copy.slices) < max(_HALVES):
        return one, iter(())
    half = _HALF_OF_BOTH
    return one, search(turns_apart(half), scales_apart(half), copy.steps[-1:], False, half)


def _among(
    copy: Suspect,
    table: KnownBits,
    angles: FloatArray,
    scales: FloatArray,
    steps: FloatArray,
    mirrored: bool,
    half: float,
) -> Iterator[Geometry]:
    count, fine = len(copy.slices), APART / half / 3
    look = partial(Seen.by, copy, table, steps)
    seen = look(centred(copy, turns_of(copy, angles, scales, mirrored)), half, _OFFSETS)
    seen = look(seen.beside_best(_SEEN_TWICE // count, fine), _WIDER * half).best()
    # Of a whole volume a window says enough.
    if count < max(_HALVES):
        column = ANGLE if len(scales) == 1 else SCALE
        lines = seen.lines(max(_ASKED_WHOLE // count, 1), column, fine / 3, _AWAY)
        whole = copy.reach(np.eye(2) * scales.min())
        sure = look(centred(copy, lines, 2 * _AWAY + 1), whole).best()
        for i in sure.order():
            if sure.scores[i] >= _LIKELY:
                yield Geometry.nearest(sure.maps[i, :4].reshape(2, 2), sure.maps[i, 4:])
    for i in seen.order()[: max(_REFINED // count, _LEAST_REFINED)]:
        if seen.scores[i] < _WORTHWHILE:
            break
        geometry = _refine(copy, table, seen.maps[i], seen.centres[i], seen.found[i], half)
        if geometry is not None:
            yield geometry


def _refine(
    copy: Suspect,
    table: KnownBits,
    start: FloatArray,
    centre: FloatArray,
    found: FloatArray,
    half: float,
) -> Geometry | None:
    """Follow a geometry to where the pilots of windows that grow say most; None if they do not."""
    matrix = start[:4].reshape(2, 2)
    place = matrix @ (centre + found[1:3]) + start[4:]
    ask = partial(_ask, copy, table, matrix, centre)
    climbed = climb(ask, place, float(found[3]), half, copy.reach(matrix), _BARS)
    if climbed is None:
        return None
    final = _map(climbed[0], matrix, centre)
    return Geometry.nearest(final[:4].reshape(2, 2), final[4:])


def look_around(
    voxels: Array, where: Sites, geometry: Geometry, step: float, tag: Tag, message: bytes | None
) -> Geometry | None:
    """Return the geometry beside one that reads of which all that was read says most.

    Parameters
    ----------
    voxels, where
        As for `find_geometries`.
    geometry : Geometry
        One that is right but for a degree or two, and a few percent.
    step : float
        Lattice step of the pilots.
    tag : Tag
    message : bytes or None
        As far as they were read. Fine projections, which say the message, tell less from less.
    """
    copy = Suspect.of(voxels, where, _HALVES)
    if copy is None:
        return None
    layout, words = LAYOUTS[tag.density], {TAG: tag_word(tag)}
    bold = [pilot_bits(where), *known_bits(where, layout, words, TAG, 0)]
    # Whoever turns or scales a picture treats both of its axes alike.
    mirror = np.diag([1.0, -1.0 if geometry.mirrored else 1.0])
    matrix = np.asarray(geometry.scale * turn(np.radians(geometry.angle)) @ mirror, np.float64)
    centre = np.linalg.solve(matrix, copy.middle - geometry.shift).astype(np.float64)
    reach = copy.reach(matrix)
    beside = np.arange(-_AROUND, _AROUND + 1) * APART / 2 / reach
    states = np.array(
        [[angle, scale, scale, *copy.middle] for angle, scale in itertools.product(beside, beside)]
    )
    seen = _ask_all(copy, bold, matrix, centre, states, reach, step * STEPS_NEAR)[:, 0]
    tables = bold
    if message is not None:
        words[MESSAGE] = message_word(qr.data_codewords(message))
        said = [(MESSAGE, 0)]
        said += [(role, 1) for role in (PILOT, MESSAGE, PLAIN) if layout.fine]
        tables = bold + [one for what in said for one in known_bits(where, layout, words, *what)]
    # A slope may lead past what is best, from one of them.
    best, most = np.array([*matrix.ravel(), *geometry.shift]), 0.0
    for i in np.argsort(-seen, kind="stable")[:_CLIMBED]:
        start = changed(matrix, states[i])
        ask = partial(_ask_all, copy, tables, start, centre)
        climbed = climb(ask, copy.middle, step, reach / GROWTH, reach, (0.0, 0.0))
        if climbed is not None:
            score = float(ask(climbed[0][None], reach, climbed[1] * STEPS_NEAR)[0, 0])
            if score > most:
                best, most = _map(climbed[0], start, centre), score
    return Geometry.nearest(best[:4].reshape(2, 2), best[4:])


def _ask_all(
    copy: Suspect,
    tables: Sequence[KnownBits],
    matrix: FloatArray,
    centre: FloatArray,
    states: FloatArray,
    half: float,
    steps: FloatArray,
) -> FloatArray:
    """Ask all that is known at the middle one of some steps, which is known well by then."""
    found = [_ask(copy, one, matrix, centre, states, half, steps[1:2]) for one in tables]
    together = found[0]
    together[:, 0] = np.sum([one[:, 0] for one in found], axis=0)
    together[:, 3] = steps[1]
    return together


def _ask(
    copy: Suspect,
    table: KnownBits,
    matrix: FloatArray,
    centre: FloatArray,
    states: FloatArray,
    half: float,
    steps: FloatArray,
) -> FloatArray:
    maps = np.array([_map(one, matrix, centre) for one in states])
    centres = np.broadcast_to(centre, (len(maps), 2)).copy()
    return ask_pilots(copy.splines, copy.inside, copy.slices, maps, centres, half, table, steps, 1)


def _map(state: FloatArray, matrix: FloatArray, centre: FloatArray) -> FloatArray:
    there = changed(matrix, state)
    return np.array([*there.ravel(), *(state[3:] - there @ centre)])
