"""How far symbols can be trusted is learned from those whose bits are known."""

from __future__ import annotations

import numpy as np
import pytest

from MedWatermarkLib.reliability import KINDS, kinds_of, reliability_of, stretches_of
from MedWatermarkLib.soft import deviation_of, log_ratios

DEPTH, BLOCKS = 6, 12_000


def symbols(noise: np.ndarray, unmarked: float = 0.0, seed: int = 0):
    """Symbols of two patterns on lattice points, with noise (slices, kinds, 2), in steps."""
    chance = np.random.default_rng(seed)
    slices, kinds = chance.integers(0, DEPTH, BLOCKS), chance.integers(0, KINDS, BLOCKS)
    signs = chance.choice([-1, 1], (BLOCKS, 2))
    points = signs * 0.25 + chance.integers(-3, 4, (BLOCKS, 2))
    phase = points + noise[slices, kinds] * chance.normal(size=(BLOCKS, 2))
    stray = chance.random(BLOCKS) < unmarked
    phase[stray] = chance.uniform(-4, 4, (stray.sum(), 2))
    return phase.astype(np.float32), signs.astype(np.float32), slices, kinds


def coherence(noise: np.ndarray) -> np.ndarray:
    return np.exp(-2 * (np.pi * noise) ** 2)


def test_noise_is_told_by_slice_by_range_and_by_pattern():
    noise = np.full((DEPTH, KINDS, 2), 0.1)
    noise[3] = 0.16
    noise[:, 7:, 1] = 0.25
    found = reliability_of(*symbols(noise), DEPTH)
    assert found.coherence.shape == (DEPTH, KINDS, 2)
    assert found.coherence[:3] == pytest.approx(coherence(noise)[:3], abs=0.1)
    assert found.coherence[3, :7].mean() == pytest.approx(coherence(noise)[3, 0, 0], abs=0.1)


def test_where_all_kinds_are_alike_chance_makes_no_difference():
    noise = np.full((DEPTH, KINDS, 2), 0.15)
    found = reliability_of(*symbols(noise), DEPTH)
    assert found.coherence == pytest.approx(coherence(noise), abs=0.06)


def test_a_few_symbols_of_a_kind_are_not_taken_at_their_word():
    noise = np.full((DEPTH, KINDS, 2), 0.15)
    phase, signs, slices, kinds = symbols(noise)
    few = np.r_[np.flatnonzero(kinds == 0)[:3], np.flatnonzero(kinds > 0)]
    phase[few[:3]] = -0.25 * signs[few[:3]]
    found = reliability_of(phase[few], signs[few], slices[few], kinds[few], DEPTH)
    assert found.coherence[:, 0] == pytest.approx(coherence(noise)[:, 0], abs=0.1)


def test_blocks_without_a_mark_are_told_from_noisy_ones():
    noise = np.full((DEPTH, KINDS, 2), 0.08)
    noise[:, :4] = 0.3
    assert reliability_of(*symbols(noise, 0.3), DEPTH).unmarked == pytest.approx(0.3, abs=0.06)
    assert reliability_of(*symbols(noise), DEPTH).unmarked < 0.1


def test_more_patterns_are_trusted_as_the_last_that_is_known():
    noise = np.full((DEPTH, KINDS, 2), 0.1)
    noise[..., 1] = 0.2
    wide = reliability_of(*symbols(noise), DEPTH).deviation(4, 2.0)
    assert wide.shape == (DEPTH, KINDS, 4)
    assert wide[..., 2:] == pytest.approx(wide[..., [1, 1]])
    assert wide[..., 1] == pytest.approx(noise[..., 1] / 2, rel=0.2)


def test_nothing_known_is_no_error():
    none = np.empty((0, 2), np.float32)
    found = reliability_of(none, none, np.empty(0, int), np.empty(0, int), DEPTH)
    assert np.isfinite(found.deviation(3)).all()


def test_a_lattice_that_a_filter_has_shrunk_is_found_where_it_was():
    noise = np.full((DEPTH, KINDS, 2), 0.08)
    phase, signs, _, kinds = symbols(noise)
    phase[kinds == 2, 1] *= 2**-0.25
    found = stretches_of(phase, signs, kinds)
    expected = np.ones((KINDS, 2))
    expected[2, 1] = 2**-0.25
    assert found == pytest.approx(expected)
    wrong = np.random.default_rng(1).permutation(signs)
    assert (stretches_of(phase, wrong, kinds) == 1).all()


def test_blocks_of_wider_range_are_of_a_later_kind():
    found = kinds_of(np.array([0.0, 10.0, 20.0, 40.0, 1e9]), 20.0)
    assert found[0] == 0
    assert found[-1] == KINDS - 1
    assert (np.diff(found) >= 0).all()
    assert found[3] - found[2] == 2  # Half an octave each.


def test_symbols_of_a_kind_that_is_lost_say_nothing():
    phase = np.array([[0.25, 0.75]], np.float32).repeat(2, axis=0)
    deviation = deviation_of(np.array([[0.9, 0.9], [0.0, 0.0]]), 0.0)
    sure, lost = log_ratios(phase, np.array([0, 1]), deviation, 0.03)
    assert sure[0] > 2
    assert sure[1] < -2
    assert np.abs(lost).max() < 0.01
