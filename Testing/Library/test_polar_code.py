"""The tag's code: a right word is among the likeliest, however little of it arrived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.polar_code import PolarCode

CODE = PolarCode(144, 9)


def words(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    messages = np.random.default_rng(seed).integers(0, 2, (count, CODE.bits)).astype(np.uint8)
    return messages, np.stack([CODE.encode(message) for message in messages])


def found_in(candidates: np.ndarray, messages: np.ndarray) -> np.ndarray:
    return (candidates == messages[:, None]).all(axis=2).any(axis=1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(4, 10))
def test_what_arrives_whole_is_the_likeliest(seed: int, exponent: int) -> None:
    code = PolarCode(3 * 2**exponent // 8, exponent)
    message = np.random.default_rng(seed).integers(0, 2, code.bits).astype(np.uint8)
    word = code.encode(message)
    assert word.shape == (2**exponent,)
    assert np.array_equal(code.decode(4 * (2 * word[None] - 1.0), 4)[0, 0], message)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_code_is_linear(seed: int) -> None:
    (a, b), (first, second) = words(2, seed)
    assert np.array_equal(CODE.encode(a ^ b), first ^ second)


@pytest.mark.parametrize("symbols", [165, 400])
def test_a_random_part_of_the_code_word_is_enough(symbols: int) -> None:
    messages, sent = words(40)
    chance = np.random.default_rng(1)
    some = chance.permuted(np.tile(np.arange(CODE.length), (40, 1)), axis=1) < symbols
    received = np.where(some, 10 * (2.0 * sent - 1), 0).astype(np.float32)
    assert found_in(CODE.decode(received, 128), messages).mean() > 0.9


def test_a_longer_list_reads_in_more_noise() -> None:
    messages, sent = words(60)
    noise = 1.35 * np.random.default_rng(2).standard_normal(sent.shape)
    received = (2 * (2.0 * sent - 1 + noise) / 1.35**2).astype(np.float32)
    few, many = (found_in(CODE.decode(received, n), messages).sum() for n in (1, 128))
    assert few < 40
    assert many > few + 10


def test_candidates_differ_and_the_likeliest_comes_first() -> None:
    messages, sent = words(1)
    noise = 0.9 * np.random.default_rng(3).standard_normal(sent.shape)
    received = (2 * (2.0 * sent - 1 + noise) / 0.81).astype(np.float32)
    candidates = CODE.decode(received, 32)[0]
    agreeing = [float(received[0] @ (2.0 * CODE.encode(one) - 1)) for one in candidates]
    assert len(np.unique(candidates, axis=0)) == 32
    assert agreeing[0] == max(agreeing)
    assert np.array_equal(candidates[0], messages[0])


def test_the_code_word_is_the_one_of_version_2() -> None:
    bits = np.unpackbits(np.frombuffer(bytes(range(18)), np.uint8))
    assert (
        np.packbits(CODE.encode(bits))
        .tobytes()
        .hex()
        .startswith("ee12c0b4a02b9f50de77cfbbcfeecfffee2d3f8b5feb9f90")
    )
