"""The restoration record: what takes a mark out again, bit for bit.

The change of a block is computed in integers from a few small levels, so the levels are all that
has to be kept: marked voxel minus that change is the original voxel. Floats that rounding would
not bring back carry corrections. The record opens the original to whoever holds it: it is the
owner's, and stands in no scene and no package. The layout is written out in `Docs/formats.md`.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt

from MedWatermarkLib.change import BOLD_LEVELS, FINE_LEVELS, LEVELS_PER_STEP, Change
from MedWatermarkLib.dct import AREA, BLOCK
from MedWatermarkLib.sites import TILE

_MAGIC = b"MWR2"
# Name, columns and number of levels of bold and of fine projections.
_KINDS = (("bold", slice(0, 1), BOLD_LEVELS), ("fine", slice(1, None), FINE_LEVELS))

Array = npt.NDArray[Any]


class RestorationError(ValueError):
    """A restoration record cannot be used, or not with these voxels."""


@dataclass(frozen=True, eq=False)
class Restoration:
    """How to take a mark out.

    Attributes
    ----------
    shape : tuple of int
        (z, y, x) of the volume.
    dtype : str
        NumPy's name of its dtype, without byte order.
    change : Change
        What was added to it.
    original : bytes
        `digest` of the changed blocks without the mark; all other voxels are those of the volume
        with it.
    marked : bytes
        `digest` of the volume with the mark.
    corrections : (m, 2) int64 array
        Flat index of a float voxel, and what to add to its bits, read as an integer, once the
        change was taken out.
    slope, intercept : (z,) float64 arrays
        Rescale of each slice of the scan, for copies that were exported in rescaled units.
    """

    shape: tuple[int, int, int]
    dtype: str
    change: Change
    original: bytes
    marked: bytes
    corrections: npt.NDArray[np.int64]
    slope: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]

    def to_bytes(self) -> bytes:
        """Return the record as one sealed-off string of bytes with a check at its end."""
        change = self.change
        body = cbor2.dumps(
            {
                "shape": list(self.shape),
                "dtype": self.dtype,
                "quantum": change.quantum,
                "original": self.original,
                "marked": self.marked,
                "steps": change.steps.ravel().tolist(),
                "rows": change.rows.astype("<i2").tobytes(),
                "mask": zlib.compress(np.packbits(change.mask).tobytes()),
                **_packed(change.levels, change.used()),
                "corrections": _compressed(self.corrections),
                "slope": _run_lengths(self.slope),
                "intercept": _run_lengths(self.intercept),
            }
        )
        return _MAGIC + body + zlib.crc32(body).to_bytes(4, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Restoration:
        """Read a record.

        Raises
        ------
        RestorationError
            If it is no restoration record, of a later version, or damaged.
        """
        if data[:3] != _MAGIC[:3]:
            raise RestorationError("This file is not a restoration record of MedWatermark.")
        if data[:4] != _MAGIC:
            raise RestorationError(
                "This restoration record was made by another version of MedWatermark, and only "
                "that version takes the mark out."
            )
        body = data[4:-4]
        if zlib.crc32(body).to_bytes(4, "big") != data[-4:]:
            raise RestorationError(
                "The restoration record is damaged or cut short; take another copy of it."
            )
        try:
            return cls._from_fields(cbor2.loads(body))
        except Exception as error:  # A right check around content that is none of ours.
            raise RestorationError("This restoration record cannot be understood.") from error

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> Restoration:
        depth, height, width = shape = tuple(fields["shape"])
        dtype = np.dtype(fields["dtype"])
        if dtype.kind not in "iuf":
            raise ValueError("not the dtype of voxels")
        grid = (depth, height // BLOCK, width // BLOCK)
        packed = np.frombuffer(_inflated(fields["mask"], int(np.prod(grid))), np.uint8)
        mask = np.unpackbits(packed, count=int(np.prod(grid))).reshape(grid).astype(bool)
        rows = np.frombuffer(fields["rows"], "<i2").astype(np.int64).reshape(-1, AREA)
        change = Change(
            mask=mask,
            steps=np.array(fields["steps"], np.int64).reshape(TILE, TILE, len(rows)),
            rows=rows,
            levels=np.zeros((int(mask.sum()), len(rows)), np.int8),
            quantum=fields["quantum"],
        )
        _unpack(fields, change.levels, change.used())
        return cls(
            shape=shape,
            dtype=dtype.name,
            change=change,
            original=fields["original"],
            marked=fields["marked"],
            corrections=_decompressed(fields["corrections"], 16 * int(np.prod(shape))),
            slope=_repeated(fields["slope"]),
            intercept=_repeated(fields["intercept"]),
        )


def digest(voxels: Array) -> bytes:
    """Return 16 bytes of the SHA-256 of an array's shape and little-endian values."""
    little = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    head = repr((voxels.shape, voxels.dtype.name)).encode()
    state = hashlib.sha256(head)
    state.update(little.data.cast("B") if little.size else b"")
    return state.digest()[:16]


def corrections_between(restored: Array, original: Array) -> npt.NDArray[np.int64]:
    """Return what must be added to the bits of restored floats to make them the original ones.

    Returns
    -------
    (m, 2) int64 array of flat index and difference.
    """
    bits = f"i{restored.dtype.itemsize}"
    difference = original.view(bits).ravel() - restored.view(bits).ravel()
    where = np.flatnonzero(difference)
    return np.stack([where, difference[where].astype(np.int64)], 1)


def correct(voxels: Array, corrections: npt.NDArray[np.int64]) -> None:
    """Add corrections to the bits of floats, in place."""
    flat = voxels.view(f"i{voxels.dtype.itemsize}").reshape(-1)
    flat[corrections[:, 0]] += corrections[:, 1].astype(flat.dtype)


def _packed(levels: npt.NDArray[np.int8], used: npt.NDArray[np.bool_]) -> dict[str, bytes]:
    packed = {}
    for name, columns, count in _KINDS:
        chosen = levels[:, columns][used[:, columns]].astype(np.int64)
        codes = (chosen * count // LEVELS_PER_STEP + count // 2).astype(np.uint8)
        bits = np.unpackbits(codes[:, None], axis=1)[:, 8 - _bits(count) :]
        packed[name] = np.packbits(bits).tobytes()
    return packed


def _unpack(
    fields: dict[str, Any], levels: npt.NDArray[np.int8], used: npt.NDArray[np.bool_]
) -> None:
    """Put the levels that are in use in their places."""
    for name, columns, count in _KINDS:
        chosen = used[:, columns]
        width, number = _bits(count), int(chosen.sum())
        bits = np.unpackbits(np.frombuffer(fields[name], np.uint8), count=number * width)
        codes = np.packbits(bits.reshape(-1, width), axis=1)[:, 0] >> (8 - width)
        half = LEVELS_PER_STEP // (2 * count)
        levels[:, columns][chosen] = (2 * codes.astype(np.int64) + 1 - count) * half


def _bits(count: int) -> int:
    return count.bit_length() - 1


def _compressed(corrections: npt.NDArray[np.int64]) -> bytes:
    gaps = np.diff(corrections[:, 0], prepend=0)
    # Byte planes: nearly all high bytes are alike, and so vanish.
    planes = np.stack([gaps, corrections[:, 1]]).astype("<i8").view(np.uint8).reshape(-1, 8).T
    return zlib.compress(np.ascontiguousarray(planes).tobytes(), 6)


def _decompressed(data: bytes, greatest: int) -> npt.NDArray[np.int64]:
    planes = np.frombuffer(_inflated(data, greatest), np.uint8).reshape(8, -1)
    gaps, differences = np.ascontiguousarray(planes.T).view("<i8").reshape(2, -1)
    return np.stack([np.cumsum(gaps), differences], 1).astype(np.int64)


def _run_lengths(values: npt.NDArray[np.float64]) -> list[list[float]]:
    starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)
    lengths = np.diff(starts, append=len(values))
    return [[float(values[i]), int(n)] for i, n in zip(starts, lengths, strict=True)]


def _repeated(runs: list[list[float]]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.full(int(n), value, np.float64) for value, n in runs])


def _inflated(data: bytes, greatest: int) -> bytes:
    """Decompress at most as much as a volume of this size can need."""
    inflated = zlib.decompressobj().decompress(data, greatest + 1)
    if len(inflated) > greatest:
        raise ValueError("more than the volume has")
    return inflated
