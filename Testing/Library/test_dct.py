"""The kernels do what the transform's definition says, and take back what they did."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.change import Change
from MedWatermarkLib.dct import PATTERN_BITS, PATTERNS, RINGS, STEP_BITS, basis, patterns


def test_the_basis_is_that_of_the_orthonormal_dct() -> None:
    for u, v in ((0, 1), (2, 1), (5, 5), (7, 0)):
        coefficients = scipy.fft.dctn(basis(u, v).reshape(8, 8), norm="ortho")
        expected = np.zeros((8, 8))
        expected[u, v] = 1
        assert np.allclose(coefficients, expected)


@pytest.mark.parametrize("seed", range(4))
def test_patterns_are_orthonormal_and_without_a_mean(seed: int) -> None:
    signs = np.random.default_rng(seed).choice([-1, 1], PATTERNS)
    rows = patterns(signs)
    assert np.allclose(rows @ rows.T, np.eye(PATTERNS))
    assert np.allclose(rows.sum(axis=1), 0)


def test_the_first_patterns_take_one_ring_each() -> None:
    for row, ring in zip(patterns(np.ones(PATTERNS)), RINGS, strict=False):
        inside = sum(float(row @ basis(u, v)) ** 2 for u, v in ring)
        assert inside == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.float64])
def test_projections_extremes_and_noise_are_those_of_each_block(dtype: type) -> None:
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, 4000, (2, 29, 36)).astype(dtype)
    rows = patterns(np.ones(PATTERNS))
    blocks = Blocks(voxels, top=3, left=2)
    projections = blocks.projections(rows)
    assert projections.shape == (2, 3, 4, PATTERNS)
    for z, by, bx in np.ndindex(2, 3, 4):
        block = voxels[z, 3 + 8 * by : 11 + 8 * by, 2 + 8 * bx : 10 + 8 * bx].astype(float)
        assert np.allclose(projections[z, by, bx], rows @ block.ravel(), atol=0.05)
        assert blocks.low[z, by, bx] == block.min()
        assert blocks.high[z, by, bx] == block.max()
    everywhere = np.ones(blocks.low.shape, bool)
    quiet = Blocks(rng.normal(0, 7, (1, 512, 512)))
    assert quiet.noise(np.ones(quiet.low.shape, bool)) == pytest.approx(7, rel=0.05)
    assert blocks.span(everywhere) <= 4000


def test_blocks_that_are_not_finite_have_no_extremes() -> None:
    voxels = np.random.default_rng(0).normal(0, 1, (1, 24, 24)).astype(np.float32)
    voxels[0, 3, 3], voxels[0, 8, 8], voxels[0, 20, 4] = np.nan, np.inf, -np.inf
    low = Blocks(voxels).low[0]
    assert np.array_equal(np.isnan(low), np.eye(3, dtype=bool) & [1, 1, 0] | low_at(2, 0))


def low_at(by: int, bx: int) -> np.ndarray:
    where = np.zeros((3, 3), bool)
    where[by, bx] = True
    return where


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, np.float64])
def test_a_change_moves_projections_by_its_levels_and_is_taken_back(dtype: type) -> None:
    rng = np.random.default_rng(2)
    original = rng.integers(1000, 2000, (3, 32, 32)).astype(dtype)
    rows = patterns(np.ones(PATTERNS))
    levels = rng.choice(np.arange(-7, 8, 2), (48, 2)).astype(np.int8)
    steps = np.array([24.0, 9.0])
    change = Change(
        mask=np.ones((3, 4, 4), bool),
        steps=np.tile(np.rint(steps * 2**STEP_BITS).astype(np.int64), (4, 4, 1)),
        rows=np.rint(rows[:2] * 2**PATTERN_BITS).astype(np.int64),
        levels=levels,
        quantum=1.0,
    )
    voxels = original.copy()
    effects = change.apply(voxels, 1)
    moved = Blocks(voxels).projections(rows) - Blocks(original).projections(rows)
    # Each voxel is rounded to a whole number: a deviation of 0.29 a projection.
    assert np.abs(moved.reshape(48, -1)[:, :2] - levels * steps).max() < 1.5
    difference = voxels.astype(float) - original
    assert effects[:, 0].sum() == (difference**2).sum()
    assert effects[:, 1].max() == np.abs(difference).max()
    assert effects[:, 2].min() == voxels.min()
    assert effects[:, 3].max() == voxels.max()
    change.apply(voxels, -1)
    assert np.array_equal(voxels, original)
