"""Where a scan was altered: against the tiles that were registered, or by the mark it carries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.fidelity import measure_fidelity
from MedWatermarkLib.regions import FALSE_ALARM, altered_regions
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import hounsfield
from MedWatermarkLib.tiles import TILE, TileLeaves, tile_leaves
from MedWatermarkLib.volume import Volume, geometry_sides
from MedWatermarkLib.watermark import Extracted, extract

#: Labels of `TamperMap.volume`.
UNALTERED, ALTERED, NOT_TOLD = 0, 1, 2

# Places in the 15 numbers of a geometry.
_GEOMETRY = {"spacing": slice(0, 3), "origin": slice(3, 6), "direction": slice(6, 15)}
_MOST_NAMED = 12

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]


# In HU; noise takes air, at -1000, up to here and beyond, so the lowest voxel is surely below.
_AIR = -900.0


class TamperError(ValueError):
    """A tamper map cannot be made of a scan."""


@dataclass(frozen=True, eq=False)
class TamperMap:
    """Where a scan was altered.

    Attributes
    ----------
    image : Volume
        The scan.
    altered : (z, ny, nx) bool array
        The cells that were: tiles, or blocks of the mark.
    told : (z, ny, nx) bool array
        The cells of which anything can be said. Tiles tell of all; the mark does not tell of air
        and of what a display window clipped.
    probability : (z, ny, nx) float32 array
        How likely each cell was altered, 0 where nothing is told. Of tiles it is 0 or 1.
    side : int
        Voxels along a side of a cell.
    corner : (int, int)
        Voxel (y, x) at which the first cell begins.
    geometry_altered : bool or None
        Whether spacing, origin, direction or size differ; None where that is not known.
    false_alarm : float
        Chance that any cell of an unaltered scan is called altered.
    findings : tuple of str
        What was found, in sentences.
    """

    image: Volume = field(repr=False)
    altered: BoolArray = field(repr=False)
    told: BoolArray = field(repr=False)
    probability: npt.NDArray[np.float32] = field(repr=False)
    side: int
    corner: tuple[int, int]
    geometry_altered: bool | None
    false_alarm: float
    findings: tuple[str, ...]

    @property
    def slices(self) -> tuple[int, ...]:
        """Numbers of the slices with an altered cell, from 0."""
        return tuple(np.flatnonzero(self.altered.any(axis=(1, 2))).tolist())

    def volume(self) -> Volume:
        """Return a label volume on the scan's geometry: 0 unaltered, 1 altered, 2 not told."""
        labels = np.where(self.altered, ALTERED, np.where(self.told, UNALTERED, NOT_TOLD))
        return self._on_image(labels.astype(np.uint8), NOT_TOLD)

    def probability_volume(self) -> Volume:
        """Return the probability of alteration on the scan's geometry, float32."""
        return self._on_image(self.probability, 0)

    def _on_image(self, cells: Array, beyond: int) -> Volume:
        voxels = np.full(self.image.voxels.shape, beyond, cells.dtype)
        top, left = self.corner
        height, width = self.image.voxels.shape[1:]
        for z, one in enumerate(cells):
            grown = one.repeat(self.side, axis=0).repeat(self.side, axis=1)
            rows, columns = grown[: height - top, : width - left].shape
            voxels[z, top : top + rows, left : left + columns] = grown[:rows, :columns]
        image = self.image
        return Volume(voxels, image.spacing, image.origin, image.direction)


def compare_tiles(volume: Volume, leaves: TileLeaves) -> TamperMap:
    """Say exactly which tiles of a scan differ from those that were registered.

    Parameters
    ----------
    volume : Volume
        The scan as it arrived.
    leaves : TileLeaves
        Those of the registered scan. That they are must have been shown by their root.

    Returns
    -------
    TamperMap
        Where slices are missing or were added, the others are compared with their counterparts.
    """
    received = tile_leaves(volume)
    counterparts = _counterparts(received, leaves)
    altered = np.ones(received.digests.shape[:3], bool)
    for z, counterpart in enumerate(counterparts):
        if counterpart is not None:
            altered[z] = (received.digests[z] != leaves.digests[counterpart]).any(axis=-1)
    geometry = list(_geometry_differences(volume, leaves))
    return TamperMap(
        image=volume,
        altered=altered,
        told=np.ones(altered.shape, bool),
        probability=altered.astype(np.float32),
        side=TILE,
        corner=(0, 0),
        geometry_altered=bool(geometry),
        false_alarm=0.0,
        findings=(
            *_tile_findings(altered, bool(geometry)),
            *_exchanged(received, leaves, counterparts),
            *geometry,
        ),
    )


def map_from_mark(
    volume: Volume,
    *,
    key: bytes = b"",
    extracted: Extracted | None = None,
    restoration: bytes | None = None,
) -> TamperMap:
    """Say where a scan no longer carries its mark as it was written.

    Parameters
    ----------
    volume : Volume
        The scan as it arrived: compressed, windowed, cut.
    key : bytes
        The mark's key.
    extracted : Extracted, optional
        What `extract` read from these voxels with this key, where that is known already.
    restoration : bytes, optional
        The restoration record, which knows what the owner left unmarked. Without it nothing is
        told of blocks without a mark in a scan whose tag says that there are such.

    Returns
    -------
    TamperMap
        Of blocks of 8 x 8 voxels. An alteration that leaves a block's texture as it is, such as
        one brightness added to all of it, shows at its edges alone.

    Raises
    ------
    TamperError
        If no mark can be read, or the scan was turned or scaled.
    WatermarkError
        If the voxels are not of a kind that carries marks.

    Notes
    -----
    Of every symbol of the mark it is known where it was put, since tag and message were read.
    Where it is now, and how far symbols stray in the volume at large, gives the likelihood of
    each block under "carries its bits" and under "was replaced"; `regions.altered_regions` makes
    regions of these.
    """
    extracted = extract(volume.voxels, key=key) if extracted is None else extracted
    undone = extracted.undone
    if undone is not None and undone.reshaped:
        raise TamperError(
            f"This scan was {undone}, so that its voxels are not those that were marked: where it "
            "was altered beside that, the mark cannot tell."
        )
    fidelity = measure_fidelity(volume.voxels, extracted, key=key, hounsfield=_ct_numbers(volume))
    if fidelity is None:
        raise TamperError(
            "No mark was read from this scan with this key, so the mark cannot tell where the "
            "scan was altered."
        )
    told, evidence = fidelity.told, fidelity.evidence
    marked = None if restoration is None else Restoration.from_bytes(restoration).change.mask
    if extracted.origin != (0, 0) or marked is None or marked.shape != told.shape:
        marked = None
    else:
        told = told & marked
        evidence = np.where(told, evidence, 0.0)
    altered, probability = altered_regions(evidence, told)
    findings = _mark_findings(altered, told)
    if marked is None and extracted.tag is not None and extracted.tag.spared and altered.any():
        findings = _spared_findings(altered, told)
        told = told & ~altered
        altered, probability = np.zeros_like(altered), np.where(told, probability, np.float32(0))
    return TamperMap(
        image=volume,
        altered=altered,
        told=told,
        probability=probability,
        side=BLOCK,
        corner=fidelity.corner,
        geometry_altered=None,
        false_alarm=FALSE_ALARM,
        findings=(*findings, *_disorder(fidelity.breaks)),
    )


def _counterparts(received: TileLeaves, leaves: TileLeaves) -> list[int | None]:
    """Return the registered slice that each slice is to be compared with."""
    if received.shape[1:] != leaves.shape[1:]:
        return [None] * received.shape[0]
    if received.shape == leaves.shape:
        return list(range(received.shape[0]))
    before, after = (list(map(bytes, one.digests)) for one in (leaves, received))
    counterparts: list[int | None] = [None] * len(after)
    for _, i, end_i, j, end_j in SequenceMatcher(None, before, after, False).get_opcodes():
        for step in range(min(end_i - i, end_j - j)):
            counterparts[j + step] = i + step
    return counterparts


def _geometry_differences(volume: Volume, leaves: TileLeaves) -> Iterable[str]:
    if volume.voxels.shape != leaves.shape:
        sizes = (" x ".join(map(str, shape)) for shape in (volume.voxels.shape, leaves.shape))
        yield "The scan has {} voxels, the registered one {}.".format(*sizes)
    agree = np.array(
        [
            number in sides
            for number, sides in zip(leaves.geometry.tolist(), geometry_sides(volume), strict=True)
        ]
    )
    differing = [name for name, numbers in _GEOMETRY.items() if not agree[numbers].all()]
    if differing:
        yield f"The geometry is not the registered one: {' and '.join(differing)} differ."


def _tile_findings(altered: BoolArray, geometry_differs: bool) -> Iterable[str]:
    if altered.any():
        yield (
            f"{_count(int(altered.sum()), 'tile')} of {TILE} x {TILE} voxels, of "
            f"{altered.size:,}, differ from what was registered, in "
            f"{_named(np.flatnonzero(altered.any(axis=(1, 2))))}."
        )
    elif geometry_differs:
        yield "All voxels are those that were registered; where they lie is not."
    else:
        yield "Voxels and geometry are those that were registered."


def _exchanged(
    received: TileLeaves, leaves: TileLeaves, counterparts: Sequence[int | None]
) -> Iterable[str]:
    """Say which slices are missing, were added, or stand in the place of others."""
    if received.shape[1:] != leaves.shape[1:]:
        return
    missing = sorted(set(range(leaves.shape[0])) - set(counterparts))
    if missing:
        yield f"Of the registered scan {_named(missing)} {_are(missing)} missing."
    added = [z for z, counterpart in enumerate(counterparts) if counterpart is None]
    if added:
        yield f"The registered scan has no counterpart of {_named(added)}."
    content = [bytes(one) for one in leaves.digests]
    # Slices of nothing but air may be alike; what is there once can be told.
    place = {one: z for z, one in enumerate(content) if content.count(one) == 1}
    for z, counterpart in enumerate(counterparts):
        found = place.get(bytes(received.digests[z]))
        if found is not None and found != counterpart:
            yield f"Slice {z + 1} is what was registered as slice {found + 1}."


def _mark_findings(altered: BoolArray, told: BoolArray) -> Iterable[str]:
    told_of = int(told.sum())
    if not told_of:
        yield "The mark tells of no part of this scan whether it was altered."
    elif altered.any():
        yield (
            f"{_count(int(altered.sum()), 'block')} of {BLOCK} x {BLOCK} voxels, of {told_of:,} "
            "that the mark tells of, do not carry it as it was written, in "
            f"{_named(np.flatnonzero(altered.any(axis=(1, 2))))}."
        )
    else:
        yield f"No alteration shows in the {told_of:,} blocks that the mark tells of."


def _spared_findings(without: BoolArray, told: BoolArray) -> Iterable[str]:
    yield (
        f"The owner left parts of this scan unmarked, so nothing is told of "
        f"{_count(int(without.sum()), 'block')} that do not carry the mark, in "
        f"{_named(np.flatnonzero(without.any(axis=(1, 2))))}: the tile leaves of the registered "
        "scan, or the restoration record, tell whether they were altered."
    )
    yield f"No alteration shows in the other {int((told & ~without).sum()):,} blocks."


def _disorder(breaks: Sequence[int]) -> Iterable[str]:
    if breaks:
        yield (
            f"Slices do not follow one another as they were marked, before {_named(breaks)}: "
            "some are missing, added or exchanged."
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _are(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _named(numbers: Iterable[int]) -> str:
    """Return the names of slices, counted from 1, runs of them in short."""
    runs: list[list[int]] = []
    for number in map(int, numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    names = [str(a + 1) if a == b else f"{a + 1} to {b + 1}" for a, b in runs]
    if len(names) > _MOST_NAMED:
        names = [*names[:_MOST_NAMED], f"{len(names) - _MOST_NAMED} more places"]
    many = len(runs) > 1 or runs[0][0] != runs[0][1]
    return f"slice{'s' if many else ''} {', '.join(names)}"


def _ct_numbers(volume: Volume) -> tuple[float, float] | None:
    """Return what makes CT numbers of the voxels, where it is known or can be assumed.

    Files other than DICOM say no modality. Values down to that of air, -1000 HU, are CT numbers
    as good as surely; where they are not, the guess meets the mark worse than others do.
    """
    known = hounsfield(volume)
    if known is not None or volume.modality:
        return known
    unscaled = (volume.slope == 1).all() and (volume.intercept == 0).all()
    return (1.0, 0.0) if unscaled and np.nanmin(volume.voxels) <= _AIR else None
