"""Where the images of a DICOM series lie, and the regular grid that stands for them.

The grid is the one that ITK's series reader gives, so that a scan has one geometry however it is
opened: axes of the first slice made orthogonal, its position as the origin, slices in the order
of their positions along the normal, and as their distance that of the first from the last, divided
by the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from MedWatermarkLib.image_errors import ImageReadError, understanding

# Where the pixel spacing is told, in the order in which it is to be trusted (PS3.3 10.7.1.3).
_PIXEL_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

# A multi-frame image whose frames are stepped through by one of these is a stack of slices:
# Slice Location Vector, Slice Vector, Page Number Vector, Grid Frame Offset Vector.
_STACK_POINTERS = frozenset({0x00182005, 0x00540080, 0x00182001, 0x3004000C})

# Distances of slices are told to 0.01 mm or better; below this two are at the same place.
_SAME_PLACE = 1e-3


@dataclass(frozen=True)
class Frame:
    """One image of a series: a file of one frame, or one frame of a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    index : int
        Number of the frame in it, from 0.
    number : int
        Instance Number, the order of images that tell no position.
    kind : tuple
        Rows, columns, grey or colour, localizer or not: equal for the slices of one scan.
    spacing : tuple of float or None
        Distances along x (of columns) and y (of rows), mm.
    step : float or None
        Spacing Between Slices, mm.
    orientation : tuple of float or None
        Image Orientation (Patient).
    position : tuple of float or None
        Image Position (Patient), mm.
    slope, intercept : float or None
        Rescale.
    window : tuple of float or None
        Window Center and Width.
    """

    path: Path
    index: int
    number: int
    kind: tuple[int, int, str, bool]
    spacing: tuple[float, ...] | None
    step: float | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    slope: float | None
    intercept: float | None
    window: tuple[float, float] | None


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels, and what of the slices' places it does not say.

    Parameters
    ----------
    spacing, origin, direction : tuple of float
        As in `Volume`.
    remarks : tuple of str
        Sentences on what was dropped or assumed.
    """

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    remarks: tuple[str, ...]


def frames_of(path: Path, header: Dataset) -> list[Frame]:
    """Describe the frames of one instance.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    header : pydicom.Dataset
        Its data set; pixel data are not looked at.

    Raises
    ------
    ImageReadError
        If frames are points in time, not slices, or if a number cannot be read.
    """
    with understanding(path):
        count = int(header.get("NumberOfFrames") or 1)
        if count > 1 and "PerFrameFunctionalGroupsSequence" not in header:
            _check_is_stack(path, header)
        frames = [_frame(path, header, index) for index in range(count)]
        tells_each_place = "PerFrameFunctionalGroupsSequence" in header
        return frames if count == 1 or tells_each_place else [_stacked(one) for one in frames]


def largest_group(frames: Sequence[Frame]) -> list[Frame]:
    """Return the greatest number of frames that are alike in size, spacing and orientation."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _are_alike(group[0], frame):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return max(groups, key=len)


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames in order: along the normal, or by their number where no position is told."""
    if frames[0].position is None:
        return sorted(frames, key=lambda frame: (frame.number, frame.path, frame.index))
    normal = _axes(frames[0])[:, 2]
    return sorted(
        frames,
        key=lambda frame: (
            # Equal places in the order of their numbers, whatever the last bit says.
            round(float(normal @ np.array(frame.position)), 4),
            frame.number,
            frame.path,
            frame.index,
        ),
    )


def at_one_place(first: Frame, second: Frame) -> bool:
    """Tell whether two neighbouring frames show the same place."""
    if first.position is None or second.position is None:
        return False
    distance = np.subtract(first.position, second.position)
    return bool(np.linalg.norm(distance) < _SAME_PLACE)


def regular_grid(frames: Sequence[Frame]) -> Grid:
    """Return the grid that stands for frames which are alike and in order.

    Parameters
    ----------
    frames : sequence of Frame
        What `largest_group` and `in_order` gave.

    Returns
    -------
    Grid
        The geometry that ITK's ImageSeriesReader gives for the same files.
    """
    first = frames[0]
    axes = _axes(first)
    remarks = []
    if first.spacing is None:
        remarks.append("the pixel spacing is not told; 1 mm is assumed")
    spacing = first.spacing or (1.0, 1.0)
    step = abs(first.step or 1.0) if len(frames) == 1 else 1.0
    if len(frames) > 1 and first.position is None:
        remarks.append("the slices tell no position; a distance of 1 mm is assumed")
    elif len(frames) > 1:
        positions = np.array([frame.position for frame in frames])
        if np.diff(positions @ axes[:, 2]).min() < _SAME_PLACE:
            raise ImageReadError(
                f"The images of {first.path.parent} do not lie one above the other; a stack of "
                "slices is needed."
            )
        step = float(np.linalg.norm(positions[-1] - positions[0])) / (len(frames) - 1)
        remarks += _irregularities(positions, axes[:, 2], step)
    origin = first.position or (0.0, 0.0, 0.0)
    return Grid(
        spacing=(spacing[0], spacing[1], step),
        origin=(origin[0], origin[1], origin[2]),
        direction=tuple(float(number) for number in axes.ravel()),
        remarks=tuple(remarks),
    )


def _axes(frame: Frame) -> npt.NDArray[np.float64]:
    """Axes of a frame as columns, made orthogonal as ITK's GDCMImageIO does: y's plane stays."""
    orientation = np.array(frame.orientation or (1, 0, 0, 0, 1, 0), np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    normal /= np.linalg.norm(normal)
    row = np.cross(orientation[3:], normal)
    row /= np.linalg.norm(row)
    return np.stack([row, np.cross(normal, row), normal], axis=1)


def _irregularities(
    positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], step: float
) -> list[str]:
    """Say how slices at `positions` (n, 3) depart from a regular stack along `normal`."""
    remarks = []
    whole = positions[-1] - positions[0]
    along = float(normal @ whole)
    aside = float(np.linalg.norm(whole - along * normal))
    tilt = np.degrees(np.arctan2(aside, along))
    if tilt > 0.1:
        remarks.append(
            f"the slices are shifted against each other by a gantry tilt of {tilt:.1f} degrees, "
            "which the regular grid drops"
        )
    steps = np.diff(positions @ normal)
    typical = float(np.median(steps))
    if np.ptp(steps) > max(0.01 * typical, 0.01):
        remarks.append(
            f"the slices lie {steps.min():.2f} to {steps.max():.2f} mm apart, for which the "
            f"regular grid has one distance of {step:.2f} mm"
        )
    ratios = steps / typical
    missing = np.rint(ratios).astype(int) - 1
    gaps = np.flatnonzero((missing > 0) & (np.abs(ratios - np.rint(ratios)) < 0.05))
    if gaps.size:
        remarks.append(
            f"{missing[gaps].sum()} slice(s) seem to be missing, the first after slice "
            f"{gaps[0] + 1}"
        )
    return remarks


def _are_alike(first: Frame, second: Frame) -> bool:
    return (
        first.kind == second.kind
        and all(
            (one is None) == (other is None)
            and (one is None or other is None or np.allclose(one, other, rtol=1e-3, atol=tolerance))
            for one, other, tolerance in (
                (first.spacing, second.spacing, 0.0),
                (first.orientation, second.orientation, 2e-3),
            )
        )
        and (first.position is None) == (second.position is None)
    )


def _check_is_stack(path: Path, header: Dataset) -> None:
    pointer = header.get("FrameIncrementPointer")
    pointers = [pointer] if isinstance(pointer, int) else list(pointer or [])
    if not all(int(tag) in _STACK_POINTERS for tag in pointers):
        raise ImageReadError(
            f"The frames of {path} are not slices but a film or several volumes; one 3-D volume "
            "is needed."
        )


def _frame(path: Path, header: Dataset, index: int) -> Frame:
    groups = _functional_groups(header, index)
    position = _numbers(_get(header, groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(
        _get(header, groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6
    )
    spacing = _pixel_spacing(header, groups)
    step = _number(_get(header, groups, "PixelMeasuresSequence", "SpacingBetweenSlices"))
    if orientation is not None and not _is_plane(orientation):
        raise ImageReadError(
            f"The Image Orientation (Patient) of {path} does not name two directions at a right "
            "angle."
        )
    image_type = header.get("ImageType") or []
    return Frame(
        path=path,
        index=index,
        number=int(header.get("InstanceNumber") or 0),
        kind=(
            int(header.Rows),
            int(header.Columns),
            str(header.get("PhotometricInterpretation", "")),
            "LOCALIZER" in image_type,
        ),
        spacing=None if spacing is None else (spacing[1], spacing[0]),
        step=step,
        orientation=orientation,
        position=position,
        slope=_number(_get(header, groups, "PixelValueTransformationSequence", "RescaleSlope")),
        intercept=_number(
            _get(header, groups, "PixelValueTransformationSequence", "RescaleIntercept")
        ),
        window=_window(header, groups),
    )


def _functional_groups(header: Dataset, index: int) -> list[Dataset]:
    """Functional groups of a frame, its own before those it shares (PS3.3 C.7.6.16)."""
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = header.get("PerFrameFunctionalGroupsSequence")
    return [own[index], *shared] if own else shared


def _get(header: Dataset, groups: list[Dataset], macro: str, keyword: str) -> Any:
    """Value of an attribute of a frame: from its functional groups, else from the data set."""
    for group in groups:
        for item in group.get(macro) or []:
            if item.get(keyword) is not None:
                return item[keyword].value
    if header.get(keyword) is not None:
        return header[keyword].value
    # Nuclear medicine tells its place for each detector (PS3.3 C.8.4.11).
    detectors = header.get("DetectorInformationSequence") or []
    return detectors[0].get(keyword) if detectors else None


def _pixel_spacing(header: Dataset, groups: list[Dataset]) -> tuple[float, ...] | None:
    for keyword in _PIXEL_SPACINGS:
        spacing = _numbers(_get(header, groups, "PixelMeasuresSequence", keyword), 2)
        if spacing is not None and min(spacing) > 0:
            return spacing
    return None


def _window(header: Dataset, groups: list[Dataset]) -> tuple[float, float] | None:
    centre, width = (
        _number(_get(header, groups, "FrameVOILUTSequence", keyword))
        for keyword in ("WindowCenter", "WindowWidth")
    )
    return None if centre is None or width is None or width <= 0 else (centre, width)


def _stacked(frame: Frame) -> Frame:
    """Move a frame of a plain multi-frame image, which tells the place of the first only."""
    position = np.array(frame.position or (0.0, 0.0, 0.0))
    moved = position + _axes(frame)[:, 2] * abs(frame.step or 1.0) * frame.index
    return replace(frame, position=tuple(moved.tolist()))


def _is_plane(orientation: tuple[float, ...]) -> bool:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    # GDCM, and so ITK, takes axes further from a right angle for axial ones, without an error.
    return bool(np.allclose(lengths, 1, atol=0.1) and abs(row @ column) < 1e-3)


def _number(value: Any) -> float | None:
    numbers = [value] if isinstance(value, int | float | str) else list(value or [])
    return float(numbers[0]) if numbers and numbers[0] != "" else None


def _numbers(value: Any, length: int) -> tuple[float, ...] | None:
    numbers = tuple(float(number) for number in value or ())
    if numbers and (len(numbers) != length or not np.isfinite(numbers).all()):
        raise ValueError(f"{length} numbers were expected, not {numbers}")
    return numbers or None
