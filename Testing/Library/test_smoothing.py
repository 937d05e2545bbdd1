"""What filters took from a mark is had again, and it is told which filter it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import anatomy
from scipy import ndimage

from MedWatermarkLib.sites import sites
from MedWatermarkLib.smoothing import Smoothing, find_smoothing
from MedWatermarkLib.tables import reading_facts
from MedWatermarkLib.tamper import TamperError, map_from_mark
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:A MESSAGE THAT IS LONG ENOUGH TO NEED MOST OF THE ROOM OF A SLICE " * 2


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return anatomy(1)


@pytest.fixture(scope="module")
def marked(original: np.ndarray) -> np.ndarray:
    return embed(original, MESSAGE).voxels


def filtered(voxels: np.ndarray, amount: float, radius: float) -> np.ndarray:
    values = voxels.astype(np.float64)
    passed = ndimage.gaussian_filter(values, (0, radius, radius), mode="reflect")
    return np.rint(values + amount * (values - passed)).astype(np.int16)


@pytest.mark.parametrize(
    ("amount", "radius", "words"),
    [(-1, 1, "smoothed"), (-1, 1.2, "smoothed"), (2, 1, "sharpened"), (1, 2, "sharpened")],
)
def test_a_slice_gives_its_message_after_a_filter_which_is_told(
    marked: np.ndarray, amount: float, radius: float, words: str
) -> None:
    extracted = extract(filtered(marked, amount, radius))
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    found = extracted.undone.smoothing
    assert found is not None
    responses = [one.response((64, 64))[:16, :16] for one in (found, Smoothing(amount, radius))]
    assert np.abs(responses[0] - responses[1]).max() < 0.12
    assert str(extracted.undone).startswith(words)
    assert extracted.undone.gain is None
    assert reading_facts(extracted)["undone"]["smoothing"]["amount"] == found.amount


def test_where_a_filtered_scan_was_altered_is_not_told(marked: np.ndarray) -> None:
    with pytest.raises(TamperError, match="smoothed"):
        map_from_mark(Volume(filtered(marked, -1, 1)))


def test_no_filter_is_told_of_what_had_none(marked: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(0, 3, marked.shape)
    assert find_smoothing(marked, sites(b"")) is None
    for copy in (marked, marked + noise):
        undone = extract(copy).undone
        assert undone is None or undone.smoothing is None


def test_nothing_is_read_from_a_filtered_scan_without_a_mark(original: np.ndarray) -> None:
    extracted = extract(filtered(original[:, 100:228, 100:228], -1, 1))
    assert (extracted.message, extracted.tag, extracted.undone) == (None, None, None)


@settings(max_examples=30, deadline=None)
@given(amount=st.just(-1.0) | st.floats(0.1, 4), radius=st.floats(0.6, 1.2), seed=st.integers(0, 9))
def test_what_was_filtered_is_taken_back(amount: float, radius: float, seed: int) -> None:
    even = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(0, 500, (1, 64, 48)), (0, 2, 2)
    )
    values = even + amount * (even - ndimage.gaussian_filter(even, (0, radius, radius)))
    back = Smoothing(amount, radius).taken_back(values)
    assert np.abs(back - even).max() < 0.03 * np.abs(even).max()
