"""An archive, and a scan that is marked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orthanc
import pytest
from acquired import write_scan
from typer.testing import CliRunner, Result

from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import list_series

PASSWORD = "correct horse battery staple"

Command = Callable[..., Result]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc.Orthanc]:
    """A real PACS; tests that want it are skipped where it is not installed."""
    if orthanc.program() is None or orthanc.plugin() is None:
        pytest.skip("Orthanc or its DICOMweb plugin is missing (Debian: orthanc, orthanc-dicomweb)")
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session")
def command() -> Command:
    """``command(*arguments, **env)``; whatever it says, it must not be a traceback."""

    def run(*arguments: object, **env: str | None) -> Result:
        environment = {"MEDWATERMARK_PASSWORD": PASSWORD, "MEDWATERMARK_MARK_KEY": None, **env}
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result

    return run


@pytest.fixture(scope="session")
def done(command: Command) -> Callable[..., dict]:
    """The result of a command that must succeed."""

    def run(*arguments: object, **env: str | None) -> dict:
        result = command(*arguments, **env)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def failed(command: Command) -> Callable[..., dict]:
    """The error of a command that must fail."""

    def run(*arguments: object, **env: str | None) -> dict:
        result = command(*arguments, **env)
        assert result.exit_code != 0
        return json.loads(result.stdout.splitlines()[-1])

    return run


@dataclass(frozen=True)
class Marked:
    """A scan, and what it became."""

    original: Path
    uid: str
    folder: Path
    marked_uid: str
    record: Path


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of a radiologist, under `PASSWORD`."""
    path = tmp_path_factory.mktemp("keys") / "doctor.json"
    create_key_file(path, PASSWORD, iterations=2)
    return path


@pytest.fixture(scope="session")
def scan(
    archive: orthanc.Orthanc,
    done: Callable[..., dict],
    key_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Marked:
    """A scan that was fetched from the archive by its date, and marked."""
    folder = tmp_path_factory.mktemp("scan")
    uid = write_scan(folder / "acquired")
    done("pacs", "store", folder / "acquired", archive.web)
    found = done("pacs", "query", archive.web, "--study-date", "20261101-20261130")["series"]
    assert [one["uid"] for one in found] == [uid]
    done("pacs", "fetch", archive.web, found[0]["uid"], folder / "original")
    signed = ("--diagnosis", "No acute bleeding.", "--key-file", key_file)
    record = done("embed", folder / "original", folder / "marked", *signed)["record"]
    (series,) = list_series(folder / "marked")
    return Marked(folder / "original", uid, folder / "marked", series.uid, Path(record))
