"""Where the bits of a mark lie: roles, patterns and order of the blocks, drawn from the key.

Blocks are counted on a canonical plane whose origin is the first voxel of a slice, so that what is
cut away from a copy does not move what is left. A block has one *bold* projection, moved far, and
some *fine* ones, moved little. Every 4x4 blocks hold four roles in the same keyed arrangement, by
what the bold projection says: *pilots*, whose bits are known; the *tag*; the *message*; and *plain*
blocks have none. Fine ones say the message too, in all blocks (in small slices those of the tag's
blocks say the tag, see `layout`): they hold most of it where little was done to a scan, and the
bold ones what is left of it where much was. Blocks are ranked along a Z-order curve, so that any
compact region, a body of any shape, meets the bits of a code word about equally often.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dct import PATTERNS, patterns

#: Version of the mark; a mark of another version shares no key material and is not seen.
VERSION = 2
#: Slices go through this many phases, so that neighbours carry different bits at the same place.
PHASES = 16
#: Side of the repeating arrangement of roles, in blocks.
TILE = 4
PILOT, TAG, MESSAGE, PLAIN = 0, 1, 2, 3
_ROLE_BLOCKS = {PILOT: 1, TAG: 5, MESSAGE: 4, PLAIN: 6}
#: Share of all blocks that serve each role.
ROLE_SHARE = {role: count / TILE**2 for role, count in _ROLE_BLOCKS.items()}
# Enough that no two places of a slice of 2,048 voxels a side share a bit.
_PILOT_BITS = 1 << 16

IntArray = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]


class Sites:
    """The sites of one key.

    Parameters
    ----------
    key : bytes
        The mark's key; the empty key is public.

    Attributes
    ----------
    patterns : (9, 64) float64 array
        What blocks are projected on: the bold projection on the first, fine ones on those after.
    pilots : (16, 65536) uint8 array
        The pilots' bits, a row for each phase.
    """

    def __init__(self, key: bytes) -> None:
        self._seed = hashlib.sha256(b"MedWatermark mark %d\0" % VERSION + key).digest()
        order = self._permutation(b"roles", TILE**2)
        role_of = np.repeat(list(_ROLE_BLOCKS), list(_ROLE_BLOCKS.values()))
        place_of = np.concatenate([np.arange(n) for n in _ROLE_BLOCKS.values()])
        self._roles = np.empty(TILE**2, np.int64)
        self._places = np.empty(TILE**2, np.int64)
        self._roles[order] = role_of
        self._places[order] = place_of
        self._orders_in_tile = np.argsort(order, kind="stable")
        self.patterns = patterns(1.0 - 2.0 * self._bits(b"signs", PATTERNS))
        self.pilots = self._bits(b"pilots", PHASES * _PILOT_BITS).reshape(PHASES, -1)
        self._orders: dict[int, tuple[IntArray, Bits]] = {}

    def _bytes(self, label: bytes, count: int) -> bytes:
        return hashlib.shake_256(self._seed + label).digest(count)

    def _bits(self, label: bytes, count: int) -> Bits:
        return np.unpackbits(np.frombuffer(self._bytes(label, -(-count // 8)), np.uint8))[:count]

    def _permutation(self, label: bytes, size: int) -> IntArray:
        words = np.frombuffer(self._bytes(label, 8 * size), "<u8")
        return np.argsort(words, kind="stable")

    def pilot_bits(self, ranks: IntArray) -> Bits:
        """Return the bits of pilots of some ranks, (phases, n)."""
        return self.pilots[:, ranks % _PILOT_BITS]

    def roles(self, by: npt.ArrayLike, bx: npt.ArrayLike) -> IntArray:
        """Return the role of blocks, given by their row and column on the canonical plane."""
        return np.asarray(self._roles[self._in_tile(by, bx)])

    def ranks(self, by: npt.ArrayLike, bx: npt.ArrayLike) -> IntArray:
        """Return the rank of blocks among all blocks of their role."""
        by, bx = np.asarray(by, np.int64), np.asarray(bx, np.int64)
        inside = self._in_tile(by, bx)
        share = np.array(list(_ROLE_BLOCKS.values()))[self._roles[inside]]
        return np.asarray(_z_order(by // TILE, bx // TILE) * share + self._places[inside])

    def ranks_of_all(self, by: npt.ArrayLike, bx: npt.ArrayLike) -> IntArray:
        """Return the rank of blocks among all blocks."""
        by, bx = np.asarray(by, np.int64), np.asarray(bx, np.int64)
        return np.asarray(
            _z_order(by // TILE, bx // TILE) * TILE**2 + self._orders_in_tile[self._in_tile(by, bx)]
        )

    def _in_tile(self, by: npt.ArrayLike, bx: npt.ArrayLike) -> IntArray:
        return np.asarray(by, np.int64) % TILE * TILE + np.asarray(bx, np.int64) % TILE

    def order(self, length: int) -> tuple[IntArray, Bits]:
        """Return the order in which a code word's bits are laid out, and their scrambling.

        Returns
        -------
        order : (length,) int64 array
            Index into the code word for each place.
        scramble : (length,) uint8 array
            What is added (modulo 2) to the bit of each place.
        """
        if length not in self._orders:
            label = b"code %d" % length
            self._orders[length] = (
                self._permutation(label + b" order", length),
                self._bits(label + b" scramble", length),
            )
        return self._orders[length]


@lru_cache(maxsize=8)
def sites(key: bytes) -> Sites:
    """Return the sites of a key, kept for the keys used last."""
    return Sites(key)


# The low bits of a coordinate, each with a 0 above it.
_SPREAD = np.sum([(np.arange(1 << 12) >> bit & 1) << 2 * bit for bit in range(12)], axis=0)


def _z_order(y: IntArray, x: IntArray) -> IntArray:
    """Interleave the low 12 bits of two coordinates (G. M. Morton, 1966)."""
    last = len(_SPREAD) - 1
    return np.asarray(_SPREAD[x & last] | _SPREAD[y & last] << 1, np.int64)
