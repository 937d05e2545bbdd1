"""Slices that are means of marked neighbours still say what these said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import head

from MedWatermarkLib.averaged import MEANS, shift_of, solve
from MedWatermarkLib.channel_code import TurboCode
from MedWatermarkLib.polar_code import PolarCode
from MedWatermarkLib.tables import reading_facts, reading_rows
from MedWatermarkLib.tamper import TamperError, map_from_mark
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import Embedded, embed, extract

BITS = 144
MESSAGE = b"A message that goes with every slice."


def means(voxels: np.ndarray, count: int, first: int = 0) -> np.ndarray:
    whole = voxels[first : first + (len(voxels) - first) // count * count].astype(float)
    return np.rint(whole.reshape(-1, count, *voxels.shape[1:]).mean(axis=1)).astype(voxels.dtype)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    noise = np.random.default_rng(5).normal(0, 4, (12, 256, 256))
    return np.rint(head(12, 256, 256) + noise).astype(np.int16)


@pytest.fixture(scope="module")
def marked(scan: np.ndarray) -> Embedded:
    return embed(scan, MESSAGE, key=b"k", copy=7)


@given(
    message=st.binary(min_size=BITS // 8, max_size=BITS // 8),
    count=st.sampled_from(MEANS),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_sums_of_a_code_words_bits_give_the_message_though_some_are_wrong(
    message: bytes, count: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    code = TurboCode(BITS)
    bits = np.unpackbits(np.frombuffer(message, np.uint8))
    terms = [chance.integers(0, code.length, (900, 2)) for _ in range(count)]
    sums = np.bitwise_xor.reduce([code.encode(bits)[one] for one in terms])
    ratios = (2.0 * sums - 1) * chance.uniform(2, 6, sums.shape)
    wrong = chance.random(sums.shape) < 0.1
    ratios[wrong] *= -0.2
    found = solve(terms, ratios.astype(np.float32), code)
    assert len(found) == 1
    assert np.array_equal(found[0], bits)


def test_of_a_word_and_its_complement_sums_of_two_do_not_tell_and_both_are_given() -> None:
    chance = np.random.default_rng(1)
    code = PolarCode(BITS, 9)
    bits = chance.integers(0, 2, BITS).astype(np.uint8)
    terms = [chance.integers(0, code.length, 1800) for _ in range(2)]
    sums = np.bitwise_xor.reduce([code.encode(bits)[one] for one in terms])
    found = solve(terms, (8.0 * sums - 4).astype(np.float32), code)
    words = [code.encode(one) for one in found]
    assert len(found) == 2
    assert np.array_equal(words[0] ^ words[1], np.ones(code.length))
    assert any(np.array_equal(one, bits) for one in found)


@pytest.mark.parametrize("count", [900, 20])
def test_sums_that_say_nothing_or_too_little_give_no_message(count: int) -> None:
    chance = np.random.default_rng(1)
    code = TurboCode(BITS)
    terms = [chance.integers(0, code.length, (count, 2)) for _ in range(2)]
    assert solve(terms, chance.normal(size=(count, 2)).astype(np.float32), code) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_mean_of_lattice_points_says_the_sum_of_their_bits(count: int) -> None:
    chance = np.random.default_rng(count)
    bits = chance.integers(0, 2, (100, count))
    points = 0.5 * bits - 0.25 + chance.integers(-9, 9, bits.shape)
    said = np.mod(points.mean(axis=1) * count + shift_of(count), 1)
    assert said == pytest.approx(np.where(bits.sum(axis=1) % 2, 0.25, 0.75))


@pytest.mark.parametrize(("count", "first"), [(2, 0), (2, 1), (3, 0), (3, 2)])
def test_a_volume_of_means_gives_its_message_and_says_what_it_is(
    marked: Embedded, count: int, first: int
) -> None:
    found = extract(means(marked.voxels, count, first), key=b"k")
    assert found.message == MESSAGE
    assert found.tag is not None
    assert found.tag.copy == 7
    assert found.undone is not None
    assert found.undone.averaged == count
    assert reading_facts(found)["undone"]["averaged"] == count
    assert f"mean of {count} neighbours" in str(reading_rows(found))


def test_the_tag_is_read_of_one_mean_alone(marked: Embedded) -> None:
    found = extract(means(marked.voxels, 2)[2:3], key=b"k")
    assert found.tag is not None
    assert found.tag.copy == 7


def test_means_say_nothing_to_another_key(marked: Embedded) -> None:
    assert extract(means(marked.voxels, 3), key=b"another").tag is None


def test_of_means_the_mark_does_not_tell_where_they_were_altered(marked: Embedded) -> None:
    voxels = means(marked.voxels, 2)
    with pytest.raises(TamperError, match="mean of 2 neighbours"):
        map_from_mark(Volume(voxels), key=b"k")
