"""Reading a mark with the original at hand.

What embedding did to each block is known but for its bits: a projection of the original goes to
the nearest point of one of two lattices, so a bit means one of two known changes, half a step
apart. With the original taken out of the suspect (`residue`), the projections of what is left are
held against both: no lattice wraps around, noise of any strength adds up, and slices do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.change import LEVELS_PER_STEP
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.correspondence import place
from MedWatermarkLib.decoding import TagEvidence, read_message, read_tag
from MedWatermarkLib.extracted import Extracted, SliceReading, told, unread
from MedWatermarkLib.layout import LAYOUTS, STEPS_PER_OCTAVE, TAG_LAYOUTS, Layout, few_blocks
from MedWatermarkLib.modulation import levels_to, tag_word
from MedWatermarkLib.placement import Placement
from MedWatermarkLib.polar_code import TAG_CODE
from MedWatermarkLib.residue import Residue, residue
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, TAG, Sites
from MedWatermarkLib.strength import RUNGS, rung
from MedWatermarkLib.tag import Tag
from MedWatermarkLib.undone import Undone

# The first patterns, which usually carry all bits: what is left in the others is noise. Layouts of
# more fine projections have small ones there, too, which are then taken for some.
_CARRIERS = 4
# Weights, in blocks, of a block and of its eight neighbours in an estimate of its noise.
_OWN, _AROUND = 1.0, 2.0
# Noise that is always there, in steps: that of rounding and of the quantised changes.
_LEAST_NOISE = 0.03
# By how much the mark changes voxels, about, in deviations of the scan's noise.
_REACH = 2.0
# Steps tried: so many octaves down from one that is a multiple of the usual projection.
_GREATEST_STEP, _OCTAVES = 8.0, 10
# A score that chance reaches among all steps in less than one of ten thousand scans.
_SIGNIFICANT = 5.5
# Steps that are tried on the tag, and parts of an octave that lie between them.
_CANDIDATES, _APART = 3, 3
# Share of blocks taken for marked that are not.
_UNMARKED = 0.05
# Blocks of which so little is left are not looked at, in shares of the usual gain.
_FAINT = 0.1

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Seen:
    """The blocks of the patient in every slice of the suspect, one after the other.

    Attributes
    ----------
    slices, phases, by, bx, roles : (n,) int64 arrays
    few : (n,) bool array
        Whether its slice is one of few blocks.
    host : (n, 9) float32 array
        Projections of the original.
    values : (n, 9) float32 array
        Projections of what is left of the suspect.
    gains, noise : (n,) float32 arrays
        What is left of a change, and the variance of what else is left.
    depth : int
        Slices of the suspect.
    """

    slices: IntArray
    phases: IntArray
    by: IntArray
    bx: IntArray
    roles: IntArray
    few: BoolArray
    host: Floats
    values: Floats
    gains: Floats
    noise: Floats
    depth: int

    def of(self, chosen: BoolArray) -> _Seen:
        return _Seen(
            slices=self.slices[chosen],
            phases=self.phases[chosen],
            by=self.by[chosen],
            bx=self.bx[chosen],
            roles=self.roles[chosen],
            few=self.few[chosen],
            host=self.host[chosen],
            values=self.values[chosen],
            gains=self.gains[chosen],
            noise=self.noise[chosen],
            depth=self.depth,
        )

    def changes(self, bits: npt.ArrayLike, steps: FloatArray) -> Floats:
        """Return the change that embedding makes to say some bits, as it would show here.

        Parameters
        ----------
        bits : (n, width) array, or one bit for all
        steps : (n, width) float64 array
        """
        levels = levels_to(self.host[:, : steps.shape[1]], bits, steps)
        return np.asarray(levels * (steps / LEVELS_PER_STEP) * self.gains[:, None], np.float32)

    def variance(self, steps: FloatArray) -> Floats:
        least = (_LEAST_NOISE * steps * self.gains[:, None]) ** 2
        return np.asarray(self.noise[:, None] + least, np.float32)


@dataclass(frozen=True, eq=False)
class _Guess:
    """The pilots' step, how well they agree with it, and what is left of their changes."""

    score: float
    step: float
    fade: float


@dataclass(frozen=True, eq=False)
class _Received:
    """The symbols of a role, held against both bits."""

    slices: IntArray
    places: IntArray
    flips: Floats
    values: Floats
    zero: Floats
    one: Floats
    variance: Floats
    length: int
    depth: int

    def words(self) -> Floats:
        """Return the log ratios of each slice's code word, 0 where nothing was received."""
        bits = [(self.values - d / 2) * d / self.variance for d in (self.zero, self.one)]
        either = np.logaddexp(*bits) - np.float32(np.log(2))
        # Of a block that was never marked, the projections agree with no bits.
        others = either.sum(axis=1, keepdims=True) - either
        others += np.float32(np.log((1 - _UNMARKED) / _UNMARKED))
        zero, one = (np.logaddexp(others + bit, np.float32(0)) for bit in bits)
        return self._summed(np.clip(one - zero, -20, 20) * self.flips)

    def correlations(self) -> Floats:
        """Return how much each slice speaks for a 1 in each bit of its code word."""
        half = (self.one - self.zero) / 2
        middle = self.values - (self.one + self.zero) / 2
        return self._summed(middle * half / self.variance * self.flips)

    def says(self) -> BoolArray:
        """Return which projections say something of the code word."""
        return np.asarray(self.places >= 0)

    def _summed(self, symbols: npt.NDArray[Any]) -> Floats:
        says = self.says()
        index = (self.slices[:, None] * self.length + self.places)[says]
        sums = np.bincount(index, symbols[says], self.depth * self.length)
        return sums.reshape(self.depth, self.length).astype(np.float32)


def read_with_original(
    suspect: Array,
    original: Array,
    where: Sites,
    progress: Callable[[float], None],
    hounsfield: tuple[float, float] | None = None,
) -> Extracted:
    """Read the mark of a suspect from what makes it differ from the original.

    Parameters
    ----------
    suspect : (k, h, w) array
        A volume, some of its slices, or a picture of one, as `blocks.working_copy` gives it.
    original : (z, y, x) array
        The volume that was marked, before it was, whole and in its order.
    where : Sites
    progress : callable
        Called with the share that is done, from 0 to 1.
    hounsfield : (slope, intercept), optional
        What makes CT numbers of the original, as for `watermark.embed`.
    """
    progress(0.0)
    placement = place(suspect, original)
    progress(0.6)
    used = sorted({z for sources in placement.sources for z, _ in sources})
    blocks = Blocks(np.ascontiguousarray(original[used or [0]]))
    body = blocks.body(hounsfield=hounsfield)
    reach = _REACH * blocks.noise(body) or 1.0
    left = residue(suspect, original, placement, where.patterns, reach)
    progress(0.8)
    nothing = SliceReading(False, False, 0.0)
    found = Extracted(None, None, (nothing,) * len(suspect), 0.0, None, None, (0, 0))
    seen = _look(blocks, body, used, left, placement, where)
    if seen is not None:
        found = _read(seen, where, found)
    progress(1.0)
    return _told(found, placement, left)


def _told(found: Extracted, placement: Placement, left: Residue) -> Extracted:
    """Return what was read, and what was undone for it."""
    gain, offset = left.tone.linear()
    undone = Undone(
        placement.geometry(),
        slices=tuple(tuple(z for z, _ in sources) for sources in placement.sources),
        gain=gain,
        offset=offset,
    )
    y, x = placement.offset
    # Where voxels lie beside each other as they did, blocks can be held against the mark.
    shifted = placement.exact and np.array_equal(placement.matrix, np.eye(2))
    step = None if found.step is None or not shifted else found.step * abs(gain)
    origin = (round(y), round(x)) if shifted else (0, 0)
    slices = tuple(
        replace(one, phase=shown[0] % PHASES if len(shown) == 1 else None)
        for one, shown in zip(found.slices, undone.slices or (), strict=True)
    )
    return replace(found, slices=slices, step=step, origin=origin, undone=undone)


def _look(
    blocks: Blocks,
    body: BoolArray,
    used: list[int],
    left: Residue,
    placement: Placement,
    where: Sites,
) -> _Seen | None:
    number = {z: i for i, z in enumerate(used)}
    rows, columns_of = np.mgrid[: body.shape[1], : body.shape[2]]
    role_of = where.roles(rows, columns_of)
    few = few_blocks(body.sum(axis=(1, 2)))
    hosts = blocks.projections(where.patterns)
    parts: list[tuple[Array, ...]] = []
    usual = np.abs(left.gains[left.gains != 0])
    faint = _FAINT * float(np.median(usual)) if usual.size else np.inf
    for k, sources in enumerate(placement.sources):
        for z, share in sources:
            inside = body[number[z]] & (np.abs(left.gains[k]) > faint)
            if not inside.any():
                continue
            count = int(inside.sum())
            parts.append(
                (
                    np.full(count, k),
                    np.full(count, z % PHASES),
                    rows[inside],
                    columns_of[inside],
                    role_of[inside],
                    np.full(count, few[number[z]]),
                    hosts[number[z]][inside],
                    left.projections[k][inside],
                    np.float32(share) * left.gains[k][inside],
                    _noise(left.projections[k], inside)[inside],
                )
            )
    if not parts:
        return None
    columns: list[Any] = [np.concatenate(part) for part in zip(*parts, strict=True)]
    slices, phases, by, bx, roles, of_few, host, values, gains, noise = columns
    return _Seen(slices, phases, by, bx, roles, of_few, host, values, gains, noise, len(left.gains))


def _noise(projections: Floats, inside: BoolArray) -> Floats:
    """Return the variance of each block's noise, from patterns that carry nothing."""
    own = (projections[..., _CARRIERS:] ** 2).mean(axis=-1) * inside
    share = ndimage.uniform_filter(inside.astype(np.float32), 3)
    around = ndimage.uniform_filter(own, 3) / np.maximum(share, np.float32(1 / 9))
    return np.asarray((_OWN * own + _AROUND * around) / (_OWN + _AROUND), np.float32)


def _read(seen: _Seen, where: Sites, nothing: Extracted) -> Extracted:
    evidence = []
    guesses, checked = _ask_pilots(seen.of(seen.roles == PILOT), where), 0
    layouts = TAG_LAYOUTS if seen.few.any() else TAG_LAYOUTS[:1]
    for guess, layout in itertools.product(guesses, layouts):
        received = _receive(seen, where, guess, TAG, layout, TAG_CODE.length)
        evidence.append(TagEvidence(received.correlations(), guess.step))
        read = read_tag(received.words())
        checked += read.checked
        if read.tag is not None:
            break
    else:
        silent = unread(read, tuple(evidence)) if evidence else nothing
        return replace(silent, checked=checked)
    guess = _ask_tag(seen, where, guess, read.tag)
    length = TurboCode.length_of(8 * read.tag.codewords)
    received = _receive(seen, where, guess, MESSAGE, LAYOUTS[read.tag.density], length)
    symbols = np.bincount(received.slices, received.says().sum(axis=1), seen.depth)
    message = read_message(received.words(), np.where(read.agreeing, symbols, 0), read.tag)
    phases: list[int | None] = [None] * seen.depth
    found = told(read, message, tuple(evidence), guess.step, (0, 0), phases)
    return replace(found, checked=checked)


def _ask_pilots(pilots: _Seen, where: Sites) -> list[_Guess]:
    """Return the likeliest steps, best first: none if the pilots show none."""
    if not len(pilots.slices):
        return []
    usual = max(float(np.median(np.abs(pilots.host[:, 0]))), 1e-12)
    ladder = float(LAYOUTS[0].steps(1.0)[PILOT, 0])
    highest = int(np.floor(STEPS_PER_OCTAVE * np.log2(_GREATEST_STEP * usual / ladder)))
    own = where.pilot_bits(where.ranks(pilots.by, pilots.bx))
    bits = own[pilots.phases, np.arange(own.shape[1])]
    numbers = np.arange(highest - STEPS_PER_OCTAVE * _OCTAVES, highest + 1)
    steps = ladder * 2.0 ** (numbers / STEPS_PER_OCTAVE)
    guesses: list[_Guess] = []
    for guess in sorted(
        (_agreement(pilots, bits, float(step)) for step in steps), key=lambda one: -one.score
    ):
        octaves = [abs(np.log2(guess.step / other.step)) for other in guesses]
        if guess.score <= _SIGNIFICANT or len(guesses) == _CANDIDATES:
            break
        if all(octave > _APART / STEPS_PER_OCTAVE for octave in octaves):
            guesses.append(guess)
    return guesses


def _ask_tag(seen: _Seen, where: Sites, guess: _Guess, tag: Tag) -> _Guess:
    """Return the step, of those that the layout may have, on which a tag that was read agrees best.

    It is one near the guess.
    """
    layout = LAYOUTS[tag.density]
    word = tag_word(tag)
    order, scramble = where.order(len(word))
    places = layout.places(where, TAG, seen.by, seen.bx, seen.phases, len(word), False)[:, 0]
    says = np.asarray(places >= 0)
    bits = (word[order] ^ scramble)[places[says]]
    unit = float(layout.steps(1.0)[PILOT, 0])
    number = round(RUNGS * np.log2(guess.step / unit))
    steps = [unit * rung(near) for near in range(number - 2, number + 3)]
    return max(
        (_agreement(seen.of(np.asarray(says)), bits, step) for step in steps),
        key=lambda one: one.score,
    )


def _agreement(seen: _Seen, bits: npt.NDArray[np.uint8], step: float) -> _Guess:
    """Ask how many deviations above chance the changes of bold projections show."""
    steps = np.full((len(bits), 1), step)
    changes = seen.changes(bits[:, None], steps)
    # Held against every step alike: a change of half a step at most is a quarter of one usually.
    usual = 4 * float(np.median(np.abs(seen.values[:, 0])))
    weighted = changes / seen.variance(np.full_like(steps, usual))
    agreeing = float((weighted * seen.values[:, :1]).sum(dtype=np.float64))
    energy = max(float((weighted * changes).sum(dtype=np.float64)), 1e-12)
    return _Guess(agreeing / np.sqrt(energy), step, agreeing / energy)


def _receive(
    seen: _Seen, where: Sites, guess: _Guess, word: int, layout: Layout, length: int
) -> _Received:
    places = layout.places(where, word, seen.by, seen.bx, seen.phases, length, seen.few)
    chosen = np.asarray((places >= 0).any(axis=1))
    places, seen = places[chosen], seen.of(np.asarray(chosen))
    order, scramble = where.order(length)
    says = places >= 0
    unit = layout.steps(1.0)
    steps = unit[seen.roles] * (guess.step / unit[PILOT, 0])
    flips = 1 - 2 * np.where(says, scramble[places], 0).astype(np.float32)
    return _Received(
        slices=seen.slices,
        places=np.where(says, order[places], -1),
        flips=flips,
        values=seen.values[:, : layout.width],
        zero=seen.changes(0, steps) * np.float32(guess.fade),
        one=seen.changes(1, steps) * np.float32(guess.fade),
        variance=seen.variance(steps),
        length=length,
        depth=seen.depth,
    )
