"""De-identified files: pixels, faces, headers beside DICOM, names, and the command line."""

from __future__ import annotations

import gzip
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.dataset import FileDataset
from typer.testing import CliRunner, Result

from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.burned_in import BurnedInIdentityError, header_reasons, looks_lettered
from MedWatermarkLib.claim import Claim
from MedWatermarkLib.cli import app
from MedWatermarkLib.confidentiality import Action
from MedWatermarkLib.deidentified import Deidentified, Request, deidentify
from MedWatermarkLib.face import face_warning
from MedWatermarkLib.header_text import (
    IdentifyingNameError,
    check_name,
    header_keys,
    neutral_name,
)
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.volume import Volume, image_hash

sys.path.append(str(Path(__file__).parents[1]))
from plants import found_below, found_in, word

PASSWORD = "correct horse battery staple"


def run(source: Path, output: Path, **request: object) -> Deidentified:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return deidentify(source, output, Request(**request), None, lambda share: None)


def command(*arguments: object, **env: str) -> Result:
    variables = {"MEDWATERMARK_PASSWORD": PASSWORD, "MEDWATERMARK_PSEUDONYM_KEY": None, **env}
    result = CliRunner().invoke(app, [str(one) for one in arguments], env=variables)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def quiet_volume(path: Path) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_volume(path)


# --- Pixels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "value", "says"),
    [
        ("BurnedInAnnotation", "YES", "Burned In"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7", "Secondary Capture"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7.2", "Multi-frame Grayscale Byte"),
        ("Modality", "US", "ultrasound"),
        ("ConversionType", "WSD", "Conversion Type"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"], "screen"),
        ("PhotometricInterpretation", "RGB", "colour"),
    ],
)
def test_images_that_may_show_a_name_are_recognised(keyword: str, value: object, says: str) -> None:
    header = Dataset()
    setattr(header, keyword, value)
    assert any(says in reason for reason in header_reasons(header))


def test_an_ordinary_ct_and_a_reformat_of_it_are_not_suspected(pydicom_file) -> None:
    header = pydicom.dcmread(pydicom_file("CT_small.dcm"), stop_before_pixels=True)
    assert header_reasons(header) == []
    header.ImageType = ["DERIVED", "SECONDARY", "MPR"]
    header.BurnedInAnnotation = "NO"
    assert header_reasons(header) == []


@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("smooth", [False, True])
def test_letters_drawn_into_a_slice_are_seen(ct_phantom: Volume, size: int, smooth: bool) -> None:
    pixels = np.kron(ct_phantom.voxels[2], np.ones((4, 4), np.int16))
    assert not looks_lettered(pixels)
    picture = Image.new("L", pixels.shape[::-1], 0)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((8, 8), "GRUENWALD ADA 29.2.1944", fill=255, font=font)
    drawn = np.asarray(picture) / 255
    drawn = drawn if smooth else np.round(drawn)
    assert looks_lettered(np.where(drawn > 0, np.maximum(pixels, 4000 * drawn - 1000), pixels))


def test_no_slice_of_the_real_scans_is_taken_for_lettered(
    ct_head_ge: Volume, ct_head_philips: Volume, mr_head_t1: Volume
) -> None:
    for volume in (ct_head_ge, ct_head_philips, mr_head_t1):
        assert not any(map(looks_lettered, volume.voxels))


def test_a_lettered_nrrd_needs_a_person_who_looked(tmp_path: Path) -> None:
    picture = Image.new("L", (256, 256), 0)
    text = "GRUENWALD ADA"
    ImageDraw.Draw(picture).text((8, 8), text, fill=255, font=ImageFont.load_default(20))
    voxels = np.stack([np.asarray(picture)] * 3).astype(np.int16)
    write_volume(Volume(voxels), tmp_path / "scan.nrrd")
    with pytest.raises(BurnedInIdentityError, match="letters"):
        run(tmp_path / "scan.nrrd", tmp_path / "out.nrrd")
    run(tmp_path / "scan.nrrd", tmp_path / "out.nrrd", pixels_checked=True)
    assert (tmp_path / "out.nrrd").exists()


# --- Faces ---------------------------------------------------------------------------------------


def head(height: int = 120, direction: tuple[float, ...] | None = None) -> Volume:
    """Return a head of 150 x 190 mm in air, in HU, at 2 mm."""
    z, y, x = np.mgrid[-height / 2 : height / 2 : 2, -128:128:2, -128:128:2]
    inside = (x / 75) ** 2 + (y / 95) ** 2 + (z / 120) ** 2 < 1
    voxels = np.where(inside, 40, -1000).astype(np.int16)
    extra = {} if direction is None else {"direction": direction}
    return Volume(voxels, spacing=(2.0, 2.0, 2.0), modality="CT", **extra)


def test_a_head_with_skin_is_named_and_says_by_what() -> None:
    warning = face_warning(head())
    assert warning is not None
    assert "The face could be rendered" in warning
    assert "mm" in warning


@pytest.mark.parametrize(
    "direction",
    [(1, 0, 0, 0, -1, 0, 0, 0, -1), (0, 0, 1, 1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, 1, 1, 0, 0)],
    ids=["flipped", "sagittal", "permuted"],
)
def test_a_head_is_found_however_its_axes_lie(direction: tuple[float, ...]) -> None:
    # The voxels of the upright head, stored along other axes.
    upright = head()
    matrix = np.array(direction).reshape(3, 3)
    voxels = upright.voxels  # along posterior-superior axes z, y, x
    order = [int(np.argmax(np.abs(matrix[:, axis]))) for axis in range(3)]
    stored = voxels.transpose([2 - order[axis] for axis in (2, 1, 0)])
    for axis in range(3):
        if matrix[order[axis], axis] < 0:
            stored = np.flip(stored, 2 - axis)
    turned = Volume(
        np.ascontiguousarray(stored),
        spacing=upright.spacing,
        direction=tuple(map(float, direction)),
        modality="CT",
    )
    assert face_warning(turned) == face_warning(upright)


def test_a_chest_a_knee_and_a_few_slices_of_a_head_are_not_named() -> None:
    _, y, x = np.mgrid[-100:100:2, -160:160:2, -200:200:2]
    for radius_x, radius_y in ((180, 120), (55, 60)):
        inside = (x / radius_x) ** 2 + (y / radius_y) ** 2 < 1
        voxels = np.where(inside, 40, -1000).astype(np.int16)
        volume = Volume(voxels, spacing=(2.0, 2.0, 2.0), modality="CT")
        assert face_warning(volume) is None
    assert face_warning(head(height=16)) is None


def test_a_header_that_says_head_needs_less() -> None:
    header = Dataset()
    header.BodyPartExamined = "HEAD"
    low = head(height=40)
    assert face_warning(low) is None
    assert "BodyPartExamined" in (face_warning(low, header) or "")


def test_a_real_head_is_named_in_report_and_header(scans: Path, tmp_path: Path) -> None:
    told = run(scans / "ct-head-ge", tmp_path / "out")
    assert any("face" in remark for remark in told.remarks)
    written = pydicom.dcmread(next((tmp_path / "out").iterdir()), stop_before_pixels=True)
    assert written.RecognizableVisualFeatures == "YES"
    assert image_hash(quiet_volume(tmp_path / "out")) == image_hash(
        quiet_volume(scans / "ct-head-ge")
    )


# --- Beside DICOM --------------------------------------------------------------------------------


def planted_image(path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.arange(4 * 30 * 30, dtype=np.int16).reshape(4, 30, 30))
    image.SetMetaData("0010|0010", word(1))
    image.SetMetaData("ITK_FileNotes", word(2))
    SimpleITK.WriteImage(image, str(path))


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
@pytest.mark.parametrize("target", [".nrrd", ".nii.gz", ".mha"])
def test_header_text_is_not_carried_over(tmp_path: Path, suffix: str, target: str) -> None:
    source, output = tmp_path / "in" / f"{word(9)}{suffix}", tmp_path / "out" / f"clean{target}"
    source.parent.mkdir()
    output.parent.mkdir()
    planted_image(source)
    told = run(source, output)
    assert found_below(source.parent)
    assert not found_below(output.parent)
    assert told.outcomes
    assert {one.action for one in told.outcomes} == {Action.ABSENT}
    assert not found_in(repr(told).encode())
    assert image_hash(quiet_volume(output)) == image_hash(quiet_volume(source))


def test_keys_of_a_header_are_listed_and_never_its_values(tmp_path: Path) -> None:
    planted_image(tmp_path / "a.nrrd")
    data = (tmp_path / "a.nrrd").read_bytes()
    extra = b"# Ada Gruenwald\ncontent: Ada\nward:=7\nAda Gr\xc3\xbcnwald:=x\n\n"
    (tmp_path / "a.nrrd").write_bytes(data.replace(b"\n\n", b"\n" + extra, 1))
    assert header_keys(tmp_path / "a.nrrd") == [
        "(other)",
        "0010|0010",
        "ITK_FileNotes",
        "comment",
        "content",
    ]
    planted_image(tmp_path / "a.nii.gz")
    assert header_keys(tmp_path / "a.nii.gz") == ["descrip"]
    whole = gzip.decompress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "b.nii").write_bytes(whole[:348] + b"\1\0\0\0" + whole[352:])
    assert "extensions" in header_keys(tmp_path / "b.nii")


def test_names_of_files_and_nodes_name_nobody() -> None:
    identity = {"PatientName": "Grünwald^Ada", "PatientID": "PID-4711"}
    assert neutral_name("3: T1 mprage Gruenwald", identity) == "T1 mprage"
    assert neutral_name("Ada 4711", identity) == "Scan"
    check_name(Path("Ada Gruenwald/clean.nrrd"), identity)
    for name in ("gruenwald.nrrd", "pid 4711.nii.gz", "ADA_GRUENWALD"):
        with pytest.raises(IdentifyingNameError):
            check_name(Path(name), identity)


# --- The command line ----------------------------------------------------------------------------


def test_the_command_tells_what_became_of_each_attribute(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    source, report = make_series(), tmp_path / "told.json"
    result = command("deidentify", source, tmp_path / "out", "--json", "--report", report)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    assert told["command"] == "deidentify"
    by_name = {one["name"]: one["outcome"] for one in told["attributes"]}
    assert by_name["PatientName"] == "replaced by a pseudonym"
    assert by_name["PatientBirthDate"] == "emptied"
    assert by_name["PixelData"] == "kept"
    assert json.loads(report.read_text())["attributes"] == told["attributes"]
    for secret in ("Ada", "PID-4711", "19440229"):
        assert secret not in result.output
        assert secret not in report.read_text()


def test_the_command_shows_a_table_and_writes_a_text_report(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    report = tmp_path / "told.txt"
    result = command("deidentify", make_series(), tmp_path / "out", "--report", report)
    assert result.exit_code == 0, result.output
    for text in (result.output, report.read_text()):
        assert "PatientName" in text
        assert "(0010,0010)" in text
        assert "Basic Application Confidentiality Profile" in text
        assert "Ada" not in text


def test_a_pseudonym_key_makes_two_runs_alike(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    source, key = make_series(), tmp_path / "pseudonym.key"
    key.write_text("a long enough secret\n")
    arguments = ("--pseudonym-key-file", key, "--shift-dates")
    command("deidentify", source, tmp_path / "a", *arguments)
    command("deidentify", source, tmp_path / "b", *arguments)
    command("deidentify", source, tmp_path / "c")
    a, b, c = ((tmp_path / one / "00001.dcm").read_bytes() for one in "abc")
    assert a == b
    assert a != c
    key.write_text("short")
    refused = command("deidentify", source, tmp_path / "d", *arguments)
    assert refused.exit_code == 1
    assert "short" not in refused.output.replace("shorter", "")
    assert not (tmp_path / "d").exists()


def test_nothing_is_left_where_an_image_was_refused(
    make_series: Callable[..., Path], tmp_path: Path
) -> None:
    def edit(instance: FileDataset, index: int) -> None:
        instance.Modality = "OT"

    before = None
    source = make_series(None, edit)
    before = sorted(tmp_path.iterdir())
    result = command("deidentify", source, tmp_path / "out")
    assert result.exit_code == 1
    assert "--pixels-checked" in result.output
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def scan_with_room(make_series: Callable[..., Path]) -> Path:
    voxels = np.random.default_rng(5).normal(40, 20, (3, 384, 384)).round().astype(np.int16)
    y, x = np.mgrid[-1:1:384j, -1:1:384j]
    voxels[:, x**2 + y**2 > 0.8] = -1000
    return make_series(voxels)


def test_a_scan_that_is_marked_as_it_is_deidentified_can_be_read_and_restored(
    scan_with_room: Path, tmp_path: Path
) -> None:
    create_key_file(tmp_path / "doctor.json", PASSWORD)
    diagnosis = ("--diagnosis", "Meningioma, 23 mm.", "--key-file", tmp_path / "doctor.json")
    marked = tmp_path / "marked"
    result = command("embed", scan_with_room, marked, *diagnosis, "--deidentify", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    assert told["deidentified"]["profile"][0]["code"] == "113100"
    claim = Claim.from_text(told["claim"]["text"])
    assert claim.image_hash == image_hash(quiet_volume(scan_with_room)).digest

    header = pydicom.dcmread(next(marked.iterdir()))
    assert header.PatientIdentityRemoved == "YES"
    # Whole, since pixels say shorter ones by chance, and UIDs have any digits among theirs.
    for secret in (b"^Maria", b"PID-4711", b"19440229", "Grünwald".encode()):
        whole = re.compile(rb"(?<!\d)" + re.escape(secret) + rb"(?!\d)")
        assert not [path.name for path in marked.iterdir() if whole.search(path.read_bytes())]
        assert secret not in (tmp_path / "marked.restoration").read_bytes()

    record = ("--record", tmp_path / "marked.restoration")
    assert command("restore", marked, tmp_path / "restored", *record).exit_code == 0
    original, restored = quiet_volume(scan_with_room), quiet_volume(tmp_path / "restored")
    assert np.array_equal(original.voxels, restored.voxels)
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_a_diagnosis_is_held_against_the_identity_that_was_taken_out(
    scan_with_room: Path, tmp_path: Path
) -> None:
    create_key_file(tmp_path / "doctor.json", PASSWORD)
    arguments = ("--diagnosis", "Meningioma of Ada.", "--key-file", tmp_path / "doctor.json")
    result = command("embed", scan_with_room, tmp_path / "marked", *arguments, "--deidentify")
    assert result.exit_code == 1
    assert "PatientName" in result.output
    assert not (tmp_path / "marked").exists()


def test_a_volume_that_is_no_dicom_is_marked_and_its_header_left_behind(
    scan_with_room: Path, tmp_path: Path
) -> None:
    write_volume(quiet_volume(scan_with_room), tmp_path / "plain.nrrd")
    image = SimpleITK.ReadImage(str(tmp_path / "plain.nrrd"))
    image.SetMetaData("0010|0010", "Grünwald^Ada")
    SimpleITK.WriteImage(image, str(tmp_path / "scan.nrrd"))
    create_key_file(tmp_path / "doctor.json", PASSWORD)
    arguments = ("--diagnosis", "Meningioma.", "--key-file", tmp_path / "doctor.json")
    output = tmp_path / "marked.nrrd"
    result = command("embed", tmp_path / "scan.nrrd", output, *arguments, "--deidentify", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])["deidentified"]["attributes"]
    assert {"name": "0010|0010", "tag": "", "outcome": "not written", "count": 1} in told
    assert "Grünwald".encode() not in output.read_bytes()
    naming = tmp_path / "ada.nrrd"
    refused = command("embed", tmp_path / "scan.nrrd", naming, *arguments, "--deidentify")
    assert refused.exit_code == 1
    assert not naming.exists()
