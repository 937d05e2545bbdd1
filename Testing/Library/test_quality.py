import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from MedWatermarkLib.quality import QualityError, ber, compare, nc


@pytest.fixture
def scan():
    """A scan of smooth slices with negative values, as of a CT."""
    z, y, x = np.mgrid[0:4, 0:48, 0:40]
    smooth = 900 * np.sin(x / 7) * np.cos(y / 9) + 40 * z
    return (smooth + np.random.default_rng(1).normal(0, 10, smooth.shape)).astype(np.int16)


@pytest.fixture
def marked(scan):
    return scan + np.random.default_rng(2).integers(-3, 4, scan.shape, dtype=np.int16)


def test_psnr_is_scikit_images_over_the_range_of_the_data(scan, marked):
    quality = compare(scan, marked)
    span = int(scan.max()) - int(scan.min())
    assert quality.data_range == span
    assert quality.psnr == pytest.approx(
        peak_signal_noise_ratio(scan, marked, data_range=span), abs=1e-9
    )
    change = marked.astype(float) - scan
    assert quality.rmse == pytest.approx(np.sqrt(np.mean(change**2)))
    assert quality.greatest_change == 3


def test_ssim_is_the_mean_of_scikit_images_of_the_slices(scan, marked):
    expected = [
        structural_similarity(a, b, data_range=4096.0)
        for a, b in zip(scan.astype(float), marked.astype(float), strict=True)
    ]
    assert compare(scan, marked, data_range=4096).ssim == pytest.approx(np.mean(expected))


def test_one_slice_may_come_without_its_axis(scan, marked):
    assert compare(scan[0], marked[0]) == compare(scan[:1], marked[:1])


def test_an_unchanged_scan_is_perfect(scan):
    quality = compare(scan, scan.copy())
    assert (quality.rmse, quality.psnr, quality.ssim, quality.greatest_change) == (0, np.inf, 1, 0)


def test_changes_that_overflow_the_dtype_are_counted_whole():
    first = np.full((1, 8, 8), -32768, np.int16)
    first[0, 0, 0] = 32767
    assert compare(first, -1 - first).greatest_change == 65535
    unsigned = np.zeros((1, 8, 8), np.uint8)
    unsigned[0, 0, 0] = 2
    assert compare(unsigned, np.roll(unsigned, 1)).greatest_change == 2


def test_the_mask_says_where_to_compare(scan, marked):
    mask = np.zeros(scan.shape, bool)
    mask[:, 10:30, 10:30] = True
    outside = marked.copy()
    outside[~mask] = -2000
    inner = (slice(None), slice(10, 30), slice(10, 30))
    quality = compare(scan, outside, mask)
    assert quality.rmse == compare(scan[inner], marked[inner]).rmse
    assert quality.greatest_change == 3
    assert quality.data_range == int(scan[inner].max()) - int(scan[inner].min())
    assert compare(scan, marked, mask).ssim == pytest.approx(compare(scan, marked).ssim, abs=0.01)


def test_a_mask_changes_ssim_only_by_where_it_is_averaged(scan, marked):
    everywhere = np.ones(scan.shape, bool)
    assert compare(scan, marked, everywhere) == compare(scan, marked)


@pytest.mark.parametrize("side", [3, 4, 6, 7, 8])
def test_small_slices_take_a_smaller_window(side, scan, marked):
    small = (slice(None), slice(side), slice(side))
    window = min(7, (side - 1) // 2 * 2 + 1)
    expected = np.mean(
        [
            structural_similarity(a, b, data_range=100.0, win_size=window)
            for a, b in zip(scan[small].astype(float), marked[small].astype(float), strict=True)
        ]
    )
    assert compare(scan[small], marked[small], data_range=100).ssim == pytest.approx(expected)


def test_slices_too_small_for_any_window_have_no_ssim(scan, marked):
    quality = compare(scan[:, :2, :40], marked[:, :2, :40])
    assert np.isnan(quality.ssim)
    assert np.isfinite(quality.psnr)


def test_a_constant_scan_has_no_range():
    constant = np.full((2, 9, 9), 7)
    unchanged = compare(constant, constant)
    assert (unchanged.psnr, unchanged.ssim, unchanged.data_range) == (np.inf, 1, 0)
    changed = compare(constant, constant + 1)
    assert (changed.rmse, changed.greatest_change) == (1, 1)
    assert np.isnan(changed.psnr)
    assert np.isnan(changed.ssim)
    assert compare(constant, constant + 1, data_range=255).psnr == pytest.approx(48.13, abs=0.01)


def test_nan_and_infinity_in_both_are_left_out(scan, marked):
    first, second = scan / 3.0, marked / 3.0
    hole = (slice(None), slice(0, 5), slice(0, 5))
    rest = np.ones(scan.shape, bool)
    rest[hole] = False
    first[hole] = second[hole] = np.nan
    first[0, 0, 0] = second[0, 0, 0] = np.inf
    quality = compare(first, second)
    assert quality.rmse == pytest.approx(compare(scan / 3.0, marked / 3.0, rest).rmse)
    far = np.ones(scan.shape, bool)
    far[:, :8, :8] = False
    assert quality.ssim == pytest.approx(
        compare(scan / 3.0, marked / 3.0, far, data_range=quality.data_range).ssim
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_in_one_only_is_refused(scan, value):
    first, second = scan.astype(float), scan.astype(float)
    second[1, 2, 3] = value
    for pair in ((first, second), (second, first)):
        with pytest.raises(QualityError, match="finite"):
            compare(*pair)
    first[1, 2, 3] = 0 if np.isnan(value) else -value
    with pytest.raises(QualityError, match="finite"):
        compare(first, second)


def test_what_is_not_comparable_is_refused(scan):
    with pytest.raises(QualityError, match=r"\(4, 48, 40\) and \(3, 48, 40\)"):
        compare(scan, scan[:3])
    with pytest.raises(QualityError, match="mask"):
        compare(scan, scan, np.ones((4, 48, 39), bool))
    with pytest.raises(QualityError, match="no voxel"):
        compare(scan, scan, np.zeros(scan.shape, bool))
    with pytest.raises(QualityError, match="no voxel"):
        compare(np.full((8, 8), np.nan), np.full((8, 8), np.nan))
    with pytest.raises(QualityError, match="slices"):
        compare(np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2, 2)))
    for data_range in (0, -1, np.nan, np.inf):
        with pytest.raises(QualityError, match="range"):
            compare(scan, scan, data_range=data_range)


@given(
    arrays(np.uint16, (2, 9, 11)),
    arrays(np.uint16, (2, 9, 11)),
    st.floats(1, 1e6),
)
@settings(max_examples=100, deadline=None)
def test_figures_agree_with_each_other(first, second, data_range):
    quality = compare(first, second, data_range=data_range)
    assert quality.rmse <= quality.greatest_change
    assert quality.ssim <= 1 + 1e-9
    if quality.rmse:
        assert quality.psnr == pytest.approx(20 * np.log10(data_range / quality.rmse))
    assert compare(second, first, data_range=data_range).rmse == quality.rmse


@given(arrays(bool, 64), arrays(bool, 64))
def test_bit_figures_agree_with_their_definitions(a, b):
    assert ber(a, b) == np.count_nonzero(a ^ b) / 64
    assert ber(a, a) == 0
    assert nc(a, a) == 1
    assert nc(a, b) == nc(b, a)
    assert 0 <= nc(a, b) <= 1 + 1e-12
    if a.any() and b.any():
        x, y = a.astype(float), b.astype(float)
        assert nc(a, b) == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


def test_nc_of_bits_that_are_all_zero():
    zeros, ones = np.zeros(8, int), np.ones(8, int)
    assert (nc(zeros, zeros), nc(zeros, ones), nc(ones, zeros)) == (1, 0, 0)


@pytest.mark.parametrize("figure", [ber, nc])
def test_what_are_no_bits_is_refused(figure):
    for a, b in (([0, 1], [0]), ([], []), ([0, 2], [0, 1]), ([0, 1], [0.5, 1])):
        with pytest.raises(QualityError):
            figure(a, b)
