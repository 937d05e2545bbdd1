import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from MedWatermarkLib.imageio import ImageReadWarning, ImageWriteError, read_volume, write_volume
from MedWatermarkLib.volume import Volume, image_hash

VOXELS = np.random.default_rng(3).integers(-1000, 2000, (4, 64, 64)).astype(np.int16)

PLUGINS = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg"}


def marked(volume: Volume) -> Volume:
    """The volume with a change of one step in some voxels, within its valid range."""
    voxels = volume.voxels.copy()
    voxels[:, 3::7, ::5] ^= 1
    return volume.with_voxels(voxels)


def round_trip(volume: Volume, folder: Path) -> list[pydicom.FileDataset]:
    """Write, check that what was written is the volume to every reader, and return it."""
    write_volume(volume, folder, "Reversible watermark embedded")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageReadWarning)
        read = read_volume(folder)
    assert read.voxels.dtype == volume.voxels.dtype
    np.testing.assert_array_equal(read.voxels, volume.voxels)
    assert image_hash(read) == image_hash(volume)
    paths = sorted(folder.iterdir())
    if dcmdump := shutil.which("dcmdump"):
        subprocess.run([dcmdump, "-q", *paths], check=True, stdout=subprocess.DEVNULL)
    return [pydicom.dcmread(path) for path in paths]


def sources(folder: Path) -> list[pydicom.FileDataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir(), reverse=True)]


# Whole series


@pytest.mark.parametrize("scan", ["ct_head_ge", "ct_head_philips", "mr_head_t1"])
def test_a_real_series_is_written_for_simpleitk_pydicom_and_dcmtk(request, tmp_path, scan):
    volume = marked(request.getfixturevalue(scan))
    instances = round_trip(volume, tmp_path / "out")
    assert len(instances) == len(volume.voxels)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(reader.Execute()), volume.rescaled())


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPGExtended.dcm",
        "examples_overlay.dcm",
    ],
)
def test_an_instance_of_pydicom_is_written_and_its_lossy_flag_kept(pydicom_file, tmp_path, name):
    volume = marked(read_volume(pydicom_file(name)))
    (written,) = round_trip(volume, tmp_path / "out")
    source = pydicom.dcmread(pydicom_file(name))
    np.testing.assert_array_equal(written.pixel_array, volume.voxels[0])
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "OverlayData"):
        assert written.get(keyword) == source.get(keyword)
    np.testing.assert_array_equal(
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "out" / "00001.dcm"))),
        volume.rescaled(),
    )


@pytest.mark.parametrize(
    ("syntax", "written_syntax", "dtypes"),
    [
        (ExplicitVRLittleEndian, ExplicitVRLittleEndian, ["u1", "i2", "u4"]),
        (ImplicitVRLittleEndian, ImplicitVRLittleEndian, ["u1", "i2", "u4"]),
        (ExplicitVRBigEndian, ExplicitVRBigEndian, ["u1", "i2"]),
        (DeflatedExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ["u1", "i2", "u4"]),
        (RLELossless, ExplicitVRLittleEndian, ["u1", "i2"]),
        (JPEG2000Lossless, ExplicitVRLittleEndian, ["u1", "i2"]),
    ],
)
def test_the_transfer_syntax_is_kept_unless_it_compresses(
    make_series, tmp_path, syntax, written_syntax, dtypes
):
    def encode(instance, _):
        if syntax.is_compressed:
            instance.compress(syntax, encoding_plugin=PLUGINS[syntax])
        elif syntax == ExplicitVRBigEndian:
            words = np.frombuffer(instance.PixelData, voxels.dtype)
            instance.PixelData = words.astype(words.dtype.newbyteorder(">")).tobytes()
            instance["PixelData"].VR = "OB" if words.itemsize == 1 else "OW"
        instance.file_meta.TransferSyntaxUID = syntax

    for dtype in dtypes:
        voxels = (np.abs(VOXELS[:, :63, :63]) % 200).astype(dtype)
        volume = read_volume(make_series(voxels, encode, folder=dtype))
        np.testing.assert_array_equal(volume.voxels, voxels)
        for instance in round_trip(marked(volume), tmp_path / f"out-{dtype}"):
            assert instance.file_meta.TransferSyntaxUID == written_syntax
            assert instance.PhotometricInterpretation == "MONOCHROME2"
        image = SimpleITK.ReadImage(str(tmp_path / f"out-{dtype}" / "00001.dcm"))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), marked(volume).voxels[:1])


def test_a_bare_file_without_meta_is_written_as_a_whole_one(make_series, tmp_path):
    (path,) = make_series(VOXELS[:1]).iterdir()
    instance = pydicom.dcmread(path)
    del instance.file_meta
    instance.preamble = None
    instance.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    (written,) = round_trip(marked(read_volume(tmp_path / "bare")), tmp_path / "out")
    assert written.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


def test_a_volume_of_one_file_can_be_written_to_a_file(pydicom_file, make_series, tmp_path):
    volume = marked(read_volume(pydicom_file("CT_small.dcm")))
    write_volume(volume, tmp_path / "marked.dcm")
    np.testing.assert_array_equal(read_volume(tmp_path / "marked.dcm").voxels, volume.voxels)
    with pytest.raises(ImageWriteError, match="exists already"):
        write_volume(volume, tmp_path / "marked.dcm")
    series = read_volume(make_series(VOXELS))
    with pytest.raises(ImageWriteError, match=r"4 DICOM files; .* must be a folder"):
        write_volume(series, tmp_path / "many.dcm")
    assert sorted(os.listdir(tmp_path)) == ["marked.dcm", "scan"]


# Header


def test_everything_but_pixels_and_descent_is_kept_private_attributes_too(make_series, tmp_path):
    def add_private(instance, _):
        block = instance.private_block(0x0011, "ACME 1.0", create=True)
        block.add_new(1, "OB", b"\0\1\2\3")
        block.add_new(2, "LO", "secret sauce")
        instance.ImageComments = "Grün"
        instance.add_new(0x00189999, "UN", b"unknown!")

    folder = make_series(VOXELS, add_private)
    changed = {
        "ImageType",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "DerivationDescription",
        "SourceImageSequence",
        "ContributingEquipmentSequence",
        "PixelData",
    }
    written = round_trip(marked(read_volume(folder)), tmp_path / "out")
    for before, after in zip(sources(folder), written, strict=True):
        assert {element.keyword for element in before} | changed == {
            element.keyword for element in after
        }
        for element in before:
            if element.keyword not in changed:
                assert after[element.tag] == element


def test_the_header_says_what_was_derived_from_what_by_what(make_series, tmp_path):
    folder = make_series(VOXELS)
    before = sources(folder)
    written = round_trip(marked(read_volume(folder)), tmp_path / "out")
    assert len({one.SeriesInstanceUID for one in written}) == 1
    assert written[0].SeriesInstanceUID != before[0].SeriesInstanceUID
    assert written[0].StudyInstanceUID == before[0].StudyInstanceUID
    uids = {one.SOPInstanceUID for one in written}
    assert len(uids) == 4
    assert not uids & {one.SOPInstanceUID for one in before}
    for source, instance in zip(before, written, strict=True):
        assert instance.file_meta.MediaStorageSOPInstanceUID == instance.SOPInstanceUID
        assert instance.ImageType == ["DERIVED", "PRIMARY", "AXIAL"]
        assert instance.DerivationDescription == "Reversible watermark embedded"
        (reference,) = instance.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        (equipment,) = instance.ContributingEquipmentSequence
        (purpose,) = equipment.PurposeOfReferenceCodeSequence
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109103", "DCM")
        assert purpose.CodeMeaning == "Modifying Equipment"
        assert equipment.Manufacturer == "MedWatermark"
        assert equipment.ContributionDescription == "Reversible watermark embedded"


def test_a_second_derivation_adds_to_the_history(make_series, tmp_path):
    round_trip(marked(read_volume(make_series(VOXELS))), tmp_path / "first")
    written = round_trip(marked(read_volume(tmp_path / "first")), tmp_path / "second")
    assert written[0].DerivationDescription == (
        "Reversible watermark embedded; Reversible watermark embedded"
    )
    assert len(written[0].ContributingEquipmentSequence) == 2
    assert len(written[0].SourceImageSequence) == 2


def test_references_within_the_series_follow_and_others_stay(make_series, tmp_path):
    folder = make_series(VOXELS)
    before = sources(folder)
    series, first = before[0].SeriesInstanceUID, before[0].SOPInstanceUID
    for path in folder.iterdir():
        instance = pydicom.dcmread(path)
        inside, outside, parent = Dataset(), Dataset(), Dataset()
        inside.ReferencedSOPInstanceUID = first
        outside.ReferencedSOPInstanceUID = "1.2.3.4"
        parent.SeriesInstanceUID = series
        parent.ReferencedInstanceSequence = [inside, outside]
        instance.ReferencedSeriesSequence = [parent]
        instance.save_as(path)
    written = round_trip(marked(read_volume(folder)), tmp_path / "out")
    for instance in written:
        (parent,) = instance.ReferencedSeriesSequence
        assert parent.SeriesInstanceUID == instance.SeriesInstanceUID
        inside, outside = parent.ReferencedInstanceSequence
        assert inside.ReferencedSOPInstanceUID == written[0].SOPInstanceUID
        assert outside.ReferencedSOPInstanceUID == "1.2.3.4"


def test_what_is_no_longer_true_is_corrected_or_removed(make_series, tmp_path):
    def claim(instance, index):
        low, high = VOXELS[index].min(), VOXELS[index].max()
        instance.add_new("SmallestImagePixelValue", "SS", int(low))
        instance.add_new("LargestImagePixelValue", "SS", int(high))
        instance.add_new("LargestPixelValueInSeries", "SS", int(VOXELS.max()))
        instance.DigitalSignaturesSequence = [Dataset()]
        instance.MACParametersSequence = [Dataset()]
        instance.InstanceCreationDate = "20010203"

    volume = read_volume(make_series(VOXELS, claim))
    written = round_trip(volume.with_voxels(volume.voxels - 3), tmp_path / "out")
    for index, instance in enumerate(written):
        assert instance.SmallestImagePixelValue == VOXELS[index].min() - 3
        assert instance.LargestImagePixelValue == VOXELS[index].max() - 3
        assert instance.LargestPixelValueInSeries == VOXELS.max() - 3
        assert "SmallestPixelValueInSeries" not in instance
        assert "DigitalSignaturesSequence" not in instance
        assert "MACParametersSequence" not in instance
        assert instance.InstanceCreationDate > "20200101"


def test_file_names_of_the_source_are_not_carried_on(make_series, tmp_path):
    folder = make_series(VOXELS)
    for path in list(folder.iterdir()):
        path.rename(folder / f"Grünwald {path.name}")
    write_volume(read_volume(folder), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["00001.dcm", "00002.dcm", "00003.dcm", "00004.dcm"]


# Pixels


def test_an_overlay_in_the_bits_above_the_value_is_kept(make_series, tmp_path):
    values = np.abs(VOXELS).astype(np.uint16)
    overlay = np.random.default_rng(4).integers(0, 2, values.shape).astype(np.uint16) << 15

    def store(instance, _):
        instance.BitsStored, instance.HighBit = 12, 11
        instance.add_new(0x60000100, "US", 16)
        instance.add_new(0x60000102, "US", 15)

    volume = read_volume(make_series(values | overlay, store))
    np.testing.assert_array_equal(volume.voxels, values)
    changed = marked(volume)
    for index, instance in enumerate(round_trip(changed, tmp_path / "out")):
        words = np.frombuffer(instance.PixelData, "<u2").reshape(64, 64)
        np.testing.assert_array_equal(words, changed.voxels[index] | overlay[index])


@pytest.mark.parametrize("extended", [True, False])
def test_unused_bits_of_signed_values_stay_sign_or_stay_as_they_were(
    make_series, tmp_path, extended
):
    values = (VOXELS % 100 - 50).astype(np.int16)
    words = values if extended else (values & 0x0FFF)

    def store(instance, _):
        instance.BitsStored, instance.HighBit = 12, 11

    volume = read_volume(make_series(words, store))
    np.testing.assert_array_equal(volume.voxels, values)
    changed = volume.with_voxels(-volume.voxels)
    for index, instance in enumerate(round_trip(changed, tmp_path / "out")):
        written = np.frombuffer(instance.PixelData, "<i2").reshape(64, 64)
        expected = changed.voxels[index] if extended else changed.voxels[index] & 0x0FFF
        np.testing.assert_array_equal(written, expected)


def test_every_storable_value_survives_and_no_other_is_written(make_series, tmp_path):
    def store(instance, _):
        instance.BitsStored, instance.HighBit = 12, 11

    volume = read_volume(make_series(np.zeros((1, 4, 4), np.int16), store))

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.integers(-2200, 2200), min_size=16, max_size=16))
    def law(values: list[int]) -> None:
        changed = volume.with_voxels(np.array(values, np.int16).reshape(1, 4, 4))
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        if min(values) >= -2048 and max(values) <= 2047:
            write_volume(changed, out)
            np.testing.assert_array_equal(read_volume(out).voxels, changed.voxels)
        else:
            with pytest.raises(ImageWriteError, match=r"can hold -2048 to 2047"):
                write_volume(changed, out)
            assert not out.exists()

    law()


def test_voxels_of_another_dtype_are_written_if_they_are_whole_numbers(make_series, tmp_path):
    volume = read_volume(make_series(VOXELS))
    write_volume(volume.with_voxels(VOXELS.astype(np.float64)), tmp_path / "whole")
    np.testing.assert_array_equal(read_volume(tmp_path / "whole").voxels, VOXELS)
    with pytest.raises(ImageWriteError, match="not whole numbers"):
        write_volume(volume.with_voxels(VOXELS + 0.5), tmp_path / "halves")
    nan = VOXELS.astype(np.float32)
    nan[2, 0, 0] = np.nan
    with pytest.raises(ImageWriteError, match="Slice 3 has values"):
        write_volume(volume.with_voxels(nan), tmp_path / "nan")
    assert sorted(os.listdir(tmp_path)) == ["scan", "whole"]


def test_float_pixel_data_are_written_as_such(make_series, tmp_path):
    voxels = np.random.default_rng(1).normal(size=(2, 64, 64)).astype(np.float32)

    def store(instance, _):
        instance.FloatPixelData = bytes(instance.PixelData)
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            del instance[keyword]

    volume = read_volume(make_series(voxels, store))
    for instance in round_trip(volume.with_voxels(voxels * 2), tmp_path / "out"):
        assert "PixelData" not in instance
    with pytest.raises(ImageWriteError, match="float32 cannot hold"):
        write_volume(volume.with_voxels(voxels.astype(np.float64) / 3), tmp_path / "fine")


def test_the_icon_of_a_compressed_image_goes_with_the_compression(make_series, tmp_path):
    def compress(instance, _):
        instance.IconImageSequence = [Dataset()]
        instance.compress(RLELossless, encoding_plugin="pydicom")

    for instance in round_trip(read_volume(make_series(VOXELS, compress)), tmp_path / "out"):
        assert "IconImageSequence" not in instance


# Multi-frame


@pytest.fixture
def multiframe(make_series) -> Callable[..., Path]:
    """Write an image of four frames; with functional groups its frames are in reverse order."""

    def make(enhanced: bool) -> Path:
        def edit(instance, _):
            instance.NumberOfFrames = 4
            instance.PixelData = VOXELS.astype("<i2").tobytes()
            if not enhanced:
                return
            shared = Dataset()
            shared.CTImageFrameTypeSequence = [Dataset()]
            shared.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
            instance.SharedFunctionalGroupsSequence = [shared]
            instance.PerFrameFunctionalGroupsSequence = [Dataset() for _ in VOXELS]
            for index, group in enumerate(instance.PerFrameFunctionalGroupsSequence):
                group.PlanePositionSequence = [Dataset()]
                group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, -2 * index]

        (path,) = make_series(VOXELS[:1], edit).iterdir()
        return path

    return make


@pytest.mark.parametrize("enhanced", [True, False])
def test_a_multiframe_image_stays_one_and_its_frames_in_place(multiframe, tmp_path, enhanced):
    volume = marked(read_volume(multiframe(enhanced)))
    (written,) = round_trip(volume, tmp_path / "out")
    order = -1 if enhanced else 1
    np.testing.assert_array_equal(written.pixel_array, volume.voxels[::order])


def test_an_enhanced_image_says_its_descent_in_functional_groups(multiframe, tmp_path):
    path = multiframe(enhanced=True)
    source = pydicom.dcmread(path)
    (written,) = round_trip(marked(read_volume(path)), tmp_path / "out")
    (shared,) = written.SharedFunctionalGroupsSequence
    assert shared.CTImageFrameTypeSequence[0].FrameType[0] == "DERIVED"
    (derivation,) = shared.DerivationImageSequence
    (reference,) = derivation.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert derivation.DerivationCodeSequence[0].CodingSchemeDesignator.startswith("99")
    assert "SourceImageSequence" not in written


# Refusals


def test_a_volume_that_is_not_from_dicom_is_refused_in_words(ct_phantom, tmp_path):
    with pytest.raises(ImageWriteError, match="not read from DICOM"):
        write_volume(ct_phantom, tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"spacing": (1, 1, 1)},
        {"origin": (0, 0, 0)},
        {"direction": (-1, 0, 0, 0, 1, 0, 0, 0, 1)},
        {"voxels": VOXELS[:3], "slope": np.ones(3), "intercept": np.zeros(3)},
    ],
)
def test_another_geometry_than_the_source_has_is_refused_in_words(make_series, tmp_path, change):
    volume = replace(read_volume(make_series(VOXELS)), **change)
    with pytest.raises(ImageWriteError, match="geometry"):
        write_volume(volume, tmp_path / "out")


def test_another_rescale_than_the_source_has_is_refused_in_words(make_series, tmp_path):
    volume = replace(read_volume(make_series(VOXELS)), intercept=np.array([0.0, 0, 5, 0]))
    with pytest.raises(ImageWriteError, match="rescale of slice 3"):
        write_volume(volume, tmp_path / "out")
    assert os.listdir(tmp_path) == ["scan"]


def test_a_source_that_is_gone_or_changed_is_named_and_nothing_is_left(make_series, tmp_path):
    folder = make_series(VOXELS)
    volume = read_volume(folder)
    smaller = pydicom.dcmread(folder / "97")
    smaller.Rows = 32
    smaller["PixelData"] = DataElement("PixelData", "OW", smaller.PixelData[:4096])
    smaller.save_as(folder / "97")
    with pytest.raises(ImageWriteError, match="97 has changed"):
        write_volume(volume, tmp_path / "out")
    (folder / "98").unlink()
    with pytest.raises(ImageWriteError, match="98 cannot be read: No such file"):
        write_volume(volume, tmp_path / "out")
    assert os.listdir(tmp_path) == ["scan"]


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_used(make_series, tmp_path):
    volume = read_volume(make_series(VOXELS))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    with pytest.raises(ImageWriteError, match="exists already"):
        write_volume(volume, tmp_path / "taken")
    (tmp_path / "empty").mkdir()
    write_volume(volume, tmp_path / "empty")
    np.testing.assert_array_equal(read_volume(tmp_path / "empty").voxels, VOXELS)
    assert sorted(os.listdir(tmp_path)) == ["empty", "scan", "taken"]
