"""Runs over archives, called as a user or a script calls them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from MedWatermarkLib.cli import app

PASSWORD = "correct horse battery staple"
DIAGNOSIS = "No acute bleeding."
EMBED = ("--diagnosis", DIAGNOSIS)


def batch(*arguments: object, **env: str) -> Result:
    """Run a command of ``batch``; whatever it says, it must not be a traceback."""
    environment = {"MEDWATERMARK_PASSWORD": PASSWORD, "MEDWATERMARK_MARK_KEY": None, **env}
    result = CliRunner().invoke(app, ["batch", *map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert PASSWORD not in result.output
    return result


def events(result: Result) -> list[dict]:
    assert not result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def done(*arguments: object, **env: str) -> dict:
    """The result of a command in this process that must succeed."""
    result = batch(*arguments, "--workers", "0", "--json", **env)
    assert result.exit_code == 0, result.output
    return events(result)[-1]


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    """What a run has made, without what tells of time."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in ("results.jsonl", ".lock")
    }


def begun_as(run: Path, other: Path) -> Path:
    """Make a folder in which a run has only begun, with the plan of another."""
    other.mkdir(mode=0o700)
    shutil.copy(run / "plan.json", other)
    return other
