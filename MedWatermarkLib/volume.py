"""A scan as its stored values and its place in the patient, and the hash of it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

_IDENTITY_DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

# Integers up to here, and no further, are exact in float64.
_GREATEST_EXACT_INTEGER = 2.0**53

_VERSION_TAG = b"MedWatermark image hash 1\0"

# Steps to which geometry is rounded, as steps per mm (spacing, origin) and per unit (direction).
_STEPS_PER_UNIT: npt.NDArray[np.float64] = np.array([1000.0] * 6 + [10000.0] * 9)

# Header values such as 0.9375 mm lie exactly on a rounding edge, where the last bit decides.
# So the edges are moved down by this part of a step: neither a short decimal nor a binary
# fraction, and above the float32 error of the numbers that spacing and direction take.
_EDGE_SHIFT = 1.0 / 73.0

# NIfTI keeps geometry as float32 (24 bits). Sign changes, norms and products with the spacing
# cost a few units in the last place on each of the two sides that are compared.
_RELATIVE_FLOAT_ERROR = 2.0**-21


class VolumeError(ValueError):
    """A volume was described in a way that no scan can have."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan: stored values, how they are rescaled, and where they lie.

    Parameters
    ----------
    voxels : numpy.ndarray
        Stored values, ``(z, y, x)``, C-contiguous: an integer dtype of at most 32 bits, float32
        or float64.
    spacing : tuple of float
        Distances of voxel centres along x, y and z in mm: ITK's order.
    origin : tuple of float
        Centre of voxel (0, 0, 0) in mm, LPS.
    direction : tuple of float
        Row-major 3 x 3 matrix whose columns are the unit vectors of x, y and z in LPS.
    slope, intercept : numpy.ndarray
        Rescale of each slice, float64 ``(z,)``: rescaled = stored * slope + intercept (DICOM
        PS3.3 C.11.1). A single number stands for all slices.
    valid_range : tuple of int, optional
        Least and greatest stored value that the source can hold (Bits Stored and Pixel
        Representation); None where that is the range of the dtype.
    reserved : tuple of tuple of float
        Inclusive ranges of stored values that mean no signal and are neither produced nor
        touched (Pixel Padding Value and its Range Limit, PS3.3 C.7.5.1.1.2).
    modality : str
        DICOM Modality, or "".
    window : tuple of float, optional
        Window Center and Window Width, in rescaled units.
    identity : mapping of str to str
        Values of the identifying attributes of the source by DICOM keyword. Never printed, never
        written.
    source : object, optional
        The instances that the volume was read from, as `imageio` needs them to write DICOM.

    Raises
    ------
    VolumeError
        If shapes, dtypes or numbers are not those of a scan.
    """

    voxels: npt.NDArray[Any] = field(repr=False)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY_DIRECTION
    slope: npt.NDArray[np.float64] = field(default_factory=lambda: np.ones(1), repr=False)
    intercept: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(1), repr=False)
    valid_range: tuple[int, int] | None = None
    reserved: tuple[tuple[float, float], ...] = ()
    modality: str = ""
    window: tuple[float, float] | None = None
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: object | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        voxels = _checked_voxels(self.voxels)
        object.__setattr__(self, "voxels", voxels)
        for name, length in (("spacing", 3), ("origin", 3), ("direction", 9)):
            object.__setattr__(self, name, _finite_numbers(getattr(self, name), name, length))
        if min(self.spacing) <= 0:
            raise VolumeError(f"The spacing must be positive, not {self.spacing} mm.")
        _check_direction(self.direction)
        for name in ("slope", "intercept"):
            object.__setattr__(self, name, _per_slice(getattr(self, name), name, len(voxels)))
        if not self.slope.all():
            raise VolumeError("The rescale slope of a slice is 0, which would erase its values.")
        if self.valid_range is not None and self.valid_range[0] > self.valid_range[1]:
            raise VolumeError(f"The valid range {self.valid_range} is empty.")
        if any(low > high for low, high in self.reserved):
            raise VolumeError(f"A reserved range of {self.reserved} is empty.")

    def rescaled(self) -> npt.NDArray[np.float64]:
        """Return the rescaled values, float64 ``(z, y, x)``, in the units of the modality (HU)."""
        return np.stack(list(self._rescaled_slices()))

    def as_rescaled(self) -> Volume:
        """Return the volume whose stored values are the rescaled ones of this: slope 1.

        The dtype is that of the stored values if it holds the rescaled ones exactly, else the
        least integer dtype that does, else float32 or float64 (which always does). This is what
        formats without a rescale for each slice hold, and a Slicer node. It has no `source`.
        """
        scales = zip(self.slope.tolist(), self.intercept.tolist(), strict=True)
        reserved = {
            (min(ends), max(ends))
            for slope, intercept in set(scales)
            for ends in ([end * slope + intercept for end in one] for one in self.reserved)
        }
        return replace(
            self,
            voxels=self._exactly_rescaled(),
            slope=np.ones(1),
            intercept=np.zeros(1),
            valid_range=None,
            reserved=tuple(sorted(reserved)),
            source=None,
        )

    def with_voxels(self, voxels: npt.NDArray[Any]) -> Volume:
        """Return this volume with other stored values of the same shape.

        Parameters
        ----------
        voxels : numpy.ndarray
            Stored values ``(z, y, x)``.

        Raises
        ------
        VolumeError
            If the shape is another.
        """
        if voxels.shape != self.voxels.shape:
            raise VolumeError(
                f"The new voxels have the shape {voxels.shape}, the volume {self.voxels.shape}."
            )
        return replace(self, voxels=voxels)

    def _exactly_rescaled(self) -> npt.NDArray[Any]:
        if (self.slope == 1).all() and (self.intercept == 0).all():
            return self.voxels
        voxels = np.empty(self.voxels.shape, _dtype_for_rescaled(self))
        for index, values in enumerate(self._rescaled_slices()):
            voxels[index] = values
        return voxels

    def _rescaled_slices(self) -> Iterator[npt.NDArray[np.float64]]:
        for stored, slope, intercept in zip(self.voxels, self.slope, self.intercept, strict=True):
            yield stored.astype(np.float64) * slope + intercept


@dataclass(frozen=True)
class ImageHash:
    """Hash of a scan and of its two parts.

    Parameters
    ----------
    values : bytes
        SHA-256 of the rescaled values.
    geometry : bytes
        SHA-256 of the rounded geometry.
    digest : bytes
        SHA-256 of version, shape and the two others: what a claim names.
    """

    values: bytes
    geometry: bytes
    digest: bytes


def image_hash(volume: Volume) -> ImageHash:
    """Hash what a scan shows, whatever file and dtype hold it.

    Parameters
    ----------
    volume : Volume
        The scan.

    Returns
    -------
    ImageHash
        Alike for the same scan from DICOM, NRRD, NIfTI or MHA, in any dtype that holds its
        values; another after a change of one voxel or of the geometry. ``Docs/formats.md`` has
        the bytes.
    """
    values = _values_digest(volume)
    geometry = _geometry_digest(geometry_in_steps(volume))
    return ImageHash(values, geometry, _digest(volume.voxels.shape, values, geometry))


def matches_hash(volume: Volume, digest: bytes) -> bool:
    """Tell whether a scan has a hash, up to the float error of its geometry.

    Where a number of the geometry lies so close to a rounding edge that the float32 of a NIfTI
    header can have carried it across, both sides are tried: 2**-21 of the number (but at least
    2**-21 mm, or 2**-21 in the direction), which is two units in the last place of a float32 for
    each of the two scans compared. There are 15 numbers, so at most 2**15 hashes of 120 bytes.

    Parameters
    ----------
    volume : Volume
        The scan.
    digest : bytes
        The hash it is compared with, `ImageHash.digest`.
    """
    values = _values_digest(volume)
    return any(
        _digest(volume.voxels.shape, values, _geometry_digest(np.array(steps))) == digest
        for steps in itertools.product(*geometry_sides(volume))
    )


def geometry_in_steps(volume: Volume) -> npt.NDArray[np.int64]:
    """Return spacing, origin and direction in whole steps of the image hash, int64 ``(15,)``."""
    return np.floor(_in_steps(volume)).astype(np.int64)


def geometry_sides(volume: Volume) -> list[list[int]]:
    """Return what each number of `geometry_in_steps` may be for the same scan in another file.

    One number, or two where it lies within float error of a rounding edge (see `matches_hash`).
    """
    in_steps = _in_steps(volume)
    magnitude = np.maximum(np.abs(in_steps), _STEPS_PER_UNIT)
    # Under half a step, so that there are never more than two sides.
    error = np.minimum(magnitude * _RELATIVE_FLOAT_ERROR, 0.49)
    return [
        sorted({int(low), int(high)})
        for low, high in zip(np.floor(in_steps - error), np.floor(in_steps + error), strict=True)
    ]


def _digest(shape: tuple[int, ...], values: bytes, geometry: bytes) -> bytes:
    size = np.array(shape, "<u8").tobytes()
    return hashlib.sha256(_VERSION_TAG + size + values + geometry).digest()


def _values_digest(volume: Volume) -> bytes:
    """SHA-256 of the rescaled values, slice by slice: int64 if all are integral, else float64."""
    if _is_integral(volume):
        hasher = hashlib.sha256(b"<i8")
        for integers in _integral_slices(volume):
            hasher.update(np.ascontiguousarray(integers, "<i8").data)
        return hasher.digest()
    hasher = hashlib.sha256(b"<f8")
    for values in volume._rescaled_slices():
        values += 0.0  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan  # one NaN of the 2**53
        hasher.update(np.ascontiguousarray(values, "<f8").data)
    return hasher.digest()


def _has_integral_rescale(volume: Volume) -> bool:
    """Tell whether integer arithmetic gives the rescaled values, without looking at voxels."""
    if volume.voxels.dtype.kind == "f":
        return False
    coefficients = np.concatenate([volume.slope, volume.intercept])
    greatest = 2.0**32 * np.abs(volume.slope) + np.abs(volume.intercept)
    return bool(
        (coefficients == np.rint(coefficients)).all()
        and (greatest <= _GREATEST_EXACT_INTEGER).all()
    )


def _is_integral(volume: Volume) -> bool:
    if _has_integral_rescale(volume):
        return True
    return all(
        (values == np.rint(values)).all() and (np.abs(values) <= _GREATEST_EXACT_INTEGER).all()
        for values in volume._rescaled_slices()
    )


def _integral_slices(volume: Volume) -> Iterator[npt.NDArray[np.int64]]:
    if not _has_integral_rescale(volume):
        yield from (values.astype(np.int64) for values in volume._rescaled_slices())
        return
    for stored, slope, intercept in zip(volume.voxels, volume.slope, volume.intercept, strict=True):
        values = stored.astype(np.int64)
        if slope != 1:
            values *= int(slope)
        if intercept != 0:
            values += int(intercept)
        yield values


def _dtype_for_rescaled(volume: Volume) -> np.dtype[Any]:
    """Return the dtype of the stored values or else the least that holds the rescaled ones."""
    stored = volume.voxels.dtype
    if _is_integral(volume):
        low = min(values.min() for values in volume._rescaled_slices())
        high = max(values.max() for values in volume._rescaled_slices())
        for dtype in (stored, *map(np.dtype, ("u1", "i1", "i2", "u2", "i4", "u4"))):
            if dtype.kind != "f" and np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return dtype
    with np.errstate(over="ignore"):
        fits_single = all(
            np.array_equal(values.astype(np.float32), values, equal_nan=True)
            for values in volume._rescaled_slices()
        )
    return np.dtype(np.float32 if fits_single and stored != np.float64 else np.float64)


def _in_steps(volume: Volume) -> npt.NDArray[np.float64]:
    """Geometry in rounding steps, shifted such that `floor` rounds it."""
    numbers: npt.NDArray[np.float64] = np.array(
        [*volume.spacing, *volume.origin, *volume.direction]
    )
    shifted: npt.NDArray[np.float64] = numbers * _STEPS_PER_UNIT + (0.5 + _EDGE_SHIFT)
    return shifted


def _geometry_digest(steps: npt.NDArray[np.int64]) -> bytes:
    return hashlib.sha256(steps.astype("<i8").tobytes()).digest()


def _checked_voxels(voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    dtype = voxels.dtype.newbyteorder("=")
    if not ((dtype.kind in "iu" and dtype.itemsize <= 4) or dtype in (np.float32, np.float64)):
        raise VolumeError(
            f"Voxels are integers of at most 32 bits, float32 or float64, not {dtype}."
        )
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise VolumeError(f"Voxels have the shape (slices, rows, columns), not {voxels.shape}.")
    return np.ascontiguousarray(voxels, dtype)


def _finite_numbers(numbers: Any, name: str, length: int) -> tuple[float, ...]:
    checked = tuple(float(number) for number in numbers)
    # A billion mm keeps every rounded number an exact integer.
    if len(checked) != length or not all(abs(number) < 1e9 for number in checked):
        raise VolumeError(f"The {name} must be {length} finite numbers, not {checked}.")
    return checked


def _check_direction(direction: tuple[float, ...]) -> None:
    matrix = np.array(direction).reshape(3, 3)
    lengths = np.linalg.norm(matrix, axis=0)
    if (np.abs(lengths - 1) > 1e-3).any() or abs(np.linalg.det(matrix)) < 1e-3:
        raise VolumeError(
            f"The columns of the direction must be three unit vectors that span space, not "
            f"{direction}."
        )


def _per_slice(values: Any, name: str, slices: int) -> npt.NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.size != 1 and array.shape != (slices,):
        raise VolumeError(f"There are {slices} slices, but the {name} has shape {array.shape}.")
    if not np.isfinite(array).all():
        raise VolumeError(f"The {name} of a slice is not a finite number.")
    return np.array(np.broadcast_to(array.reshape(-1), (slices,)))
