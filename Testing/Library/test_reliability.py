"""How far symbols can be trusted is learned from known bits, and from the others."""

from __future__ import annotations

import numpy as np
import pytest

from MedWatermarkLib.reliability import KINDS, fine_of, kinds_of, reliability_of, stretches_of
from MedWatermarkLib.soft import log_ratios, spread_of

DEPTH, BLOCKS = 6, 12_000
EVEN = np.full((DEPTH, KINDS), 0.1)


def symbols(noise: np.ndarray, unmarked: float = 0.0, count: int = BLOCKS):
    """Symbols on lattice points, with noise (slices, kinds), in steps."""
    chance = np.random.default_rng(0)
    slices, kinds = chance.integers(0, DEPTH, count), chance.integers(0, KINDS, count)
    signs = chance.choice([-1, 1], count)
    phase = signs * 0.25 + chance.integers(-2, 3, count)
    phase = phase + noise[slices, kinds] * chance.normal(size=count)
    stray = chance.random(count) < unmarked
    phase[stray] = chance.uniform(-3, 3, stray.sum())
    return phase.astype(np.float32), signs.astype(np.float32), slices, kinds


def test_noise_is_told_by_slice_and_by_range() -> None:
    noise = EVEN.copy()
    noise[3] *= 1.7
    noise[:, 7:] *= 2
    found = reliability_of(*symbols(noise), DEPTH).deviation
    assert found == pytest.approx(noise, rel=0.3)


def test_symbols_of_unknown_bits_tell_of_the_noise_too() -> None:
    noise = np.full((DEPTH, KINDS), 0.05) * 1.12 ** np.arange(KINDS)
    phase, signs, slices, kinds = symbols(noise, count=3000)
    signs[60:] = 0
    found = reliability_of(phase, signs, slices, kinds, DEPTH).deviation
    assert found == pytest.approx(noise, rel=0.45)


def test_a_few_symbols_of_a_kind_are_not_taken_at_their_word() -> None:
    phase, signs, slices, kinds = symbols(EVEN)
    few = np.r_[np.flatnonzero(kinds == 0)[:2], np.flatnonzero(kinds > 0)]
    phase[few[:2]] = -0.25 * signs[few[:2]]
    found = reliability_of(phase[few], signs[few], slices[few], kinds[few], DEPTH).deviation
    assert (found[:, 0] < 0.35).all()


def test_blocks_without_a_mark_are_told_from_noisy_ones() -> None:
    noise = np.full((DEPTH, KINDS), 0.08)
    noise[:, 7:] = 0.3
    assert reliability_of(*symbols(noise, 0.3), DEPTH).unmarked == pytest.approx(0.3, abs=0.11)
    assert reliability_of(*symbols(noise), DEPTH).unmarked < 0.1


def test_nothing_known_is_no_error() -> None:
    none = np.empty(0, np.float32)
    found = reliability_of(none, none, np.empty(0, int), np.empty(0, int), DEPTH)
    assert found.deviation.shape == (DEPTH, KINDS)
    assert np.isfinite(found.deviation).all()


def test_a_lattice_that_a_filter_has_shrunk_is_found_where_it_was() -> None:
    phase, signs, _, kinds = symbols(EVEN)
    phase[kinds == 2] *= 2**-0.25
    noise, spread = np.full(BLOCKS, 0.1), np.full(BLOCKS, np.inf)
    expected = np.ones(KINDS)
    expected[2] = 2**-0.25
    assert stretches_of(phase, signs, kinds, noise, spread) == pytest.approx(expected)
    wrong = np.random.default_rng(1).permutation(signs)
    assert (stretches_of(phase, wrong, kinds, 20 * noise, spread) == 1).all()


def test_fine_symbols_show_their_lattice_and_their_noise_though_no_bit_is_known() -> None:
    noise = EVEN.copy()
    noise[:, 5] = 0.15
    phase, _, _, kinds = symbols(noise)
    phase[kinds == 2] *= 2**-0.25
    stretches, noisier = fine_of(phase[:, None], np.full((BLOCKS, 1), 0.1), kinds, 0.0)
    expected = np.ones((KINDS, 1))
    expected[2] = 2**-0.25
    assert stretches == pytest.approx(expected)
    assert noisier[5, 0] == pytest.approx(1.5, rel=0.15)
    assert np.delete(noisier, [2, 5], axis=0) == pytest.approx(np.ones((KINDS - 2, 1)), abs=0.1)


def test_blocks_of_wider_range_are_of_a_later_kind() -> None:
    found = kinds_of(np.array([0.0, 10.0, 20.0, 40.0, 1e9]), 20.0)
    assert found[0] == 0
    assert found[-1] == KINDS - 1
    assert (np.diff(found) >= 0).all()
    assert found[3] - found[2] == 2  # Half an octave each.


def test_symbols_of_a_kind_that_is_lost_say_nothing() -> None:
    phase = np.array([[0.25, 0.75]], np.float32).repeat(2, axis=0)
    deviation = np.array([[0.06, 0.06], [1.0, 1.0]])
    spread = np.full((2, 2), np.inf)
    sure, lost = log_ratios(phase, np.array([0, 1]), deviation, spread, 0.03)
    assert sure[0] > 2
    assert sure[1] < -2
    assert np.abs(lost).max() < 0.01


def test_where_nothing_was_a_step_away_noise_is_not_taken_for_another_lattice_point() -> None:
    phase = np.array([[0.6]], np.float32)
    noise, kinds = np.array([[0.25]]), np.array([0])
    flat = log_ratios(phase, kinds, noise, np.array([[0.1]]), 0.03)[0, 0]
    rough = log_ratios(phase, kinds, noise, np.array([[np.inf]]), 0.03)[0, 0]
    assert rough < 0 < flat


def test_how_far_projections_were_spread_shows_through_the_mark_and_the_noise() -> None:
    chance = np.random.default_rng(0)
    host = np.r_[chance.normal(0, 0.4, 20_000), chance.normal(0, 2.0, 20_000)]
    marked = host + chance.uniform(-0.5, 0.5, host.shape) + chance.normal(0, 0.2, host.shape)
    kinds = np.repeat([0, 1], 20_000)
    found = spread_of(marked.astype(np.float32), kinds, 3, np.full(40_000, 0.2))
    assert found[:2] == pytest.approx([0.4, 2.0], rel=0.1)
    assert found[2] == np.inf
