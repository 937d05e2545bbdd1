"""From voxels alone back to DICOM: the way of a scan through programs such as 3D Slicer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from phantoms import head
from typer.testing import CliRunner

from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.cli import app
from MedWatermarkLib.derivation import SourceError, in_source, source_series, within_source
from MedWatermarkLib.derived_series import MARKED
from MedWatermarkLib.image_errors import ImageReadError
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.scan import read_scan
from MedWatermarkLib.volume import Volume, image_hash, matches_hash

PASSWORD = "correct horse"
NAMES = (b"Gr\xc3\xbcnwald", b"PID-4711")
VOXELS = np.random.default_rng(3).integers(0, 4096, (4, 64, 64)).astype(np.uint16)


def rescaled(instance, index):
    """Stored in 12 bits, with another rescale in each slice, as of a PET."""
    instance.BitsStored, instance.HighBit = 12, 11
    instance.RescaleSlope, instance.RescaleIntercept = [0.5, 1, 2, 1.75][index], -1024


def twelve_bits(instance, index):
    instance.BitsStored, instance.HighBit = 12, 11


@pytest.fixture
def through_nrrd(tmp_path):
    """``through_nrrd(volume)``: as another program hands it on."""

    def write_and_read(volume: Volume) -> Volume:
        path = tmp_path / "scan.nrrd"
        path.unlink(missing_ok=True)
        write_volume(volume, path)
        return read_volume(path)

    return write_and_read


def run(*arguments, code=0):
    done = CliRunner().invoke(
        app, [*map(str, arguments), "--json"], env={"MEDWATERMARK_PASSWORD": PASSWORD}
    )
    assert done.exit_code == code, done.output
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event for event in events if event["event"] != "progress"]


def test_stored_values_come_back_from_rescaled_ones(make_series, through_nrrd, tmp_path):
    folder = make_series(VOXELS, rescaled)
    before = read_volume(folder)
    changed = before.with_voxels(before.voxels ^ 1)
    again = in_source(through_nrrd(changed), source_series(folder))
    np.testing.assert_array_equal(again.voxels, changed.voxels)
    assert again.valid_range == (0, 4095)
    write_volume(again, tmp_path / "out")
    assert image_hash(read_volume(tmp_path / "out")) == image_hash(changed)


def test_a_source_can_be_listed_wherever_its_files_lie(make_series, tmp_path):
    files = sorted(make_series(VOXELS).iterdir())
    for number, file in enumerate(files):
        (tmp_path / str(number)).mkdir()
        os.replace(file, tmp_path / str(number) / "image")
    listed = tmp_path / "source.txt"
    places = [tmp_path / str(number) / "image" for number in range(len(files))]
    listed.write_text("\n".join(map(str, places)))
    assert set(source_series(listed).paths) == set(places)

    places[2].unlink()
    with pytest.raises(ImageReadError, match="No such file"):
        source_series(listed)
    listed.write_bytes(b"\xff\xfe\0")
    with pytest.raises(ImageReadError, match="UTF-8"):
        source_series(listed)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageReadError, match="no DICOM"):
        source_series(tmp_path / "empty")


def _moved(volume):
    return Volume(volume.voxels, volume.spacing, (0, 0, 1), volume.direction)


def _too_high(volume):
    return volume.with_voxels(np.where(volume.voxels == volume.voxels.max(), 5000, volume.voxels))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda volume: volume.with_voxels(volume.voxels + np.float32(0.25)), "between those"),
        (_moved, "elsewhere"),
        (_too_high, "cannot hold"),
        (lambda volume: volume.with_voxels(volume.voxels.astype(float) * np.nan), "cannot hold"),
        (lambda volume: Volume(volume.voxels[:, ::2], volume.spacing), "resampled or cropped"),
    ],
    ids=["fraction", "moved", "range", "not a number", "cropped"],
)
def test_a_scan_that_its_files_cannot_hold_is_refused(make_series, through_nrrd, edit, reason):
    folder = make_series(VOXELS, twelve_bits)
    volume = edit(through_nrrd(read_volume(folder)))
    with pytest.raises(SourceError, match=reason):
        in_source(volume, source_series(folder))


def test_a_mark_keeps_to_what_the_files_of_the_source_can_hold(make_series, through_nrrd):
    def intercept(instance, index):
        twelve_bits(instance, index)
        instance.RescaleIntercept = -1000
        instance.add_new(0x00280120, "US", 7)

    folder = make_series(VOXELS, intercept)
    volume = through_nrrd(read_volume(folder))
    assert volume.valid_range is None
    limited = within_source(volume, source_series(folder))
    assert limited.valid_range == (-1000, 3095)
    assert limited.reserved == ((-993, -993),)
    np.testing.assert_array_equal(limited.voxels, volume.voxels)

    scaled = make_series(VOXELS, rescaled, folder="scaled")
    volume = through_nrrd(read_volume(scaled))
    assert within_source(volume, source_series(scaled)).valid_range is None


@pytest.fixture
def dark(make_series):
    """A series of a head with a place near 0 in it, stored in 12 bits without a sign."""
    plain = head(3, 256, 256)
    voxels = np.where(plain > -500, np.clip(plain, 0, 100) + 365, plain + 1000)
    voxels = np.maximum(voxels, 0).astype(np.uint16)
    voxels[:, 112:144, 112:144] %= 7
    return make_series(voxels, twelve_bits)


@pytest.fixture
def marked(dark, tmp_path):
    """Folder with `marked.nrrd`, its record, and `marked`: the same as DICOM; and the claim."""
    create_key_file(tmp_path / "doctor.json", PASSWORD, iterations=2)
    nrrd = tmp_path / "scan.nrrd"
    # As Slicer has it: signed, though the files have no sign.
    volume = read_volume(dark)
    write_volume(volume.with_voxels(volume.voxels.astype(np.int16)), nrrd)
    (told,) = run(
        *("embed", nrrd, tmp_path / "marked.nrrd", "--source", dark),
        *("--diagnosis", "No acute bleeding.", "--key-file", tmp_path / "doctor.json"),
    )
    written = run("to-dicom", tmp_path / "marked.nrrd", tmp_path / "marked", "--source", dark)
    assert [event["event"] for event in written] == ["result"]
    assert written[0]["files"] == 3
    return tmp_path, told["claim"]


def test_what_was_marked_without_a_header_is_dicom_again_bit_for_bit(dark, marked):
    folder, claim = marked
    here, there = read_volume(folder / "marked.nrrd"), read_volume(folder / "marked")
    np.testing.assert_array_equal(here.voxels, there.rescaled())
    assert here.voxels.min() == 0
    assert matches_hash(there, image_hash(here).digest)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "marked")))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(reader.Execute()), here.voxels)
    assert read_scan(there).claim.to_text() == claim["text"]

    source, written = (
        [pydicom.dcmread(file) for file in sorted(place.iterdir())]
        for place in (dark, folder / "marked")
    )
    assert {one.PatientName for one in written} == {source[0].PatientName}
    assert {one.StudyInstanceUID for one in written} == {source[0].StudyInstanceUID}
    assert written[0].SeriesInstanceUID != source[0].SeriesInstanceUID
    assert not {one.SOPInstanceUID for one in written} & {one.SOPInstanceUID for one in source}

    # The record takes the mark out of the scan, and so does it out of what was exported.
    record = ("--record", folder / "marked.nrrd.restoration")
    for scan in ("marked.nrrd", "marked"):
        (told,) = run("verify", folder / scan, *record)
        assert [check["outcome"] for check in told["checks"]][4] == "passed"


def test_a_marked_scan_without_a_header_is_de_identified_as_dicom(dark, marked):
    folder, claim = marked
    clean = folder / "clean"
    told = run("deidentify", folder / "marked.nrrd", clean, "--source", dark, "--keep-device")[-1]
    assert "Retain Device Identity Option" in [each["meaning"] for each in told["profile"]]
    volume = read_volume(clean)
    assert matches_hash(volume, image_hash(read_volume(folder / "marked.nrrd")).digest)
    assert read_scan(volume).claim.to_text() == claim["text"]
    for file in clean.iterdir():
        content = file.read_bytes()
        assert not any(name in content for name in NAMES)
        assert MARKED in pydicom.dcmread(file).get("DerivationDescription", MARKED)
    assert {file.name for file in folder.iterdir() if file.name.startswith(".")} == set()


def test_a_source_that_does_not_fit_is_told_of_and_the_scan_marked_all_the_same(
    marked, make_series
):
    folder, _claim = marked
    other = make_series(VOXELS, folder="other")
    events = run(
        *("embed", folder / "scan.nrrd", folder / "again.nrrd", "--source", other),
        *("--diagnosis", "No acute bleeding.", "--key-file", folder / "doctor.json"),
    )
    assert [event["event"] for event in events] == ["warning", "result"]
    assert "will not become DICOM" in events[0]["message"]
    events = run("to-dicom", folder / "scan.nrrd", folder / "no", "--source", other, code=1)
    assert events[-1]["kind"] == "SourceError"
    assert not Path(folder / "no").exists()
