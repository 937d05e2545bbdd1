"""Salt and pepper is taken out before a mark is read."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import anatomy

from MedWatermarkLib.blocks import Blocks
from MedWatermarkLib.impulses import without_impulses
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:A MESSAGE THAT IS LONG ENOUGH TO NEED MOST OF THE ROOM OF A SLICE " * 2


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    return embed(anatomy(1), MESSAGE).voxels


@pytest.mark.parametrize("percent", [2, 6])
def test_a_slice_gives_its_message_after_salt_and_pepper(
    marked: np.ndarray, percent: float
) -> None:
    chance = np.random.default_rng(4).random(marked.shape)
    copy = np.where(chance < percent / 200, marked.min(), marked)
    copy = np.where(chance > 1 - percent / 200, marked.max(), copy)
    assert extract(copy).message == MESSAGE
    repaired = without_impulses(copy)
    assert repaired is not None
    body = Blocks(marked).body().repeat(8, axis=1).repeat(8, axis=2)
    away = np.abs(repaired.astype(float) - marked)[body]
    assert np.mean(away > 100) < 0.001


def test_a_scan_without_impulses_is_left_as_it_is(marked: np.ndarray) -> None:
    assert without_impulses(marked) is None
    assert without_impulses(np.zeros((1, 16, 16), np.int16)) is None
    clipped = np.clip(marked, -15, 85)
    repaired = without_impulses(clipped)
    assert repaired is None or np.mean(repaired != clipped) < 0.001
