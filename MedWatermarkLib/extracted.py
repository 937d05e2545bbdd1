"""What was read of a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.decoding import ReadMessage, ReadTag, TagEvidence
from MedWatermarkLib.tag import Tag
from MedWatermarkLib.undone import Undone

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SliceReading:
    """What a slice says alone.

    Attributes
    ----------
    tag, message : bool
        Whether it reads.
    confidence : float
        Mean certainty of the tag's bits, 0 to 1.
    copy : int or None
        Which copy it says that it is of, if it says one: in a volume that was put together from
        several copies not that of the volume's tag.
    phase : int or None
        Number, modulo 16, that it had in the marked volume, if that shows.
    """

    tag: bool
    message: bool
    confidence: float
    copy: int | None = None
    phase: int | None = None


@dataclass(frozen=True, eq=False)
class Extracted:
    """What was read.

    Attributes
    ----------
    message : bytes or None
    tag : Tag or None
    slices : tuple of SliceReading
        One for each slice, in the order in which they arrived.
    confidence : float
        Mean certainty of the message's bits, 0 to 1; 0 without a tag.
    modules : (n, n) float64 array or None
        The QR code as it was read: how dark each module is, 0 to 1; None without a tag, which
        alone says how large it is.
    step : float or None
        Step of the tag's lattice as it arrived, in units of the voxels.
    origin : (int, int)
        Voxel (y, x) of the marked slices at which these begin: what was cut away before them.
    undone : Undone or None
        What was found to have happened to the volume and was undone before it was read: that it
        was cut, turned, mirrored, scaled or averaged, filtered, its values multiplied or given
        another contrast, or its slices put in another order. None where nothing was.
    evidence : tuple of TagEvidence
        For each layout of the tag that was tried, the last of which it was read with if it was.
        By it copies are traced that do not read.
    checked : int
        How many tags were held against their check, one of which may have passed by chance. Where
        the message was read, only those of that reading count.
    """

    message: bytes | None
    tag: Tag | None
    slices: tuple[SliceReading, ...]
    confidence: float
    modules: FloatArray | None
    step: float | None
    origin: tuple[int, int]
    undone: Undone | None = None
    evidence: tuple[TagEvidence, ...] = ()
    checked: int = 0


def unread(read: ReadTag, evidence: tuple[TagEvidence, ...]) -> Extracted:
    """Return what there is to say where no tag was read."""
    slices = tuple(SliceReading(False, False, float(c)) for c in read.certainty)
    return Extracted(None, None, slices, 0.0, None, None, (0, 0), evidence=evidence)


def told(
    read: ReadTag,
    message: ReadMessage,
    evidence: tuple[TagEvidence, ...],
    step: float,
    origin: tuple[int, int],
    phases: Sequence[int | None],
) -> Extracted:
    """Return what there is to say where a tag was read."""
    several = zip(read.agreeing, message.alone, read.certainty, read.copies, phases, strict=True)
    return Extracted(
        message=message.message,
        tag=read.tag,
        slices=tuple(SliceReading(bool(t), bool(m), float(c), *rest) for t, m, c, *rest in several),
        confidence=message.confidence,
        modules=message.modules,
        step=step,
        origin=origin,
        evidence=evidence,
    )
