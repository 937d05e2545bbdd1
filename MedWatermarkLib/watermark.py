"""Hide a message in a volume, read it, and take it out bit for bit.

The method: spread-transform dither modulation (B. Chen, G. W. Wornell, "Quantization index
modulation", IEEE Transactions on Information Theory 47(4), 2001, 1423-1443) of a few low-frequency
patterns inside each 8x8 block of the patient, slice by slice, in stored units. A block's
projection on a pattern is moved to the nearest point of a lattice that means 0 or of one that
means 1. What is carried are the data codewords of the message's QR code (after Chen, Bai
and Yao, Chinese Journal of Electronics 29(5), 2020, 819-825) and a short tag, each under a strong
error-correcting code of its own. The change of a block is computed in integers from a few bits, so
it can be taken back exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.blocks import Blocks, WatermarkError, working_copy
from MedWatermarkLib.capacity import Room
from MedWatermarkLib.change import Change
from MedWatermarkLib.dct import AREA, BLOCK
from MedWatermarkLib.detector import detect
from MedWatermarkLib.extracted import Extracted, SliceReading
from MedWatermarkLib.layout import LAYOUTS, few_blocks
from MedWatermarkLib.modulation import modulate, reach
from MedWatermarkLib.reference import read_with_original
from MedWatermarkLib.restoration import (
    Restoration,
    RestorationError,
    correct,
    corrections_between,
    digest,
)
from MedWatermarkLib.sites import sites
from MedWatermarkLib.strength import (
    LEAST_INTEGRAL,
    PRESETS,
    Strength,
    preset_strength,
    rung_below,
    rung_of,
)
from MedWatermarkLib.tag import GREATEST_COPY, RUNGS_TOLD, Tag, message_id
from MedWatermarkLib.undone import Undone

__all__ = [
    "Embedded",
    "Extracted",
    "MessageDoesNotFitError",
    "RestorationError",
    "SliceReading",
    "Tag",
    "Undone",
    "WatermarkError",
    "embed",
    "extract",
    "restore",
]

# Whole numbers that float32 holds exactly.
_EXACT_BITS = 23

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class MessageDoesNotFitError(WatermarkError):
    """The volume has too little room for the message.

    Attributes
    ----------
    greatest : int
        The greatest length of a message that fits, in bytes; 0 if none does.
    """

    def __init__(self, blocks: int, codewords: int, greatest: int) -> None:
        fits = f"one of {greatest} bytes would fit" if greatest else "no message fits"
        super().__init__(
            f"The message, {codewords} bytes as a QR code, is too long for this image, of which "
            f"{blocks} blocks of 8x8 voxels can be marked: {fits}. Shorten the diagnosis, or mark "
            "a volume of more slices."
        )
        self.greatest = greatest


@dataclass(frozen=True, eq=False)
class Embedded:
    """A marked volume.

    Attributes
    ----------
    voxels : (z, y, x) array
        Of the dtype and shape of the original.
    restoration : bytes
        What `restore` needs to take the mark out: the owner's.
    tag : Tag
        What every slice says.
    strength : float
        RMSE aimed at in marked blocks, in units of the voxels.
    rmse : float
        RMSE reached in marked blocks, in units of the voxels.
    greatest_change : float
        Greatest change of any voxel, in units of the voxels.
    blocks : (z,) int64 array
        Marked blocks of each slice.
    """

    voxels: Array
    restoration: bytes
    tag: Tag
    strength: float
    rmse: float
    greatest_change: float
    blocks: IntArray


def embed(
    voxels: npt.ArrayLike,
    message: bytes,
    *,
    key: bytes = b"",
    copy: int = 0,
    strength: Strength = "diagnostic",
    valid_range: tuple[float, float] | None = None,
    reserved: Sequence[tuple[float, float]] = (),
    exclude: npt.ArrayLike | None = None,
    hounsfield: tuple[float, float] | None = None,
) -> Embedded:
    """Hide a message in a volume.

    Parameters
    ----------
    voxels : (z, y, x) array
        Stored values of an integer dtype to 32 bits, float32 or float64.
    message : bytes
        What to hide; it becomes a QR code.
    key : bytes
        The mark's key; whoever has it can read the mark. The empty key is public.
    copy : int
        Number of this copy, 0 to 2**24 - 1.
    strength : "diagnostic", "robust" or float
        RMSE in marked blocks, in units of the voxels, not exceeded but for the rounding to whole
        numbers; or a preset. `diagnostic` is 1.5, or less where noise and range are small (see
        `strength.preset_strength`), and `robust` twice that.
    valid_range : (low, high), optional
        What voxels may be, both included. What the scan itself does not reach is never produced.
    reserved : sequence of (low, high)
        Ranges of values with a meaning of their own, such as Pixel Padding Value, both ends
        included: never touched, never produced.
    exclude : (z, y, x) bool array, optional
        Voxels that must not be touched, such as a lesion's: blocks that hold any are left as they
        are, and the tag says that there are such blocks.
    hounsfield : (slope, intercept), optional
        What makes CT numbers of the voxels of a CT, and so tells air from tissue; without it that
        is guessed from their distribution.

    Returns
    -------
    Embedded

    Raises
    ------
    WatermarkError
        If the volume is of a kind that cannot be marked, or an argument makes no sense.
    MessageDoesNotFitError
        If it has too little room for the message.
    qr.QRError
        If no QR code holds the message.
    """
    original = np.asarray(voxels)
    work = working_copy(original)
    _check_types(message, key, copy, valid_range)
    if not 0 <= copy <= GREATEST_COPY:
        raise WatermarkError(f"A copy number lies between 0 and {GREATEST_COPY}, not {copy}.")
    integral = original.dtype.kind in "iu" or _is_integral(work)
    _check_strength(strength, original.dtype.kind in "iu")
    codewords = qr.data_codewords(message)

    where = sites(key)
    blocks = Blocks(work)
    inside = blocks.body(hounsfield=hounsfield)
    few = few_blocks(inside.sum(axis=(1, 2)))
    excluded = inside & _excluded(exclude, work.shape)
    inside &= ~excluded
    if isinstance(strength, str):
        aim = preset_strength(strength, blocks, inside, integral)
    else:
        aim = float(strength)
    aim = rung_below(aim) if aim > 0 else 1.0
    quantum = 1.0 if integral and aim >= LEAST_INTEGRAL / 2 else _quantum(work, aim)
    inside &= _clear(blocks, reach(where, aim) + quantum, reserved)
    limits = _limits(blocks, valid_range)
    while True:
        room = Room(where, inside, few)
        layout = room.layout(8 * len(codewords))
        if layout is None:
            greatest = room.greatest_message()
            raise MessageDoesNotFitError(int(inside.sum()), len(codewords), greatest)
        density, spared = LAYOUTS.index(layout), bool(excluded.any())
        number = rung_of(aim) % RUNGS_TOLD
        tag = Tag(message_id(message), copy, len(codewords), density, spared, number)
        change = modulate(blocks, where, inside, few, tag, codewords, aim, quantum)
        marked = work.copy()
        effects = change.apply(marked, 1)
        # Without the blocks that would leave the limits the layout may be another, and so the rest.
        beyond = (effects[:, 2] < limits[0]) | (effects[:, 3] > limits[1])
        if not beyond.any():
            break
        inside[inside] = ~beyond
    result = np.ascontiguousarray(marked, original.dtype)
    record = Restoration(
        shape=work.shape,
        dtype=original.dtype.name,
        change=change,
        original=digest(change.blocks(original)),
        marked=digest(result),
        corrections=_corrections(change, marked, work),
        slope=np.ones(len(work)),
        intercept=np.zeros(len(work)),
    )
    return Embedded(
        voxels=result,
        restoration=record.to_bytes(),
        tag=tag,
        strength=aim,
        rmse=float(np.sqrt(effects[:, 0].mean() / AREA)) * quantum,
        greatest_change=float(effects[:, 1].max()) * quantum,
        blocks=inside.sum(axis=(1, 2)),
    )


def extract(
    voxels: npt.ArrayLike,
    *,
    key: bytes = b"",
    reference: npt.ArrayLike | None = None,
    hounsfield: tuple[float, float] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Extracted:
    """Read the mark of a volume or of a single slice, from nothing but voxels and key.

    With the original at hand, reading reaches much further: see `reference`.

    Parameters
    ----------
    voxels : (z, y, x) array
        As it arrived: cut, windowed, re-ordered, compressed.
    key : bytes
        The mark's key.
    reference : (z, y, x) array, optional
        The original, all of it and in its order: the volume as it was before `embed` marked it.
        The voxels may then be turned, mirrored, of another size, or a picture of one slice.
    hounsfield : (slope, intercept), optional
        What makes CT numbers of the reference, if `embed` was told.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    Extracted
        Message and tag are None where none was read. What is returned passed a check of at least
        32 bits.

    Raises
    ------
    WatermarkError
        If an array is not a volume of numbers.
    """
    if not isinstance(key, bytes):
        raise WatermarkError("The key of a mark is bytes.")
    work, tell = working_copy(voxels), progress or (lambda share: None)
    if reference is None:
        return detect(work, sites(key), tell)
    return read_with_original(work, working_copy(reference), sites(key), tell, hounsfield)


def restore(voxels: npt.ArrayLike, restoration: bytes) -> Array:
    """Take the mark out.

    Parameters
    ----------
    voxels : (z, y, x) array
        The marked volume, unaltered; another dtype that holds the same values will do.
    restoration : bytes
        The record that `embed` gave.

    Returns
    -------
    (z, y, x) array
        The original, equal in every bit.

    Raises
    ------
    RestorationError
        If the record is damaged or not of this volume, or the volume was altered.
    """
    record = Restoration.from_bytes(restoration)
    given = np.asarray(voxels)
    if given.shape != record.shape:
        raise RestorationError(
            "The restoration record belongs to another scan: one of "
            f"{' x '.join(map(str, record.shape))} voxels, not of "
            f"{' x '.join(map(str, given.shape))}."
        )
    with np.errstate(invalid="ignore"):
        marked = given.astype(record.dtype)
    if digest(marked) != record.marked:
        raise RestorationError(
            "These voxels are not the marked scan that the restoration record belongs to, or they "
            "were altered since, so the original cannot be restored exactly."
        )
    work = working_copy(marked)
    if np.shares_memory(work, given):
        work = work.copy()
    record.change.apply(work, -1)
    correct(work, record.corrections)
    original = work.astype(record.dtype, copy=False)
    if digest(record.change.blocks(original)) != record.original:
        raise RestorationError("The restoration record is damaged; take another copy of it.")
    return np.asarray(original)


def _check_types(
    message: bytes, key: bytes, copy: int, valid_range: tuple[float, float] | None
) -> None:
    if not isinstance(message, bytes) or not isinstance(key, bytes):
        raise WatermarkError("Message and key of a mark are bytes.")
    if not isinstance(copy, int):
        raise WatermarkError("A copy number is a whole number.")
    if valid_range is not None and not valid_range[0] < valid_range[1]:
        raise WatermarkError("The valid range must have a lower and a greater end.")


def _check_strength(strength: Strength, integers: bool) -> None:
    if isinstance(strength, str):
        if strength not in PRESETS:
            raise WatermarkError(f"A mark's strength is a number or {' or '.join(PRESETS)}.")
        return
    if not (np.isfinite(strength) and strength > 0):
        raise WatermarkError("The strength of a mark must be a positive number.")
    if integers and strength < LEAST_INTEGRAL:
        raise WatermarkError(
            f"A mark of strength {strength:g} would be lost in rounding to whole numbers; "
            f"the least is {LEAST_INTEGRAL:g}."
        )


def _is_integral(work: Array) -> bool:
    return all(bool(np.all((layer == np.rint(layer)) | ~np.isfinite(layer))) for layer in work)


def _quantum(work: Array, strength: float) -> float:
    """Return the power of two in which a float volume is changed.

    It is the coarsest, up to the strength, that the values are multiples of, and an eighth of the
    strength where there is none: what is a multiple comes back exactly, without corrections.
    """
    if strength == 0:
        return 1.0
    coarse = float(2.0 ** np.floor(np.log2(strength)))
    finite = np.where(np.isfinite(work), work, 0)
    for quantum in (coarse, coarse / 2, coarse / 4):
        if _is_integral(finite / quantum):
            return quantum
    return coarse / 8


def _limits(blocks: Blocks, valid_range: tuple[float, float] | None) -> tuple[float, float]:
    """Return what marked voxels may be: nothing that the scan itself does not reach.

    A magnitude stays positive, and a reader finds the ends of the range where they were.
    """
    finite = np.isfinite(blocks.low)
    if not finite.any():
        return 0.0, 0.0
    low, high = float(blocks.low[finite].min()), float(blocks.high[finite].max())
    # Extremes are known to the precision of float32, which is exact for 16 bits.
    if high - low > 2**_EXACT_BITS:
        low, high = low + (high - low) / 2**20, high - (high - low) / 2**20
    if valid_range is None:
        return low, high
    return max(low, valid_range[0]), min(high, valid_range[1])


def _clear(blocks: Blocks, reach: float, reserved: Sequence[tuple[float, float]]) -> BoolArray:
    """Return the blocks that no change takes to a reserved value."""
    least, greatest = blocks.low - reach, blocks.high + reach
    clear = np.ones(least.shape, bool)
    for low, high in reserved:
        clear &= (least > high) | (greatest < low)
    return clear


def _excluded(exclude: npt.ArrayLike | None, shape: tuple[int, ...]) -> BoolArray:
    depth, ny, nx = shape[0], shape[1] // BLOCK, shape[2] // BLOCK
    if exclude is None:
        return np.zeros((depth, ny, nx), bool)
    mask = np.asarray(exclude, bool)
    if mask.shape != shape:
        raise WatermarkError("The excluded region must be a mask of the same size as the volume.")
    tiles = mask[:, : ny * BLOCK, : nx * BLOCK].reshape(depth, ny, BLOCK, nx, BLOCK)
    return np.asarray(tiles.any(axis=(2, 4)))


def _corrections(change: Change, marked: Array, work: Array) -> IntArray:
    """Return what rounding takes from floats on the way there and back; integers lose nothing."""
    if marked.dtype.kind != "f":
        return np.empty((0, 2), np.int64)
    back = marked.copy()
    change.apply(back, -1)
    return corrections_between(back, work)
