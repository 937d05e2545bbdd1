"""A tag is read right or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from MedWatermarkLib.tag import GREATEST_COPY, TAG_BYTES, Tag, message_id

tags = st.builds(
    Tag,
    message_id=st.binary(min_size=8, max_size=8),
    copy=st.integers(0, GREATEST_COPY),
    codewords=st.integers(0, 4095),
    density=st.integers(0, 7),
    spared=st.booleans(),
    rung=st.integers(0, 255),
)


@given(tags)
def test_a_tag_reads_back(tag: Tag) -> None:
    assert len(tag.to_bytes()) == TAG_BYTES
    assert Tag.from_bytes(tag.to_bytes()) == tag


@given(tags, st.integers(0, 8 * TAG_BYTES - 1), st.integers(0, 8 * TAG_BYTES - 1))
def test_a_tag_with_a_wrong_bit_or_two_is_none(tag: Tag, first: int, second: int) -> None:
    bits = int.from_bytes(tag.to_bytes(), "big") ^ (1 << first | 1 << second)
    assert Tag.from_bytes(bits.to_bytes(TAG_BYTES, "big")) is None


def test_nothing_is_no_tag() -> None:
    assert Tag.from_bytes(bytes(TAG_BYTES)) is None
    assert Tag.from_bytes(b"") is None


def test_a_tag_is_that_of_version_2() -> None:
    tag = Tag(message_id(b"MW1:HELLO"), 7, 201, 1, rung=9)
    assert tag.to_bytes().hex() == "29e3fed0c91124120900000710c93b6f0573"
