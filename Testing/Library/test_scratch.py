"""Scratch folders: theirs whose program lives are left alone, all others go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from MedWatermarkLib.output import new_files
from MedWatermarkLib.scratch import scratch

ROOT = Path(__file__).parents[2]
_HOLD = (
    "import sys\n"
    "from pathlib import Path\n"
    "from MedWatermarkLib.output import new_files\n"
    "with new_files(Path(sys.argv[1])) as [staged]:\n"
    "    staged.write_text('half')\n"
    "    print(staged, flush=True)\n"
    "    sys.stdin.read()\n"
    "    staged.write_text('whole')\n"
)


@contextmanager
def _writing(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a program that is half-way through writing a file."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as program:
        assert program.stdout is not None
        yield program, Path(program.stdout.readline().strip())


def test_what_a_killed_program_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with _writing(tmp_path / "one") as (program, staged):
        program.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    assert staged.read_text() == "half"
    with new_files(tmp_path / "two") as [other]:
        assert not staged.exists()
        other.write_text("two")
    assert [path.name for path in tmp_path.iterdir()] == ["two"]


def test_what_a_program_is_writing_is_left_to_it(tmp_path: Path) -> None:
    with _writing(tmp_path / "one") as (program, staged):
        with new_files(tmp_path / "two") as [other]:
            other.write_text("two")
        assert staged.read_text() == "half"
        program.communicate("")
    assert program.returncode == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "one": "whole",
        "two": "two",
    }


def test_a_folder_whose_program_was_killed_before_it_had_locked_it_is_removed(
    tmp_path: Path,
) -> None:
    (tmp_path / ".0123456789ab.part").mkdir()
    with scratch(tmp_path / "one"):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".0123456789ab.part", ".0123456789ab.PART", "scan.part", ".part"])
def test_what_is_no_scratch_folder_is_left(tmp_path: Path, name: str) -> None:
    other = tmp_path / name
    other.mkdir()
    (other / "precious").write_text("precious")
    with scratch(tmp_path / "one"):
        pass
    assert (other / "precious").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="links are of POSIX")
def test_links_that_another_laid_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "lock").write_text("precious")
    place = tmp_path / "place"
    place.mkdir()
    (place / ".0123456789ab.part").symlink_to(precious, target_is_directory=True)
    other = place / ".ba9876543210.part"
    other.mkdir()
    (other / "lock").symlink_to(precious / "lock")
    with scratch(place / "one"):
        pass
    assert (precious / "lock").read_text() == "precious"
    assert other.exists()


def test_programs_that_begin_at_the_same_moment_do_not_remove_each_others(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from MedWatermarkLib.output import new_files\n"
        "for number in range(200):\n"
        "    with new_files(Path(f'{sys.argv[1]}-{number}')) as [staged]:\n"
        "        staged.write_text('whole')\n"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name)], cwd=ROOT)
        for name in "abc"
    ]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 600
