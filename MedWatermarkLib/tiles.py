"""The tiles of a scan: what a registry holds of its voxels and geometry, as one root.

Each slice is cut into tiles of 64 x 64 voxels. The digests of all tiles, and the geometry before
them, are the leaves of a Merkle tree, whose root names the scan; whoever has the leaves can say
which tiles of another scan differ. ``Docs/formats.md`` has the bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.merkle import MerkleTree, leaf_hash, node_hash
from MedWatermarkLib.volume import Volume, geometry_in_steps, geometry_sides

#: Voxels along a side of a tile; those at the end of rows and columns may be smaller.
TILE = 64

_VERSION_TAG = b"MedWatermark tiles 1\0"
_MAGIC = b"MWT1"
# Slices, rows and columns; spacing, origin and direction.
_FORM = struct.Struct("<3Q15q")
_CHECK = struct.Struct(">I")
_DIGEST_BYTES = 32

# What the values of a tile are written as: the first that holds them all.
_INTEGERS = (np.dtype("<i2"), np.dtype("<i4"))
_REAL = np.dtype("<f8")

Array = npt.NDArray[Any]
Digests = npt.NDArray[np.uint8]


class TileLeavesError(ValueError):
    """Bytes are not the tile leaves of a scan."""


@dataclass(frozen=True, eq=False)
class TileLeaves:
    """What a scan was, tile by tile.

    Attributes
    ----------
    shape : (int, int, int)
        Slices, rows and columns of the scan.
    geometry : (15,) int64 array
        Spacing, origin and direction in the steps of the image hash.
    digests : (z, ny, nx, 32) uint8 array
        SHA-256 of every tile.
    """

    shape: tuple[int, int, int]
    geometry: npt.NDArray[np.int64]
    digests: Digests

    @cached_property
    def tree(self) -> MerkleTree:
        """The Merkle tree: the geometry is leaf 0, then tiles by slice, row and column."""
        data = [_geometry_leaf(self.shape, self.geometry)]
        data += map(bytes, self.digests.reshape(-1, _DIGEST_BYTES))
        return MerkleTree(leaf_hash(index, one) for index, one in enumerate(data))

    @property
    def root(self) -> bytes:
        """The voxel root, 32 bytes: what a registry holds."""
        return self.tree.root

    def to_bytes(self) -> bytes:
        """Return the leaves as a file: 32 bytes a tile."""
        content = b"".join(
            (
                _MAGIC,
                _FORM.pack(*self.shape, *self.geometry.tolist()),
                self.digests.tobytes(),
            )
        )
        return content + _CHECK.pack(zlib.crc32(content))

    @classmethod
    def from_bytes(cls, data: bytes) -> TileLeaves:
        """Read what `to_bytes` gave.

        Whether these are the leaves of a registered scan is told by their `root` alone.

        Raises
        ------
        TileLeavesError
            If the file is damaged, of another kind or of a later version.
        """
        start = len(_MAGIC) + _FORM.size
        if data[: len(_MAGIC)] != _MAGIC:
            if data[:3] == _MAGIC[:3]:
                raise TileLeavesError("The tile leaves were written by a later MedWatermark.")
            raise TileLeavesError("This file does not hold the tile leaves of a scan.")
        content, check = data[: -_CHECK.size], data[-_CHECK.size :]
        if len(content) < start or _CHECK.pack(zlib.crc32(content)) != check:
            raise TileLeavesError("The tile leaves are damaged; take another copy of them.")
        depth, height, width, *geometry = _FORM.unpack_from(content, len(_MAGIC))
        grid = (depth, -(-height // TILE), -(-width // TILE), _DIGEST_BYTES)
        # In whole numbers of any size, since the shape may be anybody's.
        if 0 in grid or grid[0] * grid[1] * grid[2] * grid[3] != len(content) - start:
            raise TileLeavesError("The tile leaves do not fit the size of scan that they name.")
        digests = np.frombuffer(content, np.uint8, offset=start).reshape(grid)
        return cls((depth, height, width), np.array(geometry), digests)


def tile_leaves(volume: Volume) -> TileLeaves:
    """Return the leaves of a scan.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    TileLeaves
        Alike for the same scan from DICOM, NRRD, NIfTI or MHA, in any dtype that holds its
        values, as its `image_hash` is.
    """
    depth, height, width = volume.voxels.shape
    with ThreadPoolExecutor() as pool:
        rows = pool.map(_digests, volume.voxels, volume.slope.tolist(), volume.intercept.tolist())
        digests = np.frombuffer(b"".join(rows), np.uint8)
    grid = (depth, -(-height // TILE), -(-width // TILE), _DIGEST_BYTES)
    return TileLeaves((depth, height, width), geometry_in_steps(volume), digests.reshape(grid))


def matches_root(volume: Volume, root: bytes) -> bool:
    """Tell whether a scan has a voxel root, up to the float error of its geometry.

    Parameters
    ----------
    volume : Volume
    root : bytes
        What the registry holds.

    Notes
    -----
    As `matches_hash` does, this tries both sides where a number of the geometry lies within float
    error of a rounding edge: only the way from leaf 0 to the root differs.
    """
    leaves = tile_leaves(volume)
    beside = leaves.tree.path(0)
    for steps in itertools.product(*geometry_sides(volume)):
        node = leaf_hash(0, _geometry_leaf(leaves.shape, np.array(steps)))
        for other in beside:
            node = node_hash(node, other)
        if node == root:
            return True
    return False


def _geometry_leaf(shape: tuple[int, int, int], steps: npt.NDArray[np.int64]) -> bytes:
    return _VERSION_TAG + _FORM.pack(*shape, *steps.tolist())


def _digests(stored: Array, slope: float, intercept: float) -> bytes:
    """Return the digests of the tiles of a slice, row by row."""
    values = _rescaled(stored, slope, intercept)
    return b"".join(_digest(tile) for tile in _tiles(values))


def _rescaled(stored: Array, slope: float, intercept: float) -> Array:
    """Return rescaled values of a slice: integers if all of it are small ones, else float64."""
    if stored.dtype.kind in "iu" and slope == 1 and abs(intercept) < 2**31 and intercept % 1 == 0:
        if stored.dtype.itemsize <= 2 and abs(intercept) < 2**15:
            return stored.astype(np.int32) + np.int32(intercept) if intercept else stored
        return stored.astype(np.int64) + int(intercept)
    return stored.astype(np.float64) * slope + intercept


def _tiles(values: Array) -> Iterator[Array]:
    for top in range(0, values.shape[0], TILE):
        for left in range(0, values.shape[1], TILE):
            yield values[top : top + TILE, left : left + TILE]


def _digest(tile: Array) -> bytes:
    """Return the SHA-256 of a tile's values, in the least of three dtypes that holds them."""
    dtype = _dtype_for(tile)
    if dtype is _REAL:
        tile = tile + 0.0  # -0.0 becomes 0.0
        tile[np.isnan(tile)] = np.nan  # one NaN of the 2**53
    hasher = hashlib.sha256(dtype.str.encode())
    hasher.update(np.ascontiguousarray(tile, dtype).data)
    return hasher.digest()


def _dtype_for(tile: Array) -> np.dtype[Any]:
    if tile.dtype == np.int16:
        return _INTEGERS[0]
    if tile.dtype.kind == "f" and not bool((tile == np.rint(tile)).all()):
        return _REAL
    low, high = tile.min(), tile.max()
    for dtype in _INTEGERS:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    return _REAL
