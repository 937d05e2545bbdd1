"""An archive, and a run that has marked it."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest
from archives import write_series
from runs import EMBED, PASSWORD, done

from MedWatermarkLib.account import create_key_file


@pytest.fixture(autouse=True, scope="session")
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
def archive(tmp_path_factory) -> Path:
    """Four series whose files lie among each other, and something that is no scan."""
    folder = tmp_path_factory.mktemp("archive")
    places = [folder / "2025", folder / "2025" / "moved", folder / "2026"]
    for seed in range(4):
        write_series(places[seed % 2 :], 2, 168, seed)
    (folder / "2026" / "README").write_text("Of the old PACS.")
    return folder


@pytest.fixture(scope="session")
def marked(archive: Path, key_file: Path, tmp_path_factory) -> Path:
    """The run that has marked the archive, without any disturbance."""
    run = tmp_path_factory.mktemp("runs") / "run"
    done("embed", archive, run, "--key-file", key_file, *EMBED)
    return run
