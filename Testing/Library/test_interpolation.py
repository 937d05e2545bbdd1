"""The blur of linear interpolation is taken out of a copy that is laid straight."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attacks import scaled, turned
from phantoms import head

from MedWatermarkLib.climb import turn
from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.interpolation import undo_linear

SIZE = np.array([160, 144])


def about_the_middle(matrix: np.ndarray, copy: np.ndarray) -> Geometry:
    middle = (np.array(copy.shape[1:]) - 1) / 2
    return Geometry(matrix, middle - matrix @ ((SIZE - 1) / 2))


@pytest.mark.parametrize(
    ("attack", "matrix"),
    [
        (lambda v: turned(v, 17), turn(np.radians(17))),
        (lambda v: scaled(v, 1.25), np.diag([199 / 159, 179 / 143])),
    ],
    ids=["turned", "larger"],
)
def test_voxels_come_back_nearer_to_what_they_were(
    attack: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray
) -> None:
    voxels = head(2, *SIZE).astype(np.int16)
    copy = attack(voxels)
    geometry = about_the_middle(matrix, copy)
    straight, first = geometry.straighten(copy)
    undone = undo_linear(copy, geometry, straight, first)

    def error(found: np.ndarray) -> float:
        top, left = (-8 * n for n in first)
        inside = found[:, top : top + SIZE[0], left : left + SIZE[1]] - voxels
        return float(np.sqrt(np.mean(inside[:, 30:-30, 30:-30] ** 2)))

    assert error(undone) < 0.5 * error(straight)


def test_what_was_clipped_stays_at_the_ends() -> None:
    voxels = np.clip(head(1, *SIZE), 0, 60).astype(np.int16)
    copy = turned(voxels, 5)
    geometry = about_the_middle(turn(np.radians(5)), copy)
    straight, first = geometry.straighten(copy)
    undone = undo_linear(copy, geometry, straight, first)
    assert undone.min() == copy.min()
    assert undone.max() == copy.max()


def test_an_even_slice_stays_even() -> None:
    copy = np.full((1, 40, 40), 7, np.int16)
    geometry = Geometry(turn(0.1), np.zeros(2))
    straight, first = geometry.straighten(copy)
    assert np.allclose(undo_linear(copy, geometry, straight, first), 7)
