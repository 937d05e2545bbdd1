"""The compiled SHA-256 is SHA-256: examples of NIST, and `hashlib` for all else."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedWatermarkLib.sha256 import digests


def digest(message: bytes) -> bytes:
    return digests(np.frombuffer(message, np.uint8)[None]).tobytes()


# FIPS 180-4's examples and longer ones (NIST, "SHA-256 Examples" and "SHA-2 Additional"), then some
# of CAVP's SHA256ShortMsg.rsp.
EXAMPLES = [
    (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ),
    (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        b"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
    ),
    (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    (b"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"),
    (b"\xc9\x8c\x8e\x55", "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"),
    (bytes(55), "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"),
    (bytes(56), "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"),
    (bytes(57), "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"),
    (bytes(64), "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"),
    (bytes(1000), "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"),
    (b"\x41" * 1000, "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4"),
    (b"\x55" * 1005, "f4d62ddec0f3dd90ea1380fa16a5ff8dc4c54b21740650f24afc4120903552b0"),
    (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (b"\xd3", "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"),
    (b"\x11\xaf", "5ca7133fa735326081558ac312c620eeca9970d1e70a4b95533d956f072d1f98"),
]


@pytest.mark.parametrize(("message", "expected"), EXAMPLES, ids=lambda value: str(len(value)))
def test_an_example_of_nist_has_its_digest(message: bytes, expected: str) -> None:
    assert digest(message).hex() == expected


def test_the_first_checkpoint_of_nists_monte_carlo_test_is_met() -> None:
    # CAVP, SHA256Monte.rsp; the Secure Hash Algorithm Validation System (SHAVS), section 6.4.
    seed = bytes.fromhex("6d1e72ad03ddeb5de891e572e2396f8da015d899ef0e79503152d6010a3fe691")
    last = [seed] * 3
    for _ in range(1000):
        last = [*last[1:], digest(b"".join(last))]
    assert last[-1].hex() == "e93c330ae5447738c8aa85d71a6c80f2a58381d05872d26bdd39f1fcd4f2b788"


@settings(deadline=None)  # The first call compiles.
@given(
    st.sampled_from([0, 1, 2, 31, 255, 256, 257, 600]), st.integers(0, 200), st.integers(0, 2**32)
)
def test_each_of_many_messages_has_the_digest_that_it_has_alone(
    count: int, length: int, seed: int
) -> None:
    messages = np.random.default_rng(seed).integers(0, 256, (count, length), np.uint8)
    expected = [hashlib.sha256(message).digest() for message in messages]
    assert [row.tobytes() for row in digests(messages)] == expected


def test_threads_do_not_disturb_each_other() -> None:
    parts = np.random.default_rng(2).integers(0, 256, (16, 3000, 48), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(digests, parts))
    assert np.array_equal(side_by_side, [digests(part) for part in parts])
