"""Packages that lie unpacked in a folder, and such that are not sealed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account
from typer.testing import CliRunner

from MedWatermarkLib.claim import sign
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.package import write_package
from MedWatermarkLib.package_errors import ManifestError, PackageContentError, PackageError
from MedWatermarkLib.unpacked import read_unpacked
from MedWatermarkLib.volume import Volume, image_hash

KEY = b"0123456789abcdef-mark-key"
DIAGNOSIS = "Left frontal meningioma, 23 mm."
CLAIM = sign(
    bytes(range(32)),
    DIAGNOSIS,
    Account.from_key(b"\x07" * 32),
    issued_at=1_760_000_000,
    salt=bytes(16),
)


@pytest.fixture
def volume():
    voxels = np.arange(3 * 8 * 8, dtype=np.int16).reshape(3, 8, 8)
    return Volume(voxels, spacing=(0.7, 0.8, 2.5), modality="MR")


@pytest.fixture
def package(volume, tmp_path):
    """A package in one file, whose mark has a key."""
    write_volume(volume, tmp_path / "scan.nrrd")
    write_package(tmp_path / "scan.nrrd", CLAIM, tmp_path / "package", mark_key=KEY)
    return tmp_path / "package"


@pytest.fixture
def folder(package):
    """The same, unpacked, with the key beside it."""
    place = package.with_name("received")
    run("unpack", package, place, "--save-mark-key", f"{place}.key")
    return place


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, done.output
    assert KEY.decode() not in done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event["event"] != "progress"]


def test_a_package_in_one_file_is_unpacked(package, volume):
    place = package.with_name("opened")
    (told,) = run("unpack", package, place, "--save-mark-key", f"{place}.key")
    assert told["outcome"] == "received"
    assert told["claim"]["diagnosis"] == DIAGNOSIS
    assert image_hash(read_volume(Path(told["image"]))) == image_hash(volume)
    assert Path(told["leaves"]).is_file()
    assert Path(told["mark_key"]).read_bytes() == KEY
    assert Path(told["mark_key"]).stat().st_mode & 0o077 == 0
    assert not (place / "mark.key").exists()


@pytest.mark.parametrize("name", ["", "manifest.json"], ids=["folder", "manifest"])
def test_one_that_was_unpacked_is_found_with_its_key(folder, name):
    before = {file: file.read_bytes() for file in folder.rglob("*")}
    (told,) = run("unpack", folder / name)
    assert told["output"] == str(folder)
    assert told["image"] == str(folder / "image.nrrd")
    assert told["mark_key"] == f"{folder}.key"
    assert {file: file.read_bytes() for file in folder.rglob("*")} == before


def test_without_its_key_one_is_told_that_verify_needs_it(folder):
    for content in (None, b"another key of enough bytes"):
        Path(f"{folder}.key").unlink()
        if content:
            Path(f"{folder}.key").write_bytes(content)
        warning, told = run("unpack", folder)
        assert "secret key" in warning["message"]
        assert told["keyed"]
        assert told["mark_key"] is None
        Path(f"{folder}.key").touch()


def test_a_scan_that_was_altered_since_is_told_of_and_left_to_verify(folder, volume):
    altered = volume.voxels.copy()
    altered[1, 2, 3] += 1
    (folder / "image.nrrd").unlink()
    write_volume(volume.with_voxels(altered), folder / "image.nrrd")
    # A package's NRRD is raw, with nothing but the geometry.
    written = folder.with_name("raw")
    write_package(folder / "image.nrrd", CLAIM, written, mark_key=KEY)
    run("unpack", written, folder.with_name("again"))
    shutil.copy(folder.with_name("again") / "image.nrrd", folder / "image.nrrd")

    package, changed = read_unpacked(folder)
    assert changed == ["image.nrrd"]
    np.testing.assert_array_equal(read_volume(package.image).voxels, altered)
    warning, told = run("unpack", folder)
    assert "image.nrrd" in warning["message"]
    assert "changed since" in warning["message"]
    assert told["event"] == "result"


def test_what_is_no_package_or_not_all_of_one_is_refused(folder, package, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageError, match="holds no package"):
        read_unpacked(tmp_path / "empty")
    for name, content, kind in (
        ("claim.txt", b"MW1:nothing", PackageContentError),
        ("tiles.bin", b"nothing", PackageContentError),
        ("image.nrrd", b"nothing", PackageContentError),
        ("manifest.json", b'{"format":"MedWatermark package","version":1}', ManifestError),
    ):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(kind):
            read_unpacked(folder)
        (folder / name).write_bytes(kept)
    read_unpacked(folder)
    (folder / "tiles.bin").unlink()
    with pytest.raises(PackageError, match="not all of it"):
        read_unpacked(folder)


def test_places_that_make_no_sense_are_refused(folder, package, tmp_path):
    for arguments, said in (
        ((package,), "new folder"),
        ((folder, tmp_path / "other"), "unpacked already"),
        ((package, folder), "exists already"),
        ((tmp_path / "none",), "There is no file"),
        ((tmp_path / "scan.nrrd", tmp_path / "other"), "no package"),
    ):
        error = run("unpack", *arguments, code=1)[-1]
        assert said in error["message"], error
    assert not (tmp_path / "other").exists()
