"""Reading a DICOM series as one volume."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dicom_pixels import (
    padding_range,
    pixel_words,
    stored_values,
    valid_range,
)
from MedWatermarkLib.dicom_series import Series, discreet_pydicom, find_series, read_instance
from MedWatermarkLib.identity import identity_of_dicom
from MedWatermarkLib.image_errors import ImageReadError, ImageReadWarning, understanding
from MedWatermarkLib.slice_grid import (
    Frame,
    Grid,
    at_one_place,
    frames_of,
    in_order,
    largest_group,
    regular_grid,
)
from MedWatermarkLib.volume import Volume, VolumeError


@dataclass(frozen=True)
class SourceSlice:
    """Where a slice of a volume was read from.

    Parameters
    ----------
    path : pathlib.Path
        The DICOM file.
    frame : int
        Number of the frame in it, from 0.
    """

    path: Path
    frame: int


@dataclass(frozen=True)
class DicomSource:
    """The instances that a volume was read from.

    Parameters
    ----------
    slices : tuple of SourceSlice
        One for each slice of the volume, in its order.
    grid : Grid
        The geometry that the instances have; DICOM can be written with no other.
    """

    slices: tuple[SourceSlice, ...]
    grid: Grid


def read_dicom(path: Path, series_uid: str | None = None) -> Volume:
    """Read a DICOM file, or one series of a folder.

    Parameters
    ----------
    path : pathlib.Path
        A file, or a folder that is searched recursively.
    series_uid : str, optional
        Series Instance UID; without it the largest series is read.

    Returns
    -------
    Volume
        With the stored values, the rescale of each slice, and `DicomSource` as its source.

    Raises
    ------
    ImageReadError
        If there is no such series, or it is no scan that can be read.

    Warns
    -----
    ImageReadWarning
        If images were left out, or something of the geometry was dropped or assumed.
    """
    with discreet_pydicom():
        series, remarks = _chosen(path, series_uid)
    return _read(series, path, remarks)


def read_series(series: Series) -> Volume:
    """Read a series that was found; its files may lie anywhere.

    Parameters
    ----------
    series : Series

    Returns
    -------
    Volume
        As of `read_dicom`, and so are errors and warnings.
    """
    return _read(series, series, [])


def _read(series: Series, name: Path | Series, remarks: list[str]) -> Volume:
    """Read a volume, and say what is to be said of it under the name."""
    try:
        with discreet_pydicom():
            volume, more = _volume(series)
    except VolumeError as error:
        raise ImageReadError(f"{name} holds no scan: {error}") from error
    for remark in [*remarks, *more]:
        warnings.warn(ImageReadWarning(f"{name}: {remark}."), stacklevel=4)
    return volume


def _volume(series: Series) -> tuple[Volume, list[str]]:
    """Read a volume, and return what to say of it."""
    frames, remarks = _slices(series)
    decoded = _decoded(frames)
    if len(decoded) > 1:
        kept, copies = _distinct(frames, [one.values for one in decoded])
        remarks += copies
        frames = [frames[index] for index in kept]
        decoded = [decoded[index] for index in kept]
    grid = regular_grid(frames)
    volume = Volume(
        voxels=np.stack([one.values for one in decoded]),
        spacing=grid.spacing,
        origin=grid.origin,
        direction=grid.direction,
        slope=np.array([frame.slope or 1.0 for frame in frames]),
        intercept=np.array([frame.intercept or 0.0 for frame in frames]),
        valid_range=_common_range(decoded, series),
        reserved=tuple(sorted({one.padding for one in decoded if one.padding is not None})),
        modality=series.modality,
        window=frames[len(frames) // 2].window,
        identity=_identity(frames[0].path),
        source=DicomSource(tuple(SourceSlice(one.path, one.index) for one in frames), grid),
    )
    return volume, [*remarks, *grid.remarks]


def _identity(path: Path) -> dict[str, str]:
    header = read_instance(path, stop_before_pixels=True)
    with understanding(path):
        return identity_of_dicom(header)


@dataclass(frozen=True)
class _Decoded:
    values: npt.NDArray[Any]
    valid_range: tuple[int, int] | None
    padding: tuple[float, float] | None


def _chosen(path: Path, series_uid: str | None) -> tuple[Series, list[str]]:
    found, remarks = find_series(path)
    if not found:
        raise ImageReadError(f"{path} holds no DICOM images of a scan.")
    if series_uid is None:
        if len(found) > 1:
            remarks.append(f"of {len(found)} series the largest, {found[0].uid}, was read")
        return found[0], remarks
    for series in found:
        if series.uid == series_uid:
            return series, remarks
    raise ImageReadError(
        f"{path} holds no series {series_uid}; it holds {', '.join(one.uid for one in found)}."
    )


def _slices(series: Series) -> tuple[list[Frame], list[str]]:
    """Return the frames of a series that make up its scan, in order, and what to say of them."""
    frames: list[Frame] = []
    remarks = []
    nonlinear = False
    for path in series.paths:
        header = read_instance(path, stop_before_pixels=True)
        nonlinear = nonlinear or "ModalityLUTSequence" in header
        frames += frames_of(path, header)
    slices = in_order(largest_group(frames))
    left_out = [frame for frame in frames if frame not in slices]
    if {frame.path for frame in left_out} & {frame.path for frame in slices}:
        raise ImageReadError(
            f"{slices[0].path} holds frames of several sizes or orientations; one volume is needed."
        )
    if left_out:
        remarks.append(
            f"{len(left_out)} of {len(frames)} images were left out, they have another size, "
            "spacing or orientation than the rest (localizers?)"
        )
    if nonlinear:
        remarks.append("the Modality LUT was not applied, values are stored ones")
    if any(frame.slope == 0 for frame in slices):
        remarks.append("a Rescale Slope of 0 was taken for 1")
    return slices, remarks


def _decoded(frames: Sequence[Frame]) -> list[_Decoded]:
    """Decode frames, in their order; each file is read once."""
    by_path: dict[Path, list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        by_path[frame.path].append(number)
    decoded: dict[int, _Decoded] = {}
    for path, numbers in by_path.items():
        instance = read_instance(path)
        with understanding(path):
            words = pixel_words(instance, str(path))
            values = stored_values(words, instance)
            limits, padding = valid_range(instance, words), padding_range(instance, words)
        for number in numbers:
            if frames[number].index >= len(values):
                raise ImageReadError(
                    f"{path} holds {len(values)} frames, fewer than its header says."
                )
            decoded[number] = _Decoded(values[frames[number].index], limits, padding)
    return [decoded[number] for number in range(len(frames))]


def _distinct(
    frames: Sequence[Frame], values: Sequence[npt.NDArray[Any]]
) -> tuple[list[int], list[str]]:
    """Return which frames to keep of those at one place: one, if they show the same."""
    kept = [0]
    for number in range(1, len(frames)):
        before, frame = frames[kept[-1]], frames[number]
        if not at_one_place(before, frame):
            kept.append(number)
        elif frame.path == before.path or not np.array_equal(values[kept[-1]], values[number]):
            raise ImageReadError(
                f"{before.path} and {frame.path} show different images of the same place (several "
                "times, echoes or reconstructions); one 3-D volume is needed."
            )
    copies = len(frames) - len(kept)
    return kept, [f"{copies} copies of slices were left out"] if copies else []


def _common_range(decoded: Sequence[_Decoded], series: Series) -> tuple[int, int] | None:
    """Return the range that every slice can hold, which must hold every slice."""
    ranges = {one.valid_range for one in decoded}
    limits = [one for one in ranges if one is not None]
    if not limits:
        return None
    low, high = max(one[0] for one in limits), min(one[1] for one in limits)
    if len(ranges) > 1 and (
        len(limits) < len(ranges)
        or any(one.values.min() < low or one.values.max() > high for one in decoded)
    ):
        raise ImageReadError(
            f"The slices of the series {series.uid} store their values in different ways (bits, "
            "sign) that no common range holds."
        )
    return low, high
