"""Reading a mark blind: from voxels and key alone.

Where the plain reading finds no message, impulses are taken out, a filter is taken back and
contrast is evened; where it finds nothing, two cuts and at most 84 geometries are tried, each at
most twice. A tag is taken only if its check of 32 bits agrees, a message if it has the 64 bits of
the SHA-256 that the tag says; and a tag is decoded only where the pilots show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from MedWatermarkLib.contrast import even_contrast
from MedWatermarkLib.decoding import (
    ReadTag,
    TagEvidence,
    message_of,
    read_message,
    read_more,
    read_tag,
    tag_of,
)
from MedWatermarkLib.extracted import Extracted, SliceReading, told, unread
from MedWatermarkLib.gain import FILTERED, RESAMPLED, gain_of, stretch
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.geometry_search import find_geometries, look_around
from MedWatermarkLib.grid_search import find_grids
from MedWatermarkLib.impulses import without_impulses
from MedWatermarkLib.interpolation import undo_linear
from MedWatermarkLib.layout import LAYOUTS, TAG_LAYOUTS, Layout, few_blocks, says_the_tag
from MedWatermarkLib.modulation import bits_at, message_word, tag_word
from MedWatermarkLib.order import Order, shown_phases
from MedWatermarkLib.pilots import SIGNIFICANT, Sync, candidates, synchronise
from MedWatermarkLib.polar_code import TAG_CODE, PolarCode
from MedWatermarkLib.reliability import (
    BOLD_NOISE,
    FINE_NOISE,
    KINDS,
    Reliability,
    fine_of,
    kinds_of,
    reliability_of,
    stretches_of,
)
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, PLAIN, TAG, Sites
from MedWatermarkLib.smoothing import find_smoothing
from MedWatermarkLib.soft import log_ratios, spread_of
from MedWatermarkLib.tag import Tag
from MedWatermarkLib.undone import Undone

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatRows = npt.NDArray[np.float32]

# Score of pilots above which there surely is a mark.
_SURE = 6.0
# By what share a writer may have counted less blocks of a slice than a reader does.
_COUNTED_MORE = 1.1
# Which blocks may be marked: those that embedding would take; those with a few voxels that were
# clipped, or hit by impulses, too; and all of them, where a window left nothing of the air.
_BODIES = ((0, True), (4, True), (4, False))


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
    checked = 0

    def counted(found: Extracted) -> Extracted:
        nonlocal checked
        checked += found.checked
        return found

    best = counted(_read_at(voxels, where, Alignment()))
    if best.message is None and (repaired := without_impulses(voxels)) is not None:
        voxels = repaired
        best = max(counted(_read_at(voxels, where, Alignment())), best, key=_worth)
    if best.message is None and (smoothing := find_smoothing(voxels, where)) is not None:
        taken_back = counted(_read_at(smoothing.taken_back(voxels), where, Alignment()))
        if _says(taken_back) > _says(best):
            best = _also(taken_back, smoothing=smoothing, gain=None)
    if best.message is None:
        progress(0.1)
        evened = counted(_read_at(even_contrast(voxels, where), where, Alignment()))
        if _says(evened) > _says(best):
            best = _also(evened, nonlinear=True, gain=None)
    if best.tag is None:
        progress(0.2)
        for alignment in find_alignments(voxels, where):
            found = counted(_read_at(voxels, where, alignment))
            if found.tag is not None:
                cut = Geometry(np.eye(2), -np.array(found.origin, np.float64))
                best = _also(found, geometry=cut)
                break
    if best.tag is None:
        progress(0.35)
        for mean in MEANS:
            found = counted(_read_at(voxels, where, Alignment(), mean))
            if found.tag is not None:
                best = _also(found, averaged=mean)
                break
    if best.tag is None:
        progress(0.4)
        searches = zip(find_geometries(voxels, where), find_grids(voxels, where), strict=True)
        for geometry in chain.from_iterable(chain.from_iterable(searches)):
            found = counted(_read_straight(voxels, where, geometry))
            if found.tag is not None:
                best = _also(found, geometry=geometry)
                beside = map(counted, _beside(voxels, where, best))
                best = max(chain(beside, [best]), key=_worth)
                break
    progress(1.0)
    undone = None if best.undone is None or best.undone.is_nothing else best.undone
    # What was held against the check in other readings had no message to agree with.
    checked = checked if best.message is None else best.checked
    return replace(best, checked=checked, undone=undone)


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
    found = _read_at(straight, where, alignment)
    if found.message is not None or not found.evidence or geometry.is_exact:
        return found
    sharp = _read_at(undo_linear(voxels, geometry, straight, first), where, alignment)
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


def _read_at(voxels: Array, where: Sites, alignment: Alignment, mean: int = 1) -> Extracted:
    blocks = Blocks(voxels, alignment.top, alignment.left)
    groups = [_BODIES] if blocks.looks_clipped() else [_BODIES[:1], _BODIES[1:]]
    silent = tuple(SliceReading(False, False, 0.0) for _ in voxels)
    found, checked = Extracted(None, None, silent, 0.0, None, None, (0, 0)), 0
    for group in groups:
        bodies = [blocks.body(clipped, air) for clipped, air in group]
        dy, dx = alignment.dy, alignment.dx
        syncs = [synchronise(blocks, b, where, dy, dx, mean) for b in bodies]
        # Blocks more that carry the mark raise the score, and blocks that do not lower it.
        sync, body = max(zip(syncs, bodies, strict=True), key=_score)
        if sync is not None and sync.score >= SIGNIFICANT:
            view = _View(where, alignment, blocks, body)
            found = _read(view, sync) if mean == 1 else _read_means(view, sync, mean)
            checked += found.checked
        if found.tag is None and mean == 1 and alignment == Alignment():
            view = _View(where, alignment, blocks, bodies[0])
            for sync in candidates(blocks, bodies[0], where, dy, dx):
                found = _read(view, sync)
                checked += found.checked
                if found.tag is not None:
                    break
        if found.tag is not None:
            break
    return replace(found, checked=checked)


def _score(candidate: tuple[Sync | None, BoolArray]) -> float:
    return 0.0 if candidate[0] is None else candidate[0].score


class _View:
    """The body's blocks of a volume, each with its place on the canonical plane."""

    def __init__(self, where: Sites, alignment: Alignment, blocks: Blocks, body: BoolArray) -> None:
        self.where = where
        self.alignment = alignment
        self.depth = len(body)
        self._blocks = blocks
        self.slices, self._by, self._bx = np.nonzero(body)
        self._values = np.empty((len(self.slices), 0), np.float32)
        self.by, self.bx = self._by + alignment.dy, self._bx + alignment.dx
        self.roles = where.roles(self.by, self.bx)
        self.span = blocks.span(body)
        # The writer may have counted some blocks less, and where something was cut away more.
        self.may_be_few = few_blocks(body.sum(axis=(1, 2)), _COUNTED_MORE)

    def values(self, width: int) -> FloatRows:
        """Return so many projections of each block, (n, width)."""
        missing = self.where.patterns[self._values.shape[1] : width]
        if len(missing):
            more = self._blocks.project(missing, self.slices, self._by, self._bx)
            self._values = np.hstack([self._values, more])
        return self._values[:, :width]

    def ranges(self) -> FloatArray:
        """Return greatest less least voxel of each block."""
        return self._blocks.range_at(self.slices, self._by, self._bx)


@dataclass(frozen=True, eq=False)
class _Received:
    """What the projections of blocks say of a code word, as they arrived.

    Attributes
    ----------
    slices, kinds, roles : (n,) int64 arrays
        Of the blocks.
    places : (n, width) int64 array
        Which bit of the code word each projection says; -1 where it says something else.
    scramble : (n, width) uint8 array
    phase : (n, width) float32 array
        Projections in their steps.
    ratios : (4, width) float64 array
        Steps by role, in those of the pilots; 0 where there is no projection.
    length, depth : int
    """

    slices: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    roles: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    scramble: npt.NDArray[np.uint8]
    phase: FloatRows
    ratios: FloatArray
    length: int
    depth: int

    def log_ratios(self, reliability: Reliability, blind: bool = False, mean: int = 1) -> FloatRows:
        """Return the log ratios of the code word's bits, symbol by symbol, positive for a 1.

        Fine projections are trusted as far as bold ones let expect, or as what is seen of them says
        (`blind`). Of a mean of slices nothing is known of what was there before.
        """
        bold = reliability.deviation[..., None, None]
        ratios = np.maximum(self.ratios, 1e-6)
        deviation = bold / ratios
        deviation[..., 1:] = np.hypot(
            np.sqrt(np.maximum(bold**2 - mean * BOLD_NOISE**2, 0)) / ratios[:, 1:],
            np.sqrt(mean) * FINE_NOISE,
        )
        phase = self.phase + np.float32(shift_of(mean))
        if blind and self.phase.shape[1] > 1:
            own = deviation[self.slices, self.kinds, self.roles, 1:]
            stretches, noisier = fine_of(phase[:, 1:], own, self.kinds, reliability.unmarked)
            deviation[..., 1:] *= noisier[:, None]
            phase = phase.copy()
            phase[:, 1:] /= stretches[self.kinds].astype(np.float32)
        roles, width = len(ratios), ratios.shape[1]
        spread = np.full(deviation.shape, np.inf)
        if mean == 1:
            spread[..., 0] = self.spread(reliability)[:, None] / ratios[:, 0]
        symbols = log_ratios(
            phase,
            (self.slices * KINDS + self.kinds) * roles + self.roles,
            deviation.reshape(-1, width),
            spread.reshape(-1, width),
            reliability.unmarked,
        )
        return np.asarray(symbols * (1 - 2 * self.scramble.astype(np.float32)))

    def spread(self, reliability: Reliability) -> FloatArray:
        """Return how far blocks of each range were spread before they were marked, (kinds,).

        It is that of their bold projections, in steps of the pilots.
        """
        bold = self.ratios[self.roles, 0]
        phase = (self.phase[:, 0] * bold)[bold > 0]
        noise = reliability.deviation[self.slices, self.kinds][bold > 0]
        return spread_of(phase, self.kinds[bold > 0], KINDS, noise)

    def words(self, reliability: Reliability, blind: bool = False) -> FloatRows:
        """Return the log ratios of each slice's code word, 0 where nothing was received."""
        return self._summed(self.log_ratios(reliability, blind))

    def correlations(self) -> FloatRows:
        """Return how much each slice speaks for a 1 in each bit of its code word."""
        return self._summed(np.sin(2 * np.pi * self.phase) * (1 - 2.0 * self.scramble))

    def says(self) -> BoolArray:
        """Return which projections say something of the code word."""
        return np.asarray(self.places >= 0)

    def stretched(self, stretches: FloatArray) -> _Received:
        """Return them on lattices that are longer."""
        phase: FloatRows = np.divide(self.phase, stretches[self.kinds, None], dtype=np.float32)
        return replace(self, phase=phase)

    def _summed(self, symbols: npt.NDArray[Any]) -> FloatRows:
        says = self.says()
        index = (self.slices[:, None] * self.length + self.places)[says]
        sums = np.bincount(index, symbols[says], self.depth * self.length)
        return sums.reshape(self.depth, self.length).astype(np.float32)


def _received(
    view: _View, sync: Sync, word: int, layout: Layout, length: int, few: BoolArray
) -> _Received:
    """Return what is said of a code word, where some slices are taken to be of few blocks."""
    phases, few = sync.phases[view.slices], few[view.slices]
    places = layout.places(view.where, word, view.by, view.bx, phases, length, few)
    chosen = (places >= 0).any(axis=1)
    places, roles = places[chosen], view.roles[chosen]
    order, scramble = view.where.order(length)
    steps = layout.steps(1.0)
    ratios = steps / steps[PILOT, 0]
    size = np.maximum(ratios, 1e-6)[roles] * sync.step
    return _Received(
        slices=view.slices[chosen],
        kinds=kinds_of(view.ranges()[chosen], sync.step),
        roles=roles,
        places=np.where(places >= 0, order[places], -1),
        scramble=np.where(places >= 0, scramble[places], 0).astype(np.uint8),
        phase=(view.values(layout.width)[chosen] / size).astype(np.float32),
        ratios=ratios,
        length=length,
        depth=view.depth,
    )


def _reliability(view: _View, sync: Sync, mean: int = 1) -> Reliability:
    """Learn from all bold symbols how far they can be trusted, though only pilots are known."""
    bold = view.roles != PLAIN
    roles, slices = view.roles[bold], view.slices[bold]
    pilots = roles == PILOT
    bits = view.where.pilot_bits(view.where.ranks(view.by[bold][pilots], view.bx[bold][pilots]))
    phases, each = sync.phases[slices[pilots]], np.arange(bits.shape[1])
    sums = np.bitwise_xor.reduce([bits[(phases + m) % PHASES, each] for m in range(mean)])
    signs = np.zeros(len(roles), np.float32)
    signs[pilots] = 2.0 * sums - 1
    phase = view.values(1)[bold, 0] / np.float32(sync.step) + np.float32(shift_of(mean))
    kinds = kinds_of(view.ranges()[bold], sync.step)
    return reliability_of(phase, signs, slices, kinds, view.depth)


def _read(view: _View, sync: Sync) -> Extracted:
    evidence, reliability, checked = [], _reliability(view, sync), 0
    # Where a slice is large, fine projections that do not say the tag are only noise to it.
    for layout in TAG_LAYOUTS if view.may_be_few.any() else TAG_LAYOUTS[:1]:
        received = _received(view, sync, TAG, layout, TAG_CODE.length, view.may_be_few)
        evidence.append(TagEvidence(received.correlations(), sync.step))
        read = read_tag(received.words(reliability), sync.score > _SURE)
        if read.tag is not None:
            break
        checked += read.checked
    else:
        return replace(unread(read, tuple(evidence)), checked=checked)

    # Every bit of the tag is known now, and says more of gain and noise than the pilots could.
    tag, word = read.tag, tag_word(read.tag)
    signs = (2.0 * (word[received.places[:, 0]] ^ received.scramble[:, 0]) - 1).astype(np.float32)
    noise = reliability.deviation[received.slices, received.kinds]
    spread = received.spread(reliability)[received.kinds]
    stretches = stretches_of(received.phase[:, 0], signs, received.kinds, noise, spread)
    bold = received.stretched(stretches).phase[:, 0]
    reliability = reliability_of(bold, signs, received.slices, received.kinds, view.depth)
    layout, length = LAYOUTS[tag.density], TurboCode.length_of(8 * tag.codewords)
    few = _few(view, sync, layout, word)
    if few.any():
        more = _received(view, sync, TAG, layout, TAG_CODE.length, few)
        read = read_more(read, more.stretched(stretches).words(reliability, blind=True))
    received = _received(view, sync, MESSAGE, layout, length, few).stretched(stretches)
    symbols = np.bincount(received.slices, received.says().sum(axis=1), view.depth)
    words = received.words(reliability, blind=True)
    message = read_message(words, np.where(read.agreeing, symbols, 0), tag)
    phases = _phases(view, sync, read, word)
    step, gain = _rescaled(view, sync, tag, message.message, few)
    found = told(read, message, tuple(evidence), step, view.alignment.origin, phases)
    return replace(
        found, checked=checked + read.checked, undone=Undone(gain=gain, order=Order.of(phases))
    )


def _few(view: _View, sync: Sync, layout: Layout, word: npt.NDArray[np.uint8]) -> BoolArray:
    """Return in which slices the fine projections of the tag's blocks say the tag, too."""
    every = np.ones(view.depth, bool)
    received = _received(view, sync, TAG, layout, TAG_CODE.length, every)
    signs = 2.0 * (word[received.places[:, 1:]] ^ received.scramble[:, 1:]) - 1
    waves = np.sin(2 * np.pi * received.phase[:, 1:]) * signs
    return says_the_tag(waves, received.slices, view.depth)


def _rescaled(
    view: _View, sync: Sync, tag: Tag, message: bytes | None, few: BoolArray, mean: int = 1
) -> tuple[float, float | None]:
    """Return the pilots' step as it arrived, and by what voxels were multiplied, if that is known.

    What a filter left of one pattern is not taken for a gain, which leaves the same of all: that is
    known of several patterns only with the message.
    """
    layout, words, width = LAYOUTS[tag.density], {TAG: tag_word(tag)}, 1
    if message is not None:
        words[MESSAGE], width = message_word(qr.data_codewords(message)), layout.width
    bits, known = zip(
        *(
            bits_at(
                view.where,
                layout,
                words,
                view.by,
                view.bx,
                phases % PHASES,
                few[view.slices],
            )
            for phases in sync.phases[view.slices] + np.arange(mean)[:, None]
        ),
        strict=True,
    )
    signs = np.where(known[0], 2.0 * np.bitwise_xor.reduce(bits) - 1, 0).astype(np.float32)
    steps = layout.steps(1.0)
    sizes = np.where(steps > 0, steps, np.inf)[view.roles] * (sync.step / steps[PILOT, 0])
    lattice = shift_of(mean)
    phase = (view.values(layout.width) / sizes).astype(np.float32) + np.float32(lattice)
    longer, error = stretch(phase[:, :width], signs[:, :width], lattice)
    step = mean * sync.step * longer
    if message is None:
        error = max(error, FILTERED)
    return step, gain_of(step, error, tag, view.span)


def _phases(
    view: _View, sync: Sync, read: ReadTag, word: npt.NDArray[np.uint8]
) -> list[int | None]:
    """Return the phase of each slice: that at which its tag reads, or which the tag's bits show."""
    chosen = view.roles == TAG
    slices, by, bx = view.slices[chosen], view.by[chosen], view.bx[chosen]
    waves = np.sin(view.values(1)[chosen, 0] * np.float32(2 * np.pi / sync.step))
    order, scramble = view.where.order(len(word))
    laid = (2.0 * (word[order] ^ scramble) - 1).astype(np.float32)
    sums = np.empty((view.depth, PHASES))
    for phase in range(PHASES):
        # Bold projections lie alike in all layouts.
        own = LAYOUTS[0].places(view.where, TAG, by, bx, phase, len(word), few=False)[:, 0]
        sums[:, phase] = np.bincount(slices, waves * laid[own], view.depth)
    counts = np.bincount(slices, minlength=view.depth)
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
    reliability = _reliability(view, sync, mean)
    checked = 0
    for layout in TAG_LAYOUTS if view.may_be_few.any() else TAG_LAYOUTS[:1]:
        found = _solved(view, sync, reliability, TAG, layout, TAG_CODE, view.may_be_few, mean)
        tags = [tag_of(np.packbits(bits).tobytes()) for bits in found]
        checked += len(tags)
        tag = next((tag for tag in tags if tag is not None), None)
        if tag is not None:
            break
    else:
        return replace(silent, checked=checked)
    code = TurboCode(8 * tag.codewords)
    # Of slices with few blocks and others there may be means: those projections are left out.
    every = np.ones(view.depth, bool)
    found = _solved(view, sync, reliability, MESSAGE, LAYOUTS[tag.density], code, every, mean)
    messages = [(message_of(bits, tag), bits) for bits in found]
    message, bits = next((one for one in messages if one[0] is not None), (None, None))
    step, gain = _rescaled(view, sync, tag, message, every, mean)
    return replace(
        silent,
        message=message,
        tag=tag,
        confidence=float(message is not None),
        modules=None
        if message is None or bits is None
        else qr.module_values(qr.version_for(tag.codewords), bits.astype(np.float64)),
        step=step,
        origin=view.alignment.origin,
        undone=Undone(gain=gain),
        checked=checked,
    )


def _solved(
    view: _View,
    sync: Sync,
    reliability: Reliability,
    word: int,
    layout: Layout,
    code: PolarCode | TurboCode,
    few: BoolArray,
    mean: int,
) -> list[npt.NDArray[np.uint8]]:
    """Return the messages whose code words have such sums of bits."""
    each = [
        _received(
            view,
            replace(sync, phases=(sync.phases + m) % PHASES),
            word,
            layout,
            code.length,
            few,
        )
        for m in range(mean)
    ]
    scramble = np.bitwise_xor.reduce([one.scramble for one in each])
    sums = replace(each[0], scramble=scramble).log_ratios(reliability, mean=mean)
    says = each[0].says()
    return solve([one.places[says] for one in each], sums[says], code)
