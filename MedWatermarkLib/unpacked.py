"""Packages that lie unpacked in a folder, as ``receive`` and ``unpack`` leave them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rich.text import Text

from MedWatermarkLib import manifest as manifests
from MedWatermarkLib.image_errors import reason_of
from MedWatermarkLib.manifest import Manifest, Member
from MedWatermarkLib.output import OutputError, check_new, new_files
from MedWatermarkLib.package import Package, read_package, understood
from MedWatermarkLib.package_errors import PackageError
from MedWatermarkLib.packed_image import check_image
from MedWatermarkLib.report import Report
from MedWatermarkLib.tables import Row, claim_facts, claim_rows, grid


def read_unpacked(folder: Path) -> tuple[Package, list[str]]:
    """Read a package that was unpacked before.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    package : Package
        Its mark key is that in the file ``FOLDER.key`` beside it, if it is the one; else empty.
    changed : list of str
        Names of the parts that are no longer as the manifest says. Claim and tile leaves that
        cannot be used are an error; of the scan it is for `verify` to show where it was altered.

    Raises
    ------
    PackageError, ManifestError, PackageContentError
        If it is no package, or a part of it is missing or not what it must be.
    """
    try:
        manifest = Manifest.from_bytes((folder / manifests.NAME).read_bytes())
        changed = [
            member.name
            for member in manifest.members
            if member.name != manifests.MARK_KEY and not _is_whole(folder, member)
        ]
        parts = {
            name: (folder / name).read_bytes()
            for name in (manifests.CLAIM, manifests.TILES, manifests.PREVIEW)
        }
    except OSError as error:
        raise PackageError(
            f"{folder} holds no package, or not all of it ({reason_of(error)}): choose the folder "
            "that receive has written."
        ) from error
    parts[manifests.MARK_KEY] = _key_beside(folder, manifest)
    images = [member.name for member in manifest.members if member.name.startswith("image")]
    check_image([folder / name for name in images], manifest.image)
    claim, leaves = understood(manifest, parts)
    return Package.of(folder, manifest, claim, parts[manifests.MARK_KEY], leaves), changed


def holds(folder: Path, manifest: Manifest) -> bool:
    """Tell whether a folder holds all that a package does, as its manifest says."""
    members = [member for member in manifest.members if member.name != manifests.MARK_KEY]
    try:
        return (folder / manifests.NAME).read_bytes() == manifest.to_bytes() and all(
            _is_whole(folder, member) for member in members
        )
    except OSError:
        return False


def save_mark_key(place: Path, key: bytes) -> None:
    """Write the key of a mark into a file that its owner alone can read.

    Raises
    ------
    OutputError
        If something else is there.
    """
    if place.is_file() and place.read_bytes().strip() == key:
        return
    with new_files(place) as [staged]:
        staged.touch(mode=0o600)
        staged.write_bytes(key)


def unpack(subject: Path, output: Path | None, mark_key: Path | None, report: Report) -> None:
    """Unpack a package that is not sealed, or look at one that was, and report.

    Parameters
    ----------
    subject : pathlib.Path
        A package, or the folder (or its manifest) where one lies unpacked already.
    output : pathlib.Path or None
        New folder, for a package that is a file.
    mark_key : pathlib.Path or None
        New file for the mark's key.
    report : Report

    Raises
    ------
    PackageError, OutputError
        With nothing written.
    """
    if not subject.exists():
        raise PackageError(f"There is no file or folder {subject}.")
    folder = subject.parent if subject.name == manifests.NAME else subject
    tell = report.step("Opening the package", 0.0, 1.0)
    if folder.is_dir():
        if output is not None:
            raise OutputError(f"{folder} is unpacked already, so nothing is written to {output}.")
        package, changed = read_unpacked(folder)
        beside = folder.with_name(f"{folder.name}.key")
        saved = beside if package.mark_key else None
        if changed:
            report.warn(
                f"{changed[0]}{f' and {len(changed) - 1} more' if len(changed) > 1 else ''} in the "
                "folder is no longer as the package's manifest says: it was changed since."
            )
    else:
        if output is None:
            raise OutputError(f"Say where {subject} is to be unpacked: a new folder.")
        check_new(output, *([] if mark_key is None else [mark_key]))
        package, folder, saved = read_package(subject, output, progress=tell), output, mark_key
        if mark_key is not None and package.mark_key:
            save_mark_key(mark_key, package.mark_key)
    facts, rows = package_facts(package, folder, saved, report)
    headline = Text("The scan is there; verify it before you rely on it.", "bold")
    report.result({"command": "unpack", **facts}, headline, grid(rows))


def package_facts(
    package: Package, folder: Path, mark_key: Path | None, report: Report
) -> tuple[dict[str, Any], list[Row]]:
    """Return what lies in a folder, for a program and for a person, and warn of what is missing.

    Parameters
    ----------
    package : Package
    folder : pathlib.Path
        Where it was unpacked.
    mark_key : pathlib.Path or None
        The file that its mark's key is in, if it has one.
    report : Report
    """
    keyed = any(one.size > 0 for one in package.manifest.members if one.name == manifests.MARK_KEY)
    saved = mark_key if keyed else None
    if keyed and saved is None:
        report.warn(
            "The mark has a secret key, which verify needs: do the same again with --save-mark-key."
        )
    leaves = folder / manifests.TILES
    facts = {
        "outcome": "received",
        "output": str(folder),
        "image": str(package.image),
        "modality": package.manifest.image.modality,
        "leaves": str(leaves),
        "preview": str(package.preview),
        "claim": claim_facts(package.claim),
        "keyed": keyed,
        "mark_key": None if saved is None else str(saved),
    }
    key = "" if saved is None else f" --mark-key-file {saved}"
    rows = [
        *claim_rows(package.claim),
        ("Scan", str(package.image)),
        ("Check it", f"medwatermark verify {package.image} --leaves {leaves}{key}"),
    ]
    return facts, rows


def _is_whole(folder: Path, member: Member) -> bool:
    with (folder / member.name).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest() == member.sha256


def _key_beside(folder: Path, manifest: Manifest) -> bytes:
    """Return the key of the mark from the file beside a folder, where it is the right one."""
    [member] = [one for one in manifest.members if one.name == manifests.MARK_KEY]
    try:
        key = folder.with_name(f"{folder.name}.key").read_bytes().strip()
    except OSError:
        return b""
    return key if hashlib.sha256(key).hexdigest() == member.sha256 else b""
