"""A copy that was turned, mirrored or scaled is laid straight, read, and says what was undone."""

from __future__ import annotations

import numpy as np
import pytest
from attacks import noisy, scaled, turned
from phantoms import head

from MedWatermarkLib.geometry import Geometry
from MedWatermarkLib.tamper import TamperError, map_from_mark
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import Extracted, embed, extract

MESSAGE = b"MW:29 BYTES FOR SMALL SLICES."


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return head(8, 256, 256).astype(np.int16)


@pytest.fixture(scope="module")
def marked(volume: np.ndarray) -> np.ndarray:
    return embed(volume, MESSAGE).voxels


def is_read(extracted: Extracted) -> bool:
    return extracted.message == MESSAGE and extracted.tag is not None


@pytest.mark.parametrize(
    ("degrees", "grows"), [(3.0, True), (-5.0, False), (17.0, True), (133.0, False)]
)
def test_a_volume_turned_by_any_angle_reads_and_says_by_which(
    marked: np.ndarray, degrees: float, grows: bool
) -> None:
    extracted = extract(turned(marked, degrees, grows))
    assert is_read(extracted)
    assert extracted.undone is not None
    assert extracted.undone.angle == pytest.approx(degrees, abs=0.1)
    assert extracted.undone.scale == pytest.approx(1, abs=0.003)
    assert sum(one.tag for one in extracted.slices) >= 6
    assert not extracted.undone.mirrored
    assert extracted.undone.gain is None
    assert extracted.undone.order is None


@pytest.mark.parametrize("factor", [0.7, 1.37, 2.0])
def test_a_volume_kept_at_another_size_reads_and_says_at_which(
    marked: np.ndarray, factor: float
) -> None:
    extracted = extract(scaled(marked, factor))
    assert is_read(extracted)
    assert extracted.undone is not None
    assert extracted.undone.scale == pytest.approx(factor, rel=0.005)
    assert extracted.undone.angle == pytest.approx(0, abs=0.1)


def test_a_volume_both_turned_and_scaled_reads(marked: np.ndarray) -> None:
    extracted = extract(scaled(turned(marked, 5), 0.8))
    assert is_read(extracted)
    assert extracted.undone is not None
    assert extracted.undone.angle == pytest.approx(5, abs=0.1)
    assert extracted.undone.scale == pytest.approx(0.8, rel=0.005)


def test_a_turned_volume_reads_under_noise(marked: np.ndarray) -> None:
    assert is_read(extract(noisy(turned(marked, 5), 4)))


@pytest.mark.parametrize("quarters", [1, 2])
@pytest.mark.parametrize("mirrored", [False, True])
def test_mirrors_and_right_angles_cost_nothing(
    marked: np.ndarray, quarters: int, mirrored: bool
) -> None:
    copy = marked[..., ::-1] if mirrored else marked
    copy = np.rot90(copy, quarters, (1, 2))
    extracted = extract(copy)
    assert is_read(extracted)
    assert extracted.undone is not None
    assert extracted.undone.geometry.is_exact
    straight, _ = extracted.undone.geometry.straighten(np.ascontiguousarray(copy))
    assert np.array_equal(straight, marked)
    assert all(one.tag for one in extracted.slices)


def test_a_slice_alone_gives_its_tag_after_it_was_turned() -> None:
    copy = embed(head(1, 512, 512).astype(np.int16), MESSAGE).voxels
    extracted = extract(turned(copy, 5, grows=False))
    assert extracted.tag is not None
    assert extracted.undone is not None
    assert extracted.undone.angle == pytest.approx(5, abs=0.1)


def test_nothing_is_read_of_a_turned_volume_without_a_mark(volume: np.ndarray) -> None:
    extracted = extract(turned(volume[:2], 5))
    assert extracted.message is None
    assert extracted.tag is None
    assert extracted.undone is None


def test_a_cut_volume_says_where_it_begins(marked: np.ndarray) -> None:
    undone = extract(marked[:, 21:, 13:240]).undone
    assert undone is not None
    assert undone.origin == (21, 13)
    assert not undone.bent
    assert undone.gain is None


def test_a_volume_that_was_not_turned_says_so(marked: np.ndarray) -> None:
    assert extract(marked).undone is None


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        ([[1, 0], [0, -1]], "mirrored"),
        ([[0, -1], [1, 0]], "turned counter-clockwise by 90.0°"),
        ([[0, 0.8], [-0.8, 0]], "turned clockwise by 90.0° and scaled to 80.0%"),
        ([[1, 0], [0, 1]], "moved by a part of a voxel"),
    ],
)
def test_a_geometry_is_told_in_words(matrix: list[list[float]], text: str) -> None:
    assert str(Geometry(np.array(matrix, float), np.zeros(2))) == text


@pytest.mark.parametrize(
    ("matrix", "shift", "is_exact"),
    [
        ([[1.001, 0], [0.001, -1]], [0.1, 510.9], True),
        # Half of a voxel is no error of the search, and nor is another size.
        ([[1, 0], [0, 1]], [0.4, 0], False),
        ([[2, 0], [0, 2]], [0.1, 0], False),
    ],
)
def test_a_geometry_is_exact_only_where_no_voxel_was_blended(
    matrix: list[list[float]], shift: list[float], is_exact: bool
) -> None:
    found = Geometry.nearest(np.array(matrix, float), np.array(shift, float))
    assert found.is_exact == is_exact
    if not is_exact:
        assert np.array_equal(found.matrix, matrix)
        assert np.array_equal(found.shift, shift)


def test_no_tamper_map_is_made_of_a_turned_scan_and_the_error_says_why(marked: np.ndarray) -> None:
    with pytest.raises(TamperError, match=r"turned counter-clockwise by 90\.0°"):
        map_from_mark(Volume(np.ascontiguousarray(np.rot90(marked, 1, (1, 2)))))
