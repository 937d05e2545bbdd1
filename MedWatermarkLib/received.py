"""What the blocks of a volume say of a code word, before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.alignment import Alignment
from MedWatermarkLib.averaged import shift_of
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.layout import Layout, few_blocks
from MedWatermarkLib.pilots import Sync
from MedWatermarkLib.reliability import (
    BOLD_NOISE,
    FINE_NOISE,
    KINDS,
    Reliability,
    fine_of,
    kinds_of,
    reliability_of,
)
from MedWatermarkLib.sites import PHASES, PILOT, PLAIN, Sites
from MedWatermarkLib.soft import log_ratios, spread_of

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatRows = npt.NDArray[np.float32]

# By what share a writer may have counted less blocks of a slice than a reader does.
_COUNTED_MORE = 1.1


class View:
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
class Received:
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

    def stretched(self, stretches: FloatArray) -> Received:
        """Return them on lattices that are longer."""
        phase: FloatRows = np.divide(self.phase, stretches[self.kinds, None], dtype=np.float32)
        return replace(self, phase=phase)

    def _summed(self, symbols: npt.NDArray[Any]) -> FloatRows:
        says = self.says()
        index = (self.slices[:, None] * self.length + self.places)[says]
        sums = np.bincount(index, symbols[says], self.depth * self.length)
        return sums.reshape(self.depth, self.length).astype(np.float32)


def received_of(
    view: View, sync: Sync, word: int, layout: Layout, length: int, few: BoolArray
) -> Received:
    """Return what is said of a code word, where some slices are taken to be of few blocks."""
    phases, few = sync.phases[view.slices], few[view.slices]
    places = layout.places(view.where, word, view.by, view.bx, phases, length, few)
    chosen = (places >= 0).any(axis=1)
    places, roles = places[chosen], view.roles[chosen]
    order, scramble = view.where.order(length)
    steps = layout.steps(1.0)
    ratios = steps / steps[PILOT, 0]
    size = np.maximum(ratios, 1e-6)[roles] * sync.step
    return Received(
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


def reliability_seen(view: View, sync: Sync, mean: int = 1) -> Reliability:
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
