"""A package comes back as it was, or is refused: nothing in between."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from phantoms import head
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from MedWatermarkLib import archive
from MedWatermarkLib.claim import Claim, sign
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.manifest import NAME, ImageEntry, Manifest, Member
from MedWatermarkLib.output import OutputExistsError
from MedWatermarkLib.package import new_mark_key, read_package, write_package
from MedWatermarkLib.package_errors import (
    DamagedPackageError,
    ForeignPackageError,
    FuturePackageError,
    IdentifiedImageError,
    ManifestError,
    PackageContentError,
    PackageError,
    TruncatedPackageError,
)
from MedWatermarkLib.scan import mark_scan, read_scan, restore_scan
from MedWatermarkLib.tiles import matches_root, tile_leaves
from MedWatermarkLib.volume import Volume, image_hash, matches_hash

ACCOUNT = Account.from_key(b"\x07" * 32)
CLAIM = sign(
    bytes(range(32)),
    "Left frontal meningioma, 23 mm.",
    ACCOUNT,
    issued_at=1_760_000_000,
    salt=bytes(16),
)
KEY = b"0123456789abcdef-mark-key"

EditMembers = Callable[[dict[str, bytes]], None]


def _anonymous(instance: pydicom.Dataset, index: int) -> None:
    instance.PatientName = instance.PatientID = instance.PatientBirthDate = ""
    instance.PatientIdentityRemoved = "YES"


@pytest.fixture
def series(make_series: Callable[..., Path]) -> Path:
    return make_series(edit=_anonymous)


@pytest.fixture
def packed(series: Path, tmp_path: Path) -> Path:
    write_package(series, CLAIM, tmp_path / "packed", mark_key=KEY)
    return tmp_path / "packed"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small NRRD package, for what is tried hundreds of times."""
    folder = tmp_path_factory.mktemp("small")
    values = np.arange(2 * 6 * 5, dtype=np.int16).reshape(2, 6, 5)
    write_volume(Volume(values, spacing=(0.7, 0.8, 2.5)), folder / "scan.nrrd")
    write_package(folder / "scan.nrrd", CLAIM, folder / "packed", mark_key=KEY)
    return folder / "packed"


def _contents(package: Path) -> dict[str, bytes]:
    """Members by name, as any tar program sees them."""
    with tarfile.open(package) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def _archive(members: list[tuple[str, bytes]]) -> bytes:
    """An archive as packages are written, of any members."""
    file = io.BytesIO()
    for name, content in members:
        archive.append(file, name, [content], len(content), lambda size: None)
    return file.getvalue() + archive.END


def _repacked(package: Path, edit: EditMembers, target: Path) -> Path:
    """A package of other members, whose manifest is right: what an owner who cheats can make."""
    members = _contents(package)
    manifest = Manifest.from_bytes(members.pop(NAME))
    edit(members)
    described = tuple(
        Member(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in members.items()
    )
    written = replace(manifest, members=described).to_bytes()
    target.write_bytes(_archive([(NAME, written), *members.items()]))
    return target


def _with_manifest(package: Path, edit: Callable[[dict], None], target: Path) -> Path:
    """A package whose manifest says something else, in canonical form."""
    members = _contents(package)
    content = json.loads(members[NAME])
    edit(content)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    members[NAME] = text.encode() + b"\n"
    target.write_bytes(_archive(list(members.items())))
    return target


def _refused(package: Path, kind: type[Exception], match: str | None = None) -> None:
    """Nothing is left of a package that is refused."""
    place = package.with_name("refused")
    before = set(place.parent.iterdir())
    with pytest.raises(kind, match=match):
        read_package(package, place)
    assert set(place.parent.iterdir()) == before


def test_a_dicom_series_comes_back_as_it_was(series: Path, packed: Path, tmp_path: Path) -> None:
    package = read_package(packed, tmp_path / "out")
    before, after = read_volume(series), read_volume(package.image)
    assert image_hash(after) == image_hash(before)
    assert package.claim == CLAIM
    assert package.mark_key == KEY
    assert package.leaves.root == package.manifest.voxel_root == tile_leaves(before).root
    assert package.manifest.image == ImageEntry("DICOM", before.voxels.shape, "CT")
    sent = {file.read_bytes() for file in series.iterdir()}
    assert {file.read_bytes() for file in package.image.iterdir()} == sent
    # The names of the source's files may name the patient.
    assert min(file.name for file in package.image.iterdir()) == "00001.dcm"


def test_a_marked_scan_arrives_with_its_mark_claim_and_leaves(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    original = read_volume(make_series(head(3, 320, 320).astype(np.int16), _anonymous))
    key = new_mark_key()
    marked = mark_scan(original, "Meningioma, 23 mm.", ACCOUNT, key=key)
    write_volume(marked.volume, tmp_path / "marked")
    write_package(tmp_path / "marked", marked.claim, tmp_path / "packed", mark_key=key)
    package = read_package(tmp_path / "packed", tmp_path / "out")
    arrived = read_volume(package.image)
    assert read_scan(arrived, key=package.mark_key).claim == package.claim == marked.claim
    assert matches_root(arrived, package.manifest.voxel_root)
    restored = restore_scan(arrived, marked.restoration, package.claim)
    assert np.array_equal(restored.voxels, original.voxels)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
def test_other_scans_come_back_as_nrrd(dtype: str, tmp_path: Path) -> None:
    values = (np.arange(3 * 20 * 17) % 120).reshape(3, 20, 17).astype(dtype)
    if dtype.startswith("f"):
        values = values / np.array(7, dtype)
    cosine, sine = np.cos(0.2), np.sin(0.2)
    volume = Volume(
        values,
        spacing=(0.7, 1e-3, 5.0),
        origin=(-91.25, 0.0, 1e-5),
        direction=(1, 0, 0, 0, cosine, -sine, 0, sine, cosine),
    )
    write_volume(volume, tmp_path / "scan.nrrd")
    write_package(tmp_path / "scan.nrrd", CLAIM, tmp_path / "packed")
    package = read_package(tmp_path / "packed", tmp_path / "out")
    arrived = read_volume(package.image)
    assert arrived.voxels.dtype == dtype
    assert np.array_equal(arrived.voxels, values)
    assert matches_hash(arrived, image_hash(volume).digest)
    assert package.mark_key == b""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=arrays(
        st.sampled_from([np.int16, np.uint8, np.float32, np.float64]),
        array_shapes(min_dims=3, max_dims=3, max_side=70),
        elements=st.integers(0, 127),
        fill=st.just(3),
    ),
    spacing=st.tuples(*[st.floats(1e-3, 1e3)] * 3),
    origin=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    key=st.binary(min_size=16, max_size=64) | st.just(b""),
)
def test_any_scan_and_key_come_back(
    values: np.ndarray,
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    key: bytes,
) -> None:
    volume = Volume(values, spacing=spacing, origin=origin)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_volume(volume, folder / "scan.nrrd")
        before = read_volume(folder / "scan.nrrd")
        manifest = write_package(folder / "scan.nrrd", CLAIM, folder / "packed", mark_key=key)
        package = read_package(folder / "packed", folder / "out")
        after = read_volume(package.image)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest == package.manifest
    assert package.mark_key == key
    assert np.array_equal(after.voxels, before.voxels)
    assert matches_hash(after, image_hash(before).digest)
    assert matches_root(after, package.leaves.root)


def test_the_same_scan_gives_the_same_bytes(
    series: Path, packed: Path, small: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(series, tmp_path / "elsewhere")
    for file in copied.iterdir():
        os.utime(file, (1, 1))
    write_package(copied, CLAIM, tmp_path / "again", mark_key=KEY)
    assert (tmp_path / "again").read_bytes() == packed.read_bytes()


def test_any_tar_program_opens_a_package_and_finds_nothing_of_its_maker(packed: Path) -> None:
    with tarfile.open(packed) as tar:
        for member in tar:
            assert member.isreg()
            assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
            assert member.uname == member.gname == ""
        assert tar.getnames()[:5] == [NAME, "claim.txt", "mark.key", "tiles.bin", "preview.png"]


def test_headers_are_pinned_by_a_vector() -> None:
    fields = [
        b"image/00001.dcm".ljust(100, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0" * 2,  # owner and group
        b"00000001750\0",  # 1,000 bytes
        b"00000000000\0",  # time
        b"010157\0 ",  # sum of all bytes, these as spaces
        b"0" + bytes(100),  # a file, no link
        b"ustar\x0000",
    ]
    assert archive.header("image/00001.dcm", 1000) == b"".join(fields).ljust(512, b"\0")


def test_the_key_of_the_mark_is_not_written_out_nor_shown(packed: Path, tmp_path: Path) -> None:
    package = read_package(packed, tmp_path / "out")
    for file in (tmp_path / "out").rglob("*"):
        assert file.name != "mark.key"
        assert not file.is_file() or KEY not in file.read_bytes()
    assert KEY.decode() not in repr(package)


def test_a_preview_is_a_small_picture_of_the_middle_slice(packed: Path, tmp_path: Path) -> None:
    package = read_package(packed, tmp_path / "out")
    picture = np.asarray(Image.open(package.preview))
    middle = read_volume(package.image).voxels[2]
    assert picture.shape == middle.shape
    # Window 40/80: air is black, bone white.
    assert set(picture[middle < -500]) == {0}
    assert set(picture[middle > 500]) == {255}


def test_a_new_mark_key_survives_files_and_the_environment() -> None:
    key = new_mark_key()
    assert len(key) == 64
    assert key == key.strip()
    assert key.isalnum()
    assert key != new_mark_key()


def test_a_scan_that_says_whose_it_is_is_not_packed(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    named = make_series(folder="named")
    with pytest.raises(IdentifiedImageError) as error:
        write_package(named, CLAIM, tmp_path / "packed")
    assert "nwald" not in str(error.value)
    assert not (tmp_path / "packed").exists()

    def one_named(instance: pydicom.Dataset, index: int) -> None:
        if index != 2:
            _anonymous(instance, index)

    with pytest.raises(IdentifiedImageError):
        write_package(make_series(edit=one_named, folder="some"), CLAIM, tmp_path / "packed")


def test_the_text_of_a_nrrd_header_stays_at_home(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.zeros((2, 9, 9), np.int16))
    image.SetMetaData("0010|0010", "Gruenwald^Ada")
    image.SetMetaData("note", "seen by Dr Dolittle")
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nrrd"))
    assert read_volume(tmp_path / "scan.nrrd").identity
    write_package(tmp_path / "scan.nrrd", CLAIM, tmp_path / "packed")
    for word in (b"Gruenwald", b"Dolittle"):
        assert word in (tmp_path / "scan.nrrd").read_bytes()
        assert word not in (tmp_path / "packed").read_bytes()


def test_a_key_that_could_be_guessed_from_its_hash_is_not_packed(
    series: Path, tmp_path: Path
) -> None:
    with pytest.raises(PackageError, match="16 bytes"):
        write_package(series, CLAIM, tmp_path / "packed", mark_key=b"short")


def test_compressed_instances_are_not_packed(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    series = make_series(edit=_anonymous, folder="deflated")
    for file in series.iterdir():
        instance = pydicom.dcmread(file)
        instance.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        instance.save_as(file)
    with pytest.raises(PackageError, match="compressed"):
        write_package(series, CLAIM, tmp_path / "packed")


def test_nothing_is_overwritten(series: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError):
        write_package(series, CLAIM, packed)
    with pytest.raises(OutputExistsError):
        read_package(packed, series)


def test_progress_goes_from_nothing_to_all_and_an_error_in_it_stops_all(
    series: Path, packed: Path, tmp_path: Path
) -> None:
    shares: list[float] = []
    read_package(packed, tmp_path / "out", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def cancel(share: float) -> None:
        raise KeyboardInterrupt

    for run in (
        lambda: read_package(packed, tmp_path / "no", progress=cancel),
        lambda: write_package(series, CLAIM, tmp_path / "no", progress=cancel),
    ):
        before = set(tmp_path.iterdir())
        with pytest.raises(KeyboardInterrupt):
            run()
        assert set(tmp_path.iterdir()) == before


# What damage does.


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_package_with_any_bits_changed_is_refused(small: Path, data: st.DataObject) -> None:
    content = bytearray(small.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    if content == small.read_bytes():
        return
    _refused(_written(small, content), PackageError)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_package_with_bytes_lost_added_or_moved_is_refused(
    small: Path, data: st.DataObject
) -> None:
    content = small.read_bytes()
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    changed = {
        "cut": content[:start],
        "hole": content[:start] + content[stop:],
        "twice": content[:stop] + content[start:],
        "zeros": content[:start] + bytes(stop - start) + content[stop:],
        "behind": content + content[start:stop],
        "swapped": content[stop:] + content[start:stop] + content[:start],
    }[data.draw(st.sampled_from(["cut", "hole", "twice", "zeros", "behind", "swapped"]))]
    if changed != content:
        _refused(_written(small, changed), PackageError)


def _written(small: Path, content: bytes | bytearray) -> Path:
    path = small.with_name("changed")
    path.write_bytes(content)
    return path


def test_members_that_are_swapped_doubled_missing_or_more_are_refused(packed: Path) -> None:
    members = list(_contents(packed).items())
    path = packed.with_name("changed")
    for changed in (
        [*members[:-2], members[-1], members[-2]],
        [*members, members[-1]],
        members[:-1],
        [*members, ("image/00005.dcm", b"more")],
        [*members[1:], members[0]],
        members[1:],
    ):
        path.write_bytes(_archive(changed))
        _refused(path, PackageError)


def test_what_is_no_package_is_said_to_be_none(packed: Path, tmp_path: Path) -> None:
    for content in (b"", b"hello", bytes(4096), b"age-encryption.org/v1\n" * 99):
        path = tmp_path / "foreign"
        path.write_bytes(content)
        _refused(path, ForeignPackageError)
    path.write_bytes(_archive([("readme", b"x")]))
    _refused(path, ForeignPackageError)
    path.write_bytes(_archive([(NAME, b'{"format":"other"}\n')]))
    _refused(path, ForeignPackageError)
    path.write_bytes(packed.read_bytes()[:-512])
    _refused(path, TruncatedPackageError)
    path.write_bytes(packed.read_bytes() + bytes(512))
    _refused(path, DamagedPackageError)
    _refused(tmp_path / "missing", PackageError, "cannot be read")


# What an owner who cheats can do.


@pytest.mark.parametrize(
    "name",
    [
        "../../escaped",
        "/tmp/escaped",
        "image/../../escaped",
        "image\\..\\escaped",
        "C:escaped",
        "image/00002.dcm\n",
        "image/00007.dcm",
        "image/00001.dcm",
        "claim.txt",
        "mark.key/x",
    ],
)
def test_a_name_that_leads_elsewhere_or_stands_twice_is_refused(packed: Path, name: str) -> None:
    def rename(content: dict) -> None:
        content["members"][-1]["name"] = name

    path = _with_manifest(packed, rename, packed.with_name("changed"))
    _refused(path, ManifestError)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"3", b"x"])
def test_links_and_devices_are_refused(packed: Path, kind: bytes) -> None:
    path = packed.with_name("changed")
    with tarfile.open(packed) as old, tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            if member.name == "image/00002.dcm":
                link = tarfile.TarInfo(member.name)
                link.type, link.linkname = kind, "/etc/passwd"
                new.addfile(link)
            else:
                new.addfile(member, old.extractfile(member))
    with path.open("r+b") as file:  # tarfile fills up to its record size
        file.truncate(packed.stat().st_size)
    _refused(path, PackageError)


def _set(path: str, value: object) -> Callable[[dict], None]:
    def edit(content: dict) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps:
            content = content[step]
        content[last] = value

    return edit


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 0),
        ("version", "1"),
        ("version", True),
        ("note", "extra"),
        ("image.format", "NIfTI"),
        ("image.shape", [4, 64]),
        ("image.shape", [4, 64, 0]),
        ("image.shape", [4, 64, 64.0]),
        ("image.modality", "CT\n"),
        ("image.modality", "Grünwald"),
        ("voxel_root", "00"),
        ("voxel_root", "g" * 64),
        ("size", 10**30),
        ("size", 5),
        ("members", []),
        ("members.0.size", -1),
        ("members.0.size", 8**11),
        ("members.0.sha256", "0" * 63),
        ("members.0.name", "tiles.bin"),
        ("members.0.mode", 511),
    ],
)
def test_a_manifest_that_says_what_no_package_can_be_is_refused(
    packed: Path, path: str, value: object
) -> None:
    _refused(_with_manifest(packed, _set(path, value), packed.with_name("changed")), ManifestError)


def test_a_manifest_in_any_other_spelling_is_refused(packed: Path) -> None:
    members = _contents(packed)
    text = members[NAME]
    path = packed.with_name("changed")
    for other in (
        text[:-1],
        text + b" ",
        text.replace(b",", b", "),
        text.replace(b'"size"', b'"\\u0073ize"'),
        text[:1] + b'"version":1,' + text[1:],
        b"\xef\xbb\xbf" + text,
        b"[" * 100_000,
        text.replace(b'"version":1', b'"version":' + b"9" * 5000),
        text.replace(b'"version":1', b'"version":NaN'),
    ):
        assert other != text
        path.write_bytes(_archive([(NAME, other), *list(members.items())[1:]]))
        _refused(path, PackageError)


def test_a_later_version_is_said_to_be_one(packed: Path) -> None:
    path = _with_manifest(packed, _set("version", 2), packed.with_name("changed"))
    _refused(path, FuturePackageError, "version 2")


def test_bombs_are_refused_before_they_go_off(packed: Path, small: Path) -> None:
    path = packed.with_name("changed")

    # A manifest of gigabytes.
    path.write_bytes(archive.header(NAME, 8 << 30 - 1) + bytes(4096))
    _refused(path, ForeignPackageError)

    # A member of eight gigabytes in a file of some kilobytes.
    def inflate(content: dict) -> None:
        content["size"] += 8**11 - 1 - content["members"][-1]["size"]
        content["members"][-1]["size"] = 8**11 - 1

    _refused(_with_manifest(packed, inflate, path), TruncatedPackageError)

    # An image that its header says to be larger than its file.
    def enlarge(members: dict[str, bytes]) -> None:
        old = members["image/00001.dcm"]
        instance = pydicom.dcmread(io.BytesIO(old))
        instance.Rows = instance.Columns = 65535
        file = io.BytesIO()
        instance.save_as(file)
        members["image/00001.dcm"] = file.getvalue()

    _refused(_repacked(packed, enlarge, path), PackageContentError, "size")

    # The same, as its manifest says it too.
    def enlarge_all(members: dict[str, bytes]) -> None:
        for name in [name for name in members if name.startswith("image")]:
            instance = pydicom.dcmread(io.BytesIO(members[name]))
            instance.Rows = instance.Columns = 65535
            file = io.BytesIO()
            instance.save_as(file)
            members[name] = file.getvalue()

    large = _repacked(packed, enlarge_all, packed.with_name("large"))
    _with_manifest(large, _set("image.shape", [4, 65535, 65535]), path)
    large.unlink()
    _refused(path, PackageContentError, "image/00001.dcm in the package has not the size")

    def sizes(members: dict[str, bytes]) -> None:
        old = members["image.nrrd"]
        members["image.nrrd"] = old.replace(b"sizes: 5 6 2", b"sizes: 5000 6000 2000")

    _refused(_repacked(small, sizes, path), PackageContentError)


def test_compressed_dicom_is_refused_before_it_is_inflated(packed: Path) -> None:
    def deflate(members: dict[str, bytes]) -> None:
        instance = pydicom.dcmread(io.BytesIO(members["image/00001.dcm"]))
        instance.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        instance.PixelData = bytes(50_000_000)
        file = io.BytesIO()
        instance.save_as(file)
        members["image/00001.dcm"] = file.getvalue()

    path = _repacked(packed, deflate, packed.with_name("changed"))
    assert path.stat().st_size < 200_000
    _refused(path, PackageContentError, "uncompressed")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"encoding: raw\n", b"encoding: raw\ndata file: /etc/passwd\n"),
        (b"encoding: raw\n", b"encoding: gzip\n"),
        (b"dimension: 3\n", b"dimension: 3\nPatientName:=Grunwald\n"),
        (b"NRRD0004\n", b"NRRD0005\n"),
        (b"endian: little\n", b"endian: big\n"),
        (b"type: int16\n", b"type: int32\n"),
        (b"space origin: (0.0,", b"space origin: (nan,"),
    ],
)
def test_nrrd_that_itk_would_read_otherwise_is_refused(small: Path, old: bytes, new: bytes) -> None:
    def edit(members: dict[str, bytes]) -> None:
        assert old in members["image.nrrd"]
        members["image.nrrd"] = members["image.nrrd"].replace(old, new)

    _refused(_repacked(small, edit, small.with_name("changed")), PackageContentError)


def _replace(name: str, content: bytes) -> EditMembers:
    return lambda members: members.update({name: content})


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("claim.txt", b"MW1:", "claim"),
        ("claim.txt", CLAIM.to_text().encode()[:-4], "claim"),
        ("tiles.bin", b"", "tile leaves"),
        ("tiles.bin", tile_leaves(Volume(np.zeros((1, 9, 9), np.uint8))).to_bytes(), "leaves"),
        ("mark.key", b"short", "key"),
        ("preview.png", b"GIF89a", "preview"),
        ("preview.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2 + b"\x08", "preview"),
        ("image/00002.dcm", b"no DICOM", "DICOM"),
        ("image/00002.dcm", b"", "DICOM"),
    ],
)
def test_parts_that_are_not_what_they_must_be_are_refused(
    packed: Path, name: str, content: bytes, match: str
) -> None:
    path = _repacked(packed, _replace(name, content), packed.with_name("changed"))
    _refused(path, PackageContentError, match)


def test_a_series_of_another_size_than_stated_is_refused(packed: Path) -> None:
    path = packed.with_name("changed")
    _with_manifest(packed, _set("image.shape", [4, 64, 32]), path)
    _refused(path, PackageContentError, "has not the size")
    _with_manifest(packed, _set("image.shape", [9, 64, 64]), path)
    _refused(path, PackageContentError, "4 slices")


@pytest.mark.parametrize("name", ["claim.txt", "mark.key", "tiles.bin", "preview.png"])
def test_parts_that_are_read_into_memory_are_small(packed: Path, name: str) -> None:
    path = _repacked(packed, _replace(name, bytes(2_000_000)), packed.with_name("changed"))
    _refused(path, ManifestError, f"{name} in the package is larger")


def test_nothing_hides_behind_the_voxels_of_nrrd(small: Path) -> None:
    content = _contents(small)["image.nrrd"]
    path = _repacked(small, _replace("image.nrrd", content + b"more"), small.with_name("changed"))
    _refused(path, PackageContentError, "size")


def test_a_claim_of_the_greatest_length_fits(series: Path, tmp_path: Path) -> None:
    long: Claim = sign(bytes(32), "x" * 2500, ACCOUNT)
    write_package(series, long, tmp_path / "packed")
    assert read_package(tmp_path / "packed", tmp_path / "out").claim == long
