"""What goes in comes out, also after what a scan may go through, and nothing else ever does."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from attacks import jpeg, jpeg2000, noisy, windowed
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from phantoms import head, head_as
from scipy import ndimage

from MedWatermarkLib import qr
from MedWatermarkLib.blocks import WatermarkError
from MedWatermarkLib.restoration import RestorationError
from MedWatermarkLib.strength import Strength
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import MessageDoesNotFitError, embed, extract, restore

# As long as the claim of a diagnosis of 60 characters.
CLAIM = b"MW1:" + bytes(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"[i * i % 45] for i in range(285)
)
SHORT = b"MW:29 BYTES FOR SMALL SLICES."
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return head(6, 512, 512).astype(np.int16)


@pytest.fixture(scope="module")
def marked(volume: np.ndarray) -> np.ndarray:
    return embed(volume, CLAIM).voxels


def test_the_message_reads_from_the_volume_and_from_every_slice_alone(marked: np.ndarray) -> None:
    extracted = extract(marked)
    assert extracted.message == CLAIM
    assert all(s.tag and s.message for s in extracted.slices)
    for layer in marked:
        alone = extract(layer[None])
        assert alone.message == CLAIM
        assert alone.tag is not None
        assert alone.tag.message_id == message_id(CLAIM)


def test_the_code_as_it_was_read_is_readable_by_an_ordinary_decoder(marked: np.ndarray) -> None:
    modules = extract(marked).modules
    assert modules is not None
    assert np.array_equal(modules > 0.5, qr.encode(CLAIM).modules)
    assert qr.decode(qr.picture(modules)) == CLAIM


def test_the_tag_says_which_copy_it_is(volume: np.ndarray) -> None:
    for copy in (0, 1, 2**24 - 1):
        tag = extract(embed(volume[:1], CLAIM, copy=copy).voxels).tag
        assert tag is not None
        assert tag.copy == copy
    with pytest.raises(WatermarkError, match="copy number"):
        embed(volume, CLAIM, copy=2**24)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_carries_the_message_and_comes_back_bit_for_bit(dtype: str) -> None:
    original = head_as(dtype, 3, 256, 264)
    before = original.copy()
    embedded = embed(original, SHORT, key=b"k")
    assert np.array_equal(original, before)
    assert embedded.voxels.dtype == original.dtype
    assert not np.array_equal(embedded.voxels, original)
    assert extract(embedded.voxels, key=b"k").message == SHORT
    restored = restore(embedded.voxels, embedded.restoration)
    assert restored.dtype == original.dtype
    assert restored.tobytes() == original.tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    dtype=st.sampled_from(DTYPES),
    slices=st.integers(1, 4),
    height=st.integers(64, 200),
    width=st.integers(64, 200),
    offset=st.floats(-1, 1),
    scale=st.floats(1e-3, 1e3),
    key=st.binary(max_size=8),
    strength=st.sampled_from(["diagnostic", "robust"]) | st.floats(0.6, 6),
)
@example("float32", 1, 64, 64, 0.3, 1.0, b"", "diagnostic")
def test_restoration_is_exact_for_any_values_of_any_dtype(
    dtype: str,
    slices: int,
    height: int,
    width: int,
    offset: float,
    scale: float,
    key: bytes,
    strength: Strength,
) -> None:
    original = head_as(dtype, slices, height, width)
    if dtype.startswith("f"):
        original = ((original + offset) * scale).astype(dtype)
        original[:, ::31, ::17] = np.nan
        original[:, 5::31, 5::29] = -0.0
        strength = strength if isinstance(strength, str) else strength * scale
    else:
        original += np.random.default_rng(height).integers(0, 3, original.shape).astype(dtype)
    try:
        embedded = embed(original, b"A", key=key, strength=strength)
    except MessageDoesNotFitError:
        assume(False)
    restored = restore(embedded.voxels, embedded.restoration)
    assert restored.tobytes() == original.tobytes()


@pytest.mark.parametrize(
    ("attack", "message_reads"),
    [
        (lambda v: noisy(v, 4), True),
        (lambda v: jpeg2000(v, 7), True),
        (lambda v: windowed(v, 40, 400), True),
        (lambda v: jpeg(v, 40, 400, 75), True),
        (lambda v: jpeg(v, 40, 120, 75), True),
        (lambda v: v[:, 37:-30, 21:-11], True),
        (lambda v: v[:, 64:-64, 64:-64], True),
        (lambda v: v[::-1], True),
        (lambda v: v[[4, 0, 3]], True),
        (lambda v: (v * 1.1 + 30).round().astype(np.int16), True),
        (lambda v: v.astype(np.float32) / 3000, True),
        (lambda v: (v.astype(np.int32) + 32768).astype(np.uint16), True),
    ],
    ids=[
        "noise", "JPEG 2000", "window", "JPEG", "JPEG of a narrow window", "crop",
        "crop by whole tiles", "reversed", "slices dropped and shuffled", "gain and offset",
        "scaled to floats", "offset to unsigned",
    ],
)  # fmt: skip
def test_message_and_tag_survive_what_a_scan_goes_through(
    marked: np.ndarray, attack: object, message_reads: bool
) -> None:
    extracted = extract(attack(marked))  # type: ignore[operator]
    assert extracted.tag is not None
    assert extracted.tag.message_id == message_id(CLAIM)
    assert (extracted.message == CLAIM) == message_reads


def test_a_crop_says_what_was_cut_away(marked: np.ndarray) -> None:
    assert extract(marked[:, 37:-30, 21:-11]).origin == (37, 21)


@pytest.mark.parametrize("key", [b"", b"other"])
def test_a_wrong_key_reads_nothing(key: bytes) -> None:
    # Small, since all is searched.
    original = head(2, 128, 128).astype(np.int16)
    extracted = extract(embed(original, SHORT, key=b"right").voxels, key=key)
    assert (extracted.message, extracted.tag) == (None, None)
    assert extracted.confidence == 0


def test_an_unmarked_scan_reads_nothing(volume: np.ndarray) -> None:
    for z in (0, len(volume) - 1):
        extracted = extract(volume[z : z + 1], key=bytes([z]))
        assert (extracted.message, extracted.tag, extracted.modules) == (None, None, None)


@pytest.mark.parametrize("value", [0.0, -1000.0, np.nan])
def test_an_empty_image_reads_nothing_and_cannot_be_marked(value: float) -> None:
    empty = np.full((2, 128, 128), value)
    assert extract(empty).message is None
    with pytest.raises(MessageDoesNotFitError, match="0 blocks") as error:
        embed(empty, SHORT)
    assert error.value.greatest == 0


def test_air_padding_and_saturated_voxels_are_not_touched() -> None:
    original = head(4, 256, 256).astype(np.int16)
    original[:, :16] = -2000
    original[:, 100:110, 100:110] = 3071
    embedded = embed(original, SHORT, valid_range=(-2000, 3071), reserved=[(-2000, -2000)])
    changed = embedded.voxels != original
    assert changed.any()
    assert original[changed].min() > -500
    assert original[changed].max() < 3071
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    assert not changed[:, (x / 0.88) ** 2 + (y / 0.95) ** 2 > 1].any()


def test_values_stay_within_the_valid_range_and_off_reserved_ones() -> None:
    original = np.clip(head(2, 256, 256) + 100, 0, 200).astype(np.uint8)
    assert np.isin(original, [155, 156]).any()
    embedded = embed(original, SHORT, valid_range=(90, 200), reserved=[(155, 156)], strength=1.5)
    changed = embedded.voxels != original
    assert changed.any()
    fresh = embedded.voxels[changed]
    assert fresh.min() >= 90
    assert fresh.max() <= 200
    assert not np.isin(fresh, [155, 156]).any()


def test_an_excluded_region_is_left_alone() -> None:
    original = head(2, 512, 512).astype(np.int16)
    lesion = np.zeros(original.shape, bool)
    lesion[:, 200:290, 210:300] = True
    embedded = embed(original, CLAIM, exclude=lesion)
    assert np.array_equal(embedded.voxels[lesion], original[lesion])
    assert extract(embedded.voxels).message == CLAIM
    with pytest.raises(WatermarkError, match="same size"):
        embed(original, CLAIM, exclude=lesion[:1])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    dtype=st.sampled_from(DTYPES),
    boxes=st.lists(
        st.tuples(*[st.integers(0, 190)] * 2, *[st.integers(1, 60)] * 2, st.integers(0, 2)),
        max_size=4,
    ),
    specks=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_no_excluded_voxel_changes_and_the_rest_comes_back_bit_for_bit(
    dtype: str, boxes: list[tuple[int, int, int, int, int]], specks: int, seed: int
) -> None:
    original = head_as(dtype, 3, 200, 192)
    excluded = np.zeros(original.shape, bool)
    for top, left, height, width, layer in boxes:
        excluded[layer, top : top + height, left : left + width] = True
    rng = np.random.default_rng(seed)
    excluded.ravel()[rng.integers(0, excluded.size, specks)] = True
    try:
        embedded = embed(original, b"A", exclude=excluded)
    except MessageDoesNotFitError:
        assume(False)
    assert np.array_equal(embedded.voxels[excluded], original[excluded])
    assert restore(embedded.voxels, embedded.restoration).tobytes() == original.tobytes()
    assert extract(embedded.voxels).message == b"A"


def test_a_slice_of_which_much_is_excluded_still_reads_alone() -> None:
    original = head(1, 512, 512).astype(np.int16)
    excluded = np.zeros(original.shape, bool)
    excluded[:, :, 180:330] = True
    assert extract(embed(original, CLAIM, exclude=excluded).voxels).message == CLAIM


def test_blocks_with_values_that_are_not_finite_are_left_alone() -> None:
    original = head(2, 256, 256).astype(np.float32)
    original[:, 96:100, 96:100] = np.nan
    original[:, 160, 160] = np.inf
    embedded = embed(original, SHORT)
    assert np.array_equal(
        embedded.voxels[:, 96:104, 96:104], original[:, 96:104, 96:104], equal_nan=True
    )
    assert extract(embedded.voxels).message == SHORT
    assert restore(embedded.voxels, embedded.restoration).tobytes() == original.tobytes()


def test_whole_numbers_held_as_floats_are_marked_as_the_integers_are() -> None:
    original = head(2, 256, 256)
    integers = embed(original.astype(np.int16), SHORT)
    for dtype in ("int32", "float32", "float64"):
        other = embed(original.astype(dtype), SHORT)
        assert np.array_equal(other.voxels, integers.voxels)


def test_the_strength_bounds_the_distortion(volume: np.ndarray) -> None:
    for strength in (0.8, 1.5, 3.0):
        embedded = embed(volume[:1], CLAIM, strength=strength)
        change = embedded.voxels.astype(int) - volume[:1]
        within = np.abs(change) > 0
        assert embedded.strength <= strength
        assert embedded.rmse == pytest.approx(embedded.strength, rel=0.08)
        assert embedded.greatest_change == np.abs(change).max() <= 6 * strength + 1
        assert np.sqrt((change[within] ** 2).mean()) < 1.6 * strength
    with pytest.raises(WatermarkError, match="rounding"):
        embed(volume, CLAIM, strength=0.3)
    with pytest.raises(WatermarkError, match="positive"):
        embed(volume, CLAIM, strength=float("nan"))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_robust_changes_twice_as_much(dtype: str) -> None:
    original = head_as(dtype, 2, 320, 320)
    usual, robust = embed(original, SHORT), embed(original, SHORT, strength="robust")
    assert robust.strength == pytest.approx(2 * usual.strength, rel=0.05)
    assert robust.rmse == pytest.approx(robust.strength, rel=0.15)
    with pytest.raises(WatermarkError, match="diagnostic or robust"):
        embed(original, SHORT, strength="strong")


def test_robust_survives_more() -> None:
    original = head(2, 320, 320).astype(np.int16)
    usual, robust = embed(original, SHORT), embed(original, SHORT, strength="robust")
    assert extract(noisy(robust.voxels, 14)).message == SHORT
    certain = [extract(noisy(one.voxels, 9)).confidence for one in (usual, robust)]
    assert 0 < certain[0] < certain[1]


def test_slices_too_small_for_the_message_share_it() -> None:
    original = head(24, 96, 96).astype(np.int16)
    embedded = embed(original, CLAIM)
    extracted = extract(embedded.voxels)
    assert extracted.message == CLAIM
    assert not any(s.message for s in extracted.slices)


def test_a_message_that_does_not_fit_is_told_what_would(volume: np.ndarray) -> None:
    small = head(1, 128, 128).astype(np.int16)
    with pytest.raises(MessageDoesNotFitError, match="would fit") as error:
        embed(small, b"x" * 300)
    greatest = error.value.greatest
    assert greatest > 32
    assert extract(embed(small, b"x" * greatest).voxels).message == b"x" * greatest
    with pytest.raises(MessageDoesNotFitError):
        embed(small, b"x" * (greatest + 2))


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.zeros((4, 64, 64, 3), np.uint8), "colour"),
        (np.zeros((64, 64), np.uint8), "three axes"),
        (np.zeros((2, 64, 64), np.int64), "32 bits"),
        (np.zeros((2, 64, 64), bool), "bool"),
        (np.zeros((2, 64, 64), complex), "complex"),
        (np.zeros((2, 7, 64), np.int16), "too small"),
        (np.zeros((0, 64, 64), np.int16), "too small"),
    ],
)
def test_what_is_not_a_volume_of_numbers_is_refused(voxels: np.ndarray, words: str) -> None:
    with pytest.raises(WatermarkError, match=words):
        embed(voxels, SHORT)
    with pytest.raises(WatermarkError, match=words):
        extract(voxels)


def test_a_view_of_any_strides_and_byte_order_is_marked_alike() -> None:
    original = head(2, 256, 256).astype(np.int16)
    plain = embed(original, SHORT)
    turned = embed(np.asfortranarray(original.astype(">i2")), SHORT)
    assert np.array_equal(turned.voxels, plain.voxels)
    assert np.array_equal(restore(turned.voxels, turned.restoration), original)


def test_an_altered_or_foreign_volume_is_not_restored(volume: np.ndarray) -> None:
    embedded = embed(volume[:1], CLAIM)
    altered = embedded.voxels.copy()
    altered[0, 0, 0] += 1
    with pytest.raises(RestorationError, match="altered"):
        restore(altered, embedded.restoration)
    with pytest.raises(RestorationError, match="another scan"):
        restore(volume[:2], embedded.restoration)


def test_progress_goes_from_nothing_to_all(marked: np.ndarray) -> None:
    shares: list[float] = []
    extract(marked, progress=shares.append)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)


def test_ct_head_ge_carries_the_claim_in_every_roomy_slice(ct_head_ge: Volume) -> None:
    embedded = embed(ct_head_ge.voxels, CLAIM, reserved=ct_head_ge.reserved)
    roomy = embedded.blocks >= 1200
    assert roomy.sum() >= 20
    assert embedded.rmse <= 1.6
    assert embedded.greatest_change <= 12
    assert len(embedded.restoration) <= 0.005 * ct_head_ge.voxels.nbytes
    for z in np.flatnonzero(embedded.blocks >= 300):
        alone = extract(embedded.voxels[z : z + 1])
        assert alone.tag is not None
        assert alone.message == CLAIM or not roomy[z]


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_a_single_ct_slice_carries_the_claim(name: str, pydicom_file: object) -> None:
    instance = pydicom.dcmread(pydicom_file(name))  # type: ignore[operator]
    voxels = instance.pixel_array[None]
    embedded = embed(voxels, CLAIM)
    assert extract(embedded.voxels).message == CLAIM
    assert np.array_equal(restore(embedded.voxels, embedded.restoration), voxels)
    regions, _ = ndimage.label(voxels[0] * instance.RescaleSlope + instance.RescaleIntercept < -500)
    outside = regions == regions[0, 0]
    assert outside.sum() > 10_000
    assert np.array_equal(embedded.voxels[0][outside], voxels[0][outside])


def test_a_small_ct_carries_32_bytes_and_a_tiny_mr_says_that_nothing_fits(
    pydicom_file: object,
) -> None:
    message = bytes(range(32))
    ct = pydicom.dcmread(pydicom_file("CT_small.dcm")).pixel_array[None]  # type: ignore[operator]
    assert extract(embed(ct, message).voxels).message == message
    mr = pydicom.dcmread(pydicom_file("MR_small.dcm")).pixel_array[None]  # type: ignore[operator]
    with pytest.raises(MessageDoesNotFitError, match="no message fits"):
        embed(mr, message)


def test_nothing_is_produced_that_the_scan_itself_does_not_reach() -> None:
    magnitudes = np.abs(head(2, 256, 256)).astype(np.int16) % 80
    embedded = embed(magnitudes, SHORT)
    assert embedded.voxels.min() == magnitudes.min() == 0
    assert embedded.voxels.max() == magnitudes.max()
    assert extract(embedded.voxels).message == SHORT


def test_a_crop_from_inside_the_head_reads_though_it_shows_no_air(marked: np.ndarray) -> None:
    extracted = extract(marked[:, 131:371, 150:390])
    assert extracted.message == CLAIM
    assert extracted.origin == (131, 150)


def test_a_constant_background_within_the_range_of_tissue_is_left_alone() -> None:
    original = head(3, 256, 256).astype(np.int16)
    outside = original < -500
    original[outside] = 40
    embedded = embed(original, SHORT, hounsfield=(1, 0))
    assert np.array_equal(embedded.voxels[outside], original[outside])
    assert extract(embedded.voxels).message == SHORT


def test_ct_numbers_tell_air_from_tissue_whatever_the_stored_values() -> None:
    numbers = head(2, 256, 256)
    expected = embed(numbers.astype(np.int16), SHORT, hounsfield=(1, 0)).blocks
    stored = (numbers - 8192).astype(np.int16)
    assert np.array_equal(embed(stored, SHORT, hounsfield=(1, 8192)).blocks, expected)
    # Brain and bone alone, which look like air and tissue to whoever knows no CT numbers.
    inside = numbers[:, 72:184, 72:184].astype(np.int16)
    inside[:, 40:60, 40:60] = 900
    assert embed(inside, SHORT, hounsfield=(1, 0)).blocks.sum() > 300


def test_the_whole_range_of_32_bits_does_not_wrap() -> None:
    rng = np.random.default_rng(0)
    ends = np.where(np.indices((1, 256, 256))[1] < 100, -(2**31) + 2**24, 2**31 - 1 - 2**24)
    original = (ends + rng.integers(-50, 50, ends.shape)).astype(np.int32)
    original[0, 0, :2] = -(2**31), 2**31 - 1
    embedded = embed(original, SHORT, strength=20)
    assert np.array_equal(restore(embedded.voxels, embedded.restoration), original)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "text"},
        {"key": bytearray(b"k")},
        {"copy": 1.5},
        {"valid_range": (100, -100)},
        {"valid_range": (np.nan, np.nan)},
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(volume: np.ndarray, wrong: dict) -> None:
    with pytest.raises(WatermarkError):
        embed(volume[:1], SHORT, **wrong)
    with pytest.raises(WatermarkError):
        embed(volume[:1], SHORT.decode())  # type: ignore[arg-type]
    with pytest.raises(WatermarkError):
        extract(volume[:1], key="text")  # type: ignore[arg-type]


def test_a_cut_volume_with_voxels_that_are_not_finite_is_read(marked: np.ndarray) -> None:
    copy = marked[:, 5:, 3:].astype(np.float32)
    copy[:, :40, :40] = np.inf
    copy[0, 100, 100] = np.nan
    assert extract(copy).message == CLAIM
