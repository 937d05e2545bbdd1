"""Packages: a marked, de-identified scan with all that its recipient needs, as one archive.

``Docs/formats.md`` has the bytes; `sealing` closes a package, and `sale_file` makes of a sealed one
what is sold.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from MedWatermarkLib import archive
from MedWatermarkLib import manifest as manifests
from MedWatermarkLib.claim import Claim, ClaimError
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.manifest import Manifest, Member
from MedWatermarkLib.output import OutputError, check_new, new_files
from MedWatermarkLib.package_errors import (
    DamagedPackageError,
    ForeignPackageError,
    PackageContentError,
    PackageError,
    TruncatedPackageError,
)
from MedWatermarkLib.packed_image import PackedImage, check_image, pack_image
from MedWatermarkLib.progress import Progress
from MedWatermarkLib.tiles import TileLeaves, TileLeavesError, tile_leaves
from MedWatermarkLib.volume import Volume

#: A mark's key that is shorter could be found from its hash, which the manifest holds.
LEAST_KEY_SIZE = 16
#: Rows and columns of a preview at most.
PREVIEW_SIZE = 512

# A PNG's signature and the first 16 bytes of its header: how it starts, up to its size.
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_NOTHING = "0" * 64


@dataclass(frozen=True, eq=False)
class Package:
    """What was in a package.

    Attributes
    ----------
    manifest : Manifest
    claim : Claim
        What the package says that it carries; that the scan does, and who vouches for it, is for
        `verify` to show.
    mark_key : bytes
        The key of the mark: a secret. It is nowhere but here and in the sealed package.
    leaves : TileLeaves
        Of the marked scan; that these are the registered ones is told by their root alone.
    image : pathlib.Path
        The scan, for `read_volume`: a folder of DICOM instances, or a NRRD file.
    preview : pathlib.Path
        A PNG of its middle slice.
    """

    manifest: Manifest
    claim: Claim
    mark_key: bytes = field(repr=False)
    leaves: TileLeaves = field(repr=False)
    image: Path
    preview: Path

    @classmethod
    def of(
        cls, place: Path, manifest: Manifest, claim: Claim, mark_key: bytes, leaves: TileLeaves
    ) -> Package:
        """Return what lies unpacked in a folder."""
        image = place / ("image" if manifest.image.format == "DICOM" else "image.nrrd")
        return cls(manifest, claim, mark_key, leaves, image, place / manifests.PREVIEW)


def new_mark_key() -> bytes:
    """Return a key for the marks of one package: 64 hexadecimal digits of the system's randomness.

    Digits, so that it goes through files and the environment as it is.
    """
    return secrets.token_hex(32).encode("ascii")


def write_package(
    image: str | os.PathLike[str],
    claim: Claim,
    place: str | os.PathLike[str],
    *,
    mark_key: bytes = b"",
    progress: Progress | None = None,
) -> Manifest:
    """Pack a marked, de-identified scan.

    Parameters
    ----------
    image : path
        The scan, as `read_volume` takes it. A DICOM series stays one, its instances as they are;
        all else becomes NRRD, with no text in its header.
    claim : Claim
        What its mark says.
    place : path
        A new file. It is not sealed: whoever has it can read it.
    mark_key : bytes
        The key of the mark: at least 16 bytes, from `new_mark_key`; empty for a public mark.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    Manifest
        The same scan, claim and key give the same bytes.

    Raises
    ------
    IdentifiedImageError
        If the scan was not de-identified.
    PackageError
        If its instances are compressed, or the key is too short.
    ImageReadError
        If there is no scan that can be read.
    OutputError
        If the place is taken or cannot be written to.
    """
    place = Path(place)
    check_new(place)
    if 0 < len(mark_key) < LEAST_KEY_SIZE:
        raise PackageError(f"The key of the mark must have at least {LEAST_KEY_SIZE} bytes.")
    volume = read_volume(image)
    packed = pack_image(volume)
    leaves = tile_leaves(volume)
    parts = [claim.to_text().encode(), mark_key, leaves.to_bytes(), _preview(volume)]
    sizes = [*map(len, parts), *packed.sizes]
    names = manifests.member_names(packed.entry.format, len(packed.sizes))
    if len(names) != len(sizes):
        raise PackageError("The scan has more files than a package can hold.")
    manifest = Manifest(
        image=packed.entry,
        voxel_root=leaves.root,
        members=tuple(
            Member(name, size, _NOTHING) for name, size in zip(names, sizes, strict=True)
        ),
    )
    # Refused in what can be refused before anything is written.
    Manifest.from_bytes(manifest.to_bytes())
    with new_files(place) as [staged], staged.open("w+b") as file:
        return _write(file, manifest, parts, packed, _teller(manifest.size, progress))


def read_package(
    file: str | os.PathLike[str],
    place: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Package:
    """Unpack a package, all of it or nothing.

    Parameters
    ----------
    file : path
        The package, from anybody.
    place : path
        A new or empty folder for what is in it, but for the mark's key, which is not written.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    Package
        Every byte of it is what its manifest says, no more was written than that says, and its
        image is of the form and size that it says. Whether manifest and scan are those that were
        registered is asked elsewhere.

    Raises
    ------
    ForeignPackageError, FuturePackageError
        If it is something else, or of a later version.
    TruncatedPackageError, DamagedPackageError
        If bytes are missing, or any is not as it was written.
    ManifestError, PackageContentError
        If it was written so, but is no package.
    OutputError
        If the place is taken, cannot be written to or has not enough room.
    """
    file, place = Path(file), Path(place)
    check_new(place)
    try:
        source = file.open("rb")
    except OSError as error:
        raise PackageError(f"{file} cannot be read: {error.strerror}.") from error
    with source:
        manifest, start = _read_manifest(source)
        _check_length(source, manifest, start)
        _check_room(manifest, place)
        with new_files(place) as [staged]:
            staged.mkdir()
            parts = _extract(source, manifest, staged, _teller(manifest.size, progress))
            (staged / manifests.NAME).write_bytes(manifest.to_bytes())
            paths = [
                staged / member.name
                for member in manifest.members
                if member.name.startswith("image")
            ]
            check_image(paths, manifest.image)
            claim, leaves = understood(manifest, parts)
    return Package.of(place, manifest, claim, parts[manifests.MARK_KEY], leaves)


def _write(
    file: BinaryIO,
    manifest: Manifest,
    parts: list[bytes],
    packed: PackedImage,
    tell: archive.Tell,
) -> Manifest:
    """Write all members, and then the manifest in the room that was left for it."""
    room = len(manifest.to_bytes())
    file.write(bytes(archive.BLOCK + archive.padded(room)))
    members = []
    for index, member in enumerate(manifest.members):
        image = index - len(parts)
        pieces = packed.pieces(image) if image >= 0 else [parts[index]]
        sha256 = archive.append(file, member.name, pieces, member.size, tell)
        members.append(Member(member.name, member.size, sha256))
    file.write(archive.END)
    complete = Manifest(manifest.image, manifest.voxel_root, tuple(members))
    file.seek(0)
    archive.append(file, manifests.NAME, [complete.to_bytes()], room, lambda size: None)
    return complete


def _read_manifest(source: BinaryIO) -> tuple[Manifest, int]:
    """Return the manifest, and where it ends."""
    block = source.read(archive.BLOCK)
    size = archive.stated_size(block)
    if (
        size is None
        or size > manifests.GREATEST_SIZE
        or len(block) < archive.BLOCK
        or (block != archive.header(manifests.NAME, size))
    ):
        raise ForeignPackageError("This file is no package of MedWatermark, or it is damaged.")
    content = archive.read(source, size)
    manifest = Manifest.from_bytes(content)
    if any(archive.read(source, -size % archive.BLOCK)):
        raise DamagedPackageError("There is something behind the manifest of the package.")
    return manifest, archive.BLOCK + archive.padded(size)


def _check_length(source: BinaryIO, manifest: Manifest, start: int) -> None:
    """Refuse what has another length than its manifest says, before anything is written."""
    end = start + len(archive.END)
    end += sum(archive.BLOCK + archive.padded(member.size) for member in manifest.members)
    length = os.fstat(source.fileno()).st_size
    if length < end:
        raise TruncatedPackageError("The package breaks off; fetch it again.")
    if length > end:
        raise DamagedPackageError("There is more in the package than its manifest says.")


def _check_room(manifest: Manifest, place: Path) -> None:
    if shutil.disk_usage(place.absolute().parent).free < manifest.size:
        raise OutputError(
            f"There is not enough room for the package in {place.absolute().parent}: it needs "
            f"{manifest.size / 1e6:,.0f} MB."
        )


def _extract(
    source: BinaryIO, manifest: Manifest, folder: Path, tell: archive.Tell
) -> dict[str, bytes]:
    """Write all members but the key into a folder, and return those that are small."""
    parts = {}
    if manifest.image.format == "DICOM":
        (folder / "image").mkdir()
    for member in manifest.members:
        path = folder / member.name
        if member.name.startswith("image"):
            with path.open("xb") as target:
                archive.extract(source, member, target, tell)
            continue
        content = io.BytesIO()
        archive.extract(source, member, content, tell)
        parts[member.name] = content.getvalue()
        if member.name != manifests.MARK_KEY:
            path.write_bytes(content.getvalue())
    archive.check_end(source)
    return parts


def understood(manifest: Manifest, parts: dict[str, bytes]) -> tuple[Claim, TileLeaves]:
    """Return claim and tile leaves from the small members of a package, after checking them.

    Raises
    ------
    PackageContentError
        If one is not what it must be.
    """
    if 0 < len(parts[manifests.MARK_KEY]) < LEAST_KEY_SIZE:
        raise PackageContentError("The key of the mark in the package is too short.")
    try:
        claim = Claim.from_text(parts[manifests.CLAIM].decode("ascii", "replace"))
        leaves = TileLeaves.from_bytes(parts[manifests.TILES])
    except (ClaimError, TileLeavesError) as error:
        raise PackageContentError(f"A part of the package cannot be read: {error}") from error
    if leaves.root != manifest.voxel_root or tuple(leaves.shape) != manifest.image.shape:
        raise PackageContentError("The tile leaves in the package are not those of its manifest.")
    preview = parts[manifests.PREVIEW]
    width, height = (int.from_bytes(preview[start : start + 4]) for start in (16, 20))
    if not preview.startswith(_PNG_START) or not 0 < max(width, height) <= PREVIEW_SIZE:
        raise PackageContentError("The preview in the package is no small PNG picture.")
    return claim, leaves


def _preview(volume: Volume) -> bytes:
    """Draw the middle slice as PNG, in the scan's window or the range of its values."""
    index = len(volume.voxels) // 2
    values = volume.voxels[index] * volume.slope[index] + volume.intercept[index]
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    if volume.window is None:
        low, high = np.percentile(values, (1, 99))
    else:
        center, width = volume.window
        low, high = center - width / 2, center + width / 2
    grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    picture = Image.fromarray(np.rint(grey).astype(np.uint8))
    picture.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _teller(size: int, progress: Progress | None) -> archive.Tell:
    """Make of a progress one that is told how many bytes more are done."""
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done / size)

    return tell
