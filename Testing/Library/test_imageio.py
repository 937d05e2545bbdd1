import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MedWatermarkLib.imageio import ImageReadError, ImageWriteError, read_volume, write_volume
from MedWatermarkLib.volume import Volume, image_hash, matches_hash

SUFFIXES = [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"]
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]


def leftovers(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_voxels_and_dtype_survive_every_format(ct_phantom, tmp_path, suffix, dtype):
    kind = np.dtype(dtype)
    limits = np.iinfo(kind) if kind.kind != "f" else np.finfo(kind)
    voxels = np.array([limits.min, limits.max, 0, 1, 77, 100], kind).reshape(1, 2, 3)
    volume = replace(ct_phantom, voxels=voxels, slope=np.ones(1), intercept=np.zeros(1))
    write_volume(volume, tmp_path / f"scan{suffix}")
    read = read_volume(tmp_path / f"scan{suffix}")
    assert read.voxels.dtype == kind
    np.testing.assert_array_equal(read.voxels, voxels)
    assert image_hash(read) == image_hash(volume)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_float_voxels_with_nan_and_minus_zero_survive_bit_for_bit(tmp_path, suffix):
    voxels = np.array([np.nan, np.inf, -0.0, 1e-30], np.float32).reshape(1, 2, 2)
    write_volume(Volume(voxels), tmp_path / f"scan{suffix}")
    read = read_volume(tmp_path / f"scan{suffix}").voxels
    np.testing.assert_array_equal(read.view(np.uint32), voxels.view(np.uint32))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ct_in_stored_units_is_written_in_hounsfield_units(ct_phantom, tmp_path, suffix):
    stored = replace(
        ct_phantom,
        voxels=(ct_phantom.voxels.astype(np.int32) + 1024).astype(np.uint16),
        intercept=np.array([-1024.0]),
    )
    write_volume(stored, tmp_path / f"scan{suffix}")
    read = read_volume(tmp_path / f"scan{suffix}")
    assert read.voxels.dtype == np.int16
    np.testing.assert_array_equal(read.voxels, ct_phantom.voxels)
    assert image_hash(read) == image_hash(stored) == image_hash(ct_phantom)


def test_fractional_slopes_of_slices_are_written_exactly(ct_phantom, tmp_path):
    slope = np.array([1.0, 0.1, 1 / 3, 2.5, 7e-5])
    volume = replace(ct_phantom, slope=slope)
    write_volume(volume, tmp_path / "scan.nrrd")
    read = read_volume(tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(read.voxels, volume.rescaled())
    assert image_hash(read) == image_hash(volume)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("scan", ["ct_head_ge", "ct_head_philips", "mr_head_t1"])
def test_a_real_scan_hashes_alike_from_every_format(request, tmp_path, scan, suffix):
    volume = request.getfixturevalue(scan)
    write_volume(volume, tmp_path / f"scan{suffix}")
    assert image_hash(read_volume(tmp_path / f"scan{suffix}")) == image_hash(volume)


@st.composite
def oblique(draw) -> Volume:
    spacing = draw(st.tuples(*[st.floats(0.1, 10)] * 3))
    origin = draw(st.tuples(*[st.floats(-1500, 1500)] * 3))
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    # Axes through the slices in either direction: left-handed grids too.
    matrix[:, 2] *= draw(st.sampled_from([1, -1]))
    return Volume(
        np.arange(8, dtype=np.int16).reshape(2, 2, 2), spacing, origin, tuple(matrix.ravel())
    )


@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".mha"])
def test_an_oblique_scan_matches_its_hash_from_every_format(suffix):
    @settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(oblique())
    def law(volume: Volume) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"scan{suffix}")
            write_volume(volume, path)
            read = read_volume(path)
        assert matches_hash(read, image_hash(volume).digest)
        assert matches_hash(volume, image_hash(read).digest)

    law()


def test_a_flip_by_header_of_a_file_shows_in_the_hash_of_geometry(ct_phantom, tmp_path):
    write_volume(ct_phantom, tmp_path / "scan.nrrd")
    image = SimpleITK.ReadImage(str(tmp_path / "scan.nrrd"))
    direction = np.array(image.GetDirection()).reshape(3, 3) * [-1, 1, 1]
    image.SetDirection(direction.ravel().tolist())
    SimpleITK.WriteImage(image, str(tmp_path / "flipped.nrrd"))
    flipped, original = image_hash(read_volume(tmp_path / "flipped.nrrd")), image_hash(ct_phantom)
    assert flipped.values == original.values
    assert flipped.geometry != original.geometry


def test_a_single_2d_image_is_a_scan_of_one_slice(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(pixels), str(tmp_path / "slice.mha"))
    np.testing.assert_array_equal(read_volume(tmp_path / "slice.mha").voxels, pixels[None])


def test_a_4d_file_of_one_volume_is_read(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    four = SimpleITK.JoinSeries(SimpleITK.GetImageFromArray(voxels))
    SimpleITK.WriteImage(four, str(tmp_path / "one.nrrd"))
    np.testing.assert_array_equal(read_volume(tmp_path / "one.nrrd").voxels, voxels)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_several_volumes_in_a_file_are_refused_in_words(tmp_path, suffix):
    one = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    SimpleITK.WriteImage(SimpleITK.JoinSeries(one, one), str(tmp_path / f"film{suffix}"))
    with pytest.raises(ImageReadError, match="4 x 3 x 2 x 2; one 3-D volume"):
        read_volume(tmp_path / f"film{suffix}")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_colour_and_vector_files_are_refused_in_words(tmp_path, suffix):
    colour = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(colour, str(tmp_path / f"colour{suffix}"))
    with pytest.raises(ImageReadError, match="colour or vector"):
        read_volume(tmp_path / f"colour{suffix}")


def test_complex_voxels_are_refused_in_words(tmp_path):
    image = SimpleITK.Cast(
        SimpleITK.GetImageFromArray(np.zeros((2, 3, 4))), SimpleITK.sitkComplexFloat32
    )
    SimpleITK.WriteImage(image, str(tmp_path / "kspace.nii"))
    with pytest.raises(ImageReadError, match=r"kspace\.nii"):
        read_volume(tmp_path / "kspace.nii")


@pytest.mark.parametrize(("value", "dtype"), [(-7, np.int32), (2**32 - 1, np.uint32)])
def test_64_bit_integers_that_fit_in_32_are_read(tmp_path, value, dtype):
    voxels = np.full((1, 2, 2), value, np.int64)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(tmp_path / "wide.nrrd"))
    read = read_volume(tmp_path / "wide.nrrd").voxels
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, voxels)


def test_64_bit_integers_that_do_not_fit_in_32_are_refused_in_words(tmp_path):
    voxels = np.array([-1, 2**32 - 1]).reshape(1, 1, 2)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(voxels), str(tmp_path / "wide.nrrd"))
    with pytest.raises(ImageReadError, match="do not fit in 32 bits"):
        read_volume(tmp_path / "wide.nrrd")


def test_a_rescale_in_a_nifti_header_is_applied(tmp_path):
    path = tmp_path / "scan.nii"
    write_volume(Volume(np.arange(8, dtype=np.int16).reshape(2, 2, 2)), path)
    header = bytearray(path.read_bytes())
    header[112:120] = np.array([0.5, 10], "<f4").tobytes()  # scl_slope, scl_inter
    path.write_bytes(header)
    np.testing.assert_array_equal(
        read_volume(path).voxels, 10 + 0.5 * np.arange(8).reshape(2, 2, 2)
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused_in_words(tmp_path, suffix):
    (tmp_path / f"damaged{suffix}").write_bytes(b"no image at all" * 40)
    with pytest.raises(ImageReadError, match=f"damaged{suffix} cannot be read"):
        read_volume(tmp_path / f"damaged{suffix}")


def test_a_file_cut_short_is_refused_in_words(ct_phantom, tmp_path):
    write_volume(ct_phantom, tmp_path / "scan.nrrd")
    whole = (tmp_path / "scan.nrrd").read_bytes()
    (tmp_path / "cut.nrrd").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageReadError, match=r"cut\.nrrd cannot be read"):
        read_volume(tmp_path / "cut.nrrd")


def test_a_missing_path_and_a_foreign_file_are_refused_in_words(tmp_path):
    with pytest.raises(ImageReadError, match="no file or folder"):
        read_volume(tmp_path / "nothing.nrrd")
    (tmp_path / "letter.txt").write_text("Dear colleague")
    with pytest.raises(ImageReadError, match=r"letter\.txt is no DICOM, NRRD"):
        read_volume(tmp_path / "letter.txt")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_written_scan_leaves_nothing_else_behind(ct_phantom, tmp_path, suffix):
    write_volume(ct_phantom, tmp_path / f"scan{suffix}")
    detached = {".nhdr": ["scan.nhdr", "scan.raw.gz"], ".mhd": ["scan.mhd", "scan.zraw"]}
    assert leftovers(tmp_path) == detached.get(suffix, [f"scan{suffix}"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_file_is_not_overwritten(ct_phantom, tmp_path, suffix):
    (tmp_path / f"scan{suffix}").write_bytes(b"mine")
    with pytest.raises(ImageWriteError, match="exists already"):
        write_volume(ct_phantom, tmp_path / f"scan{suffix}")
    assert (tmp_path / f"scan{suffix}").read_bytes() == b"mine"
    assert leftovers(tmp_path) == [f"scan{suffix}"]


def test_a_geometry_that_nifti_cannot_hold_is_refused_and_nothing_is_left(ct_phantom, tmp_path):
    sheared = replace(ct_phantom, direction=(1, 0, 0.6, 0, 1, 0, 0, 0, 0.8))
    with pytest.raises(ImageWriteError, match=r"scan\.nii"):
        write_volume(sheared, tmp_path / "scan.nii")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nan_that_would_be_read_as_0_is_not_written_to_nifti(tmp_path, suffix, value):
    with pytest.raises(ImageWriteError, match="NRRD"):
        write_volume(Volume(np.full((1, 2, 2), value)), tmp_path / f"scan{suffix}")
    assert leftovers(tmp_path) == []


def test_a_folder_that_is_missing_is_named_before_anything_is_written(ct_phantom, tmp_path):
    with pytest.raises(ImageWriteError, match=r"no folder .*nowhere"):
        write_volume(ct_phantom, tmp_path / "nowhere" / "scan.nrrd")


def test_dicom_attributes_that_itk_carries_in_a_file_are_known_as_identity(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    image.SetMetaData("0010|0010", "Grünwald^Ada ")
    image.SetMetaData("0008|0060", "CT")
    image.SetMetaData("0028|1050", "40\\600")
    image.SetMetaData("0028|1051", "80\\2800")
    SimpleITK.WriteImage(image, str(tmp_path / "converted.mha"))
    volume = read_volume(tmp_path / "converted.mha")
    assert volume.identity == {"PatientName": "Grünwald^Ada"}
    assert volume.modality == "CT"
    assert volume.window == (40, 80)
    # And they are gone from what is written.
    write_volume(volume, tmp_path / "again.nhdr")
    assert "Grünwald" not in (tmp_path / "again.nhdr").read_text()


def test_the_voxels_of_another_header_are_not_overwritten(
    ct_phantom: Volume, tmp_path: Path
) -> None:
    for name, data in (("scan.nhdr", "scan.raw.gz"), ("scan.mhd", "scan.zraw")):
        other = tmp_path / data
        other.write_bytes(b"kept")
        with pytest.raises(ImageWriteError, match="exists already"):
            write_volume(ct_phantom, tmp_path / name)
        assert other.read_bytes() == b"kept"
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz", "out.nrrd", "out.mha", "out"])
def test_a_full_disk_leaves_nothing_and_says_so(
    make_series: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    volume = read_volume(make_series())
    target = tmp_path / name
    code = (
        "import resource, signal, sys\n"
        "from MedWatermarkLib.imageio import ImageWriteError, read_volume, write_volume\n"
        "volume = read_volume(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "try:\n"
        "    write_volume(volume, sys.argv[2])\n"
        "except ImageWriteError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(volume.source.slices[0].path.parent), str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(target) in run.stdout
    assert "Traceback" not in run.stdout
    assert not target.exists()
