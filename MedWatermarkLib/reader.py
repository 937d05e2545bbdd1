"""Reading a volume that lies straight, and whose place on the canonical plane is known.

A tag is taken only if its check of 32 bits agrees, a message if it has the 64 bits of the SHA-256
that the tag says; and a tag is decoded only where the pilots show.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.alignment import Alignment
from MedWatermarkLib.averaged import shift_of, solve
from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.channel_code import TurboCode
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
from MedWatermarkLib.gain import FILTERED, gain_of, stretch
from MedWatermarkLib.layout import LAYOUTS, TAG_LAYOUTS, Layout, says_the_tag
from MedWatermarkLib.modulation import bits_at, message_word, tag_word
from MedWatermarkLib.order import Order, shown_phases
from MedWatermarkLib.pilots import SIGNIFICANT, Sync, candidates, synchronise
from MedWatermarkLib.polar_code import TAG_CODE, PolarCode
from MedWatermarkLib.received import View, received_of, reliability_seen
from MedWatermarkLib.reliability import Reliability, reliability_of, stretches_of
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, TAG, Sites
from MedWatermarkLib.tag import Tag
from MedWatermarkLib.undone import Undone

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]

# Score of pilots above which there surely is a mark.
_SURE = 6.0
# Which blocks may be marked: those that embedding would take; those with a few voxels that were
# clipped, or hit by impulses, too; and all of them, where a window left nothing of the air.
_BODIES = ((0, True), (4, True), (4, False))
_UNMOVED = Alignment()


def read_at(
    voxels: Array, where: Sites, alignment: Alignment = _UNMOVED, mean: int = 1
) -> Extracted:
    """Read a mark where it is said to lie.

    Parameters
    ----------
    voxels : (z, y, x) array
        As `blocks.working_copy` gives it.
    where : Sites
    alignment : Alignment
        Where the first block lies; by default the copy begins where the marked slices do.
    mean : int
        Of how many marked slices each is the mean.
    """
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
            view = View(where, alignment, blocks, body)
            found = _read(view, sync) if mean == 1 else _read_means(view, sync, mean)
            checked += found.checked
        if found.tag is None and mean == 1 and alignment == _UNMOVED:
            view = View(where, alignment, blocks, bodies[0])
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


def _read(view: View, sync: Sync) -> Extracted:
    evidence, reliability, checked = [], reliability_seen(view, sync), 0
    # Where a slice is large, fine projections that do not say the tag are only noise to it.
    for layout in TAG_LAYOUTS if view.may_be_few.any() else TAG_LAYOUTS[:1]:
        received = received_of(view, sync, TAG, layout, TAG_CODE.length, view.may_be_few)
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
        more = received_of(view, sync, TAG, layout, TAG_CODE.length, few)
        read = read_more(read, more.stretched(stretches).words(reliability, blind=True))
    received = received_of(view, sync, MESSAGE, layout, length, few).stretched(stretches)
    symbols = np.bincount(received.slices, received.says().sum(axis=1), view.depth)
    words = received.words(reliability, blind=True)
    message = read_message(words, np.where(read.agreeing, symbols, 0), tag)
    phases = _phases(view, sync, read, word)
    step, gain = _rescaled(view, sync, tag, message.message, few)
    found = told(read, message, tuple(evidence), step, view.alignment.origin, phases)
    return replace(
        found, checked=checked + read.checked, undone=Undone(gain=gain, order=Order.of(phases))
    )


def _few(view: View, sync: Sync, layout: Layout, word: npt.NDArray[np.uint8]) -> BoolArray:
    """Return in which slices the fine projections of the tag's blocks say the tag, too."""
    every = np.ones(view.depth, bool)
    received = received_of(view, sync, TAG, layout, TAG_CODE.length, every)
    signs = 2.0 * (word[received.places[:, 1:]] ^ received.scramble[:, 1:]) - 1
    waves = np.sin(2 * np.pi * received.phase[:, 1:]) * signs
    return says_the_tag(waves, received.slices, view.depth)


def _rescaled(
    view: View, sync: Sync, tag: Tag, message: bytes | None, few: BoolArray, mean: int = 1
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


def _phases(view: View, sync: Sync, read: ReadTag, word: npt.NDArray[np.uint8]) -> list[int | None]:
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


def _read_means(view: View, sync: Sync, mean: int) -> Extracted:
    """Read slices that are means of neighbours, whose bits are sums of those of the neighbours."""
    silent = Extracted(
        None, None, tuple(SliceReading(False, False, 0.0) for _ in range(view.depth)), 0.0, None,
        None, (0, 0),
    )  # fmt: skip
    reliability = reliability_seen(view, sync, mean)
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
    view: View,
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
        received_of(
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
