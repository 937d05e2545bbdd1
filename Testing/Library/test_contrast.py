"""A mark reads from a scan whose contrast was changed otherwise than by gain and offset."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attacks import windowed
from phantoms import anatomy

from MedWatermarkLib.contrast import even_contrast
from MedWatermarkLib.sites import sites
from MedWatermarkLib.tables import reading_facts, reading_rows
from MedWatermarkLib.tamper import TamperError, map_from_mark
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:A SHORT MESSAGE FOR SOME SLICES."


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return anatomy(2)


@pytest.fixture(scope="module")
def marked(original: np.ndarray) -> np.ndarray:
    return embed(original, MESSAGE).voxels


def equalised(voxels: np.ndarray) -> np.ndarray:
    """A view of 8 bits in which, slice by slice, all grey values are as frequent."""
    pictures = windowed(voxels, 40, 400)
    shares = [np.cumsum(np.bincount(one.ravel(), minlength=256)) / one.size for one in pictures]
    evened = [np.rint(255 * s[one]) for s, one in zip(shares, pictures, strict=True)]
    return np.stack(evened).astype(np.uint8)


def with_gamma(exponent: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(voxels: np.ndarray) -> np.ndarray:
        return np.rint(255 * (windowed(voxels, 40, 400) / 255) ** exponent).astype(np.uint8)

    return change


@pytest.mark.parametrize("change", [equalised, with_gamma(2.5)], ids=["equalised", "gamma"])
def test_the_message_reads_after_a_change_of_contrast_which_is_told(
    marked: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    copy = change(marked)
    extracted = extract(copy)
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    assert extracted.undone.nonlinear
    assert extracted.undone.gain is None
    assert "another contrast" in dict(reading_rows(extracted))["Was"]
    assert reading_facts(extracted)["undone"]["nonlinear"]
    with pytest.raises(TamperError, match="another contrast"):
        map_from_mark(Volume(copy), extracted=extracted)


def test_of_a_change_that_is_linear_no_other_is_told(marked: np.ndarray) -> None:
    for copy in (marked, windowed(marked, 40, 400), marked * np.float32(0.7)):
        undone = extract(copy).undone
        assert undone is None or not undone.nonlinear


def test_nothing_is_read_from_a_changed_scan_without_a_mark_or_with_another_key(
    original: np.ndarray, marked: np.ndarray
) -> None:
    for copy, key in ((original, b""), (marked, b"another")):
        small = equalised(copy)[:1, 100:228, 100:228]
        extracted = extract(small, key=key)
        assert (extracted.message, extracted.tag, extracted.undone) == (None, None, None)


def test_evening_leaves_grey_values_in_their_order(marked: np.ndarray) -> None:
    copy = equalised(marked)
    for before, after in zip(copy, even_contrast(copy, sites(b"")), strict=True):
        steps = np.array([after[before == grey].mean() for grey in np.unique(before)])
        assert np.all(np.diff(steps) > 0)
        assert np.ptp(after[before == before[200, 180]]) == 0
