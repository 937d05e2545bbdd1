"""The contracts' own tests and checks, run by the tools that contract authors use."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from toolchain import CONTRACTS, environment, run


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    environment()


def test_the_contracts_pass_their_tests_fuzzed_and_with_the_gas_that_is_noted() -> None:
    # The tests of gas write what they measured, or compare it when they are told to.
    tested = run("env", "FORGE_SNAPSHOT_CHECK=true", "forge", "test")
    assert tested.returncode == 0, tested.stdout[-8000:] + tested.stderr[-2000:]
    suites = len(list((CONTRACTS / "test").glob("*.t.sol")))
    ended = re.search(r"Ran (\d+) test suites .* 0 failed, 0 skipped", tested.stdout)
    assert ended is not None, tested.stdout[-2000:]
    assert int(ended[1]) >= suites


def test_every_branch_of_the_contracts_is_tested() -> None:
    # Few runs do: every branch is meant to be reached by a test of its own.
    covered = run("env", "FOUNDRY_FUZZ_RUNS=16", "FOUNDRY_INVARIANT_RUNS=4", "forge", "coverage")
    assert covered.returncode == 0, covered.stdout[-8000:] + covered.stderr[-2000:]
    rows = [line for line in covered.stdout.splitlines() if re.match(r"\|\s*src/", line)]
    assert len(rows) == len(list((CONTRACTS / "src").glob("*.sol")))
    for row in rows:
        name, lines, _, branches, functions = (cell.strip() for cell in row.strip("|").split("|"))
        for share in (lines, branches, functions):
            assert share.startswith("100.00%") or "(0/0)" in share, f"{name}: {row}"


def test_slither_finds_nothing_of_high_or_medium_impact(tmp_path: Path) -> None:
    report = tmp_path / "slither.json"
    checked = run(
        "slither", ".", "--filter-paths", "node_modules|test", "--json", os.fspath(report)
    )
    content = json.loads(report.read_text())
    assert content["success"], checked.stderr[-4000:]
    found = [
        f"{finding['check']}: {finding['description']}"
        for finding in content["results"].get("detectors", [])
        if finding["impact"] in ("High", "Medium")
    ]
    assert not found


def test_the_contracts_are_formatted() -> None:
    formatted = run("forge", "fmt", "--check")
    assert formatted.returncode == 0, formatted.stdout
