"""How well each block of a scan still carries the bits that were written into it.

Once tag and message were read, the bit of every symbol is known, and so the lattice point that
its projection was moved to. A block that was replaced, drawn over or moved has projections
anywhere; one that was compressed, or shown through a window, has them near their points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedWatermarkLib.blocks import Blocks, working_copy
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.order import Order
from MedWatermarkLib.pilots import synchronise_at
from MedWatermarkLib.sites import sites
from MedWatermarkLib.straying import log_likelihood
from MedWatermarkLib.symbols import Symbols, symbols_of

# A scan as it left the scanner; one with clipped voxels; one of which a window left no air.
_BODIES = ((0, True), (4, True), (4, False))
# Side of the window, in blocks, in which a mark is seen where nobody says that there is one, and
# the log likelihood ratio that this takes.
_WINDOW, _SEEN = 5, 5.0
# Share of a guess that has to show the mark in most slices, for the rest to be expected to.
_MOST = 0.8
# Share of blocks within the body that the writer is taken to have left out, at least; and what is
# said of the blocks of a kind of which it left out more than the other.
_LEFT_OUT, _TOO_MANY = 0.003, 0.3
# How many kinds of blocks there are by their darkest voxel; how often their shares are estimated
# anew; and for how many times what was estimated is allowed, as such blocks come in groups.
_KINDS, _ROUNDS, _ALLOWANCE = 24, 30, 2.0
# Blocks that a gap in what carries the mark may be wide.
_GAP = 2
# How far the gain may lie from 1 that an original at hand tells of voxels that kept theirs.
_SAME_GAIN = 0.005

_SQUARE = np.ones((1, 3, 3), bool)

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
FloatBlocks = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fidelity:
    """What is left of a mark, block by block.

    Attributes
    ----------
    evidence : (z, ny, nx) float64 array
        Logarithm of how much likelier the projections of each block are if it was replaced than
        if it is as it was marked; 0 where nothing is told.
    told : (z, ny, nx) bool array
        The blocks that are taken to have been marked.
    corner : (int, int)
        Voxel (y, x) at which the first block begins.
    breaks : tuple of int
        Numbers of the slices that do not follow the one before as they were marked.
    """

    evidence: FloatArray
    told: BoolArray
    corner: tuple[int, int]
    breaks: tuple[int, ...]


def measure_fidelity(
    voxels: npt.ArrayLike,
    extracted: Extracted,
    *,
    key: bytes = b"",
    hounsfield: tuple[float, float] | None = None,
) -> Fidelity | None:
    """Compare a scan, block by block, with the mark that was read from it.

    Parameters
    ----------
    voxels : (z, y, x) array
    extracted : Extracted
        What was read from it.
    key : bytes
        The mark's key.
    hounsfield : (slope, intercept), optional
        What makes CT numbers of the voxels, where it is known; it tells which blocks the writer
        marked.

    Returns
    -------
    Fidelity, or None if no tag was read.
    """
    if extracted.tag is None or extracted.step is None:
        return None
    where = sites(key)
    top, left = (-offset % BLOCK for offset in extracted.origin)
    first = (extracted.origin[0] + top) // BLOCK, (extracted.origin[1] + left) // BLOCK
    blocks = Blocks(working_copy(voxels), top, left)
    guesses = [blocks.body(clipped, air) for clipped, air in _BODIES]
    known = hounsfield is not None and not _was_rescaled(extracted)
    if known:
        guesses.insert(0, blocks.body(hounsfield=hounsfield))
    syncs = [synchronise_at(blocks, one, where, extracted.step, *first) for one in guesses]
    # A guess that takes in blocks without a mark has the lower score.
    best = int(np.argmax([0.0 if sync is None else sync.score for sync in syncs]))
    body, sync = guesses[best], syncs[best]
    if sync is None:
        return None
    symbols = symbols_of(blocks, body, where, extracted, sync.phases, first)
    ranges = (blocks.high - blocks.low) / sync.step
    if known and best == 0:
        likelihood = log_likelihood(symbols, body, ranges)
        told = body | (_enclosed(body) & _put_there(blocks, body))
        left_out = np.minimum(_left_out(likelihood, blocks, told), _TOO_MANY)
    else:
        likelihood, told, left_out = _found(symbols, blocks, body, ranges)
    order = Order.of([one.phase for one in extracted.slices])
    marked = (1 - left_out) * np.exp(np.minimum(likelihood, 50.0))
    return Fidelity(
        evidence=np.where(told, -np.log(marked + left_out), 0.0),
        told=told,
        corner=(top, left),
        breaks=() if order is None else order.breaks,
    )


def _was_rescaled(extracted: Extracted) -> bool:
    """Return whether a gain changed the voxels, so that CT numbers are not what they were."""
    gain = None if extracted.undone is None else extracted.undone.gain
    return gain is not None and abs(gain - 1) > _SAME_GAIN


def _found(
    symbols: Symbols, blocks: Blocks, body: BoolArray, ranges: FloatArray
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Return likelihood, blocks told of and chance of having been left out, from a guess.

    The guess may take in blocks that were never marked. So the mark is looked for in all blocks,
    and what it encloses is expected to carry it if blocks of that darkness do elsewhere.
    """
    uneven = blocks.high > blocks.low
    core = body
    for _ in range(2):
        likelihood = log_likelihood(symbols, core, ranges)
        window = np.where(uneven, likelihood, 0.0)
        sums = ndimage.uniform_filter(window, (0, _WINDOW, _WINDOW), mode="constant") * _WINDOW**2
        seen = uneven & (sums > _SEEN)
        core = seen if seen.any() else body
    sizes = body.sum(axis=(1, 2))
    shares = (seen & body).sum(axis=(1, 2))[sizes > 0] / sizes[sizes > 0]
    if np.median(shares) > _MOST:
        # A good guess: what is not seen there may have been replaced, be it a whole slice.
        core = core | body
    expected = _enclosed(core) & ((uneven & ~_clipped(blocks, uneven)) | _put_there(blocks, core))
    chance = _left_out(likelihood, blocks, expected)
    return likelihood, expected & (chance < _TOO_MANY), chance


def _enclosed(blocks: BoolArray) -> BoolArray:
    """Close gaps of a few blocks, then fill what is enclosed, slice by slice."""
    padded = np.pad(blocks, ((0, 0), (_GAP, _GAP), (_GAP, _GAP)))
    closed = ndimage.binary_closing(padded, _SQUARE, iterations=_GAP)
    filled = np.stack([ndimage.binary_fill_holes(layer) for layer in closed])
    return np.asarray(filled[:, _GAP:-_GAP, _GAP:-_GAP] | blocks)


def _clipped(blocks: Blocks, uneven: BoolArray) -> BoolArray:
    """Return the blocks that reach the ends of a range which a display window cut off."""
    if not uneven.any() or not blocks.looks_clipped():
        return np.zeros(uneven.shape, bool)
    low, high = np.nanmin(blocks.low), np.nanmax(blocks.high)
    return np.asarray((blocks.low == low) | (blocks.high == high))


def _put_there(blocks: Blocks, marked: BoolArray) -> BoolArray:
    """Return the constant blocks of a brightness that marked ones have.

    No scanner makes a constant block of tissue; air and clipped bone lie beyond.
    """
    flat = blocks.low == blocks.high
    low, high = np.percentile(blocks.low[marked], 5), np.percentile(blocks.high[marked], 95)
    return np.asarray(flat & (blocks.low > low) & (blocks.high < high))


def _left_out(likelihood: FloatArray, blocks: Blocks, expected: BoolArray) -> FloatArray:
    """Return the chance of each block that the writer did not mark it.

    It is that of its kind: the share of a mixture that is not marked (by expectation and
    maximisation: A. P. Dempster, N. M. Laird, D. B. Rubin, Journal of the Royal Statistical
    Society B 39(1), 1977, 1-38). Kinds are made by the darkest voxel, by which the body is told
    from air, and by whether a block lies at the rim of what is expected.
    """
    if not expected.any():
        return np.ones(expected.shape)
    rim = expected & ~ndimage.binary_erosion(expected, _SQUARE)
    # A slice that was replaced as a whole says nothing of what writers leave out.
    whole = np.where(expected, likelihood, 0.0).sum(axis=(1, 2)) > 0
    usual = expected & whole[:, None, None] if whole.any() else expected
    edges = np.quantile(blocks.low[usual], np.linspace(0, 1, _KINDS + 1)[1:-1])
    kinds = np.digitize(blocks.low, edges) + _KINDS * rim
    ratio = np.exp(np.minimum(likelihood[usual], 50.0))
    kind = kinds[usual]
    counts = np.maximum(np.bincount(kind, minlength=2 * _KINDS), 1)
    share = np.full(2 * _KINDS, 0.1)
    for _ in range(_ROUNDS):
        own = share[kind]
        share = np.bincount(kind, own / (own + (1 - own) * ratio), 2 * _KINDS) / counts
    # Dark blocks are left out, not bright ones: what is missing of one kind of these was altered.
    bright = share.reshape(2, _KINDS)[:, _KINDS // 2 :]
    bright[:] = bright.min(axis=1, keepdims=True)
    return np.asarray(np.clip(_ALLOWANCE * share, _LEFT_OUT, 1.0)[kinds])
