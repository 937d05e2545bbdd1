import contextlib
import copy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from MedWatermarkLib.dicom import DicomSource
from MedWatermarkLib.imageio import (
    ImageReadError,
    ImageReadWarning,
    ImageWriteError,
    list_series,
    read_volume,
    write_volume,
)
from MedWatermarkLib.volume import Volume, image_hash

VOXELS = np.random.default_rng(3).integers(-1000, 2000, (4, 64, 64)).astype(np.int16)

PLUGINS = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg"}


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    """A test that expects no warning gets none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageReadWarning)
        yield


def itk_series(folder: Path) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_on_the_grid_of(image: SimpleITK.Image, volume: Volume) -> None:
    np.testing.assert_allclose(volume.spacing, image.GetSpacing(), atol=1e-9)
    np.testing.assert_allclose(volume.origin, image.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(volume.direction, image.GetDirection(), atol=1e-9)
    np.testing.assert_array_equal(volume.rescaled(), SimpleITK.GetArrayFromImage(image))


# Real scans


@pytest.mark.parametrize("scan", ["ct_head_ge", "ct_head_philips", "mr_head_t1"])
def test_a_real_series_lies_where_itk_reads_it(request, scans, scan):
    volume = request.getfixturevalue(scan)
    assert_on_the_grid_of(itk_series(scans / scan.replace("_", "-")), volume)


def test_gantry_tilt_and_uneven_distances_are_accepted_and_said(scans):
    with pytest.warns(ImageReadWarning) as said:
        volume = read_volume(scans / "ct-head-ge")
    sentences = [str(one.message) for one in said]
    assert any("gantry tilt of 18.5 degrees" in one for one in sentences)
    assert any("1.08 to 7.00 mm apart" in one and "5.63 mm" in one for one in sentences)
    # As ITK: the first slice's position, and the mean distance from it to the last.
    assert volume.origin == (-125.0, -123.5404569, 5.8360586)
    assert volume.spacing[2] == pytest.approx((157.7760586 - 5.8360586) / 27)
    assert volume.reserved == ((-1500, -1500),)


def test_real_stored_values_are_those_of_the_files(ct_head_philips, scans):
    assert ct_head_philips.voxels.dtype == np.uint16
    assert ct_head_philips.valid_range == (0, 4095)
    assert set(ct_head_philips.intercept) == {-1024.0}
    one = ct_head_philips.source.slices[70]
    np.testing.assert_array_equal(ct_head_philips.voxels[70], pydicom.dcmread(one.path).pixel_array)


# Which series


def test_a_folder_of_several_series_and_junk_is_listed_the_largest_first(make_series, tmp_path):
    large = make_series(VOXELS, folder="study/a/deep")
    small = make_series(VOXELS[:2], folder="study/b")
    (tmp_path / "study" / "report.txt").write_text("Dear colleague")
    (tmp_path / "study" / "empty").touch()
    (tmp_path / "study" / "DICM").write_bytes(b"\0" * 128 + b"DICM")
    series = list_series(tmp_path / "study")
    assert [one.shape for one in series] == [(4, 64, 64), (2, 64, 64)]
    assert {path.parent for path in series[0].paths} == {large}
    assert series[0].modality == "CT"
    assert series[0].number == 3

    with pytest.warns(ImageReadWarning, match="of 2 series the largest"):
        assert len(read_volume(tmp_path / "study").voxels) == 4
    chosen = read_volume(tmp_path / "study", series[1].uid)
    assert {one.path.parent for one in chosen.source.slices} == {small}
    with pytest.raises(ImageReadError, match=r"holds no series 1\.2\.3; it holds "):
        read_volume(tmp_path / "study", "1.2.3")


def test_a_listed_series_does_not_print_its_description(make_series):
    def describe(instance, _):
        instance.SeriesDescription = "Head of Mrs Grünwald"

    (series,) = list_series(make_series(edit=describe))
    assert series.description == "Head of Mrs Grünwald"
    assert "Grünwald" not in repr(series)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "rtdose.dcm", "liver_1frame.dcm"])
def test_objects_that_are_no_scans_are_passed_over(make_series, pydicom_file, name):
    folder = make_series(VOXELS)
    shutil.copy(pydicom_file(name), folder)
    assert len(list_series(folder)) == 1
    assert len(read_volume(folder).voxels) == 4
    with pytest.raises(ImageReadError, match="holds no DICOM images"):
        read_volume(folder / name)


def test_a_folder_without_dicom_is_refused_in_words(tmp_path):
    with pytest.raises(ImageReadError, match="holds no DICOM images of a scan"):
        read_volume(tmp_path)
    with pytest.raises(ImageReadError, match="no file or folder"):
        list_series(tmp_path / "nowhere")


def test_a_file_without_preamble_and_meta_is_read(make_series, tmp_path):
    folder = make_series(VOXELS[:1])
    (path,) = folder.iterdir()
    instance = pydicom.dcmread(path)
    del instance.file_meta
    instance.preamble = None
    instance.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert (tmp_path / "bare").read_bytes()[:2] == b"\x08\x00"
    np.testing.assert_array_equal(read_volume(tmp_path / "bare").voxels, VOXELS[:1])


# Which slices


def test_slices_are_in_the_order_of_their_places_whatever_their_names(make_series):
    folder = make_series(VOXELS)
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS)
    assert_on_the_grid_of(itk_series(folder), read_volume(folder))


@pytest.mark.parametrize(
    "orientation", [[0.9999, 0.01, 0, -0.0105, 0.9999, 0.0], [0.98, 0, 0, 0, 0.8, 0.65]]
)
def test_axes_that_are_not_quite_unit_or_at_right_angles_are_mended_as_itk_does(
    make_series, orientation
):
    def skew(instance, index):
        instance.ImageOrientationPatient = orientation
        normal = np.cross(orientation[:3], orientation[3:])
        instance.ImagePositionPatient = [float(f"{x:.6f}") for x in normal * index]

    folder = make_series(VOXELS, skew)
    assert_on_the_grid_of(itk_series(folder), read_volume(folder))


def test_without_positions_instance_numbers_give_the_order_and_that_is_said(make_series):
    def forget(instance, _):
        del instance.ImagePositionPatient

    folder = make_series(VOXELS, forget)
    with pytest.warns(ImageReadWarning, match="tell no position"):
        volume = read_volume(folder)
    assert_on_the_grid_of(itk_series(folder), volume)


def test_a_localizer_in_the_series_is_left_out_and_that_is_said(make_series):
    def turn_last(instance, index):
        if index == 3:
            instance.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            instance.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    with pytest.warns(ImageReadWarning, match="1 of 4 images were left out"):
        volume = read_volume(make_series(VOXELS, turn_last))
    np.testing.assert_array_equal(volume.voxels, VOXELS[:3])


def test_images_of_another_size_or_in_colour_are_left_out_and_that_is_said(make_series):
    def change(instance, index):
        if index == 0:
            instance.Rows, instance.Columns = 32, 128
        if index == 3:
            instance.PhotometricInterpretation, instance.SamplesPerPixel = "RGB", 3

    with pytest.warns(ImageReadWarning, match="2 of 4 images were left out"):
        volume = read_volume(make_series(VOXELS, change))
    np.testing.assert_array_equal(volume.voxels, VOXELS[1:3])


def test_a_copy_of_a_slice_is_left_out_and_that_is_said(make_series):
    folder = make_series(VOXELS)
    shutil.copy(folder / "98", folder / "98 (copy)")
    with pytest.warns(ImageReadWarning, match="1 copies of slices"):
        volume = read_volume(folder)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    assert volume.spacing[2] == 2.5


def test_different_images_of_one_place_are_refused_in_words(make_series):
    def second_echo(instance, index):
        instance.ImagePositionPatient[2] = 10.0 + 2.5 * (index // 2)

    with pytest.raises(ImageReadError, match="different images of the same place"):
        read_volume(make_series(VOXELS, second_echo))


def test_images_beside_each_other_are_refused_in_words(make_series):
    def move_sideways(instance, index):
        instance.ImagePositionPatient = [50.0 * index, 0, 0]

    with pytest.raises(ImageReadError, match="do not lie one above the other"):
        read_volume(make_series(VOXELS, move_sideways))


def test_missing_slices_are_said(make_series):
    def leave_a_gap(instance, index):
        if index == 3:
            instance.ImagePositionPatient[2] += 5.0

    with pytest.warns(ImageReadWarning) as said:
        volume = read_volume(make_series(VOXELS, leave_a_gap))
    assert any(
        "2 slice(s) seem to be missing, the first after slice 3" in str(one.message) for one in said
    )
    assert volume.spacing[2] == pytest.approx(12.5 / 3)


def test_missing_pixel_spacing_is_assumed_and_said(make_series):
    def forget(instance, _):
        del instance.PixelSpacing

    with pytest.warns(ImageReadWarning, match="pixel spacing is not told; 1 mm"):
        assert read_volume(make_series(VOXELS, forget)).spacing == (1, 1, 2.5)


def test_a_header_that_makes_no_sense_is_refused_in_words(make_series):
    def spoil(instance, _):
        instance.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]

    with pytest.raises(ImageReadError, match="right angle"):
        read_volume(make_series(VOXELS, spoil))


def test_a_file_cut_short_within_its_pixels_is_refused_by_name(make_series):
    folder = make_series(VOXELS)
    whole = (folder / "97").read_bytes()
    (folder / "97").write_bytes(whole[:-100])
    with pytest.raises(ImageReadError, match=r"97 cannot be decoded, .* cut short"):
        read_volume(folder)


def test_a_file_cut_short_before_its_pixels_is_left_out_by_name(make_series):
    folder = make_series(VOXELS)
    whole = (folder / "99").read_bytes()
    (folder / "99").write_bytes(whole[:600])
    with pytest.warns(ImageReadWarning, match=r"99 ends before its image"):
        assert len(read_volume(folder).voxels) == 3
    with pytest.raises(ImageReadError, match="99 ends before its image"):
        read_volume(folder / "99")


# Which values


def test_slope_and_intercept_may_differ_from_slice_to_slice(make_series):
    def rescale(instance, index):
        instance.RescaleSlope, instance.RescaleIntercept = f"{0.1 * (index + 1):.1f}", -index

    volume = read_volume(make_series(VOXELS, rescale))
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_array_equal(volume.slope, [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(volume.intercept, [0, -1, -2, -3])
    np.testing.assert_array_equal(volume.rescaled()[2], VOXELS[2] * 0.3 - 2)


@pytest.mark.parametrize("kind", ["i", "u"])
@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("unused", ["zero", "one", "noise"])
def test_bits_above_bits_stored_are_no_part_of_a_value(make_series, kind, bits, unused):
    low, high = (0, 1 << bits) if kind == "u" else (-1 << (bits - 1), 1 << (bits - 1))
    random = np.random.default_rng(bits)
    values = random.integers(low, high, (2, 64, 64))
    mask = (1 << bits) - 1
    above = {"zero": 0, "one": 0xFFFF, "noise": random.integers(0, 1 << 16, values.shape)}[unused]
    words = ((values & mask) | (above & ~mask)).astype(np.uint16).view(f"{kind}2")

    def store(instance, _):
        instance.BitsStored, instance.HighBit = bits, bits - 1

    volume = read_volume(make_series(words, store))
    assert volume.voxels.dtype == f"{kind}2"
    np.testing.assert_array_equal(volume.voxels, values)
    assert volume.valid_range == (low, high - 1)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u4", "i4"])
def test_8_and_32_bits_are_read(make_series, dtype):
    voxels = np.random.default_rng(1).integers(-100, 100, (2, 64, 64)).astype(dtype)
    volume = read_volume(make_series(voxels))
    assert volume.voxels.dtype == dtype
    np.testing.assert_array_equal(volume.voxels, voxels)


def test_float_pixel_data_are_read(make_series):
    voxels = np.random.default_rng(1).normal(size=(2, 64, 64)).astype(np.float32)

    def store(instance, _):
        instance.FloatPixelData = bytes(instance.PixelData)
        instance.FloatPixelPaddingValue = -1.0
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            del instance[keyword]

    volume = read_volume(make_series(voxels, store))
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.valid_range is None
    assert volume.reserved == ((-1.0, -1.0),)


@pytest.mark.parametrize(
    ("padding", "limit", "reserved"),
    [
        (-1500, None, (-1500, -1500)),
        (64036, None, (-1500, -1500)),  # -1500 that was written as unsigned
        (-1500, -1400, (-1500, -1400)),
        (-1400, -1500, (-1500, -1400)),
    ],
)
def test_padding_value_and_range_limit_are_reserved(make_series, padding, limit, reserved):
    def pad(instance, _):
        vr = "US" if padding > 0 else "SS"
        instance.add_new("PixelPaddingValue", vr, padding)
        if limit is not None:
            instance.add_new("PixelPaddingRangeLimit", vr, limit)

    assert read_volume(make_series(VOXELS, pad)).reserved == (reserved,)


def test_slices_stored_in_different_bits_share_the_range_that_all_can_hold(make_series):
    def store(instance, index):
        if index == 1:
            instance.BitsStored, instance.HighBit = 12, 11

    volume = read_volume(make_series(VOXELS % 1000, store))
    assert volume.valid_range == (-2048, 2047)
    with pytest.raises(ImageReadError, match="different ways"):
        read_volume(make_series(VOXELS * 10, store, folder="wide"))


def test_colour_and_odd_bits_are_refused_in_words(make_series, pydicom_file):
    for name in ("SC_rgb_jpeg_dcmd.dcm", "examples_palette.dcm"):
        with pytest.raises(ImageReadError, match="is a colour image"):
            read_volume(pydicom_file(name))

    def store(instance, _):
        instance.HighBit, instance.BitsStored = 15, 12

    with pytest.raises(ImageReadError, match="end at bit 15"):
        read_volume(make_series(VOXELS, store))


def test_32_bits_in_big_endian_are_refused_in_words(make_series):
    def encode(instance, _):
        instance.file_meta.TransferSyntaxUID = ExplicitVRBigEndian

    with pytest.raises(ImageReadError, match="retired big-endian"):
        read_volume(make_series(VOXELS.astype(np.int32), encode))


def test_a_rescale_that_is_no_number_is_refused_in_words(make_series):
    def spoil(instance, _):
        instance.add_new("RescaleSlope", "DS", "1e999")

    with pytest.raises(ImageReadError, match="slope of a slice is not a finite number"):
        read_volume(make_series(VOXELS, spoil))


def test_window_and_modality_are_read(make_series):
    volume = read_volume(make_series(VOXELS))
    assert volume.window == (40.0, 80.0)
    assert volume.modality == "CT"


# Transfer syntaxes


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_every_transfer_syntax_gives_the_same_scan(pydicom_file, name):
    reference = read_volume(pydicom_file("MR_small.dcm"))
    volume = read_volume(pydicom_file(name))
    assert volume.voxels.dtype == reference.voxels.dtype
    np.testing.assert_array_equal(volume.voxels, reference.voxels)
    assert image_hash(volume) == image_hash(reference)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000", "JPEGLS"])
def test_series_that_itk_compressed_are_read(tmp_path, compressor):
    image = SimpleITK.GetImageFromArray(VOXELS[:1])
    image.SetMetaData("0008|0060", "CT")
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.SetFileName(str(tmp_path / "compressed.dcm"))
    writer.Execute(image)
    assert pydicom.dcmread(tmp_path / "compressed.dcm").file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_volume(tmp_path / "compressed.dcm").voxels, VOXELS[:1])


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_series_that_pydicom_compressed_are_read(make_series, syntax):
    folder = make_series(
        VOXELS, lambda instance, _: instance.compress(syntax, encoding_plugin=PLUGINS[syntax])
    )
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS)


def test_deflated_series_are_read(make_series):
    def deflate(instance, _):
        instance.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    np.testing.assert_array_equal(read_volume(make_series(VOXELS, deflate)).voxels, VOXELS)


def test_jpeg_2000_that_lies_about_its_sign_is_read_as_itk_does(pydicom_file):
    path = pydicom_file("J2K_pixelrep_mismatch.dcm")
    volume = read_volume(path)
    assert_on_the_grid_of(SimpleITK.ReadImage(str(path)), volume)
    assert volume.valid_range == (-4096, 4095)


# Multi-frame


@pytest.fixture
def enhanced(make_series, tmp_path) -> Callable[..., Path]:
    """Write an enhanced CT: one file whose frames tell their places in functional groups."""

    def make(voxels=VOXELS, edit=None) -> Path:
        (path,) = make_series(voxels[:1], folder="one").iterdir()
        instance = pydicom.dcmread(path)
        positions = [[-80.0, -75.5, 10.0 + 2.5 * index] for index in range(len(voxels))]
        instance.SOPClassUID = instance.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
        instance.NumberOfFrames = len(voxels)
        instance.PixelData = voxels.astype("<i2").tobytes()
        shared, per_frame = Dataset(), [Dataset() for _ in voxels]
        shared.PixelMeasuresSequence = [Dataset()]
        shared.PixelMeasuresSequence[0].PixelSpacing = instance.PixelSpacing
        shared.PixelMeasuresSequence[0].SliceThickness = 2.5
        shared.PlaneOrientationSequence = [Dataset()]
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        shared.CTImageFrameTypeSequence = [Dataset()]
        shared.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        for index, group in enumerate(per_frame):
            group.PlanePositionSequence = [Dataset()]
            group.PlanePositionSequence[0].ImagePositionPatient = positions[index]
            group.PixelValueTransformationSequence = [Dataset()]
            group.PixelValueTransformationSequence[0].RescaleSlope = index + 1
            group.PixelValueTransformationSequence[0].RescaleIntercept = -1024
            group.FrameVOILUTSequence = [Dataset()]
            group.FrameVOILUTSequence[0].WindowCenter = 50
            group.FrameVOILUTSequence[0].WindowWidth = 350
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            del instance[keyword]
        for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
            del instance[keyword]
        instance.SharedFunctionalGroupsSequence = [shared]
        instance.PerFrameFunctionalGroupsSequence = per_frame
        if edit is not None:
            edit(instance)
        instance.save_as(tmp_path / "enhanced")
        return tmp_path / "enhanced"

    return make


def test_frames_take_their_places_and_rescale_from_functional_groups(enhanced):
    volume = read_volume(enhanced())
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    assert volume.spacing == (0.8, 0.9375, 2.5)
    assert volume.origin == (-80.0, -75.5, 10.0)
    np.testing.assert_array_equal(volume.slope, [1, 2, 3, 4])
    assert volume.window == (50.0, 350.0)
    image = SimpleITK.ReadImage(str(enhanced()))
    np.testing.assert_allclose(volume.spacing, image.GetSpacing())
    np.testing.assert_allclose(volume.origin, image.GetOrigin())
    np.testing.assert_allclose(volume.direction, image.GetDirection())


def test_frames_against_the_normal_are_turned_round_with_their_rescale(enhanced):
    def turn(instance):
        instance.PerFrameFunctionalGroupsSequence.reverse()

    volume = read_volume(enhanced(edit=turn))
    np.testing.assert_array_equal(volume.voxels, VOXELS[::-1])
    np.testing.assert_array_equal(volume.slope, [1, 2, 3, 4])
    assert [one.frame for one in volume.source.slices] == [3, 2, 1, 0]


def test_an_enhanced_image_of_one_frame_is_a_scan_of_one_slice(enhanced):
    np.testing.assert_array_equal(read_volume(enhanced(VOXELS[:1])).voxels, VOXELS[:1])


def test_frames_of_several_times_are_refused_in_words(enhanced):
    def repeat(instance):
        groups = instance.PerFrameFunctionalGroupsSequence
        groups[1] = copy.deepcopy(groups[0])

    with pytest.raises(ImageReadError, match="different images of the same place"):
        read_volume(enhanced(edit=repeat))


def test_frames_of_several_orientations_are_refused_in_words(enhanced):
    def turn(instance):
        group = instance.PerFrameFunctionalGroupsSequence[2]
        group.PlaneOrientationSequence = [Dataset()]
        group.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    with pytest.raises(ImageReadError, match="several sizes or orientations"):
        read_volume(enhanced(edit=turn))


def plain_multiframe(instance, _):
    instance.NumberOfFrames = 4
    instance.PixelData = VOXELS.astype("<i2").tobytes()
    instance.SpacingBetweenSlices = 3.5


def test_a_plain_multiframe_image_is_a_stack_along_its_normal(make_series):
    (path,) = make_series(VOXELS[:1], plain_multiframe).iterdir()
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    assert volume.spacing == pytest.approx((0.8, 0.9375, 3.5))
    assert volume.origin == (-80.0, -75.5, 10.0)


def test_a_film_is_refused_in_words(make_series):
    def film(instance, index):
        plain_multiframe(instance, index)
        instance.FrameIncrementPointer = 0x00181063  # Frame Time
        instance.FrameTime = 40

    with pytest.raises(ImageReadError, match="not slices but a film"):
        read_volume(make_series(VOXELS[:1], film))


def test_fewer_frames_than_the_header_says_are_refused_in_words(make_series):
    def promise(instance, index):
        plain_multiframe(instance, index)
        instance.NumberOfFrames = 5

    with pytest.raises(ImageReadError, match="cannot be decoded"):
        read_volume(make_series(VOXELS[:1], promise))


# Identity


def test_identifying_attributes_are_kept_but_never_printed(make_series):
    def identify(instance, _):
        instance.OtherPatientIDs = ["A1", "B2"]
        instance.OtherPatientIDsSequence = [Dataset()]
        instance.OtherPatientIDsSequence[0].PatientID = "C3"
        instance.ReferringPhysicianName = ""

    volume = read_volume(make_series(VOXELS, identify))
    assert volume.identity == {
        "PatientName": "Grünwald^Ada^Maria",
        "PatientID": "PID-4711",
        "OtherPatientIDs": "A1\\B2\\C3",
        "PatientBirthDate": "19440229",
        "StudyID": "S77",
    }
    assert "PID-4711" not in repr(volume)


def test_warnings_of_pydicom_that_quote_the_header_are_not_passed_on(make_series, caplog):
    def name_in_uid(instance, _):
        instance.SeriesInstanceUID = "Gruenwald.1"

    with disable_value_validation():
        folder = make_series(VOXELS, name_in_uid)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (series,) = list_series(folder)
        read_volume(folder)
    assert series.uid == "Gruenwald.1"
    assert not caught
    assert "Gruenwald" not in caplog.text


def test_the_source_names_file_and_frame_of_every_slice(make_series):
    volume = read_volume(make_series(VOXELS))
    assert isinstance(volume.source, DicomSource)
    assert [one.path.name for one in volume.source.slices] == ["99", "98", "97", "96"]
    assert str(volume.source.slices[0].path) not in repr(volume)


def test_two_files_of_one_instance_uid_are_two_slices(make_series):
    uid = generate_uid()

    def confuse(instance, _):
        instance.SOPInstanceUID = uid  # as careless pseudonymisers do

    np.testing.assert_array_equal(read_volume(make_series(VOXELS, confuse)).voxels, VOXELS)


# Damage


def test_damage_to_any_byte_of_a_header_is_borne_or_refused_in_words(make_series):
    voxels = np.arange(2 * 8 * 8, dtype=np.int16).reshape(2, 8, 8)
    folder = make_series(voxels)
    path = folder / "99"
    whole = path.read_bytes()

    @settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
    @given(
        st.integers(0, len(whole) - voxels[0].nbytes - 1),
        st.binary(min_size=1, max_size=4),
    )
    def law(place: int, damage: bytes) -> None:
        path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(ImageReadError):
                volume = read_volume(folder)
                with contextlib.suppress(ImageWriteError):
                    write_volume(volume, folder.parent / "out")
        shutil.rmtree(folder.parent / "out", ignore_errors=True)

    law()


def test_many_damaged_files_make_one_warning(make_series: Callable[..., Path]) -> None:
    folder = make_series()
    whole = (folder / "99").read_bytes()
    rows = whole.index(b"\x28\x00\x10\x00")
    for number in range(3):
        (folder / f"damaged{number}").write_bytes(whole[:rows])
    with pytest.warns(ImageReadWarning, match="3 files were left out; the first, since"):
        assert len(read_volume(folder).voxels) == 4
