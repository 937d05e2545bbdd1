"""What the projections of a block say, and how far they move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedWatermarkLib.layout import LAYOUTS, STEPS_PER_OCTAVE, Layout, few_blocks
from MedWatermarkLib.sites import MESSAGE, PHASES, PILOT, PLAIN, ROLE_SHARE, TAG, Sites

WHERE = Sites(b"key")
BY, BX = (axis.ravel() for axis in np.mgrid[:64, :64])
WITHIN = (BY - 30) ** 2 + (BX - 33) ** 2 < 24**2
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.fine} fine")


@layouts
def test_all_projections_together_move_voxels_by_the_strength(layout: Layout) -> None:
    variance = layout.steps(1.5) ** 2 / 12
    shares = np.array([ROLE_SHARE[role] for role in (PILOT, TAG, MESSAGE, PLAIN)])
    assert np.sqrt(shares @ variance.sum(axis=1) / 64) == pytest.approx(1.5, rel=0.01)


@layouts
def test_pilots_of_all_layouts_have_steps_of_one_ladder(layout: Layout) -> None:
    octaves = np.log2(layout.steps(1.0)[PILOT, 0] / LAYOUTS[0].steps(1.0)[PILOT, 0])
    assert octaves * STEPS_PER_OCTAVE == pytest.approx(round(octaves * STEPS_PER_OCTAVE))


@given(
    layout=st.sampled_from(LAYOUTS),
    phase=st.integers(0, PHASES - 1),
    length=st.integers(300, 12_000),
    few=st.booleans(),
)
def test_each_projection_says_one_thing_and_all_say_something(
    layout: Layout, phase: int, length: int, few: bool
) -> None:
    says = {word: layout.places(WHERE, word, BY, BX, phase, length, few) for word in (TAG, MESSAGE)}
    assert all(places.max() < length for places in says.values())
    roles = WHERE.roles(BY, BX)
    there = (layout.steps(1.0) > 0)[roles]
    there[roles == PILOT, 0] = False
    assert np.array_equal((says[TAG] >= 0) ^ (says[MESSAGE] >= 0), there)
    assert ((says[TAG] >= 0)[:, 1:].any()) == (few and layout.fine > 0)


def test_in_a_slice_of_few_blocks_and_in_no_other_the_tags_blocks_say_it_with_all() -> None:
    counts = np.array([0, 599, 600, 4096])
    assert few_blocks(counts).tolist() == [True, True, False, False]
    assert few_blocks(counts, 1.1).tolist() == [True, True, True, False]


@pytest.mark.parametrize(("word", "length"), [(TAG, 512), (MESSAGE, 8058)])
def test_a_compact_region_meets_the_bits_of_a_code_word_about_equally(
    word: int, length: int
) -> None:
    places = Layout(3).places(WHERE, word, BY[WITHIN], BX[WITHIN], 0, length, False)
    counts = np.bincount(places[places >= 0], minlength=length)
    assert counts.max() - counts.min() <= 3


def test_what_a_small_slice_says_of_the_tag_differs_from_projection_to_projection() -> None:
    within = (BY - 30) ** 2 + (BX - 33) ** 2 < 9.8**2
    assert within.sum() == pytest.approx(300, abs=10)
    places = Layout(1).places(WHERE, TAG, BY[within], BX[within], 0, 512, True)
    said = places[places >= 0]
    assert len(np.unique(said)) > 0.9 * said.size


def test_phases_place_the_same_blocks_elsewhere() -> None:
    starts = [
        Layout(3).places(WHERE, MESSAGE, [0], [0], p, 8058, False)[0, 1] for p in range(PHASES)
    ]
    assert len(set(starts)) == PHASES
