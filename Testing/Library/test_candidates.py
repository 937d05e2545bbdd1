"""Candidate geometries keep the middle where it is, or what lies in the window."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import head

from MedWatermarkLib.blocks import working_copy
from MedWatermarkLib.candidates import ANGLE, SCALE, Seen, centred, turns_of
from MedWatermarkLib.sites import sites
from MedWatermarkLib.suspect import Suspect


@pytest.fixture(scope="module")
def copy() -> Suspect:
    found = Suspect.of(working_copy(head(1, 256, 256).astype(np.int16)), sites(b""), {1: 104.0})
    assert found is not None
    return found


def at(pose: np.ndarray, place: np.ndarray) -> np.ndarray:
    return pose[:4].reshape(2, 2) @ place + pose[4:]


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.25, 2.0])
def test_of_another_size_the_outermost_voxels_keep_their_edges_or_their_centres(
    copy: Suspect, scale: float
) -> None:
    turns = turns_of(copy, np.zeros(1), np.array([scale]), mirrored=False)
    edges, centres = centred(copy, turns, 1).maps
    assert at(edges, np.full(2, -0.5)) == pytest.approx(-0.5)
    assert at(centres, np.zeros(2)) == pytest.approx(0, abs=1e-9)


def test_a_picture_that_was_turned_kept_its_size_or_grew_with_that(copy: Suspect) -> None:
    turns = turns_of(copy, np.radians([17.0]), np.ones(1), mirrored=False)
    same, grown = centred(copy, turns, 1).maps
    assert at(same, copy.middle) == pytest.approx(copy.middle)
    before = 256 / (np.cos(np.radians(17)) + np.sin(np.radians(17)))
    assert at(grown, np.full(2, (before - 1) / 2)) == pytest.approx(copy.middle)


def test_what_is_beside_a_candidate_leaves_the_window_where_it_lies(copy: Suspect) -> None:
    some = centred(copy, turns_of(copy, np.radians([0, 3.0]), np.ones(1), mirrored=True), 1)
    scores = np.zeros((len(some.turns), 5))
    scores[:, 0] = np.arange(len(scores))
    scores[:, 1:3] = 0.5, -0.5
    beside = Seen(some.turns, some.maps, some.centres, 1, scores).beside_best(2, 0.01)
    assert beside.beside == 5
    for i, one in enumerate(beside.maps):
        best = len(scores) - 1 - i // 5
        place = at(some.maps[best], some.centres[best] + (0.5, -0.5))
        assert at(one, beside.centres[i]) == pytest.approx(place)


@pytest.mark.parametrize("column", [ANGLE, SCALE])
def test_a_line_differs_in_angle_or_scale_and_has_none_of_the_other(
    copy: Suspect, column: int
) -> None:
    some = centred(copy, np.array([[0.2, 0.3, 1.0, 0.0]]), 1)
    lines = Seen(some.turns, some.maps, some.centres, 1, np.ones((1, 5))).lines(3, column, 0.1, 2)
    assert lines[:, column] == pytest.approx(some.turns[0, column] + 0.1 * np.arange(-2, 3))
    assert not lines[:, ANGLE + SCALE - column].any()
    assert some.turns[0, :2] == pytest.approx([0.2, 0.3])
