"""A reader says by what grey values were multiplied since they were marked, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attacks import jpeg, jpeg2000, noisy, windowed
from hypothesis import assume, given
from hypothesis import strategies as st
from phantoms import anatomy
from scipy import ndimage

from MedWatermarkLib.gain import gain_of
from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.sites import PILOT
from MedWatermarkLib.strength import rung
from MedWatermarkLib.tables import reading_facts, reading_rows
from MedWatermarkLib.tag import Tag
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:A SHORT MESSAGE FOR SOME SLICES."


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    return embed(anatomy(4), MESSAGE).voxels


@pytest.mark.parametrize("gain", [0.9, 1.1, 0.957, 3.0, 1 / 64])
def test_a_gain_is_told(marked: np.ndarray, gain: float) -> None:
    extracted = extract(marked * gain + 12.5)
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    assert extracted.undone.gain == pytest.approx(gain, rel=0.004)
    assert extracted.undone.offset is None
    assert not extracted.undone.bent


def test_a_gain_of_whole_numbers_is_told_in_words(marked: np.ndarray) -> None:
    extracted = extract(np.rint(marked * 0.9).astype(np.int16))
    assert reading_facts(extracted)["undone"]["gain"] == pytest.approx(0.9, rel=0.004)
    words = dict(reading_rows(extracted))["Was"]
    assert words == "given grey values 0.9 times what they were; undone to read it"


@pytest.mark.parametrize(("level", "width"), [(40, 160), (40, 400), (250, 1500)])
def test_what_a_display_window_did_is_told_within_a_percent(
    marked: np.ndarray, level: int, width: int
) -> None:
    undone = extract(windowed(marked, level, width)).undone
    assert undone is not None
    assert undone.gain == pytest.approx(255 / width, rel=0.01)


def test_a_scan_that_was_brought_to_numbers_from_0_to_1_is_known_by_its_range(
    marked: np.ndarray,
) -> None:
    for low, high in ((-1000, 1000), (-1024, 3071)):
        scaled = (np.clip(marked.astype(np.float32), low, high) - low) / (high - low)
        undone = extract(scaled).undone
        assert undone is not None
        assert undone.gain == pytest.approx(1 / (high - low), rel=0.004)


def test_cuts_and_means_are_told_beside_a_gain(marked: np.ndarray) -> None:
    undone = extract(marked[:, 21:, 13:] * np.float32(1.2)).undone
    assert undone is not None
    assert undone.origin == (21, 13)
    assert undone.gain == pytest.approx(1.2, rel=0.004)
    means = (marked[1:].astype(np.float32) + marked[:-1]) / 2
    plain, scaled = extract(means).undone, extract(means * np.float32(1.2)).undone
    assert plain is not None
    assert scaled is not None
    assert plain.averaged == scaled.averaged == 2
    assert plain.gain is None
    assert scaled.gain == pytest.approx(1.2, rel=0.004)


@pytest.mark.parametrize(
    "attack",
    [
        lambda v: v,
        lambda v: v + 100,
        lambda v: noisy(v, 3),
        lambda v: jpeg2000(v, 8),
        lambda v: ndimage.gaussian_filter(v, (0, 0.5, 0.5)),
        lambda v: ndimage.gaussian_filter(v, (0, 1, 1)),
        lambda v: ndimage.gaussian_filter(v, (0, 1.5, 1.5)),
        lambda v: ndimage.median_filter(v, (1, 3, 3)),
        lambda v: v + 0.5 * (v - ndimage.gaussian_filter(v, (0, 1, 1))),
    ],
    ids=[
        "nothing",
        "offset",
        "noise",
        "JPEG 2000",
        "blur 0.5",
        "blur 1",
        "blur 1.5",
        "median",
        "sharpening",
    ],
)
def test_no_gain_is_told_of_what_had_none(
    marked: np.ndarray, attack: Callable[[np.ndarray], np.ndarray]
) -> None:
    extracted = extract(attack(marked.astype(np.float32)))
    assert extracted.tag is not None
    assert extracted.undone is None


def test_a_gain_is_told_of_a_turned_copy(marked: np.ndarray) -> None:
    turned = ndimage.rotate(marked.astype(np.float32), 5, axes=(1, 2), reshape=False, order=1)
    undone = extract(jpeg(turned, 40, 160, 95)).undone
    assert undone is not None
    assert undone.gain == pytest.approx(255 / 160, rel=0.05)
    assert undone.angle == pytest.approx(5, abs=0.1)


@given(
    number=st.integers(-400, 400),
    octaves=st.floats(-7.9, 7.9),
    density=st.integers(0, len(LAYOUTS) - 1),
)
def test_whatever_the_rung_the_tag_and_the_step_tell_the_gain(
    number: int, octaves: float, density: int
) -> None:
    gain = 2.0**octaves
    assume(abs(abs(gain - 1) - 0.005) > 1e-6)
    tag = Tag(bytes(8), 0, 1, density, rung=number % 256)
    arrived = LAYOUTS[tag.density].steps(rung(number))[PILOT, 0] * gain
    told = gain_of(arrived, 0.005, tag, 2000 * gain)
    assert told == (pytest.approx(gain) if abs(gain - 1) > 0.005 else None)
