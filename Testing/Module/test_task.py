"""Tasks: child processes that fail, are cancelled, or say nothing."""

import os
import time
from pathlib import Path

import pytest


@pytest.fixture
def start(module):
    """``start(arguments)``: a task, and the folder it works in."""
    from MedWatermarkModule.task import Task, workFolder

    def start_task(*arguments, finish=lambda facts: facts, secret=""):
        with workFolder() as folder:
            return Task(folder, list(arguments), finish, secret), Path(folder.name)

    return start_task


def test_an_error_of_the_library_keeps_its_name_and_words(start, tmp_path):
    from MedWatermarkModule.child import CommandError

    task, folder = start("inspect", tmp_path / "missing.nrrd")
    with pytest.raises(CommandError, match=r"There is no file or folder .*missing\.nrrd") as error:
        task.wait()
    assert error.value.kind == "InputError"
    assert not folder.exists()


def test_a_call_that_is_wrong_in_itself_says_why(start):
    from MedWatermarkModule.child import CommandError

    task, folder = start("inspect", "--no-such-option")
    with pytest.raises(CommandError, match="no-such-option") as error:
        task.wait()
    assert error.value.kind == "ChildEndedError"
    assert not folder.exists()


def test_progress_runs_to_its_end_and_results_are_made_where_the_files_are(start, tmp_path):
    shares = []
    task, folder = start(
        "keygen",
        tmp_path / "key.json",
        "--password-stdin",
        secret="correct horse\n",
        finish=lambda facts: (facts["address"], sorted(os.listdir(folder))),
    )
    address, files = task.wait(shares.append)
    assert address.startswith("0x")
    assert files == ["complaint.txt", "lines.jsonl"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert not folder.exists()


def test_secrets_are_no_arguments(start, tmp_path):
    task, _folder = start("keygen", tmp_path / "key.json", "--password-stdin", secret="hush-hush\n")
    place = Path(f"/proc/{task._child._process.pid}/cmdline")
    while b"keygen" not in (arguments := place.read_bytes()):  # it is becoming another program
        assert not task.poll()
    assert b"hush" not in arguments
    task.wait()


def test_a_cancelled_task_ends_soon_and_leaves_nothing(start, tmp_path):
    from MedWatermarkModule.task import CancelledError

    task, folder = start("demo", tmp_path / "demo")
    pid = task._child._process.pid
    while not task.share:
        task.poll()
        time.sleep(0.02)
    task.cancel()
    end = time.monotonic() + 60
    while not task.poll() and time.monotonic() < end:
        time.sleep(0.02)
    with pytest.raises(CancelledError):
        task.result()
    assert not folder.exists()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_progress_that_raises_ends_the_child(start, tmp_path):
    def interrupt(share):
        raise KeyboardInterrupt

    task, folder = start("demo", tmp_path / "demo")
    pid = task._child._process.pid
    with pytest.raises(KeyboardInterrupt):
        task.wait(interrupt)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_slicer_without_its_python_says_so(module, start, monkeypatch, tmp_path):
    from MedWatermarkModule.child import CommandError

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="PythonSlicer"):
        start("inspect")
    import slicer

    assert not list(Path(slicer.app.temporaryPath).glob("MedWatermark-*"))
