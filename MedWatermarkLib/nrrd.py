"""Scans as NRRD in the one form in which packages hold them: raw, attached, without any text.

Of a received NRRD file ITK reads whatever its header names: other files, compressed data of any
size. So the header of one in a package must be exactly of this form before ITK sees it. The format
is that of http://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from MedWatermarkLib.package_errors import PackageContentError
from MedWatermarkLib.volume import Volume

# The names of NRRD.
_TYPES = {
    "int8": "int8",
    "uint8": "uint8",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "uint32": "uint32",
    "float32": "float",
    "float64": "double",
}
_NUMBER = rb"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e[+-]?\d+"
_VECTOR = rb"\((?:%b),(?:%b),(?:%b)\)" % (_NUMBER, _NUMBER, _NUMBER)
_HEADER = re.compile(
    rb"NRRD0004\ntype: (?P<type>%b)\ndimension: 3\nspace: left-posterior-superior\n"
    rb"sizes: (?P<columns>[1-9]\d{0,4}) (?P<rows>[1-9]\d{0,4}) (?P<slices>[1-9]\d{0,4})\n"
    rb"space directions: %b %b %b\nkinds: domain domain domain\nendian: little\n"
    rb"encoding: raw\nspace origin: %b\n\n"
    % ("|".join(_TYPES.values()).encode(), _VECTOR, _VECTOR, _VECTOR, _VECTOR)
)
# More than the longest that can be.
_GREATEST_HEADER = 2048


def nrrd_header(volume: Volume) -> bytes:
    """Return the header of a scan; its voxels follow, little-endian.

    Parameters
    ----------
    volume : Volume
        In rescaled units (`Volume.as_rescaled`): the format holds no rescale.
    """
    slices, rows, columns = volume.voxels.shape
    axes = (np.array(volume.direction).reshape(3, 3) * volume.spacing).T
    return (
        f"NRRD0004\ntype: {_TYPES[volume.voxels.dtype.name]}\ndimension: 3\n"
        f"space: left-posterior-superior\nsizes: {columns} {rows} {slices}\n"
        f"space directions: {' '.join(_vector(axis) for axis in axes.tolist())}\n"
        "kinds: domain domain domain\nendian: little\nencoding: raw\n"
        f"space origin: {_vector(list(volume.origin))}\n\n"
    ).encode("ascii")


def check_nrrd(path: Path, shape: tuple[int, int, int]) -> None:
    """Check that a file is NRRD of exactly this form, and as long as its voxels need.

    Parameters
    ----------
    path : pathlib.Path
    shape : (int, int, int)
        Slices, rows and columns that it must have.

    Raises
    ------
    PackageContentError
        If it is not.
    """
    with path.open("rb") as file:
        match = _HEADER.match(file.read(_GREATEST_HEADER))
    if match is None:
        raise PackageContentError("The image of the package is not NRRD of the form that it must.")
    names = {name: dtype for dtype, name in _TYPES.items()}
    itemsize = np.dtype(names[match["type"].decode()]).itemsize
    there = tuple(int(match[axis]) for axis in ("slices", "rows", "columns"))
    if there != shape or path.stat().st_size != match.end() + math.prod(shape) * itemsize:
        raise PackageContentError("The image of the package has not the size that it must.")


def _vector(numbers: list[float]) -> str:
    # + 0.0 makes 0.0 of -0.0.
    return f"({','.join(repr(number + 0.0) for number in numbers)})"
