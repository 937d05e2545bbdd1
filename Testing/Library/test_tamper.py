"""Tests of the map of what was altered."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import head

from MedWatermarkLib.regions import FALSE_ALARM, altered_regions
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.tamper import (
    ALTERED,
    NOT_TOLD,
    UNALTERED,
    TamperError,
    compare_tiles,
    map_from_mark,
)
from MedWatermarkLib.tiles import TILE, tile_leaves
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import embed, extract

sys.path.append(str(Path(__file__).parents[1]))
from attacks import jpeg, jpeg2000, noisy

MESSAGE = b"MW1:what was found, and by whom"
KEY = b"a key"
SIDE = 32


def registered() -> Volume:
    """A scan of 12 slices with tiles that the edges cut short."""
    return Volume(
        head(12, 150, 200).astype(np.int16),
        spacing=(0.9, 0.9, 3.0),
        origin=(-90.0, -67.5, 12.0),
        direction=(1, 0, 0, 0, 0.8, -0.6, 0, 0.6, 0.8),
        modality="CT",
    )


def tiles_of(truth: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(0, n, TILE) for n in truth.shape[1:])
    return np.logical_or.reduceat(np.logical_or.reduceat(truth, rows, axis=1), columns, axis=2)


# Against the tiles that were registered.


def test_the_registered_scan_itself_is_unaltered() -> None:
    scan = registered()
    found = compare_tiles(scan, tile_leaves(scan))
    assert not found.altered.any()
    assert found.geometry_altered is False
    assert found.slices == ()
    assert found.findings == ("Voxels and geometry are those that were registered.",)


@pytest.mark.parametrize("kind", ["copied", "removed", "moved"])
def test_a_lesion_names_the_tiles_it_touches_and_no_other(kind: str) -> None:
    scan = registered()
    rng = np.random.default_rng(3)
    voxels = scan.voxels.copy()
    for z in (2, 3, 4, 9):
        y, x, to_y, to_x = rng.integers(0, [130, 180] * 2)
        lesion = voxels[z, y : y + 20, x : x + 20].copy()
        if kind != "copied":
            voxels[z, y : y + 20, x : x + 20] = 35
        if kind != "removed":
            voxels[z, to_y : to_y + 20, to_x : to_x + 20] = lesion
    found = compare_tiles(scan.with_voxels(voxels), tile_leaves(scan))
    truth = tiles_of(voxels != scan.voxels)
    assert truth.any()
    assert np.array_equal(found.altered, truth)
    assert found.slices == (2, 3, 4, 9)
    assert "slices 3 to 5, 10" in found.findings[0]


def test_one_grey_value_in_one_voxel_is_named() -> None:
    scan = registered()
    voxels = scan.voxels.copy()
    voxels[7, 149, 199] += 1
    found = compare_tiles(scan.with_voxels(voxels), tile_leaves(scan))
    assert np.argwhere(found.altered).tolist() == [[7, 2, 3]]
    labels = found.volume()
    assert np.argwhere(labels.voxels == ALTERED).min(axis=0).tolist() == [7, 128, 192]
    assert (labels.voxels == ALTERED).sum() == 22 * 8


def test_the_label_volume_lies_where_the_scan_lies() -> None:
    scan = registered()
    labels = compare_tiles(scan, tile_leaves(scan)).volume()
    assert labels.voxels.shape == scan.voxels.shape
    assert labels.voxels.dtype == np.uint8
    assert (labels.spacing, labels.origin, labels.direction) == (
        scan.spacing,
        scan.origin,
        scan.direction,
    )
    assert not labels.identity


def test_exchanged_slices_are_named_with_their_places() -> None:
    scan = registered()
    voxels = scan.voxels.copy()
    voxels[[3, 8]] = voxels[[8, 3]]
    found = compare_tiles(scan.with_voxels(voxels), tile_leaves(scan))
    assert np.array_equal(found.altered, tiles_of(voxels != scan.voxels))
    assert "Slice 4 is what was registered as slice 9." in found.findings
    assert "Slice 9 is what was registered as slice 4." in found.findings


def test_a_flip_by_header_alone_is_told_apart_from_altered_voxels() -> None:
    scan = registered()
    flipped = replace(scan, direction=tuple(np.array(scan.direction) * ([-1, 1, 1] * 3)))
    found = compare_tiles(flipped, tile_leaves(scan))
    assert not found.altered.any()
    assert found.geometry_altered
    assert "direction" in found.findings[-1]
    assert "spacing" not in found.findings[-1]


def test_float_error_of_a_header_is_no_alteration() -> None:
    scan = registered()
    origin = tuple(float(np.float32(number)) for number in (-90.0001, -67.50005, 12.00001))
    scan = replace(scan, origin=(-90.0001, -67.50005, 12.00001))
    assert not compare_tiles(replace(scan, origin=origin), tile_leaves(scan)).geometry_altered


def test_missing_slices_are_named_and_the_others_compared_with_their_own() -> None:
    scan = registered()
    voxels = np.delete(scan.voxels, [4, 5], axis=0)
    voxels[6, 70, 70] += 1
    found = compare_tiles(Volume(voxels), tile_leaves(scan))
    assert np.argwhere(found.altered).tolist() == [[6, 1, 1]]
    assert found.geometry_altered
    assert "Of the registered scan slices 5 to 6 are missing." in found.findings


def test_an_added_slice_is_named() -> None:
    scan = registered()
    voxels = np.insert(scan.voxels, 5, scan.voxels[0] + 3, axis=0)
    found = compare_tiles(Volume(voxels), tile_leaves(scan))
    assert found.slices == (5,)
    assert "The registered scan has no counterpart of slice 6." in found.findings


def test_of_another_size_everything_is_altered() -> None:
    scan = registered()
    found = compare_tiles(Volume(scan.voxels[:, 1:].copy()), tile_leaves(scan))
    assert found.altered.all()
    assert found.geometry_altered


# From the mark.


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    voxels = head(6, 320, 320).astype(np.int16)
    return embed(voxels, MESSAGE, key=KEY, hounsfield=(1.0, 0.0)).voxels


def altered(voxels: np.ndarray, z: int, y: int, x: int) -> np.ndarray:
    """Tissue from elsewhere in the slice."""
    copy = voxels.copy()
    copy[z, y : y + SIDE, x : x + SIDE] = voxels[z, y + 43 : y + 43 + SIDE, x + 5 : x + 5 + SIDE]
    return copy


def dice(found: np.ndarray, z: int, y: int, x: int) -> float:
    truth = np.zeros(found.shape, bool)
    truth[z, y : y + SIDE, x : x + SIDE] = True
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


ATTACKS = {
    "none": lambda v: v,
    # Of less than 8:1, since this head has noise in all of its air, which takes most of the bits.
    "JPEG 2000": lambda v: jpeg2000(v, 4),
    "windowed JPEG": lambda v: jpeg(v, 40, 400, 90),
    "gain and offset": lambda v: np.rint(1.1 * v + 37).astype(np.int16),
    "cut": lambda v: np.ascontiguousarray(v[:, 16:, 8:]),
}


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "cut"])
def test_a_patch_shows_where_it_is_and_nowhere_else(attack: str, marked: np.ndarray) -> None:
    place = 2, 101, 150
    voxels = ATTACKS[attack](altered(marked, *place))
    modality = "" if voxels.dtype == np.uint8 else "CT"
    found = map_from_mark(Volume(voxels, modality=modality), key=KEY)
    assert found.slices == (2,)
    assert dice(found.volume().voxels == ALTERED, *place) > 0.6
    assert found.false_alarm == FALSE_ALARM
    assert found.geometry_altered is None


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_not_altered_is_not_named(attack: str, marked: np.ndarray) -> None:
    voxels = ATTACKS[attack](marked)
    modality = "" if voxels.dtype == np.uint8 else "CT"
    found = map_from_mark(Volume(voxels, modality=modality), key=KEY)
    assert not found.altered.any()
    assert found.told.sum() > 3000
    assert "No alteration" in found.findings[0]


def test_noise_alone_names_nothing(marked: np.ndarray) -> None:
    found = map_from_mark(Volume(noisy(marked, 5), modality="CT"), key=KEY)
    assert not found.altered.any()


def test_the_map_of_a_cropped_copy_lies_on_the_copy(marked: np.ndarray) -> None:
    voxels = np.ascontiguousarray(altered(marked, 2, 101, 150)[:, 19:, 11:])
    found = map_from_mark(Volume(voxels, modality="CT"), key=KEY)
    assert found.corner == (5, 5)
    assert dice(found.volume().voxels == ALTERED, 2, 101 - 19, 150 - 11) > 0.6


def test_one_grey_value_painted_over_tissue_shows(marked: np.ndarray) -> None:
    voxels = marked.copy()
    voxels[3, 130:170, 140:180] = 40
    found = map_from_mark(Volume(voxels, modality="CT"), key=KEY)
    assert found.slices == (3,)
    inside = found.volume().voxels[3, 136:168, 144:176]
    assert (inside == ALTERED).all()


def test_what_the_owner_left_unmarked_is_not_taken_for_altered() -> None:
    original = head(6, 320, 320).astype(np.int16)
    lesion = np.zeros(original.shape, bool)
    lesion[2:5, 120:190, 130:200] = True
    embedded = embed(original, MESSAGE, key=KEY, exclude=lesion, hounsfield=(1.0, 0.0))
    scan = Volume(altered(embedded.voxels, 1, 90, 120), modality="CT")

    blind = map_from_mark(scan, key=KEY)
    assert not blind.altered.any()
    assert (blind.volume().voxels[3, 128:184, 136:192] == NOT_TOLD).all()
    assert "The owner left parts of this scan unmarked" in blind.findings[0]

    found = map_from_mark(scan, key=KEY, restoration=embedded.restoration)
    assert found.slices == (1,)
    assert dice(found.volume().voxels == ALTERED, 1, 90, 120) > 0.5
    assert (found.volume().voxels[3, 128:184, 136:192] == NOT_TOLD).all()


def test_air_is_not_told_of(marked: np.ndarray) -> None:
    labels = map_from_mark(Volume(marked, modality="CT"), key=KEY).volume().voxels
    assert (labels[:, :8, :8] == NOT_TOLD).all()
    assert (labels[:, 152:168, 152:168] == UNALTERED).all()


@pytest.mark.parametrize("modality", ["CT", ""])
def test_a_slice_replaced_by_an_unmarked_one_is_altered_as_a_whole(
    modality: str, marked: np.ndarray
) -> None:
    voxels = marked.copy()
    voxels[4] = head(6, 320, 320, seed=8)[4]
    found = map_from_mark(Volume(voxels, modality=modality), key=KEY)
    assert found.slices == (4,)
    assert found.altered[4].sum() > 0.9 * found.told[4].sum()


def test_exchanged_slices_show_in_the_order_of_the_marks(marked: np.ndarray) -> None:
    voxels = np.ascontiguousarray(marked[[0, 3, 2, 1, 4, 5]])
    found = map_from_mark(Volume(voxels, modality="CT"), key=KEY)
    assert not found.altered.any()
    assert "do not follow one another" in found.findings[-1]
    reversed_order = map_from_mark(Volume(marked[::-1].copy(), modality="CT"), key=KEY)
    assert len(reversed_order.findings) == 1


def test_what_was_extracted_already_is_used(marked: np.ndarray) -> None:
    scan = Volume(altered(marked, 1, 90, 120), modality="CT")
    extracted = extract(scan.voxels, key=KEY)
    once, again = map_from_mark(scan, key=KEY, extracted=extracted), map_from_mark(scan, key=KEY)
    assert np.array_equal(once.altered, again.altered)


def test_the_tag_alone_still_makes_a_map(marked: np.ndarray) -> None:
    scan = Volume(altered(marked, 1, 90, 120), modality="CT")
    extracted = replace(extract(scan.voxels, key=KEY), message=None)
    found = map_from_mark(scan, key=KEY, extracted=extracted)
    assert found.slices == (1,)
    assert dice(found.volume().voxels == ALTERED, 1, 90, 120) > 0.5


def test_probabilities_are_a_scalar_volume(marked: np.ndarray) -> None:
    scan = Volume(altered(marked, 1, 90, 120), spacing=(0.7, 0.7, 4.0), modality="CT")
    found = map_from_mark(scan, key=KEY)
    likely = found.probability_volume()
    assert likely.voxels.dtype == np.float32
    assert likely.spacing == scan.spacing
    assert 0 <= likely.voxels.min() <= likely.voxels.max() <= 1
    assert np.array_equal(likely.voxels > 0.5, found.volume().voxels == ALTERED)


def test_without_a_mark_there_is_no_map() -> None:
    with pytest.raises(TamperError, match="No mark"):
        map_from_mark(Volume(head(2, 160, 160).astype(np.int16), modality="CT"))


def test_evidence_of_chance_makes_no_region() -> None:
    """Symbols that stray as their noise says name a block in at most one volume of 100."""
    rng = np.random.default_rng(11)
    told = np.ones((8, 48, 48), bool)
    alarms = 0
    for _ in range(40):
        # Log ratio of "anywhere" to "wrapped normal of a fifth of a step", under the latter.
        errors = rng.normal(0, 0.2, (*told.shape, 2))
        errors -= np.rint(errors)
        density = sum(np.exp(-0.5 * ((errors + k) / 0.2) ** 2) for k in (-1, 0, 1))
        evidence = -np.log(density / (np.sqrt(2 * np.pi) * 0.2)).sum(axis=-1)
        alarms += altered_regions(evidence, told)[0].any()
    assert alarms <= 2


def test_a_real_scan_shows_a_patch_after_jpeg_2000(ct_head_ge: Volume) -> None:
    scan = ct_head_ge.as_rescaled()
    voxels = embed(scan.voxels, MESSAGE, key=KEY, hounsfield=(1.0, 0.0)).voxels
    place = 14, 213, 262
    copy = jpeg2000(altered(voxels, *place), 8)
    found = map_from_mark(Volume(copy, modality="CT"), key=KEY)
    assert found.slices == (14,)
    assert dice(found.volume().voxels == ALTERED, *place) > 0.6


def test_a_copy_in_a_format_that_says_no_modality_is_not_taken_for_altered(
    ct_head_ge: Volume,
) -> None:
    scan = ct_head_ge.as_rescaled()
    marked = scan.with_voxels(embed_message(scan, MESSAGE).voxels)
    # As NRRD gives it back. The thin walls of the nose were taken for air, and left alone.
    assert not map_from_mark(replace(marked, modality="")).altered.any()
