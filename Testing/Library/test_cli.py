"""The command line, called as a user or a script calls it."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import phantoms
import pydicom
import pytest
import SimpleITK
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from MedWatermarkLib import __version__
from MedWatermarkLib.account import create_key_file, load_account
from MedWatermarkLib.claim import Claim
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import list_series, read_volume, write_volume
from MedWatermarkLib.output import OutputExistsError, new_files
from MedWatermarkLib.qr import decode
from MedWatermarkLib.report import reporting
from MedWatermarkLib.tables import ranges
from MedWatermarkLib.volume import Volume, image_hash

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"
DIAGNOSIS = "No acute intracranial haemorrhage; old lacunar infarct, left."
TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
MODULE = [sys.executable, "-m", "MedWatermarkLib"]


def run(*arguments: object, stdin: str | None = None, **env: str) -> Result:
    """Run a command; whatever it says, it must not be a traceback."""
    result = CliRunner().invoke(
        app,
        [str(argument) for argument in arguments],
        input=stdin,
        env={"MEDWATERMARK_PASSWORD": PASSWORD, "MEDWATERMARK_MARK_KEY": None, **env},
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert PASSWORD not in result.output
    return result


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def result_of(*arguments: object, **env: str) -> dict:
    """The result event of a command that must succeed."""
    done = run(*arguments, "--json", **env)
    assert done.exit_code == 0, done.output
    assert not done.stderr
    return events(done.stdout)[-1]


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def child(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """The command in a process of its own, as Slicer's panel starts it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "MEDWATERMARK_PASSWORD": PASSWORD,
        "NUMBA_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [*MODULE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Scans as small as these are slower with several, where others use the machine too."""
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


@pytest.fixture(scope="session")
def key_file(tmp_path_factory) -> Path:
    """A key file that opens quickly."""
    path = tmp_path_factory.mktemp("keys") / "doctor.json"
    create_key_file(path, PASSWORD, iterations=2)
    return path


@pytest.fixture(scope="session")
def head(tmp_path_factory) -> Path:
    """The middle of a CT slice of a head, 320 x 320."""
    instance = pydicom.dcmread(TEST_FILES / "J2K_pixelrep_mismatch.dcm")
    # As MedWatermark reads it: pydicom itself takes the header's sign for that of the code stream.
    pixels = read_volume(TEST_FILES / "J2K_pixelrep_mismatch.dcm").voxels[0, 100:420, 90:410]
    instance.Rows, instance.Columns = pixels.shape
    instance.PixelData = pixels.astype("<i2").tobytes()
    instance["PixelData"].VR = "OW"
    instance["PixelData"].is_undefined_length = False
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit, instance.PixelRepresentation = 15, 1
    instance.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = tmp_path_factory.mktemp("head") / "head.dcm"
    instance.save_as(path)
    return path


@pytest.fixture
def series(make_series, head) -> Path:
    """A folder with three slices of a patient whose name and number are known."""
    voxels = read_volume(head).voxels[0]
    return make_series(np.stack([voxels, voxels[::-1], voxels[:, ::-1]]))


@pytest.fixture(scope="session")
def marked(tmp_path_factory, key_file, head) -> Path:
    """A folder with marked.dcm, the head with a claim, and its restoration record."""
    folder = tmp_path_factory.mktemp("marked")
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--copy", 7]
    result_of("embed", head, folder / "marked.dcm", *arguments)
    return folder


# The way of a scan


def test_keygen_makes_a_key_file_that_the_password_opens(tmp_path):
    done = run("keygen", tmp_path / "doctor.json")
    assert done.exit_code == 0
    account = load_account(tmp_path / "doctor.json", PASSWORD)
    assert account.address in done.stdout
    assert (tmp_path / "doctor.json").stat().st_mode & 0o077 == 0


def test_a_dicom_folder_is_marked_read_and_restored_bit_for_bit(series, key_file, tmp_path):
    before = content(series)
    out, code = tmp_path / "marked", tmp_path / "code.png"
    signing = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--qr", code]
    done = result_of("embed", series, out, *signing)
    assert decode(Image.open(code)) == done["claim"]["text"].encode()
    assert content(series) == before
    assert done["claim"]["diagnosis"] == DIAGNOSIS
    assert done["claim"]["signer"] == load_account(key_file, PASSWORD).address
    assert done["rmse"] <= 1.6
    assert done["record"] == f"{out}.restoration"
    assert [one["tag"] for one in done["slices"]] == [True] * 3

    read = result_of("extract", out)
    assert read["claim"] == done["claim"]
    assert read["belongs_to_voxels"] == "not shown"

    record = f"{out}.restoration"
    restored = result_of("restore", out, tmp_path / "restored", "--record", record)
    assert restored["claim"] == done["claim"]
    original, again = read_volume(series), read_volume(tmp_path / "restored")
    np.testing.assert_array_equal(again.voxels, original.voxels)
    assert image_hash(again).digest.hex() == done["claim"]["image_hash"] == restored["image_hash"]
    instance = pydicom.dcmread(next((tmp_path / "restored").iterdir()))
    assert "taken out" in instance.DerivationDescription
    assert {one.uid for one in list_series(tmp_path / "restored")} != {
        one.uid for one in list_series(series)
    }


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha", ".nhdr"])
def test_a_slice_goes_through_other_formats(head, key_file, tmp_path, suffix):
    out, back = tmp_path / f"marked{suffix}", tmp_path / f"restored{suffix}"
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--record", tmp_path / "record"]
    result_of("embed", head, out, *arguments)
    assert result_of("extract", out)["claim"]["diagnosis"] == DIAGNOSIS
    result_of("restore", out, back, "--record", tmp_path / "record")
    np.testing.assert_array_equal(read_volume(back).voxels, read_volume(head).voxels)


def test_a_person_reads_what_was_read_and_what_was_not_shown(marked):
    done = run("extract", marked / "marked.dcm")
    assert done.exit_code == 0
    assert "A claim was read. That it belongs to these voxels was not shown" in done.stdout
    assert DIAGNOSIS in done.stdout
    assert "Copy        7" in done.stdout


def test_a_person_reads_what_marking_changed(head, key_file, tmp_path):
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--quality"]
    done = run("embed", head, tmp_path / "marked.nrrd", *arguments)
    for words in ("RMSE 1.", " HU", "PSNR", "SSIM", "Marked blocks", "keep it to yourself"):
        assert words in done.stdout


def test_a_mark_with_a_key_is_read_with_it_alone(key_file, tmp_path):
    # Small, since without the key all is searched.
    small = phantoms.head(4, 128, 128).astype(np.int16)
    write_volume(Volume(small, modality="CT"), tmp_path / "scan.nrrd")
    (tmp_path / "mark.key").write_text("a secret of ours\n")
    key = ["--mark-key-file", tmp_path / "mark.key"]
    out = tmp_path / "marked.nrrd"
    arguments = ["--diagnosis", "No change.", "--key-file", key_file]
    assert result_of("embed", tmp_path / "scan.nrrd", out, *arguments, *key)["keyed"]
    assert result_of("extract", out, *key)["read"]
    assert result_of("extract", out, MEDWATERMARK_MARK_KEY="a secret of ours")["read"]
    without = run("extract", out)
    assert without.exit_code == 3
    assert "--mark-key-file" in without.stdout
    record = f"{out}.restoration"
    done = run("restore", out, tmp_path / "restored.nrrd", "--record", record)
    assert done.exit_code == 0
    assert "No claim was read from the mark" in done.stderr


def test_the_excluded_voxels_are_not_touched(series, key_file, tmp_path):
    original = read_volume(series)
    mask = np.zeros(original.voxels.shape, np.uint8)
    mask[:, 140:180, 140:180] = 1
    write_volume(original.with_voxels(mask), tmp_path / "mask.nrrd")
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file]
    out = tmp_path / "marked.nrrd"
    result_of("embed", series, out, *arguments, "--exclude", tmp_path / "mask.nrrd")
    changed = read_volume(out).voxels != original.voxels
    assert changed.any(axis=0)[120:200, 120:200].mean() > 0.5
    assert not changed[mask > 0].any()


def test_the_diagnosis_can_come_from_a_file(head, key_file, tmp_path):
    (tmp_path / "report.txt").write_text("Größe 7 mm, linker Oberlappen\n", "utf-8-sig")
    out = tmp_path / "marked.nrrd"
    arguments = ["--diagnosis-file", tmp_path / "report.txt", "--key-file", key_file]
    done = result_of("embed", head, out, *arguments)
    assert done["claim"]["diagnosis"] == "Größe 7 mm, linker Oberlappen"


def test_a_picture_of_a_slice_gives_its_tag(marked, tmp_path):
    values = read_volume(marked / "marked.dcm").rescaled()[0]
    grey = np.uint8(np.clip((values + 160) / 400, 0, 1) * 255)
    Image.fromarray(grey).save(tmp_path / "slide.jpg", quality=90)
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "slide.png")
    for name in ("slide.jpg", "slide.png"):
        done = run("extract", tmp_path / name, "--json")
        assert done.exit_code in (0, 3)
        assert events(done.stdout)[-1]["tag"]["copy"] == 7


def test_with_the_original_at_hand_a_turned_and_smaller_picture_gives_its_tag(
    head, marked, tmp_path
):
    values = read_volume(marked / "marked.dcm").rescaled()[0]
    grey = np.clip(np.rint((values + 80) * 255 / 240), 0, 255).astype(np.uint8)
    picture = tmp_path / "slide.png"
    turned = Image.fromarray(grey).rotate(7, Image.Resampling.BICUBIC, expand=True)
    turned.resize([round(0.9 * side) for side in turned.size], Image.Resampling.BICUBIC).save(
        picture
    )
    done = run("extract", picture, "--reference", head, "--json")
    read = events(done.stdout)[-1]
    assert done.exit_code in (0, 3)
    assert read["tag"]["copy"] == 7
    assert read["undone"]["slices"] == [[0]]
    assert read["undone"]["angle"] == pytest.approx(7, abs=0.1)
    assert "turned by 7.0 degrees" in run("extract", picture, "--reference", head).stdout
    assert run("extract", picture, "--reference", tmp_path / "none.dcm").exit_code == 1


def test_an_unmarked_scan_gives_nothing(make_series, tmp_path):
    scan = make_series()
    before = content(tmp_path)
    done = run("extract", scan, "--qr", tmp_path / "code.png")
    assert done.exit_code == 3
    assert "No claim was read. No public mark was found" in done.stdout
    assert content(tmp_path) == before


def test_inspect_lists_series_and_room_without_the_patient(series, marked):
    done = run("inspect", series)
    assert done.exit_code == 0
    assert list_series(series)[0].uid in done.stdout
    assert "3 x 320 x 320" in done.stdout
    for words in ("Grünwald", "Ada", "PID-4711", "19440229", "1944-02-29"):
        assert words not in done.output
    facts = result_of("inspect", marked / "marked.dcm")
    assert facts["shape"] == [1, 320, 320]
    assert facts["window"] == [40, 100]
    assert facts["roomy_slices"] == [0]


def test_what_inspect_says_is_the_longest_diagnosis_fits_and_one_more_does_not(
    make_series, head, key_file, tmp_path
):
    series = make_series(read_volume(head).voxels[:, 60:268, 60:268])
    longest = result_of("inspect", series)["longest_diagnosis"]
    arguments = ["--key-file", key_file, "--diagnosis"]
    too_long = run("embed", series, tmp_path / "a.nrrd", *arguments, "x" * (longest + 1))
    assert too_long.exit_code == 1
    assert "too long for this image" in too_long.stderr
    result_of("embed", series, tmp_path / "b.nrrd", *arguments, "x" * longest)


def test_inspect_knows_key_files_and_records(key_file, marked):
    address = load_account(key_file, PASSWORD).address
    assert result_of("inspect", key_file)["address"] == address
    record = result_of("inspect", marked / "marked.dcm.restoration")
    assert record["kind"] == "restoration record"
    assert record["shape"] == [1, 320, 320]


def test_of_a_folder_whose_largest_series_is_no_scan_inspect_lists_all(pydicom_file, tmp_path):
    for name in ("examples_ybr_color.dcm", "CT_small.dcm"):
        shutil.copy(pydicom_file(name), tmp_path)
    done = run("inspect", tmp_path)
    assert done.exit_code == 0
    assert "1 x 128 x 128" in done.stdout
    assert "The largest series cannot be read" in done.stderr


def test_the_qr_code_is_read_from_picture_and_terminal(marked, tmp_path):
    claim = result_of("extract", marked / "marked.dcm", "--qr", tmp_path / "read.png")["claim"]
    result_of("qr", marked / "marked.dcm", "--output", tmp_path / "code.png")
    (tmp_path / "claim.txt").write_text(claim["text"])
    for picture in ("read.png", "code.png"):
        assert decode(Image.open(tmp_path / picture)) == claim["text"].encode()
    for source in (claim["text"], tmp_path / "claim.txt"):
        shown = run("qr", source).stdout.rstrip("\n").splitlines()
        halves = np.array([[" ▄▀█".index(character) for character in line] for line in shown])
        pixels = np.stack([halves >= 2, halves % 2], axis=1).reshape(-1, halves.shape[1])
        assert (
            decode(np.kron(np.uint8(255 * pixels), np.ones((6, 6), np.uint8)))
            == claim["text"].encode()
        )


def test_a_code_that_is_wider_than_the_terminal_is_not_shown_broken(marked):
    done = run("qr", marked / "marked.dcm", COLUMNS="60")
    assert done.exit_code == 1
    assert "--output" in done.stderr
    assert not done.stdout


def test_ranges_are_written_briefly():
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"


# Programs


def test_json_lines_tell_progress_that_never_goes_back_and_end_in_the_result(
    head, key_file, tmp_path
):
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--json"]
    process = child("embed", head, tmp_path / "marked.nrrd", *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert not err
    *others, result = events(out)
    shares = [event["share"] for event in others if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert result["event"] == "result"
    assert Claim.from_text(result["claim"]["text"]).diagnosis == DIAGNOSIS


def test_an_error_is_a_json_line_too(tmp_path, key_file, head):
    done = run(
        "embed",
        head,
        tmp_path / "marked.nrrd",
        *("--diagnosis", DIAGNOSIS, "--key-file", key_file, "--json"),
        MEDWATERMARK_PASSWORD="wrong",
    )
    assert done.exit_code == 1
    assert events(done.stdout)[-1]["event"] == "error"
    assert events(done.stdout)[-1]["kind"] == "WrongPasswordError"


def test_a_warning_of_reading_is_one_line(make_series, head):
    def skip_one(instance, index):
        instance.ImagePositionPatient[2] = 10 + 2.5 * (index + (index > 1))

    voxels = read_volume(head).voxels[0]
    uneven = make_series(np.stack([voxels] * 3), skip_one)
    done = run("inspect", uneven)
    assert done.stderr.count("\n") == done.stderr.count("Warning: ") == 1
    said = events(run("inspect", uneven, "--json").stdout)
    assert [one["event"] for one in said].count("warning") == 1


def test_a_password_comes_from_the_first_line_of_stdin(tmp_path, key_file, head):
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--password-stdin"]
    stdin = PASSWORD + "\nmore\n"
    out = tmp_path / "marked.nrrd"
    done = run("embed", head, out, *arguments, stdin=stdin, MEDWATERMARK_PASSWORD="wrong")
    assert done.exit_code == 0


def test_a_terminal_is_asked_for_a_new_password_twice(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MEDWATERMARK_PASSWORD": ""}
    path = tmp_path / "doctor.json"
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.execve(sys.executable, [*MODULE, "keygen", str(path)], environment)
    shown = b""
    for prompts in (1, 2):
        while shown.count(b": ") < prompts:
            shown += os.read(terminal, 1024)
        os.write(terminal, PASSWORD.encode() + b"\n")
    try:
        while chunk := os.read(terminal, 1024):
            shown += chunk
    except OSError:  # Linux's way to say that the other side is closed.
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
    assert PASSWORD.encode() not in shown
    assert load_account(path, PASSWORD).address.encode() in shown


def test_help_and_completion_import_nothing_that_is_slow():
    slow = {"numba", "skimage", "scipy", "numpy", "eth_account", "pydicom", "SimpleITK"}
    code = f"import sys, MedWatermarkLib.cli; print({slow!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "command", ["keygen", "embed", "extract", "restore", "inspect", "qr", "demo"]
)
def test_every_command_has_help_with_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"medwatermark {command}" in done.stdout.partition("Example")[2]
    assert "--json" in done.stdout


def test_the_module_is_the_same_command_line():
    process = child("--version")
    assert process.communicate(timeout=60)[0] == f"medwatermark {__version__}\n"
    assert process.returncode == 0


# Cancelling


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_command_leaves_nothing(how, series, key_file, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file, "--json"]
    # Else it would ignore what whoever runs the tests in the background ignores.
    heeding = {"preexec_fn": lambda: signal.signal(how, signal.SIG_DFL)}
    process = child("embed", series, folder / "marked", *arguments, **heeding)
    assert process.stdout is not None
    for line in process.stdout:
        if "Writing" in line:
            process.send_signal(how)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert events(out)[-1] == {
        "event": "error",
        "kind": "Cancelled",
        "message": "Cancelled; nothing was written.",
    }
    assert not err
    assert not list(folder.iterdir())


# Wrong input


@pytest.fixture
def refused(tmp_path) -> Callable[..., str]:
    """Run a command that must fail in one line and leave nothing; returns the line."""

    def run_and_look(*arguments: object, code: int = 1, **options: str) -> str:
        before = content(tmp_path)
        done = run(*arguments, **options)
        assert done.exit_code == code, done.output
        assert not done.stdout
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert content(tmp_path) == before
        assert not [one for one in tmp_path.rglob("*") if one.name.endswith(".part")]
        return done.stderr

    return run_and_look


@pytest.fixture
def embedding(tmp_path, key_file) -> list[object]:
    """What follows INPUT in an embed command."""
    return [tmp_path / "out.nrrd", "--diagnosis", DIAGNOSIS, "--key-file", key_file]


def test_a_missing_scan_is_refused(refused, embedding, tmp_path):
    for command in (["embed", *[tmp_path / "none", *embedding]], ["extract", tmp_path / "none"]):
        assert "There is no file or folder" in refused(*command)


def test_an_empty_folder_is_refused(refused, embedding, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in (["embed", tmp_path / "empty", *embedding], ["inspect", tmp_path / "empty"]):
        assert "no DICOM images" in refused(*command)


def test_colour_is_refused(refused, embedding, pydicom_file):
    assert "colour" in refused("embed", pydicom_file("SC_rgb_rle.dcm"), *embedding)


def test_vectors_are_refused(refused, embedding, tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 64, 64, 3), np.float32), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "vectors.nrrd"))
    assert "vector" in refused("embed", tmp_path / "vectors.nrrd", *embedding)


def test_a_picture_in_colour_is_refused(refused, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert "in colour" in refused("extract", tmp_path / "photo.png")


def test_what_is_no_picture_is_refused(refused, tmp_path):
    (tmp_path / "slide.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "damaged" in refused("extract", tmp_path / "slide.png")


def test_what_is_no_scan_is_refused(refused, embedding, tmp_path):
    (tmp_path / "notes.txt").write_text("not a scan")
    refused("embed", tmp_path / "notes.txt", *embedding)


def test_a_wrong_password_is_refused(refused, embedding, head):
    line = refused("embed", head, *embedding, MEDWATERMARK_PASSWORD="hunter2")
    assert "password does not open" in line
    assert "hunter2" not in line


def test_a_password_that_nobody_gives_is_asked_for_in_words(refused, embedding, head, tmp_path):
    for command in (["embed", head, *embedding], ["keygen", tmp_path / "new.json"]):
        assert "--password-stdin" in refused(*command, code=2, MEDWATERMARK_PASSWORD="")


def test_a_damaged_key_file_is_refused(refused, head, tmp_path):
    (tmp_path / "key.json").write_text("{}")
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", tmp_path / "key.json"]
    assert "not a key file" in refused("embed", head, tmp_path / "out.nrrd", *arguments)
    assert "not a key file" in refused("inspect", tmp_path / "key.json")


def test_what_exists_is_never_overwritten(refused, embedding, head, key_file, marked, tmp_path):
    (tmp_path / "out.nrrd").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("mine")
    record = ["--record", marked / "marked.dcm.restoration"]
    source, arguments = marked / "marked.dcm", embedding[1:]
    for command in (
        ["embed", head, tmp_path / "out.nrrd", *arguments],
        ["embed", head, tmp_path / "folder", *arguments],
        ["embed", head, tmp_path / "new.nrrd", *arguments, "--record", tmp_path / "out.nrrd"],
        ["restore", source, tmp_path / "out.nrrd", *record],
        ["restore", source, tmp_path / "folder", *record],
        ["extract", source, "--qr", tmp_path / "out.nrrd"],
        ["qr", source, "--output", tmp_path / "out.nrrd"],
        ["keygen", tmp_path / "out.nrrd"],
        ["demo", tmp_path / "folder"],
    ):
        assert "exists already" in refused(*command)


def test_the_voxels_beside_a_header_are_not_overwritten(refused, embedding, head, tmp_path):
    (tmp_path / "out.raw.gz").write_text("mine")
    assert "exists already" in refused("embed", head, tmp_path / "out.nhdr", *embedding[1:])


def test_a_diagnosis_that_names_the_patient_is_refused(refused, series, key_file, tmp_path):
    for text in ("Ada Grünwald: no bleeding", "PID-4711 has an infarct"):
        arguments = ["--diagnosis", text, "--key-file", key_file]
        line = refused("embed", series, tmp_path / "out", *arguments)
        assert "Patient" in line
        assert "Grünwald" not in line
        assert "PID-4711" not in line


def test_a_diagnosis_is_needed_and_only_one(head, key_file, tmp_path):
    for given in ([], ["--diagnosis", "a", "--diagnosis-file", "b"]):
        done = run("embed", head, tmp_path / "out.nrrd", "--key-file", key_file, *given)
        assert done.exit_code == 2


def test_a_folder_that_is_not_there_is_refused(refused, embedding, head, tmp_path):
    place = tmp_path / "nowhere" / "out.nrrd"
    assert "There is no folder" in refused("embed", head, place, *embedding[1:])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused(refused, embedding, head, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    place = tmp_path / "locked" / "out.nrrd"
    assert "cannot be written" in refused("embed", head, place, *embedding[1:])


def test_a_folder_that_takes_no_files_is_refused(refused, embedding, head):
    assert "cannot be written" in refused("embed", head, "/proc/out.nrrd", *embedding[1:])


def test_a_record_within_the_scan_that_is_handed_on_is_refused(refused, embedding, head, tmp_path):
    record = tmp_path / "out" / "record"
    arguments = [*embedding[1:], "--record", record]
    assert "keep it apart" in refused("embed", head, tmp_path / "out", *arguments)


def test_dicom_cannot_be_made_of_what_was_none(refused, embedding, marked, tmp_path):
    write_volume(read_volume(marked / "marked.dcm"), tmp_path / "scan.nrrd")
    line = refused("embed", tmp_path / "scan.nrrd", tmp_path / "folder", *embedding[1:])
    assert "not read from DICOM" in line


def test_a_record_of_another_scan_is_refused(
    refused, head, marked, key_file, make_series, tmp_path
):
    record = ["--record", marked / "marked.dcm.restoration"]
    assert "another scan" in refused("restore", make_series(), tmp_path / "out", *record)
    # The same slice, marked a second time.
    again = tmp_path / "again.dcm"
    result_of("embed", head, again, "--diagnosis", DIAGNOSIS, "--key-file", key_file, "--copy", 8)
    assert "not the marked scan" in refused("restore", again, tmp_path / "out.dcm", *record)


def test_a_damaged_record_is_refused(refused, marked, tmp_path):
    data = (marked / "marked.dcm.restoration").read_bytes()
    for damaged in (data[:-9], data[:99] + b"?" + data[100:], b"", b"no record at all"):
        (tmp_path / "record").write_bytes(damaged)
        refused(
            "restore",
            marked / "marked.dcm",
            tmp_path / "out.dcm",
            *("--record", tmp_path / "record"),
        )


def test_an_altered_scan_is_not_restored(refused, marked, tmp_path):
    scan = read_volume(marked / "marked.dcm")
    voxels = scan.voxels.copy()
    voxels[0, 160, 160] += 1
    write_volume(scan.with_voxels(voxels), tmp_path / "altered.nrrd")
    arguments = ["--record", marked / "marked.dcm.restoration"]
    line = refused("restore", tmp_path / "altered.nrrd", tmp_path / "out.nrrd", *arguments)
    assert "altered" in line


def test_a_scan_without_room_is_refused_with_what_would_fit(refused, embedding, pydicom_file):
    assert "bytes would fit" in refused("embed", pydicom_file("CT_small.dcm"), *embedding)
    assert "no message fits" in refused("embed", pydicom_file("MR_small.dcm"), *embedding)


def test_a_mask_that_lies_elsewhere_is_refused(refused, embedding, head, tmp_path):
    write_volume(Volume(np.ones((1, 320, 320), np.uint8)), tmp_path / "moved.nrrd")
    write_volume(Volume(np.ones((1, 160, 320), np.uint8)), tmp_path / "smaller.nrrd")
    for name, words in (("moved", "lies elsewhere"), ("smaller", "1 x 160 x 320")):
        mask = tmp_path / f"{name}.nrrd"
        assert words in refused("embed", head, *embedding, "--exclude", mask)


def test_an_empty_mark_key_is_refused(refused, embedding, head, tmp_path):
    (tmp_path / "mark.key").write_text("\n")
    key = ["--mark-key-file", tmp_path / "mark.key"]
    assert "public" in refused("embed", head, *embedding, *key)


def test_a_strength_that_is_none_is_refused(refused, embedding, head):
    for strength in ("0", "nan", "0.1"):
        assert "strength" in refused("embed", head, *embedding, "--strength", strength)
    words = refused("embed", head, *embedding, "--strength", "strong", code=2)
    assert "diagnostic, robust, or a number" in words


def test_a_robust_mark_changes_twice_as_much(head, key_file, tmp_path):
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file]
    usual = result_of("embed", head, tmp_path / "usual.nrrd", *arguments)
    robust = result_of("embed", head, tmp_path / "r.nrrd", *arguments, "--strength", "robust")
    assert robust["rmse"] == pytest.approx(2 * usual["rmse"], rel=0.1)


def test_a_map_with_the_record_tells_of_what_was_marked(head, key_file, tmp_path):
    original = read_volume(head)
    mask = np.zeros(original.voxels.shape, np.uint8)
    mask[:, 120:190, 120:190] = 1
    write_volume(original.with_voxels(mask), tmp_path / "mask.nrrd")
    out, map = tmp_path / "marked.nrrd", tmp_path / "map.nrrd"
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file]
    result_of("embed", head, out, *arguments, "--exclude", tmp_path / "mask.nrrd")
    record = tmp_path / "marked.nrrd.restoration"
    result_of("tamper-map", out, map, "--record", record)
    labels = read_volume(map).voxels
    assert not (labels == 1).any()
    assert (labels[:, 128:184, 128:184] == 2).all()
    assert (labels == 0).sum() > 64 * 500


def test_a_text_that_is_no_undamaged_claim_is_refused(refused):
    for text, words in (("MW1:ABC", "damaged"), ("MW9:ABC", "version 9"), ("MW1:", "breaks off")):
        assert words in refused("qr", text)


@pytest.mark.parametrize("name", ["marked", "marked.nii"])
def test_a_full_disk_leaves_nothing(name, series, key_file, tmp_path):
    """A limit on the size of files stands for the disk; not every writer notices either."""
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = ["--diagnosis", DIAGNOSIS, "--key-file", key_file]
    # More than the kernels' cache needs, less than the scan does.
    limit = 190_000 if name == "marked" else 250_000
    process = child(
        "embed",
        series,
        folder / name,
        *arguments,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "Error: " in err
    assert "written" in err
    assert "Traceback" not in err
    assert not list(folder.iterdir())


def test_of_two_files_both_are_written_or_none(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"

    def write_both() -> None:
        with new_files(first, second) as staged:
            for file in staged:
                file.write_text("new")
            second.write_text("somebody was quicker")

    with pytest.raises(OutputExistsError):
        write_both()
    assert content(tmp_path) == {"second": b"somebody was quicker"}


def test_a_fault_of_ours_is_one_line_that_quotes_nothing(capsys):
    with pytest.raises(typer.Exit) as ended, reporting(False):
        raise KeyError("Grünwald^Ada")
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "KeyError" in said.err
    assert "Grünwald" not in said.err


def test_where_kernels_cannot_be_kept_the_remedy_is_named(capsys):
    with pytest.raises(typer.Exit), reporting(False):
        raise RuntimeError("cannot cache function 'project': no locator available for file")
    assert "set NUMBA_CACHE_DIR" in capsys.readouterr().err
