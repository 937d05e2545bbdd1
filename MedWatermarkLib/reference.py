"""Reading a mark with the original at hand.

What embedding did to each block is known but for its bits: a projection of the original goes to
the nearest point of one of two lattices, so a bit means one of two known changes, half a step
apart. With the original taken out of the suspect (`residue`), the projections of what is left are
held against both: no lattice wraps around, noise of any strength adds up, and slices do.
"""

from __future__ import annotations

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
from MedWatermarkLib.dct import PATTERNS
from MedWatermarkLib.decoding import TagEvidence, read_message, read_tag
from MedWatermarkLib.extracted import Extracted, SliceReading, told, unread
from MedWatermarkLib.modulation import encoded, levels_to
from MedWatermarkLib.placement import Placement
from MedWatermarkLib.residue import Residue, residue
from MedWatermarkLib.sites import (
    MESSAGE,
    MESSAGE_PROJECTIONS,
    PHASES,
    PILOT,
    TAG,
    TAG_PROJECTIONS,
    Sites,
    pilot_places,
    places,
)
from MedWatermarkLib.strength import RUNGS, rung, rung_of, step
from MedWatermarkLib.tag import TAG_BITS, Tag
from MedWatermarkLib.undone import Undone

# The first patterns, which may carry bits; what is left in the others is noise alone.
_CARRIERS = 4
# Weights, in blocks, of a block and of its eight neighbours in an estimate of its noise.
_OWN, _AROUND = 1.0, 2.0
# Noise that is always there, in steps: that of rounding and of the quantised changes.
_LEAST_NOISE = 0.03
# By how much the mark changes voxels, about, in deviations of the scan's noise.
_REACH = 2.0
# Strengths tried: so many octaves down from one whose step is a multiple of the usual projection.
_GREATEST_STEP, _OCTAVES = 8.0, 10
# A score that chance reaches among all strengths in less than one of ten thousand scans.
_SIGNIFICANT = 5.5
# Strengths that are tried on the tag.
_CANDIDATES = 3
# Share of blocks taken for marked that are not, and the usual spread of gains among patterns.
_UNMARKED, _GAIN_SPREAD = 0.05, 0.15
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
    slices, phases, roles, ranks : (n,) int64 arrays
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
    roles: IntArray
    ranks: IntArray
    host: Floats
    values: Floats
    gains: Floats
    noise: Floats
    depth: int

    def of(self, role: int) -> _Seen:
        chosen = self.roles == role
        return _Seen(
            slices=self.slices[chosen],
            phases=self.phases[chosen],
            roles=self.roles[chosen],
            ranks=self.ranks[chosen],
            host=self.host[chosen],
            values=self.values[chosen],
            gains=self.gains[chosen],
            noise=self.noise[chosen],
            depth=self.depth,
        )

    def changes(self, bits: npt.ArrayLike, size: float, width: int) -> Floats:
        """Return the change that embedding makes to say some bits, as it would show here."""
        host = self.host[:, :width]
        levels = levels_to(host, np.broadcast_to(np.asarray(bits, np.uint8), host.shape), size)
        return levels * (np.float32(size / LEVELS_PER_STEP) * self.gains[:, None])

    def variance(self, size: float) -> Floats:
        return (self.noise + (np.float32(_LEAST_NOISE * size) * self.gains) ** 2)[:, None]


@dataclass(frozen=True, eq=False)
class _Guess:
    """A strength of the mark, the tag's projections, and how well the pilots agree."""

    score: float
    strength: float
    width: int
    fades: FloatArray

    def size(self, role: int, width: int) -> float:
        return step(self.strength, role, width)


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

    def _summed(self, symbols: npt.NDArray[Any]) -> Floats:
        index = self.slices[:, None] * self.length + self.places
        sums = np.bincount(index.ravel(), symbols.ravel(), self.depth * self.length)
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
    blocks = Blocks(np.ascontiguousarray(original[used or [0]]), where.patterns)
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
    by, bx = np.indices(body.shape[1:])
    role_of, rank_of = where.roles(by, bx), where.ranks(by, bx)
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
                    role_of[inside],
                    rank_of[inside],
                    blocks.projections[number[z]][inside],
                    left.projections[k][inside],
                    np.float32(share) * left.gains[k][inside],
                    _noise(left.projections[k], inside)[inside],
                )
            )
    if not parts:
        return None
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
    slices, phases, roles, ranks, host, values, gains, noise = columns
    depth = len(left.gains)
    return _Seen(slices, phases, roles, ranks, host, values, gains, noise, depth)


def _noise(projections: Floats, inside: BoolArray) -> Floats:
    """Return the variance of each block's noise, from patterns that carry nothing."""
    own = (projections[..., _CARRIERS:] ** 2).mean(axis=-1) * inside
    share = ndimage.uniform_filter(inside.astype(np.float32), 3)
    around = ndimage.uniform_filter(own, 3) / np.maximum(share, np.float32(1 / 9))
    return np.asarray((_OWN * own + _AROUND * around) / (_OWN + _AROUND), np.float32)


def _read(seen: _Seen, where: Sites, nothing: Extracted) -> Extracted:
    evidence = []
    for guess in _ask_pilots(seen.of(PILOT), where):
        received = _receive(seen.of(TAG), where, guess, TAG, guess.width, TAG_BITS)
        evidence.append(TagEvidence(received.correlations(), rung_of(guess.strength)))
        read = read_tag(received.words())
        if read.tag is not None:
            break
    else:
        return unread(read, tuple(evidence)) if evidence else nothing
    guess = _ask_tag(seen, where, guess, read.tag)
    density = MESSAGE_PROJECTIONS[read.tag.density]
    received = _receive(seen.of(MESSAGE), where, guess, MESSAGE, density, 8 * read.tag.codewords)
    symbols = np.bincount(received.slices, minlength=seen.depth) * density
    message = read_message(received.words(), np.where(read.agreeing, symbols, 0), read.tag)
    size, phases = guess.size(TAG, guess.width), [None] * seen.depth
    return told(read, message, tuple(evidence), size, (0, 0), phases)


def _ask_pilots(pilots: _Seen, where: Sites) -> list[_Guess]:
    """Return the likeliest strengths, best first: none if the pilots show none."""
    if not len(pilots.slices):
        return []
    usual = max(float(np.median(np.abs(pilots.host))), 1e-12)
    highest = int(np.floor(RUNGS * np.log2(_GREATEST_STEP * usual / step(1.0, PILOT, 2))))
    guesses = []
    for width in TAG_PROJECTIONS:
        index = pilot_places(pilots.ranks, width)
        bits = where.pilots[pilots.phases[:, None], index]
        for number in range(highest - RUNGS * _OCTAVES, highest + 1):
            strength = rung(number)
            score, fades = _agreement(pilots, bits, step(strength, PILOT, width), width)
            guesses.append(_Guess(score, strength, width, fades))
    guesses.sort(key=lambda guess: -guess.score)
    return [guess for guess in guesses[:_CANDIDATES] if guess.score > _SIGNIFICANT]


def _ask_tag(seen: _Seen, where: Sites, guess: _Guess, tag: Tag) -> _Guess:
    """Return the strength on which a tag that was read agrees best, near a guess."""
    seen = seen.of(TAG)
    word = encoded(tag.to_bytes())
    order, scramble = where.order(len(word))
    place = places(seen.ranks, guess.width, len(word), seen.phases)
    bits = word[order[place]] ^ scramble[place]
    number = round(RUNGS * np.log2(guess.strength))
    found = []
    for near in range(number - 2, number + 3):
        size = step(rung(near), TAG, guess.width)
        score, fades = _agreement(seen, bits, size, guess.width)
        found.append(_Guess(score, rung(near), guess.width, fades))
    return max(found, key=lambda guess: guess.score)


def _agreement(
    seen: _Seen, bits: npt.NDArray[np.uint8], size: float, width: int
) -> tuple[float, FloatArray]:
    """Return how many deviations above chance the changes show, and what is left of each pattern.

    What is left of a pattern that few blocks tell of is drawn towards what is left of all.
    """
    changes = seen.changes(bits, size, width)
    weighted = changes / seen.variance(size)
    sums = (weighted * seen.values[:, :width]).sum(axis=0, dtype=np.float64)
    energies = (weighted * changes).sum(axis=0, dtype=np.float64)
    total = max(float(energies.sum()), 1e-12)
    common = float(sums.sum()) / total
    prior = 1 / (_GAIN_SPREAD * max(common, 1e-3)) ** 2
    fades = np.full(PATTERNS, common)
    fades[:width] = (sums + prior * common) / (energies + prior)
    return float(sums.sum()) / np.sqrt(total), fades


def _receive(
    seen: _Seen, where: Sites, guess: _Guess, role: int, width: int, bits: int
) -> _Received:
    length = TurboCode.length_of(bits)
    order, scramble = where.order(length)
    place = places(seen.ranks, width, length, seen.phases)
    size = guess.size(role, width)
    fades = guess.fades[:width].astype(np.float32)
    return _Received(
        slices=seen.slices,
        places=order[place],
        flips=1 - 2 * scramble[place].astype(np.float32),
        values=seen.values[:, :width],
        zero=seen.changes(0, size, width) * fades,
        one=seen.changes(1, size, width) * fades,
        variance=seen.variance(size),
        length=length,
        depth=seen.depth,
    )
