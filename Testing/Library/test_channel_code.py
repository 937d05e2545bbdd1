"""The code brings back what little arrives."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.channel_code import TurboCode, _interleaver

LENGTHS = (1, 2, 8, 40, 144, 304, 1608, 5000)


def sent(code: TurboCode, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    message = np.random.default_rng(seed).integers(0, 2, code.bits).astype(np.uint8)
    return message, code.encode(message)


@pytest.mark.parametrize("bits", LENGTHS)
def test_the_code_word_starts_with_the_message(bits: int) -> None:
    code = TurboCode(bits)
    message, word = sent(code)
    assert code.length == len(word) == TurboCode.length_of(bits)
    assert np.array_equal(word[:bits], message)


@settings(max_examples=50, deadline=None)
@given(bits=st.integers(1, 600), seed=st.integers(0, 2**32 - 1))
def test_what_arrives_whole_is_decoded(bits: int, seed: int) -> None:
    code = TurboCode(bits)
    message, word = sent(code, seed)
    posterior = code.decode((4 * (2.0 * word - 1))[None].astype(np.float32))
    assert np.array_equal(posterior[0] > 0, message)


@settings(max_examples=20, deadline=None)
@given(bits=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_the_code_is_linear(bits: int, seed: int) -> None:
    code = TurboCode(bits)
    a, first = sent(code, seed)
    b, second = sent(code, seed + 1)
    assert np.array_equal(code.encode(a ^ b), first ^ second)


@pytest.mark.parametrize(("bits", "symbols_per_bit"), [(144, 1.45), (304, 1.35), (1608, 1.3)])
def test_a_random_part_of_the_code_word_is_enough(bits: int, symbols_per_bit: float) -> None:
    code = TurboCode(bits)
    rng = np.random.default_rng(1)
    words, messages = [], []
    for seed in range(20):
        message, word = sent(code, seed)
        received = np.zeros(code.length, np.float32)
        some = rng.permutation(code.length)[: int(symbols_per_bit * bits)]
        received[some] = 10 * (2.0 * word[some] - 1)
        words.append(received)
        messages.append(message)
    assert np.array_equal(code.decode(np.stack(words)) > 0, np.stack(messages))


def test_noise_within_a_decibel_of_what_the_code_promises_is_decoded() -> None:
    code = TurboCode(1608)
    rng = np.random.default_rng(2)
    message, word = sent(code)
    amplitude = 0.72  # Eb/N0 of 1.1 dB at 5 symbols a bit
    received = amplitude * (2.0 * word - 1) + rng.standard_normal((20, code.length))
    posterior = code.decode((2 * amplitude * received).astype(np.float32))
    assert np.all((posterior > 0) == message)


def test_nothing_received_says_nothing() -> None:
    code = TurboCode(144)
    assert np.all(code.decode(np.zeros((1, code.length), np.float32)) == 0)


def test_the_code_word_is_the_one_of_the_format() -> None:
    word = TurboCode(8).encode(np.array([1, 0, 1, 1, 0, 0, 1, 0], np.uint8))
    assert np.packbits(word).tobytes().hex() == "b2d3f383b9cb5e40"


@pytest.mark.parametrize(
    ("bits", "first", "digest"),
    [
        (144, [57, 91, 99, 28, 109, 131, 56, 89], "0c2a2d1f105aa1d8"),
        (1608, [1243, 129, 63, 1136, 1032, 1285, 365, 606], "c3c5c6e6656329e5"),
    ],
)
def test_the_interleaver_is_the_one_of_the_format(bits: int, first: list[int], digest: str) -> None:
    order = _interleaver(bits)
    assert order[:8].tolist() == first
    assert sha256(order.astype("<u2").tobytes()).hexdigest().startswith(digest)


def test_the_longest_message_has_an_interleaver_too() -> None:
    order = _interleaver(8 * 2956)
    assert np.array_equal(np.sort(order), np.arange(8 * 2956))
