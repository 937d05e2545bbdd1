"""The cipher of a sale is that of the vectors, chunk by chunk, and its own inverse."""

from __future__ import annotations

import io
import json
import runpy
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.keystream import (
    CHUNK_SIZE,
    KeystreamError,
    cipher,
    cipher_file,
    key_commitment,
    new_key,
)

VECTORS = Path(__file__).parents[2] / "contracts" / "test" / "vectors.json"
KEY = bytes(range(32))

keys = st.binary(min_size=32, max_size=32)
indices = st.integers(0, 2**64 - 4) | st.sampled_from([0, 2**32 - 1, 2**64 - 4])
chunks = st.integers(0, 3).flatmap(
    lambda count: st.binary(min_size=count * CHUNK_SIZE, max_size=count * CHUNK_SIZE)
)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


class SlowSource(io.RawIOBase):
    """A pipe: bytes that differ from place to place, few at a time, and no way back."""

    def __init__(self, length: int, at_once: int) -> None:
        self._left, self._at_once = length, at_once

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = min(self._left, self._at_once, len(buffer))
        buffer[:count] = bytes(i % 251 for i in range(self._left, self._left - count, -1))
        self._left -= count
        return count


class Sink(io.RawIOBase):
    """What is written here is gone."""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        return len(data)


class Zeros(io.RawIOBase):
    """So many zeros, of which none exists before it is read."""

    def __init__(self, length: int) -> None:
        self._left = length

    def read(self, size: int = -1) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return bytes(size)


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text())["keystream"])
def test_the_cipher_is_that_of_the_vectors(vector: dict[str, str]) -> None:
    key, index = unhex(vector["key"]), int(vector["index"])
    assert cipher(key, index, unhex(vector["plain"])) == unhex(vector["cipher"])
    assert cipher(key, index, unhex(vector["cipher"])) == unhex(vector["plain"])


@pytest.mark.parametrize(
    ("chunk", "block", "expected"),
    [
        (0, 0, "efb030fb5f0f1981220206ad421fd212281dd27ec7ec8e62cfd56c19922dc785"),
        (0, 31, "50443ee60ec9a20e42e4e2c3f38f0693f8566fbbef037135299b4b4be394665b"),
        (2**32 + 7, 0, "4fbf5649be48650ffeb3fb0e1030ad6a5e42f5ee015704503595e441abcba12b"),
    ],
)
def test_the_keystream_is_that_of_the_page_on_formats(
    chunk: int, block: int, expected: str
) -> None:
    stream = cipher(KEY, chunk, bytes(CHUNK_SIZE))
    assert stream[32 * block : 32 * block + 32].hex() == expected


def test_the_vectors_are_what_their_script_computes() -> None:
    script = runpy.run_path(str(VECTORS.with_suffix(".py")))
    vectors = json.loads(VECTORS.read_text())
    assert vectors["keystream"] == [
        script["keystream"](i, *stream) for i, stream in enumerate(script["STREAMS"])
    ]
    assert vectors["merkle"] == [script["merkle"](*tree) for tree in enumerate(script["TREES"])]


@settings(deadline=None)
@given(keys, indices, st.integers(0, 31))
def test_a_block_of_the_keystream_is_the_hash_of_key_chunk_and_block(
    key: bytes, index: int, block: int
) -> None:
    stream = cipher(key, index, bytes(CHUNK_SIZE))
    expected = sha256(key + index.to_bytes(8, "big") + block.to_bytes(8, "big")).digest()
    assert stream[32 * block : 32 * block + 32] == expected


@settings(deadline=None)
@given(keys, indices, chunks)
def test_the_cipher_is_its_own_inverse(key: bytes, index: int, plain: bytes) -> None:
    hidden = cipher(key, index, plain)
    assert len(hidden) == len(plain)
    assert cipher(key, index, hidden) == plain


@settings(deadline=None)
@given(keys, indices, chunks)
def test_chunks_one_by_one_are_the_chunks_all_at_once(key: bytes, index: int, plain: bytes) -> None:
    one_by_one = b"".join(
        cipher(key, index + start // CHUNK_SIZE, plain[start : start + CHUNK_SIZE])
        for start in range(0, len(plain), CHUNK_SIZE)
    )
    assert one_by_one == cipher(key, index, plain)


@settings(deadline=None)
@given(keys, keys, indices, indices)
def test_another_key_or_number_gives_another_keystream(
    key: bytes, other_key: bytes, index: int, other: int
) -> None:
    same = cipher(key, index, bytes(CHUNK_SIZE)) == cipher(other_key, other, bytes(CHUNK_SIZE))
    assert same == ((key, index) == (other_key, other))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 70 * CHUNK_SIZE), st.integers(1, 3000))
def test_a_stream_is_all_of_its_chunks_at_once_the_last_filled_up(
    length: int, at_once: int
) -> None:
    plain = SlowSource(length, length or 1).read()
    target = io.BytesIO()
    cipher_file(KEY, SlowSource(length, at_once), target)
    assert target.getvalue() == cipher(KEY, 0, plain + bytes(-length % CHUNK_SIZE))


def test_a_stream_longer_than_a_piece_goes_on_with_the_next_chunk() -> None:
    plain = bytes(3 * 2**20 + 5 * CHUNK_SIZE)
    target = io.BytesIO()
    cipher_file(KEY, io.BytesIO(plain), target)
    assert target.getvalue() == cipher(KEY, 0, plain)


def test_progress_goes_from_where_a_file_stands_to_its_end() -> None:
    source = io.BytesIO(bytes(3 << 18))
    source.seek(1 << 18)
    shares: list[float] = []
    target = io.BytesIO()
    cipher_file(KEY, source, target, shares.append)
    assert shares == [0.5, 1.0]
    assert len(target.getvalue()) == 2 << 18


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whatever_holds_bytes_is_taken_and_left_as_it_was(kind: type) -> None:
    plain = bytes(2 * CHUNK_SIZE)
    data = kind(plain)
    assert cipher(KEY, 5, data) == cipher(KEY, 5, plain)
    assert bytes(data) == plain


def test_a_long_stream_needs_little_memory() -> None:
    cipher_file(KEY, Zeros(2**20), Sink())
    tracemalloc.start()
    try:
        cipher_file(KEY, Zeros(64 * 2**20), Sink())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("length", [1, 1023, 1025, 2000])
def test_what_is_not_whole_chunks_is_refused(length: int) -> None:
    with pytest.raises(KeystreamError, match=r"whole chunks of 1,024 bytes"):
        cipher(KEY, 0, bytes(length))


@pytest.mark.parametrize("index", [-1, 2**64 - 1, 2**64])
def test_chunks_whose_numbers_no_contract_can_hold_are_refused(index: int) -> None:
    with pytest.raises(KeystreamError, match=r"from 0 to 2\^64 - 1"):
        cipher(KEY, index, bytes(2 * CHUNK_SIZE))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused_and_not_shown(length: int) -> None:
    key = b"\xa5" * length
    for use in (
        lambda: cipher(key, 0, bytes(CHUNK_SIZE)),
        lambda: cipher_file(key, io.BytesIO(), io.BytesIO()),
        lambda: key_commitment(key),
    ):
        with pytest.raises(KeystreamError, match="has 32 bytes") as refusal:
            use()
        assert "a5" not in str(refusal.value)


def test_the_commitment_is_keccak_as_the_contract_computes_it() -> None:
    # keccak256(abi.encode(bytes32(0))), known as the place of an array's items in the first slot.
    expected = "290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563"
    assert key_commitment(bytes(32)).hex() == expected
    # The page on formats.
    expected = "8ae1aa597fa146ebd3aa2ceddf360668dea5e526567e92b0321816a4e895bd2d"
    assert key_commitment(KEY).hex() == expected


def test_each_new_key_is_another() -> None:
    many = {new_key() for _ in range(50)}
    assert len(many) == 50
    assert {len(key) for key in many} == {32}
