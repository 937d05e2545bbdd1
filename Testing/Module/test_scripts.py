"""The scripts that Slicer is started with: real processes, with Slicer's way to an exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fresh_slicer
import numpy as np
import pytest

from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.imageio import read_volume

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "MedWatermark" / "Scripts"
LAUNCHER = REPOSITORY / "Testing" / "Host" / "launcher.py"
PASSWORD = "correct horse"
DIAGNOSIS = "Acute infarct, left MCA territory; no haemorrhage."


def start_slicer(script, *words, bare=None, folder=None, **options):
    """Start the host with a script and what follows ``--``."""
    environment = {**os.environ, **options.pop("environment", {})}
    if bare:
        environment["PYTHONPATH"] = str(bare)
    return subprocess.run(
        [
            *(sys.executable, *(["-S"] if bare else []), LAUNCHER),
            *("--no-main-window", "--python-script", SCRIPTS / script, "--"),
            *map(str, words),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        **options,
    )


def events(done):
    """What a script said in JSON lines, but for progress."""
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] != "progress"]


@pytest.fixture
def scan(make_series, host):
    """A folder with a CT of a head that has room for a claim."""
    z, y, x = np.ogrid[-1:1:4j, -1:1:256j, -1:1:256j]
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + 0.1 * z**2)
    noise = np.random.default_rng(0).normal(0, 8, radius.shape)
    tissue = np.where(radius < 0.85, 35 + 20 * np.sin(6 * x) * np.cos(5 * y), 900)
    return make_series((np.where(radius < 1, tissue, -1000) + noise).astype(np.int16))


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "doctor.json"
    create_key_file(path, PASSWORD, iterations=2)
    return path


def test_a_scan_is_marked_and_verified_without_a_window(scan, key_file, tmp_path):
    report = tmp_path / "report.txt"
    report.write_text(DIAGNOSIS)
    # The places are those of whoever types them.
    done = start_slicer(
        "embed.py",
        *(scan, "marked", "--key-file", key_file, "--diagnosis-file", report, "--password-stdin"),
        folder=tmp_path,
        input=PASSWORD + "\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = [event for event in events(done) if event["event"] == "result"]
    assert result["command"] == "embed"
    assert read_volume(tmp_path / "marked").voxels.shape == (4, 256, 256)
    assert PASSWORD not in done.stdout + done.stderr

    done = start_slicer("verify.py", "marked", "--record", "marked.restoration", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert DIAGNOSIS in done.stdout


def test_a_scan_without_a_mark_ends_verify_with_the_code_for_it(make_series, host):
    done = start_slicer("verify.py", make_series())
    assert done.returncode == 3
    assert events(done)[-1]["event"] == "result"


def test_what_went_wrong_is_one_line_and_an_exit_code(key_file, tmp_path):
    done = start_slicer(
        "embed.py",
        *(tmp_path / "none", tmp_path / "marked", "--key-file", key_file, "--diagnosis", DIAGNOSIS),
        environment={"MEDWATERMARK_PASSWORD": PASSWORD},
    )
    assert done.returncode == 1
    assert events(done)[-1]["event"] == "error"
    assert "There is no file or folder" in events(done)[-1]["message"]

    done = start_slicer("embed.py", "--what")
    assert done.returncode == 2
    assert "--what" in done.stderr


def test_a_folder_of_scans_is_marked_in_one_run(scan, key_file, tmp_path):
    words = ("embed", scan, "run", "--key-file", key_file, "--diagnosis", DIAGNOSIS, "--workers", 0)
    done = start_slicer(
        "batch.py",
        *words,
        folder=tmp_path,
        environment={"MEDWATERMARK_PASSWORD": PASSWORD},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert json.loads(line)["outcome"] == "marked"


def test_any_command_can_be_run_with_slicers_python(tmp_path):
    words = ("keygen", "doctor.json", "--password-stdin")
    done = start_slicer("command.py", *words, folder=tmp_path, input=PASSWORD + "\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Address" in done.stdout
    assert (tmp_path / "doctor.json").is_file()


def test_a_script_of_a_checkout_finds_the_library_beside_the_module(host):
    # Without what an editable installation puts on the path, and without a module that is loaded.
    done = start_slicer("command.py", "--version", bare=Path(np.__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("medwatermark ")


def test_without_the_packages_a_script_says_so_and_slicer_ends(host, tmp_path):
    fresh_slicer.link_packages(tmp_path)
    done = start_slicer("verify.py", "marked", bare=tmp_path)
    assert done.returncode == 1
    (event,) = events(done)
    assert event["kind"] == "MissingPackagesError"
    assert "cbor2" in event["message"]
    assert "install.py" in event["message"]


def test_the_packages_are_installed_by_a_script_too(host, tmp_path):
    fresh_slicer.link_packages(tmp_path)
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null", "PIP_TARGET": str(tmp_path)}
    done = start_slicer("install.py", bare=tmp_path, environment=offline)
    assert done.returncode == 1  # there is no index to install from
    assert events(done)[-1]["kind"] == "CalledProcessError"

    done = start_slicer("install.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_script_shows_the_line_that_starts_it():
    for script in SCRIPTS.glob("*.py"):
        text = script.read_text(encoding="ascii")
        assert f"    Slicer --no-main-window --python-script {script.name}" in text
