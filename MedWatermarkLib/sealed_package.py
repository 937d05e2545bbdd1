"""Sealed packages: ordinary age files that can lie anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from MedWatermarkLib.claim import Claim
from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.manifest import Manifest
from MedWatermarkLib.merkle import MerkleTree, tree_of_chunks
from MedWatermarkLib.output import OutputError, check_new, new_files
from MedWatermarkLib.package import Package, read_package, write_package
from MedWatermarkLib.package_errors import PackageError
from MedWatermarkLib.progress import Progress, part
from MedWatermarkLib.scratch import scratch
from MedWatermarkLib.sealing import Identity, seal, unseal


@dataclass(frozen=True, eq=False)
class SealedPackage:
    """What a ledger is told of a sealed package, and what proves its chunks.

    Attributes
    ----------
    manifest : Manifest
        What is in it.
    size : int
        Bytes of the age file.
    tree : MerkleTree
        Over its chunks of 1,024 bytes: its root is the package root, its leaves are published.
    content_commitment : bytes
        32 bytes, which commit to the identity that opens it.
    """

    manifest: Manifest
    size: int
    tree: MerkleTree = field(repr=False)
    content_commitment: bytes


def write_sealed_package(
    image: str | os.PathLike[str],
    claim: Claim,
    place: str | os.PathLike[str],
    content: Identity,
    *,
    mark_key: bytes = b"",
    progress: Progress | None = None,
) -> SealedPackage:
    """Pack a marked, de-identified scan and seal it.

    Parameters
    ----------
    image, claim, mark_key
        As for `write_package`.
    place : path
        A new file.
    content : Identity
        The content identity: made for this package, since who opens one opens all of it.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    SealedPackage

    Raises
    ------
    PackageError, ImageReadError, OutputError
        As `write_package` does.
    """
    place = Path(place)
    check_new(place)
    with new_files(place) as [staged]:
        plain = staged.with_name("plain")
        manifest = write_package(
            image, claim, plain, mark_key=mark_key, progress=part(progress, 0.0, 0.6)
        )
        with plain.open("rb") as source, staged.open("w+b") as target:
            seal(source, target, content.recipient, part(progress, 0.6, 0.8))
            size = target.tell()
            target.seek(0)
            tree = tree_of_chunks(target, progress=part(progress, 0.8, 1.0))
        plain.unlink()
    return SealedPackage(manifest, size, tree, content.commitment)


def read_sealed_package(
    sealed: str | os.PathLike[str],
    content: Identity,
    place: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Package:
    """Open a sealed package and unpack it, all of it or nothing.

    Parameters
    ----------
    sealed : path
        The age file, from anybody.
    content : Identity
        The content identity.
    place : path
        A new or empty folder.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    Package

    Raises
    ------
    SealError
        If it is damaged, or sealed to another.
    PackageError, OutputError
        As `read_package` does.
    """
    sealed, place = Path(sealed), Path(place)
    check_new(place)
    try:
        source = sealed.open("rb")
    except OSError as error:
        raise PackageError(f"{sealed} cannot be read: {error.strerror}.") from error
    try:
        with source, scratch(place) as folder:
            plain = folder / "plain"
            with plain.open("wb") as target:
                unseal(source, target, content, part(progress, 0.0, 0.5))
            return read_package(plain, place, progress=part(progress, 0.5, 1.0))
    except OSError as error:
        raise OutputError(f"{place} cannot be written: {reason_of(error)}.") from error
