"""Merkle trees that prove not only that a leaf is there, but at which index.

The twin of `contracts/src/MerklePath.sol`; `Docs/formats.md` describes the tree, and both are held
to `contracts/test/vectors.json`. That leaves and nodes are hashed apart is from RFC 6962, section
2.1; that a leaf holds its index, and that the tree is filled up to a power of two, is for the
contract, which then needs no more than the index to tell left from right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.chunks import CHUNK_SIZE, pieces
from MedWatermarkLib.sha256 import digests

HASH_SIZE = 32
#: What stands where the tree has no leaf: nothing is known whose hash it is.
MISSING = bytes(HASH_SIZE)

_PAIR_SIZE = 2 * HASH_SIZE
_LEAF, _NODE = np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8)
# Of a level, hashed at a time, so that it stays in the cache.
_PAIRS_AT_ONCE = 1024


class MerkleError(ValueError):
    """A tree that cannot be, or a leaf that it does not have."""


def leaf_hash(index: int, data: bytes | bytearray | memoryview) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ index ‖ data).

    Parameters
    ----------
    index : int
        Where the leaf stands, from 0.
    data : bytes-like
        What it holds.

    Raises
    ------
    MerkleError
        If the index is not from 0 to 2^64 - 1.
    """
    if not 0 <= index < 2**64:
        raise MerkleError("The indices of leaves go from 0 to 2^64 - 1.")
    return sha256(b"\x00" + index.to_bytes(8, "big") + data).digest()


def leaf_hashes(index: int, data: bytes | bytearray | memoryview, size: int) -> bytes:
    """Return the hashes of leaves that follow each other, one behind the other.

    Parameters
    ----------
    index : int
        Where the first stands, from 0.
    data : bytes-like
        What they hold.
    size : int
        How many bytes each holds.
    """
    chunks = np.frombuffer(data, np.uint8).reshape(-1, size)
    indices = np.arange(index, index + len(chunks), dtype=np.uint64)
    numbers = indices.astype(">u8").view(np.uint8).reshape(-1, 8)
    return digests(_LEAF, numbers, chunks).tobytes()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node: SHA-256(0x01 ‖ left ‖ right).

    Raises
    ------
    MerkleError
        If either is no hash of 32 bytes.
    """
    _check_hashes(left, right)
    return sha256(b"\x01" + left + right).digest()


def depth(count: int) -> int:
    """Return how deep a tree of so many leaves is, which is how long its paths are.

    Raises
    ------
    MerkleError
        If there are no leaves.
    """
    if count < 1:
        raise MerkleError("A Merkle tree has at least one leaf.")
    return (count - 1).bit_length()


def holds(root: bytes, count: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Tell whether a tree holds a leaf at an index.

    Parameters
    ----------
    root : bytes
        The root of the tree.
    count : int
        How many leaves the tree has; a path for an index beyond is refused.
    index : int
        Where the leaf stands, from 0.
    leaf : bytes
        The hash of the leaf.
    path : sequence of bytes
        The hashes beside the way to the root, from the leaf up; exactly as many as the tree is
        deep.

    Raises
    ------
    MerkleError
        If one of the hashes has not 32 bytes.
    """
    _check_hashes(root, leaf, *path)
    if not 0 <= index < count or len(path) != depth(count):
        return False
    for level, beside in enumerate(path):
        leaf = node_hash(beside, leaf) if index >> level & 1 else node_hash(leaf, beside)
    return leaf == root


class MerkleTree:
    """A tree over the hashes of leaves. It does not change.

    Parameters
    ----------
    leaves : iterable of bytes, or (n, 32) uint8 array
        The hashes of the leaves in their order (see `leaf_hash`), at least one.

    Raises
    ------
    MerkleError
        If there are none, or one has not 32 bytes.

    Examples
    --------
    >>> tree = MerkleTree(leaf_hash(index, data) for index, data in enumerate([b"a", b"b", b"c"]))
    >>> holds(tree.root, tree.count, 2, leaf_hash(2, b"c"), tree.path(2))
    True
    """

    def __init__(self, leaves: Iterable[bytes] | npt.NDArray[np.uint8]) -> None:
        level = _joined(leaves)
        # From the leaves up, each the hashes of one level without those that are missing.
        self._levels = [level]
        for missing in _MISSING_NODES[: depth(len(level) // HASH_SIZE)]:
            level = _level_above(level, missing)
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """The 32 bytes that stand for the whole tree."""
        return self._levels[-1]

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0]) // HASH_SIZE

    @property
    def leaves(self) -> npt.NDArray[np.uint8]:
        """The hashes of the leaves: (count, 32) uint8 array, not to be written to."""
        return np.frombuffer(self._levels[0], np.uint8).reshape(-1, HASH_SIZE)

    def path(self, index: int) -> tuple[bytes, ...]:
        """Return what proves a leaf: the hashes beside its way to the root, from the leaf up.

        Parameters
        ----------
        index : int
            Where the leaf stands, from 0.

        Returns
        -------
        tuple of bytes
            As many hashes as the tree is deep.

        Raises
        ------
        MerkleError
            If there is no such leaf.
        """
        if not 0 <= index < self.count:
            raise MerkleError(f"There is no leaf {index:,} in a tree of {self.count:,}.")
        hashes = []
        for level, missing in zip(self._levels[:-1], _MISSING_NODES, strict=False):
            beside = (index ^ 1) * HASH_SIZE
            hashes.append(level[beside : beside + HASH_SIZE] or missing)
            index >>= 1
        return tuple(hashes)


def tree_of_chunks(
    file: BinaryIO, size: int = CHUNK_SIZE, progress: Callable[[float], None] | None = None
) -> MerkleTree:
    """Return the tree whose leaves are the chunks of a file.

    Parameters
    ----------
    file : binary file
        Read from where it stands to its end; seekable, if progress is to be told.
    size : int
        Bytes of a chunk; the last is filled up with zeros.
    progress : callable, optional
        Told the share that is done, from 0 to 1.

    Raises
    ------
    MerkleError
        If the file is empty, or the size is not positive.
    """
    if size < 1:
        raise MerkleError(f"Chunks have at least one byte, not {size}.")
    leaves = bytearray()
    for piece in pieces(file, size, progress):
        leaves += leaf_hashes(len(leaves) // HASH_SIZE, piece, size)
    return MerkleTree(np.frombuffer(leaves, np.uint8).reshape(-1, HASH_SIZE))


def _check_hashes(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_SIZE:
            raise MerkleError(
                f"A hash of the tree has {HASH_SIZE} bytes, and this has {len(each):,}."
            )


def _joined(leaves: Iterable[bytes] | npt.NDArray[np.uint8]) -> bytes:
    """Return the hashes of leaves behind each other."""
    if isinstance(leaves, np.ndarray):
        if leaves.ndim != 2 or leaves.shape[1] != HASH_SIZE or leaves.dtype != np.uint8:
            raise MerkleError(f"Leaves are the rows of {HASH_SIZE} bytes of an array.")
        return leaves.tobytes()
    hashes = list(leaves)
    _check_hashes(*hashes)
    return b"".join(hashes)


def _level_above(level: bytes, missing: bytes) -> bytes:
    """Return the hashes of the nodes over a level, whose right end may be missing."""
    if len(level) % _PAIR_SIZE:
        level += missing
    pairs = np.frombuffer(level, np.uint8).reshape(-1, _PAIR_SIZE)
    return b"".join(
        digests(_NODE, pairs[start : start + _PAIRS_AT_ONCE]).tobytes()
        for start in range(0, len(pairs), _PAIRS_AT_ONCE)
    )


# A node without any leaf below it, for each height above the leaves.
_MISSING_NODES = tuple(
    accumulate(range(63), lambda node, _: node_hash(node, node), initial=MISSING)
)
