"""The manifest of a package: what is in it, how much, and the hash of each part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from MedWatermarkLib.package_errors import (
    ForeignPackageError,
    FuturePackageError,
    ManifestError,
)
from MedWatermarkLib.tiles import TILE

VERSION = 1
#: The name under which the manifest stands, first of all members.
NAME = "manifest.json"
#: The greatest size of a member, which its header has eleven octal digits for.
GREATEST_MEMBER = 8**11 - 1
#: The greatest size of a manifest; a member takes some 120 bytes of it.
GREATEST_SIZE = 1 << 24

CLAIM, MARK_KEY, TILES, PREVIEW = "claim.txt", "mark.key", "tiles.bin", "preview.png"
# The manifest, its list of members, a member.
_GREATEST_DEPTH = 3
_NO_BRACKETS = re.compile(rb"[^][{}]+")
_FORMAT = "MedWatermark package"
# Bytes that members other than the image can have at most: they are read into memory. A claim fits
# a QR code; tile leaves have 32 bytes for each tile.
_GREATEST_SIZES = {CLAIM: 4296, MARK_KEY: 1024, TILES: 1 << 30, PREVIEW: 1 << 20}
_GREATEST_TILE_HEADER = 256


@dataclass(frozen=True)
class Member:
    """One part of a package.

    Attributes
    ----------
    name : str
    size : int
        Bytes.
    sha256 : str
        In hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ImageEntry:
    """What the manifest says of the scan.

    Attributes
    ----------
    format : str
        ``DICOM`` or ``NRRD``.
    shape : (int, int, int)
        Slices, rows and columns.
    modality : str
        DICOM Modality, or "".
    """

    format: str
    shape: tuple[int, int, int]
    modality: str


@dataclass(frozen=True)
class Manifest:
    """What is in a package. There are no secrets and no identity in it.

    Attributes
    ----------
    image : ImageEntry
    voxel_root : bytes
        32 bytes, the Merkle root of the tile leaves.
    members : tuple of Member
        All members after the manifest, in their order: claim, mark key, tile leaves, preview,
        image.
    """

    image: ImageEntry
    voxel_root: bytes
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)

    def greatest_size(self, name: str) -> int:
        """Return how many bytes a member of this name can have at most."""
        slices, rows, columns = self.image.shape
        tiles = slices * -(-rows // TILE) * -(-columns // TILE)
        if name == TILES:
            return min(_GREATEST_SIZES[TILES], _GREATEST_TILE_HEADER + 32 * tiles)
        return _GREATEST_SIZES.get(name, GREATEST_MEMBER)

    def to_bytes(self) -> bytes:
        """Write it as JSON, in the one way in which it can be written.

        That is ASCII, keys in order, no space, and a line feed at the end.
        """
        return _canonical(
            {
                "format": _FORMAT,
                "version": VERSION,
                "image": asdict(self.image),
                "voxel_root": self.voxel_root.hex(),
                "size": self.size,
                "members": [asdict(member) for member in self.members],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what `to_bytes` wrote.

        Raises
        ------
        ForeignPackageError
            If it is something else.
        FuturePackageError
            If it is of a later version.
        ManifestError
            If it is not written as it must be, or says what no package can be.
        """
        content = _parsed(data)
        _validate(content)
        if _canonical(content) != data:
            raise ManifestError("The manifest of the package is not written as it must be.")
        manifest = cls(
            image=ImageEntry(**{**content["image"], "shape": tuple(content["image"]["shape"])}),
            voxel_root=bytes.fromhex(content["voxel_root"]),
            members=tuple(Member(**member) for member in content["members"]),
        )
        if manifest.size != content["size"]:
            raise ManifestError("The sizes in the manifest of the package do not add up.")
        names = [member.name for member in manifest.members]
        if names != member_names(manifest.image.format, len(names) - len(_GREATEST_SIZES)):
            raise ManifestError("The manifest of the package does not name the parts that belong.")
        for member in manifest.members:
            if member.size > manifest.greatest_size(member.name):
                raise ManifestError(f"{member.name} in the package is larger than it can be.")
        return manifest


def member_names(image_format: str, files: int) -> list[str]:
    """Return the names of all members after the manifest, in their order.

    Parameters
    ----------
    image_format : str
        ``DICOM`` or ``NRRD``.
    files : int
        How many files the image has.
    """
    numbers: Iterable[int] = range(1, files + 1)
    image = [f"image/{number:05d}.dcm" for number in numbers]
    return [*_GREATEST_SIZES, *(image if image_format == "DICOM" else ["image.nrrd"])]


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        _check_depth(data)
        # There are no fractions in a manifest: as text, they break its rules.
        content = json.loads(data, parse_float=str, parse_constant=str)
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ForeignPackageError("This file is no package of MedWatermark.")
    version = content.get("version")
    if type(version) is int and version > VERSION:
        raise FuturePackageError(version)
    return content


def _check_depth(data: bytes) -> None:
    """Refuse what is nested deeper than any manifest.

    Python's parser calls itself for each level, and where another library has raised the recursion
    limit (py-evm does) a manifest of brackets alone would end the process.
    """
    depth = 0
    for bracket in _NO_BRACKETS.sub(b"", data):
        depth += 1 if bracket in b"[{" else -1
        if depth > _GREATEST_DEPTH:
            raise ValueError


def _validate(content: dict[str, Any]) -> None:
    error = next(iter(_validator().iter_errors(content)), None)
    if error is not None:
        # The validator's own words quote what was written, whatever that is.
        place = ".".join(str(step) for step in error.absolute_path) or "its whole"
        raise ManifestError(
            f"The manifest of the package breaks the rule {error.validator!r} in {place}."
        )


@cache
def _validator() -> Draft202012Validator:
    schema = files("MedWatermarkLib") / "schema" / f"package-manifest-{VERSION}.json"
    return Draft202012Validator(json.loads(schema.read_bytes()))


def _canonical(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text.encode("ascii") + b"\n"
