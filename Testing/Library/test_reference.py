"""With the original at hand the mark reads from what nothing can be read from without it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from attacks import jpeg, noisy, windowed
from hypothesis import given
from hypothesis import strategies as st
from phantoms import anatomy
from PIL import Image
from scipy import ndimage

from MedWatermarkLib.placement import Placement
from MedWatermarkLib.residue import Tone
from MedWatermarkLib.scan import embed_message, read_scan
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import Extracted, WatermarkError, embed, extract

KEY = b"the owner's"
MESSAGE = b"MW:A SHORT MESSAGE FOR SOME SLICES."


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return anatomy(6)


@pytest.fixture(scope="module")
def marked(original: np.ndarray) -> np.ndarray:
    return embed(original, MESSAGE, key=KEY, copy=23).voxels


def read(suspect: np.ndarray, original: np.ndarray, key: bytes = KEY) -> Extracted:
    return extract(suspect, key=key, reference=original)


def picture(layer: np.ndarray, angle: float, scale: float, crop: int, border: int) -> np.ndarray:
    """A slice as someone puts it on a slide: turned, of another size, cut, framed, as JPEG 75."""
    image = Image.fromarray(windowed(layer[np.newaxis], 40, 160)[0])
    image = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    size = (round(image.width * scale), round(image.height * scale))
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC))
    pixels = np.pad(pixels[crop : -crop or None, crop : -crop or None], border, constant_values=90)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))[np.newaxis]


ATTACKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise": lambda v: noisy(v, 20),
    "JPEG 30": lambda v: jpeg(v, 40, 400, 30),
    "blur": lambda v: ndimage.gaussian_filter(v.astype(np.float32), (0, 2, 2)),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_the_message_reads_from_what_hides_it(
    original: np.ndarray, marked: np.ndarray, attack: Callable[[np.ndarray], np.ndarray]
) -> None:
    extracted = read(attack(marked), original)
    assert extracted.message == MESSAGE
    assert extracted.tag is not None
    assert extracted.tag.copy == 23
    assert extracted.undone is not None
    assert all(z in sources for z, sources in enumerate(extracted.undone.slices))


def test_the_tag_reads_from_noise_that_hides_the_scan(
    original: np.ndarray, marked: np.ndarray
) -> None:
    tag = read(noisy(marked, 30), original).tag
    assert tag is not None
    assert (tag.message_id, tag.copy) == (message_id(MESSAGE), 23)


@pytest.mark.parametrize(
    ("angle", "scale", "crop", "border"),
    [(7, 0.8, 30, 0), (-173, 1.3, 0, 40)],
    ids=["smaller, cut", "larger, framed, upside down"],
)
def test_a_picture_of_one_slice_gives_its_tag_and_says_what_became_of_it(
    original: np.ndarray, marked: np.ndarray, angle: float, scale: float, crop: int, border: int
) -> None:
    extracted = read(picture(marked[2], angle, scale, crop, border), original)
    assert extracted.tag is not None
    assert extracted.tag.copy == 23
    undone = extracted.undone
    assert undone is not None
    assert undone.slices == ((2,),)
    assert undone.angle == pytest.approx(angle, abs=0.1)
    assert undone.scale == pytest.approx(scale, rel=0.01)
    assert not undone.mirrored
    # A window of 160 HU in 256 grey values, from -40 HU.
    assert undone.gain == pytest.approx(255 / 160, rel=0.05)
    assert undone.offset == pytest.approx(40 * 255 / 160, abs=12)


@pytest.mark.parametrize("angle", [0.4, 2, 5])
def test_slices_that_were_turned_a_little_do_not_pass_for_ones_that_were_not(
    original: np.ndarray, marked: np.ndarray, angle: float
) -> None:
    suspect = ndimage.rotate(marked.astype(np.float32), angle, (2, 1), reshape=False, order=1)
    extracted = read(suspect, original)
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    assert extracted.undone.angle == pytest.approx(angle, abs=0.1)


def test_slices_may_be_dropped_reversed_turned_and_mirrored(
    original: np.ndarray, marked: np.ndarray
) -> None:
    suspect = np.rot90(marked[[5, 2, 0], 16:-9, 5:-30][:, :, ::-1], 1, (1, 2))
    extracted = read(suspect, original)
    assert extracted.message == MESSAGE
    undone = extracted.undone
    assert undone is not None
    assert undone.slices == ((5,), (2,), (0,))
    assert undone.mirrored
    assert undone.angle == pytest.approx(90, abs=1e-6)
    assert undone.scale == pytest.approx(1, abs=1e-6)
    assert all(reading.tag for reading in extracted.slices)


def test_means_of_neighbouring_slices_are_told_apart(
    original: np.ndarray, marked: np.ndarray
) -> None:
    pairs = (marked[:-1].astype(np.float32) + marked[1:]) / 2
    extracted = read(pairs, original)
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    assert extracted.undone.slices == tuple((z, z + 1) for z in range(5))


def test_nothing_is_read_without_a_mark_or_with_another_key_or_original(
    original: np.ndarray, marked: np.ndarray
) -> None:
    other = anatomy(4, seed=8)
    for suspect, reference, key in (
        (original, original, KEY),
        (marked, original, b"another"),
        (marked[2:3], other, KEY),
        (np.zeros((1, 64, 64)), original, KEY),
        (marked[:1], np.zeros((1, 64, 64)), KEY),
    ):
        extracted = read(suspect, reference, key)
        assert (extracted.message, extracted.tag) == (None, None)
    with pytest.raises(WatermarkError, match="three axes"):
        read(marked, original[0])


def test_the_scan_s_own_numbers_tell_which_blocks_were_marked(ct_phantom: Volume) -> None:
    embedded = embed_message(ct_phantom, b"A")
    suspect = ct_phantom.with_voxels(noisy(embedded.voxels, 3))
    tag = read_scan(suspect, reference=ct_phantom).extracted.tag
    assert tag is not None
    assert tag.message_id == message_id(b"A")


def test_a_slide_with_a_slice_of_a_real_scan_gives_its_tag(ct_head_ge: Volume) -> None:
    embedded = embed_message(ct_head_ge, MESSAGE, key=KEY, copy=23)
    slide = picture(embedded.voxels[11], 7, 0.8, 0, 0)
    reading = read_scan(Volume(slide), key=KEY, reference=ct_head_ge)
    assert reading.extracted.tag is not None
    assert reading.extracted.tag.copy == 23
    assert reading.extracted.undone is not None
    assert reading.extracted.undone.slices == ((11,),)


@given(
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
    top=st.integers(0, 9),
    left=st.integers(0, 9),
)
def test_an_exact_placement_moves_voxels_there_and_back(
    turns: int, mirrored: bool, top: int, left: int
) -> None:
    host = np.random.default_rng(top).normal(size=(40, 33)).astype(np.float32)
    layer = host[top : top + 25, left : left + 20]
    layer = np.rot90(layer[:, ::-1] if mirrored else layer, turns)
    y, x = np.mgrid[:40, :33][:, top : top + 25, left : left + 20]
    if mirrored:
        y, x = y[:, ::-1], x[:, ::-1]
    y, x = np.rot90(y, turns), np.rot90(x, turns)
    origin = np.array([y[0, 0], x[0, 0]])
    matrix = np.array(
        [[y[1, 0] - y[0, 0], y[0, 1] - y[0, 0]], [x[1, 0] - x[0, 0], x[0, 1] - x[0, 0]]]
    )
    rough = Placement(matrix + 1e-4, origin + 0.01, (((0, 1.0),),))
    assert not rough.exact
    placement = rough.snapped(layer.shape)
    assert placement.exact
    assert placement.mirrored == mirrored
    assert placement.angle % 360 == pytest.approx(90 * turns)
    moved, valid = placement.onto_suspect(host, layer.shape)
    assert valid.all()
    assert np.array_equal(moved, layer)
    there = placement.covered(layer.shape, host.shape)
    assert there.sum() == layer.size
    assert np.array_equal(placement.onto_original(moved, host.shape)[there], host[there])


@given(gain=st.floats(0.05, 20), offset=st.floats(-1e4, 1e4))
def test_the_curve_of_a_gain_is_its_line(gain: float, offset: float) -> None:
    host = np.random.default_rng(1).normal(40, 30, 5000)
    tone = Tone.between(host, gain * host + offset)
    assert tone.linear() == pytest.approx((gain, offset), rel=1e-3, abs=0.1 * gain)
    middle = np.linspace(0, 80, 9)
    assert tone(middle) == pytest.approx(gain * middle + offset, rel=1e-4, abs=0.01 * gain)
    assert tone.slope(middle, 8.0) == pytest.approx(np.full(9, gain), rel=0.02, abs=1e-2)
