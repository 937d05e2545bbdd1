"""Many scans in one run."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest
from archives import slices, write_series
from runs import DIAGNOSIS, EMBED, PASSWORD, batch, begun_as, content, done, events, lines

from MedWatermarkLib.batch_task import digest
from MedWatermarkLib.imageio import list_series, read_volume
from MedWatermarkLib.lock import lock
from MedWatermarkLib.volume import image_hash

REPOSITORY = Path(__file__).parents[2]


def test_each_series_is_marked_wherever_in_the_folder_its_files_lie(archive, marked) -> None:
    found = {line["series"]: line for line in lines(marked)}
    assert len(found) == len(lines(marked)) == 4
    for series in list_series(archive):
        line = found[series.uid]
        assert line["outcome"] == "marked"
        assert line["claim"]["diagnosis"] == DIAGNOSIS
        assert line["claim"]["image_hash"] == image_hash(read_volume(series)).digest.hex()
        assert len(list((marked / line["paths"]["output"]).iterdir())) == 2
        for kind, path in line["paths"].items():
            assert digest(marked / path) == line["digests"][kind]


def test_what_was_marked_is_verified_and_restored_bit_for_bit(archive, marked, tmp_path) -> None:
    assert done("verify", marked, tmp_path / "verified", "--html")["outcomes"] == {"passed": 4}
    assert len(list((tmp_path / "verified" / "pages").iterdir())) == 4
    assert done("restore", marked, tmp_path / "restored")["outcomes"] == {"restored": 4}
    originals = {image_hash(read_volume(series)) for series in list_series(archive)}
    restored = {image_hash(read_volume(one)) for one in (tmp_path / "restored/restored").iterdir()}
    assert restored == originals


def test_of_a_folder_only_what_a_run_has_marked_is_taken(archive, marked, tmp_path) -> None:
    received = tmp_path / "received"
    shutil.copytree(marked / "marked", received / "marked")
    shutil.copytree(archive, received / "others")
    of_run = ("--marked-by", marked)
    assert done("verify", received, tmp_path / "verified", *of_run)["outcomes"] == {"passed": 4}
    assert done("restore", received, tmp_path / "back", *of_run)["outcomes"] == {"restored": 4}
    assert (
        "no scan that the run has marked"
        in batch("restore", archive, tmp_path / "no", *of_run).output
    )


def test_the_same_run_twice_does_nothing_twice(archive, marked, key_file) -> None:
    def state() -> dict:
        files = [one for one in marked.rglob("*") if one.is_file() and one.name != ".lock"]
        return {one: (one.stat().st_mtime_ns, one.read_bytes()) for one in files}

    before = state()
    result = done("embed", archive, marked, "--key-file", key_file, *EMBED)
    assert (result["scans"], result["worked_on"]) == (4, 0)
    assert state() == before


def test_a_series_that_comes_later_is_marked_by_the_same_command(
    archive, marked, key_file, tmp_path
) -> None:
    run = shutil.copytree(marked, tmp_path / "run")
    larger = shutil.copytree(archive, tmp_path / "archive")
    uid = write_series([larger / "new"], 2, 168, 9)
    result = done("embed", larger, run, "--key-file", key_file, *EMBED)
    assert (result["scans"], result["worked_on"]) == (5, 1)
    assert lines(run)[-1]["series"] == uid
    assert lines(run)[:4] == lines(marked)


def test_a_scan_that_fails_does_not_stop_the_others_and_can_be_tried_again(
    tmp_path, key_file
) -> None:
    for seed in range(3):
        write_series([tmp_path / "scans" / str(seed)], 2, 168, seed)
    broken = next((tmp_path / "scans" / "1").iterdir())
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-5000])
    command = ("embed", tmp_path / "scans", tmp_path / "run", "--key-file", key_file, *EMBED)
    result = batch(*command, "--workers", "0", "--json")
    assert result.exit_code == 3
    assert events(result)[-1]["outcomes"] == {"marked": 2, "failed": 1}
    failed = next(line for line in lines(tmp_path / "run") if line["outcome"] == "failed")
    assert str(broken) in failed["error"]
    assert failed["kind"] == "ImageReadError"
    assert not list((tmp_path / "run").glob(f"*/{failed['name']}*"))

    broken.write_bytes(whole)
    assert events(batch(*command, "--workers", "0", "--json"))[-1]["worked_on"] == 0
    assert done(*command, "--again")["outcomes"] == {"marked": 3}
    assert len(lines(tmp_path / "run")) == 3


def test_a_worklist_says_what_is_signed_of_each_scan(tmp_path, key_file) -> None:
    for seed in range(2):
        write_series([tmp_path / "scans" / str(seed)], 2, 168, seed)
    worklist = tmp_path / "worklist.csv"
    with worklist.open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["Path", "Diagnosis", "Name", "Ward"])
        rows.writerow(["scans/0", "Meningeom links; 23 mm.", "first", "N3"])
        rows.writerow(["scans/1", "", "second", "N4"])
    done("embed", worklist, tmp_path / "run", "--key-file", key_file, *EMBED)
    said = {line["name"]: line["claim"]["diagnosis"] for line in lines(tmp_path / "run")}
    assert said == {"first": "Meningeom links; 23 mm.", "second": DIAGNOSIS}
    assert (tmp_path / "run" / "restoration" / "first.restoration").is_file()


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("list.csv", "path,diagnosis\nnowhere,Well.\nscan,\n", ["line 2: there is no", "line 3"]),
        ("list.csv", "file,diagnosis\nscan,Well.\n", ["names no column path"]),
        ("list.csv", "path,copy,diagnosis\nscan,-1,Well.\n", ["line 2: its copy"]),
        ("list.csv", "path,diagnosis\nscan,Well.\n\nscan,Well.\n", ["line 4: it has the scan of"]),
        ("list.csv", "path,diagnosis\nscan,Well,enough\n", ["line 2: it has 3 cells"]),
        ("list.csv", "path,name,diagnosis\nscan,../x,Well.\n", ["line 2: its name"]),
        ("list.jsonl", '{"path": "scan"}\n{"path"\n[]\n', ["line 2: it is no JSON", "line 3"]),
        ("list.jsonl", '{"path": 3, "diagnosis": "Well."}\n', ["line 1: its path is no text"]),
        ("list.jsonl", "", ["holds no scan"]),
    ],
)
def test_wrong_lines_of_a_worklist_are_told_by_their_numbers(
    tmp_path, key_file, name, text, wrong
) -> None:
    write_series([tmp_path / "scan"], 1, 64, 0)
    (tmp_path / name).write_text(text)
    result = batch("embed", tmp_path / name, tmp_path / "run", "--key-file", key_file, "--json")
    assert result.exit_code == 1
    error = events(result)[-1]
    assert error["kind"] == "WorklistError"
    for words in wrong:
        assert words in error["message"]
    assert not (tmp_path / "run").exists()


def test_a_scan_of_a_worklist_is_marked_in_several_copies(tmp_path, key_file) -> None:
    write_series([tmp_path / "scan"], 2, 168, 0)
    worklist = tmp_path / "list.jsonl"
    rows = [{"path": "scan", "copy": copy, "diagnosis": DIAGNOSIS} for copy in (1, 2)]
    worklist.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("embed", worklist, tmp_path / "run", "--key-file", key_file)
    assert [line["tag"]["copy"] for line in lines(tmp_path / "run")] == [1, 2]


def test_a_dry_run_tells_what_would_be_done_and_writes_nothing(
    archive, marked, key_file, tmp_path
) -> None:
    command = ("embed", archive, tmp_path / "run", "--key-file", key_file, *EMBED, "--dry-run")
    result = done(*command)
    assert len(result["left"]) == 4
    assert not (tmp_path / "run").exists()
    before = content(marked)
    assert done("embed", archive, marked, "--key-file", key_file, *EMBED, "--dry-run")["done"] == 4
    assert content(marked) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--strength", "2"), "begun with another strength"),
        (("--deidentify",), "begun with another de-identification"),
        (("--diagnosis", "Tumour."), "marked in this run with another diagnosis"),
    ],
)
def test_a_run_goes_on_only_as_it_was_begun(archive, marked, key_file, change, words) -> None:
    command = ["embed", archive, marked, "--key-file", key_file, *EMBED, *change, "--json"]
    result = batch(*command)
    assert result.exit_code == 1
    assert words in events(result)[-1]["message"]
    keyed = batch(*command[:-3], "--json", MEDWATERMARK_MARK_KEY="another")
    assert keyed.exit_code == 1


def test_a_folder_of_others_is_left_as_it_is(archive, key_file, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("Chapter 1")
    result = batch("embed", archive, tmp_path, "--key-file", key_file, *EMBED, "--json")
    assert "exists already" in events(result)[-1]["message"]
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_programs_do_not_work_on_one_run(archive, marked, key_file) -> None:
    with (marked / ".lock").open("r+b") as file:
        lock(file.fileno())
        result = batch("embed", archive, marked, "--key-file", key_file, *EMBED, "--json")
    assert "Another program" in events(result)[-1]["message"]


def test_patients_are_known_in_a_run_by_one_pseudonym_each(tmp_path, key_file) -> None:
    for seed in range(2):
        write_series([tmp_path / "scans"], 2, 168, seed)
    run = tmp_path / "run"
    done("embed", tmp_path / "scans", run, "--key-file", key_file, *EMBED, "--deidentify")
    written = [pydicom.dcmread(file) for file in (run / "marked").rglob("*.dcm")]
    assert len(written) == 4
    assert len({str(one.PatientID) for one in written}) == 1
    for file in run.rglob("*"):
        assert file.is_dir() or "Grünwald".encode() not in file.read_bytes()
        assert file.is_dir() or b"PID-4711" not in file.read_bytes()


def test_a_line_that_a_crash_broke_off_is_made_again(archive, marked, key_file, tmp_path) -> None:
    run = shutil.copytree(marked, tmp_path / "run")
    results = run / "results.jsonl"
    results.write_bytes(results.read_bytes()[:-40])
    assert done("embed", archive, run, "--key-file", key_file, *EMBED)["worked_on"] == 1
    assert content(run) == content(marked)
    names = [line["name"] for line in lines(run)]
    assert sorted(names) == sorted(line["name"] for line in lines(marked))


def test_results_that_are_none_are_told_and_kept(archive, marked, key_file, tmp_path) -> None:
    run = shutil.copytree(marked, tmp_path / "run")
    (run / "results.jsonl").write_text("{}\n")
    result = batch("embed", archive, run, "--key-file", key_file, *EMBED, "--json")
    assert "line 1: it is no line of results" in events(result)[-1]["message"]
    assert (run / "results.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "cancelled"])
def test_a_run_that_was_stopped_goes_on_and_comes_out_the_same(
    archive, marked, key_file, tmp_path, how
) -> None:
    run = begun_as(marked, tmp_path / "run")
    command = ["batch", "embed", archive, run, "--key-file", key_file, *EMBED, "--workers", "0"]
    child = subprocess.Popen(
        [sys.executable, "-m", "MedWatermarkLib", *map(str, command), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MEDWATERMARK_PASSWORD": PASSWORD, "PYTHONPATH": str(REPOSITORY)},
    )
    results = run / "results.jsonl"
    while not (results.exists() and results.read_bytes()):
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(how)
    output, _ = child.communicate()
    if how == signal.SIGTERM:
        assert child.returncode == 130
        assert "the same command goes on" in output.splitlines()[-1]
    before = len(lines(run))
    assert 1 <= before < 4
    assert done(*command[1:-2])["worked_on"] == 4 - before
    assert content(run) == content(marked)
    assert len({line["name"] for line in lines(run)}) == len(lines(run)) == 4


def test_what_a_crash_left_of_another_scan_gives_way(tmp_path, key_file) -> None:
    """The scan was corrected between a crash, after its folder was placed, and the next run."""
    write_series([tmp_path / "scan"], 2, 168, 0)
    command = ("embed", tmp_path / "scan", tmp_path / "run", "--key-file", key_file, *EMBED)
    done(*command)
    (tmp_path / "run" / "results.jsonl").unlink()
    for file, pixels in zip((tmp_path / "scan").iterdir(), slices(2, 168, 5), strict=True):
        instance = pydicom.dcmread(file)
        instance.PixelData = pixels.tobytes()
        instance.save_as(file)
    done(*command)
    (line,) = lines(tmp_path / "run")
    assert line["claim"]["image_hash"] == image_hash(read_volume(tmp_path / "scan")).digest.hex()
    assert digest(tmp_path / "run" / line["paths"]["output"]) == line["digests"]["output"]
    assert done("verify", tmp_path / "run", tmp_path / "v")["outcomes"] == {"passed": 1}
