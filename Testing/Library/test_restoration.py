"""The restoration record is small, whole or refused, and opens only what it belongs to."""

from __future__ import annotations

import zlib

import cbor2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phantoms import head

from MedWatermarkLib.restoration import Restoration, RestorationError
from MedWatermarkLib.watermark import Embedded, embed, restore


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    return head(2, 256, 256).astype(np.int16)


@pytest.fixture(scope="module")
def embedded(original: np.ndarray) -> Embedded:
    return embed(original, b"HELLO", key=b"the owner's")


def test_a_record_reads_back_as_it_was_written(embedded: Embedded) -> None:
    record = Restoration.from_bytes(embedded.restoration)
    assert record.to_bytes() == embedded.restoration
    assert record.shape == (2, 256, 256)
    assert record.dtype == "int16"


def test_a_record_does_not_hold_the_key(embedded: Embedded) -> None:
    assert b"the owner's" not in embedded.restoration


def test_a_record_takes_three_or_two_bits_a_projection_and_little_more(
    embedded: Embedded,
) -> None:
    used = Restoration.from_bytes(embedded.restoration).change.used()
    levels = (3 * int(used[:, 0].sum()) + 2 * int(used[:, 1:].sum())) / 8
    assert len(embedded.restoration) < levels + 1200


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_record_is_refused(data: st.DataObject) -> None:
    good = embed(head(1, 128, 128).astype(np.int16), b"A").restoration
    place = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :]
    with pytest.raises(RestorationError):
        Restoration.from_bytes(damaged)


@pytest.mark.parametrize("length", [0, 3, 4, 8, 100, -1])
def test_a_record_cut_short_is_refused(embedded: Embedded, length: int) -> None:
    with pytest.raises(RestorationError):
        Restoration.from_bytes(embedded.restoration[:length])


def test_a_foreign_file_and_another_version_are_told_apart(embedded: Embedded) -> None:
    with pytest.raises(RestorationError, match="not a restoration record"):
        Restoration.from_bytes(b"DICM" + embedded.restoration)
    with pytest.raises(RestorationError, match="another version"):
        Restoration.from_bytes(b"MWR3" + embedded.restoration[4:])


def test_the_same_values_in_another_dtype_are_restored(
    original: np.ndarray, embedded: Embedded
) -> None:
    for dtype in (np.int32, np.float32, np.float64):
        restored = restore(embedded.voxels.astype(dtype), embedded.restoration)
        assert restored.dtype == original.dtype
        assert np.array_equal(restored, original)


def test_the_marked_volume_is_left_as_it_is(embedded: Embedded) -> None:
    before = embedded.voxels.copy()
    restore(embedded.voxels, embedded.restoration)
    assert np.array_equal(embedded.voxels, before)


@settings(max_examples=100, deadline=None)
@given(
    change=st.dictionaries(
        st.sampled_from(["shape", "dtype", "mask", "bold", "fine", "rows", "steps", "corrections"]),
        st.none() | st.integers() | st.binary(max_size=40) | st.lists(st.integers(), max_size=4),
        min_size=1,
    )
)
@example(change={"dtype": 0})
def test_foreign_content_under_a_right_check_is_refused(change: dict[str, object]) -> None:
    good = embed(head(1, 128, 128).astype(np.int16), b"A").restoration
    body = cbor2.dumps({**cbor2.loads(good[4:-4]), **change})
    with pytest.raises(RestorationError):
        restore(np.zeros((1, 128, 128), np.int16), good[:4] + body + crc(body))


def test_what_inflates_to_more_than_a_volume_has_is_refused() -> None:
    good = embed(head(1, 128, 128).astype(np.int16), b"A").restoration
    bomb = zlib.compress(bytes(1 << 24))
    body = cbor2.dumps({**cbor2.loads(good[4:-4]), "mask": bomb})
    with pytest.raises(RestorationError):
        Restoration.from_bytes(good[:4] + body + crc(body))


def crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")
