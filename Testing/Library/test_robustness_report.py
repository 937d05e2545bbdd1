"""What the benchmark of robustness says of its measurements."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from phantoms import head

sys.path.append(str(Path(__file__).parents[1] / "Benchmarks"))
from bars import bars
from families import ATTACKS
from robustness_report import OURS, Count, as_strong_as, verdict, write_report

NEEDS_BENCH = "JPEG-LS, near"
PEER = "a peer"


def line(attack: str, scope: str, tag: int, message: int, trials: int) -> dict:
    return {
        "subject": OURS,
        "key": 0,
        "attack": attack,
        "scope": scope,
        "trials": trials,
        "tag": tag,
        "message": message,
        "wrong": 0,
    }


def test_each_attack_has_a_name_of_its_own_and_each_bar_names_one() -> None:
    labels = [attack.label for attack in ATTACKS]
    assert len(set(labels)) == len(labels)
    assert {bar.attack for bar in bars()} <= set(labels)


@pytest.mark.parametrize(
    "attack", [one for one in ATTACKS if one.family != NEEDS_BENCH], ids=lambda one: one.label
)
def test_an_attack_makes_a_scan_of_a_scan(attack) -> None:
    original = head(12, 96, 80).astype(np.int16)
    copy = attack(original, 1)
    assert copy.ndim == 3
    assert copy.dtype in (np.int16, np.uint8)
    assert attack.whole or len(copy) == len(original)
    assert np.array_equal(copy, attack(original, 1))
    assert attack.label == "none" or not np.array_equal(copy, original)


def test_intervals_are_wilsons() -> None:
    assert Count(0, 10).interval() == pytest.approx((0, 0.2775), abs=1e-3)
    assert Count(8, 10).interval() == pytest.approx((0.4902, 0.9433), abs=1e-3)


def test_a_row_that_is_lost_to_a_peer_is_named() -> None:
    assert verdict([(0.9, 0.75), (0.9, 0.25)]) == "fewer lost"
    assert verdict([(0.5, 0.5), (0.9, 0.25)]) == "as many lost"
    assert verdict([(0.5, 0.75), (0.9, 0.25)]) == "**more lost**"


def test_the_report_tells_bars_that_were_missed_and_forgives_peers_a_tenth(tmp_path: Path) -> None:
    measured = [
        line("none", "slice", 4, 3, 4),
        line("JPEG 50", "slice", 2, 0, 4),
        line("JPEG 50", "volume", 1, 0, 1),
        line("JPEG 50", "slice", 4, 0, 4) | {"subject": as_strong_as(PEER)},
        {"subject": PEER, "key": 0, "attack": "JPEG 50", "scope": "slice", "trials": 4,
         "errors": [0, 12, 13, 64]},
    ]  # fmt: skip
    views = {OURS: [53.0], PEER: [40.0], as_strong_as(PEER): [40.5]}
    facts = {
        "series": "x", "slices": [[1]], "roomy_slices": 1, "keys": 1, "psnr_of_view": views
    }  # fmt: skip
    write_report(tmp_path, measured, facts, ATTACKS)
    text = (tmp_path / "robustness.md").read_text()
    assert "| tag, slice | none | 100% | 100% (4 of 4) | reached |" in text
    assert "| message, slice | none | 100% | 75% (3 of 4) | **missed** |" in text
    assert "| tag, slice | JPEG 50 | 40% | 50% (2 of 4) | reached |" in text
    assert "| message, volume | JPEG 50 | 100% | 0% (0 of 1) | **missed** |" in text
    assert "| JPEG 50 | 50% | 50% (75%, BER 17.4%) | 0% | fewer lost |" in text
    assert "| noise 5 HU | 95% | not run | |" in text
    rows = json.loads((tmp_path / "robustness.json").read_text())["rows"]
    exact = [row for row in rows if row["subject"] == PEER and row["what"] == "exact"]
    assert [(row["read"], row["trials"]) for row in exact] == [(1, 4)]
    assert (tmp_path / "JPEG-quality.png").stat().st_size > 1000
