"""The mark is laid out as Docs/formats.md says: its vectors, one by one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.modulation import tag_word
from MedWatermarkLib.polar_code import TAG_CODE
from MedWatermarkLib.sites import MESSAGE, PILOT, TAG, TILE, Sites, sites
from MedWatermarkLib.strength import rung
from MedWatermarkLib.tag import TAG_BITS, Tag, message_id


@pytest.fixture(scope="module")
def where() -> Sites:
    return sites(b"")


def as_hex(bits: np.ndarray) -> str:
    return np.packbits(bits.astype(np.uint8)).tobytes().hex()


def test_roles_and_ranks_of_the_first_tile(where: Sites) -> None:
    tile = np.mgrid[:TILE, :TILE]
    assert where.roles(*tile).ravel().tolist() == [int(c) for c in "3322113312021133"]
    ranks = [13, 12, 6, 7, 3, 1, 15, 10, 4, 8, 0, 9, 5, 2, 14, 11]
    assert where.ranks_of_all(*tile).ravel().tolist() == ranks


def test_signs_and_pilots(where: Sites) -> None:
    seed = hashlib.sha256(b"MedWatermark mark 2\0").digest()
    signs = np.unpackbits(np.frombuffer(hashlib.shake_256(seed + b"signs").digest(2), np.uint8))
    assert "".join(map(str, signs[:9])) == "000101001"
    # The first pattern is the even mixture of frequencies 01 and 10, which go up where 0 says +.
    rows = where.patterns.reshape(9, 8, 8)
    assert rows[0, 0, 0] > rows[0, 0, 7] > rows[0, 7, 7]
    assert as_hex(where.pilots[0, :64]) == "a6493cf29d94505b"
    assert as_hex(where.pilots[15, :64]) == "fcd204bec340cca3"


@pytest.mark.parametrize(
    ("length", "order", "scramble"),
    [
        (512, [421, 125, 33, 471, 50, 458, 54, 172], "ea015813ea3b88ab"),
        (8058, [7146, 5121, 2505, 7247, 250, 7145, 6454, 2264], "54d514f6bc88822a"),
    ],
)
def test_order_and_scrambling_of_code_words(
    where: Sites, length: int, order: list[int], scramble: str
) -> None:
    own, bits = where.order(length)
    assert own[:8].tolist() == order
    assert as_hex(bits[:64]) == scramble


@pytest.mark.parametrize(
    ("word", "by", "bx", "few", "places"),
    [
        (TAG, 1, 0, False, [162, -1, -1, -1]),
        (MESSAGE, 1, 0, False, [-1, 2527, 2528, 2529]),
        (TAG, 1, 0, True, [162, 422, 423, 424]),
        (MESSAGE, 1, 0, True, [-1, -1, -1, -1]),
        (MESSAGE, 0, 2, False, [2517, 2536, 2537, 2538]),
        (MESSAGE, 5, 6, False, [-1, 2707, 2708, 2709]),
    ],
)
def test_what_projections_stand_for(
    where: Sites, word: int, by: int, bx: int, few: bool, places: list[int]
) -> None:
    length = TAG_CODE.length if word == TAG else 8058
    layout = next(one for one in LAYOUTS if one.fine == 3)
    assert layout.places(where, word, [by], [bx], 5, length, few)[0].tolist() == places


@pytest.mark.parametrize(
    ("fine", "bold_step", "fine_step"), [(3, 40.92701, 14.46988), (8, 35.55194, 10.51818)]
)
def test_steps(fine: int, bold_step: float, fine_step: float) -> None:
    layout = next(one for one in LAYOUTS if one.fine == fine)
    steps = layout.steps(rung(9))
    assert steps[PILOT, 0] == pytest.approx(bold_step, abs=1e-5)
    assert steps[:, 1:] == pytest.approx(fine_step, abs=1e-5)


def test_the_code_of_the_tag() -> None:
    rows = np.array([TAG_CODE.encode(row) for row in np.eye(TAG_BITS, dtype=np.uint8)])
    # Entries are added to earlier ones alone, so the last one of a row is that of its index.
    last = [int(np.flatnonzero(row)[-1]) for row in rows]
    assert last[:8] == [127, 191, 221, 222, 223, 231, 235, 237]
    word = TAG_CODE.encode(np.unpackbits(np.arange(18, dtype=np.uint8)))
    assert as_hex(word).startswith("ee12c0b4a02b9f50de77cfbbcfeecfff")


def test_a_tag_and_its_code_word() -> None:
    tag = Tag(message_id(b"MW1:HELLO"), 7, 201, 3, rung=9)
    assert tag.to_bytes().hex() == "29e3fed0c91124120900000730c9aeeb21d1"
    assert as_hex(tag_word(tag)) == (
        "34aa15ba0938b1b1645a10e05937b414b32215b57e40414e4677b54a8beae14e"
        "6f01d78861a040b03ff1d2d231af4515e889d78716d8b04f1ddc7778e372104f"
    )
