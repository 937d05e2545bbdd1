"""The commands that verify a scan and map its alterations, called as a script calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from phantoms import head
from PIL import Image
from typer.testing import CliRunner, Result

from MedWatermarkLib import qr
from MedWatermarkLib.account import create_key_file
from MedWatermarkLib.cli import app
from MedWatermarkLib.imageio import read_volume, write_volume
from MedWatermarkLib.tiles import TileLeaves, tile_leaves
from MedWatermarkLib.volume import Volume

PASSWORD = "correct horse battery staple"
DIAGNOSIS = "No acute bleeding."


def run(*arguments: object) -> Result:
    environment = {
        "MEDWATERMARK_PASSWORD": PASSWORD,
        "MEDWATERMARK_MARK_KEY": None,
        "MEDWATERMARK_LEDGER": None,
    }
    result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def facts_of(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A marked scan with its record and leaves, and one with a lesion moved."""
    folder = tmp_path_factory.mktemp("verification")
    volume = Volume(head(3, 320, 320).astype(np.int16), spacing=(0.6, 0.6, 4.0), modality="CT")
    write_volume(volume, folder / "scan.nrrd")
    create_key_file(folder / "doctor.json", PASSWORD, iterations=2)
    done = run(
        "embed",
        folder / "scan.nrrd",
        folder / "marked.nrrd",
        "--diagnosis",
        DIAGNOSIS,
        "--key-file",
        folder / "doctor.json",
        "--leaves",
        folder / "marked.leaves",
        "--json",
    )
    assert done.exit_code == 0, done.output
    assert facts_of(done)["leaves"] == str(folder / "marked.leaves")
    marked = read_volume(folder / "marked.nrrd")
    voxels = marked.voxels.copy()
    voxels[1, 140:180, 140:180] = voxels[1, 200:240, 60:100]
    write_volume(marked.with_voxels(voxels), folder / "altered.nrrd")
    return folder


def test_embed_writes_the_leaves_of_the_scan_that_it_wrote(folder: Path) -> None:
    leaves = TileLeaves.from_bytes((folder / "marked.leaves").read_bytes())
    assert leaves.root == tile_leaves(read_volume(folder / "marked.nrrd")).root


def test_a_claim_alone_is_said_to_be_no_more(folder: Path) -> None:
    done = run("verify", folder / "marked.nrrd")
    assert done.exit_code == 0
    assert done.stdout.startswith("A claim was read. That it belongs to these voxels was not shown")


def test_with_the_record_the_original_is_shown(folder: Path) -> None:
    record = folder / "marked.nrrd.restoration"
    done = run("verify", folder / "marked.nrrd", "--record", record, "--json")
    assert done.exit_code == 0
    assert facts_of(done)["passed"]
    assert facts_of(done)["belongs_to_voxels"] == "shown"


def test_an_altered_scan_exits_with_3_and_its_page_and_map_are_written(
    folder: Path, tmp_path: Path
) -> None:
    done = run(
        "verify",
        folder / "altered.nrrd",
        "--leaves",
        folder / "marked.leaves",
        "--html",
        tmp_path / "page.html",
        "--map",
        tmp_path / "map.nrrd",
        "--qr",
        tmp_path / "code.png",
        "--json",
    )
    assert done.exit_code == 3
    facts = facts_of(done)
    assert qr.decode(Image.open(facts["qr"])) == facts["claim"]["text"].encode()
    assert [check["outcome"] for check in facts["checks"]][3] == "failed"
    assert facts["alterations"]["slices"] == [1]
    assert "Do not rely on this scan" in (tmp_path / "page.html").read_text("utf-8")
    assert "altered.nrrd" not in (tmp_path / "page.html").read_text("utf-8")
    labels = read_volume(tmp_path / "map.nrrd")
    assert labels.spacing == (0.6, 0.6, 4.0)
    assert np.argwhere(labels.voxels).min(axis=0).tolist() == [1, 128, 128]
    assert np.argwhere(labels.voxels).max(axis=0).tolist() == [1, 191, 191]


def test_what_was_asked_for_and_could_not_be_checked_exits_with_3(folder: Path) -> None:
    done = run("verify", folder / "marked.nrrd", "--leaves", folder / "marked.leaves")
    assert done.exit_code == 3
    assert "only the ledger can show" in " ".join(done.stdout.split())


def test_a_file_that_is_none_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path
) -> None:
    for option, file in (("--leaves", "doctor.json"), ("--record", "marked.leaves")):
        page = tmp_path / "page.html"
        done = run("verify", folder / "marked.nrrd", option, folder / file, "--html", page)
        assert done.exit_code == 1, done.output
        assert "Error: " in done.stderr
        assert not page.exists()
    done = run("verify", folder / "marked.nrrd", "--batch-path", folder / "doctor.json")
    assert done.exit_code == 2
    page.write_text("taken")
    assert run("verify", folder / "marked.nrrd", "--html", page).exit_code == 1
    assert run("verify", folder / "marked.nrrd", "--map", tmp_path / "map").exit_code == 1
    assert page.read_text() == "taken"
    assert list(tmp_path.iterdir()) == [page]


def test_a_map_for_which_nothing_tells_anything_is_not_written(
    folder: Path, tmp_path: Path
) -> None:
    done = run("verify", folder / "scan.nrrd", "--map", tmp_path / "map.nrrd", "--json")
    assert done.exit_code == 3
    assert facts_of(done)["map"] is None
    done = run("tamper-map", folder / "scan.nrrd", tmp_path / "map.nrrd", "--json")
    assert done.exit_code == 3
    assert facts_of(done)["read"] is False
    assert not list(tmp_path.iterdir())


def test_a_map_is_exact_with_leaves_and_an_estimate_without(folder: Path, tmp_path: Path) -> None:
    altered = folder / "altered.nrrd"
    exact, estimate, chance = (tmp_path / f"{name}.nrrd" for name in ("exact", "mark", "chance"))
    done = run("tamper-map", altered, exact, "--leaves", folder / "marked.leaves", "--json")
    assert done.exit_code == 0, done.output
    assert facts_of(done)["basis"] == "leaves"
    assert (read_volume(exact).voxels == 1).sum() == 64 * 64
    done = run("tamper-map", altered, estimate, "--json")
    assert facts_of(done)["basis"] == "mark"
    labels = read_volume(estimate)
    assert labels.voxels.dtype == np.uint8
    assert (labels.voxels[1, 145:175, 145:175] == 1).mean() > 0.8
    done = run("tamper-map", altered, chance, "--probability")
    assert done.exit_code == 0
    assert "how likely" in done.stdout
    likely = read_volume(chance).voxels
    assert likely.dtype == np.float32
    assert likely[1, 145:175, 145:175].mean() > 0.8
    assert likely.max() <= 1


def test_verifying_imports_no_ledger_and_no_templates_where_none_is_asked() -> None:
    """Both take long to load."""
    script = (
        "import sys; from MedWatermarkLib.verification import verify_file; "
        "sys.exit('web3' in sys.modules or 'jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
