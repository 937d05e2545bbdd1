"""Reading a mark blind: from voxels and key alone.

Where the plain reading finds nothing, two cuts and at most 84 geometries are tried, each at most
twice. A tag is taken only if its check of 32 bits agrees, a message if it has the 64 bits of the
SHA-256 that the tag says; and a tag is decoded only where the pilots show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.alignment import Alignment, find_alignments
from MedWatermarkLib.averaged import MEANS, shift_of, solve
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.decoding import (
    ReadTag,
    TagEvidence,
    message_of,
    read_message,
    read_tag,
    tag_of,
)
from MedWatermarkLib.extracted import Extracted, SliceReading, told, unread
from MedWatermarkLib.gain import gain_of, stretch
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.geometry_search import find_geometries, look_around
from MedWatermarkLib.grid_search import find_grids
from MedWatermarkLib.interpolation import undo_linear
from MedWatermarkLib.modulation import encoded
from MedWatermarkLib.order import Order, shown_phases
from MedWatermarkLib.pilots import SIGNIFICANT, Sync, synchronise
from MedWatermarkLib.reliability import KINDS, Reliability, kinds_of, reliability_of, stretches_of
from MedWatermarkLib.sites import (
    MESSAGE,
    MESSAGE_PROJECTIONS,
    PHASES,
    TAG,
    TAG_PROJECTIONS,
    Sites,
    places,
)
from MedWatermarkLib.soft import log_ratios
from MedWatermarkLib.strength import rung_of, step, step_ratio
from MedWatermarkLib.tag import TAG_BITS
from MedWatermarkLib.undone import Undone

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatRows = npt.NDArray[np.float32]

# Projections looked at before a tag says how many there are.
_FIRST_LOOK = 4
# Which blocks may be marked: those that embedding would take; those with a few voxels that were
# clipped, or hit by impulses, too; and all of them, where a window left nothing of the air.
_BODIES = ((0, True), (4, True), (4, False))

# Of a copy that was resampled the mark is weaker, as if voxels were multiplied by less than 1: no
# gain is told of it that is nearer to that.
_BLENDED = 0.2


def detect(voxels: Array, where: Sites, progress: Callable[[float], None]) -> Extracted:
    """Read a mark.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites
    progress : callable
        Called with the share that is done, from 0 to 1.
    """
    progress(0.0)
    best = _read_at(voxels, where, Alignment())
    if best.tag is None:
        progress(0.2)
        for alignment in find_alignments(voxels, where):
            found = _read_at(voxels, where, alignment)
            if found.tag is not None:
                cut = Geometry(np.eye(2), -np.array(found.origin, np.float64))
                best = _also(found, geometry=cut)
                break
    if best.tag is None:
        progress(0.35)
        for mean in MEANS:
            found = _read_at(voxels, where, Alignment(), mean)
            if found.tag is not None:
                best = _also(found, averaged=mean)
                break
    if best.tag is None:
        progress(0.4)
        searches = zip(find_geometries(voxels, where), find_grids(voxels, where), strict=True)
        for geometry in chain.from_iterable(chain.from_iterable(searches)):
            found = _read_straight(voxels, where, geometry)
            if found.tag is not None:
                best = _beside(voxels, where, _also(found, geometry=geometry))
                break
    progress(1.0)
    return best if best.undone and not best.undone.is_nothing else replace(best, undone=None)


def _also(found: Extracted, **changes: Any) -> Extracted:
    """Return what was read, with more of what was undone for it."""
    undone = replace(found.undone or Undone(), **changes)
    if not undone.geometry.is_exact and abs((undone.gain or 1) - 1) < _BLENDED:
        undone = replace(undone, gain=None)
    y, x = (0, 0) if undone.bent else map(round, undone.origin)
    return replace(found, origin=(y, x), undone=undone)


def _read_straight(voxels: Array, where: Sites, geometry: Geometry) -> Extracted:
    """Read a copy that is laid straight, and if that is not enough, without interpolation's blur.

    The blur of linear interpolation is taken out only then, since of another it would make more.
    """
    straight, first = geometry.straighten(voxels)
    alignment = Alignment(dy=first[0], dx=first[1])
    found = _read_at(straight, where, alignment)
    if found.message is not None or not found.evidence or geometry.is_exact:
        return found
    sharp = _read_at(undo_linear(voxels, geometry, straight, first), where, alignment)
    return max(found, sharp, key=_worth)


def _beside(voxels: Array, where: Sites, found: Extracted) -> Extracted:
    """Return what is read with a geometry beside one that reads, if that is more."""
    was = found.undone
    if was is None or was.geometry.is_exact or all(one.tag for one in found.slices):
        return found
    geometry = look_around(voxels, where, was.geometry, found.step or 1.0)
    if geometry is None:
        return found
    other = _also(_read_straight(voxels, where, geometry), geometry=geometry)
    return max(found, other, key=_worth)


def _worth(found: Extracted) -> tuple[bool, bool, int, float]:
    alone = sum(one.tag for one in found.slices)
    return found.message is not None, found.tag is not None, alone, found.confidence


def _read_at(voxels: Array, where: Sites, alignment: Alignment, mean: int = 1) -> Extracted:
    rows = where.patterns[:_FIRST_LOOK]
    blocks = Blocks(voxels, rows, alignment.top, alignment.left)
    groups = [_BODIES] if blocks.looks_clipped() else [_BODIES[:1], _BODIES[1:]]
    silent = tuple(SliceReading(False, False, 0.0) for _ in voxels)
    found = Extracted(None, None, silent, 0.0, None, None, (0, 0))
    for group in groups:
        bodies = [blocks.body(clipped, air) for clipped, air in group]
        dy, dx = alignment.dy, alignment.dx
        syncs = [synchronise(blocks, b, where, dy, dx, mean) for b in bodies]
        # Blocks more that carry the mark raise the score, and blocks that do not lower it.
        sync, body = max(zip(syncs, bodies, strict=True), key=_score)
        if sync is not None and sync.score >= SIGNIFICANT:
            view = _View(voxels, where, alignment, blocks, body)
            found = _read(view, sync) if mean == 1 else _read_means(view, sync, mean)
        if found.tag is not None:
            break
    return found


def _score(candidate: tuple[Sync | None, BoolArray]) -> float:
    return 0.0 if candidate[0] is None else candidate[0].score


class _View:
    """The body's blocks of a volume, each with its role and rank."""

    def __init__(
        self, voxels: Array, where: Sites, alignment: Alignment, blocks: Blocks, body: BoolArray
    ) -> None:
        self.where = where
        self.alignment = alignment
        self.depth = len(voxels)
        self._voxels = voxels
        self._blocks = blocks
        self._index = np.nonzero(body)
        _, by, bx = self._index
        self._roles = where.roles(by + alignment.dy, bx + alignment.dx)
        self._ranks = where.ranks(by + alignment.dy, bx + alignment.dx)
        self.span = blocks.span(body)

    def of(
        self, role: int, width: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatRows, FloatArray]:
        """Return slice, rank, projections and range of the blocks of a role."""
        if width > self._blocks.projections.shape[-1]:
            rows, a = self.where.patterns[:width], self.alignment
            self._blocks = Blocks(self._voxels, rows, a.top, a.left)
        chosen = self._roles == role
        z, by, bx = (axis[chosen] for axis in self._index)
        values = self._blocks.projections[z, by, bx, :width]
        return z, self._ranks[chosen], values, self._blocks.range_at(z, by, bx)


@dataclass(frozen=True, eq=False)
class _Received:
    """The symbols of a role as they arrived, with the place of each in its code word."""

    slices: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    scramble: npt.NDArray[np.uint8]
    phase: npt.NDArray[np.float32]
    length: int
    depth: int

    def ratios(self, reliability: Reliability, ratio: float = 1.0) -> FloatRows:
        """Return the log ratios of the code word's bits, symbol by symbol, positive for a 1.

        The reliability is of steps that are shorter by a ratio.
        """
        width = self.phase.shape[1]
        deviation = reliability.deviation(width, ratio).reshape(-1, width)
        kinds = self.slices * KINDS + self.kinds
        ratios = log_ratios(self.phase, kinds, deviation, reliability.unmarked)
        return np.asarray(ratios * (1 - 2 * self.scramble.astype(np.float32)))

    def words(self, reliability: Reliability, ratio: float = 1.0) -> FloatRows:
        """Return the log ratios of each slice's code word, 0 where nothing was received."""
        index = self.slices[:, None] * self.length + self.places
        ratios = self.ratios(reliability, ratio)
        sums = np.bincount(index.ravel(), ratios.ravel(), self.depth * self.length)
        return sums.reshape(self.depth, self.length).astype(np.float32)

    def correlations(self) -> FloatRows:
        """Return how much each slice speaks for a 1 in each bit of its code word."""
        waves = np.sin(2 * np.pi * self.phase) * (1 - 2.0 * self.scramble)
        index = self.slices[:, None] * self.length + self.places
        sums = np.bincount(index.ravel(), waves.ravel(), self.depth * self.length)
        return sums.reshape(self.depth, self.length).astype(np.float32)

    def signs(self, word: npt.NDArray[np.uint8]) -> FloatRows:
        """Return what the symbols of a known code word should say, 1 and -1."""
        return (2.0 * (word[self.places] ^ self.scramble) - 1).astype(np.float32)

    def stretched(self, stretches: FloatArray) -> _Received:
        """Return them on lattices that are longer; more patterns are as the last that is known."""
        patterns = np.minimum(np.arange(self.phase.shape[1]), stretches.shape[1] - 1)
        by = stretches[self.kinds][:, patterns].astype(np.float32)
        return replace(self, phase=self.phase / by)


def _received(view: _View, sync: Sync, role: int, width: int, ratio: float, bits: int) -> _Received:
    """Return the symbols of a role, whose step is that of the tag times a ratio."""
    slices, ranks, values, ranges = view.of(role, width)
    length = TurboCode.length_of(bits)
    order, scramble = view.where.order(length)
    place = places(ranks, width, length, sync.phases[slices])
    phase = (values / (sync.step * ratio)).astype(np.float32)
    kinds = kinds_of(ranges, sync.step)
    return _Received(slices, kinds, order[place], scramble[place], phase, length, view.depth)


def _read(view: _View, sync: Sync) -> Extracted:
    evidence = []
    for width in TAG_PROJECTIONS:
        received = _received(view, sync, TAG, width, 1.0, TAG_BITS)
        evidence.append(
            TagEvidence(received.correlations(), rung_of(sync.step / step(1, TAG, width)))
        )
        read = read_tag(received.words(sync.reliability))
        if read.tag is not None:
            break
    else:
        return unread(read, tuple(evidence))

    # Every bit of the tag is known now, and says more of gain and noise than the pilots could.
    signs = received.signs(encoded(read.tag.to_bytes()))
    longer, error = stretch(received.phase, signs)
    sync = replace(sync, step=sync.step * longer)
    gain = gain_of(sync.step, error, read.tag.rung, width, view.span)
    received = replace(received, phase=received.phase / np.float32(longer))
    stretches = stretches_of(received.phase, signs, received.kinds)
    received = received.stretched(stretches)
    reliability = reliability_of(received.phase, signs, received.slices, received.kinds, view.depth)
    density = MESSAGE_PROJECTIONS[read.tag.density]
    ratio = step_ratio(density, width)
    received = _received(view, sync, MESSAGE, density, ratio, 8 * read.tag.codewords)
    received = received.stretched(stretches)
    words = received.words(reliability, ratio)
    symbols = np.bincount(received.slices, minlength=view.depth) * density
    message = read_message(words, np.where(read.agreeing, symbols, 0), read.tag)
    phases = _phases(view, sync, read, encoded(read.tag.to_bytes()), width)
    found = told(read, message, tuple(evidence), sync.step, view.alignment.origin, phases)
    return replace(found, undone=Undone(gain=gain, order=Order.of(phases)))


def _phases(
    view: _View, sync: Sync, read: ReadTag, word: npt.NDArray[np.uint8], width: int
) -> list[int | None]:
    """Return the phase of each slice: that at which its tag reads, or which the tag's bits show."""
    slices, ranks, values, _ = view.of(TAG, width)
    waves = np.sin(values * np.float32(2 * np.pi / sync.step))
    order, scramble = view.where.order(len(word))
    laid = (2.0 * (word[order] ^ scramble) - 1).astype(np.float32)
    agreeing = [
        (waves * laid[places(ranks, width, len(word), phase)]).sum(axis=1)
        for phase in range(PHASES)
    ]
    sums = np.stack([np.bincount(slices, one, view.depth) for one in agreeing], axis=1)
    counts = width * np.bincount(slices, minlength=view.depth)
    shown = shown_phases(sums / np.sqrt(np.maximum(counts, 1) / 2)[:, None])
    return [
        int(at) if tag is not None else phase
        for at, tag, phase in zip(sync.phases, read.alone, shown, strict=True)
    ]


def _read_means(view: _View, sync: Sync, mean: int) -> Extracted:
    """Read slices that are means of neighbours, whose bits are sums of those of the neighbours."""
    silent = Extracted(
        None, None, tuple(SliceReading(False, False, 0.0) for _ in range(view.depth)), 0.0, None,
        None, (0, 0),
    )  # fmt: skip
    for width in TAG_PROJECTIONS:
        terms, received = _summed(view, sync, TAG, width, 1.0, TAG_BITS, mean)
        bits = solve(terms, received.ratios(sync.reliability), TurboCode(TAG_BITS))
        tag = None if bits is None else tag_of(bits)
        if tag is not None:
            break
    else:
        return silent
    word, lattice = encoded(tag.to_bytes()), shift_of(mean)
    sums = np.bitwise_xor.reduce([word[one] for one in terms]) ^ received.scramble
    longer, error = stretch(received.phase, (2.0 * sums - 1).astype(np.float32), lattice)
    arrived = mean * sync.step * longer
    gain = gain_of(arrived, error, tag.rung, width, view.span)
    density = MESSAGE_PROJECTIONS[tag.density]
    ratio, code = step_ratio(density, width), TurboCode(8 * tag.codewords)
    terms, received = _summed(view, sync, MESSAGE, density, ratio, code.bits, mean)
    bits = solve(terms, received.ratios(sync.reliability, ratio), code)
    message = None if bits is None else message_of(bits, tag)
    return replace(
        silent,
        message=message,
        tag=tag,
        confidence=float(message is not None),
        modules=None
        if message is None or bits is None
        else qr.module_values(qr.version_for(tag.codewords), bits.astype(np.float64)),
        step=arrived,
        origin=view.alignment.origin,
        undone=Undone(gain=gain),
    )


def _summed(
    view: _View, sync: Sync, role: int, width: int, ratio: float, bits: int, mean: int
) -> tuple[list[npt.NDArray[np.int64]], _Received]:
    """Return where the bits stand whose sums were received, and the sums."""
    each = [
        _received(view, replace(sync, phases=(sync.phases + m) % PHASES), role, width, ratio, bits)
        for m in range(mean)
    ]
    scramble = np.bitwise_xor.reduce([one.scramble for one in each])
    phase = each[0].phase + np.float32(shift_of(mean))
    return [one.places for one in each], replace(each[0], scramble=scramble, phase=phase)
