"""The demonstration, on the slice that it brings and on a scan of one's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numba
import numpy as np
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

from MedWatermarkLib.attacks import add_noise, compress, cut, display_window
from MedWatermarkLib.cli import app
from MedWatermarkLib.demo import free_folder
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.qr import decode
from MedWatermarkLib.volume import Volume

SLICE = Path(pydicom.__file__).parent / "data" / "test_files" / "J2K_pixelrep_mismatch.dcm"


def demonstrate(*arguments: object) -> dict:
    done = CliRunner().invoke(app, ["demo", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Scans as small as these are slower with several, where others use the machine too."""
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> dict:
    return demonstrate(tmp_path_factory.mktemp("demo") / "out")


def test_all_that_is_promised_of_a_slice_is_seen(demo):
    outcomes = {check["name"]: check["outcome"] for check in demo["checks"]}
    assert demo["passed"]
    assert set(outcomes.values()) <= {"passed", "not promised"}
    for name, outcome in outcomes.items():
        # One slice need not give the whole claim after an attack; all else is due.
        assert outcome == "passed" or "the whole claim is read" in name
    assert sum("its tag is read" in name for name in outcomes) == 3


def test_the_figures_are_those_of_the_files(demo):
    folder = Path(demo["folder"])
    original = read_volume(SLICE).rescaled()
    change = read_volume(folder / "marked.dcm").rescaled() - original
    assert demo["greatest_change"] == np.abs(change).max()
    marked = 64 * sum(demo["blocks"])
    assert demo["rmse"] == pytest.approx(np.sqrt((change**2).sum() / marked))
    peak = np.ptp(original)
    assert demo["psnr"] == pytest.approx(10 * np.log10(peak**2 / (change**2).mean()))
    assert 0.99 < demo["ssim"] < 1


def test_the_restored_file_equals_the_slice_in_every_bit(demo):
    restored = read_volume(Path(demo["folder"]) / "restored.dcm")
    np.testing.assert_array_equal(restored.voxels, read_volume(SLICE).voxels)


def test_the_code_is_read_from_its_file_and_from_the_picture(demo):
    folder, text = Path(demo["folder"]), demo["claim"]["text"].encode()
    with Image.open(demo["picture"]) as picture:
        assert picture.width == 1600
        assert decode(picture.crop((picture.width * 3 // 4, 0, picture.width, picture.height)))
        assert decode(picture.convert("L")) == text
    assert decode(Image.open(folder / "qr.png")) == text
    assert (folder / "claim.txt").read_bytes().strip() == text


def test_no_secret_is_left(demo):
    names = {file.name for file in Path(demo["folder"]).iterdir()}
    assert names == {
        *("marked.dcm", "marked.restoration", "restored.dcm"),
        *("claim.txt", "qr.png", "picture.png", "slice.jpg"),
    }


def test_what_the_demonstration_says_to_go_on_with_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Small, and of tissue alone: after an attack that a mark does not survive, all is searched.
    tissue = np.clip(read_volume(SLICE).voxels[:, 140:380, 130:370], -160, 240)
    write_volume(Volume(np.concatenate([tissue, tissue[:, ::-1]])), tmp_path / "scan.nrrd")
    done = CliRunner().invoke(app, ["demo", "--input", "scan.nrrd"])
    assert done.exit_code == 0, done.output
    command = done.stdout.partition("Go on with: medwatermark ")[2].splitlines()[0]
    assert command == "extract medwatermark-demo/marked.nrrd"
    assert CliRunner().invoke(app, shlex.split(command)).exit_code == 0
    # The next one leaves that folder alone.
    assert free_folder() == Path("medwatermark-demo-2")


def test_a_failure_leaves_no_folder(tmp_path, pydicom_file):
    source = pydicom_file("MR_small.dcm")
    done = CliRunner().invoke(app, ["demo", str(tmp_path / "out"), "--input", str(source)])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert not list(tmp_path.iterdir())


def test_attacks_do_what_their_names_say():
    scan = read_volume(SLICE)
    noise = add_noise(scan, 5.0).rescaled() - scan.rescaled()
    assert noise.std() == pytest.approx(5.0, rel=0.02)
    eight_bits = compress(scan).voxels
    assert eight_bits.dtype == np.uint8
    expected = 255 * np.clip((scan.rescaled() + 160) / 400, 0, 1)
    assert 0 < np.abs(eight_bits - expected).mean() < 2
    smaller = cut(scan).voxels
    assert smaller.shape < scan.voxels.shape
    top, left = 512 // 14 + 1, 512 // 10 + 2
    assert top % 8
    assert left % 8
    np.testing.assert_array_equal(
        smaller[0, 0], scan.voxels[0, top, left : left + smaller.shape[2]]
    )


def test_a_scan_without_window_is_shown_by_its_values():
    voxels = np.arange(1000, dtype=np.int16).reshape(1, 20, 50)
    center, width = display_window(Volume(voxels))
    assert center == pytest.approx(500, abs=10)
    assert width == pytest.approx(985, abs=10)
