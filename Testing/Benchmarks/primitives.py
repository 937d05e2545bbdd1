"""How fast the Merkle tree and the cipher of a sale are, in MB/s (10^6 bytes) of one thread.

Run from the root of the project:

    python Testing/Benchmarks/primitives.py [megabytes]

All figures are medians of turns taken in one run. The plain loop is what the cipher would be with
`hashlib` alone: a call for each block of 32 bytes, the keystream joined, and one XOR over all. It
is timed on a part of the data, since its speed does not depend on how many there are. The bytes are
random and in memory, which is where streams are read and written too, so that no disk is measured.
"""

from __future__ import annotations

import hashlib
import io
import os
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from MedWatermarkLib.keystream import CHUNK_SIZE, cipher, cipher_file
from MedWatermarkLib.merkle import tree_of_chunks

TURNS = 7
MEGABYTE = 10**6


def plain_keystream(key: bytes, index: int, count: int) -> bytes:
    blocks = [block.to_bytes(8, "big") for block in range(32)]
    parts = []
    for chunk in range(index, index + count):
        prefix = key + chunk.to_bytes(8, "big")
        parts.extend([hashlib.sha256(prefix + block).digest() for block in blocks])
    return b"".join(parts)


def plain_cipher(key: bytes, index: int, data: bytes) -> bytes:
    stream = plain_keystream(key, index, len(data) // CHUNK_SIZE)
    return np.bitwise_xor(np.frombuffer(data, np.uint8), np.frombuffer(stream, np.uint8)).tobytes()


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    key = os.urandom(32)
    data = os.urandom(megabytes * MEGABYTE // CHUNK_SIZE * CHUNK_SIZE)
    part = data[: len(data) // 8 // CHUNK_SIZE * CHUNK_SIZE]
    assert cipher(key, 0, part) == plain_cipher(key, 0, part)
    actions: dict[str, tuple[int, Callable[[], object]]] = {
        "keystream, plain hashlib loop": (len(part), lambda: plain_cipher(key, 0, part)),
        "keystream, all at once": (len(data), lambda: cipher(key, 0, data)),
        "keystream, as a stream": (
            len(data),
            lambda: cipher_file(key, io.BytesIO(data), io.BytesIO()),
        ),
        "Merkle root over 1 KiB chunks": (len(data), lambda: tree_of_chunks(io.BytesIO(data))),
    }
    turns: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(TURNS):
        for name, (size, action) in actions.items():
            turns[name].append(size / MEGABYTE / seconds(action))
    speeds = {name: statistics.median(values) for name, values in turns.items()}
    print(f"{len(data) / MEGABYTE:.0f} MB, medians of {TURNS} turns")
    for name, speed in speeds.items():
        least, greatest = min(turns[name]), max(turns[name])
        print(f"{name:30s} {speed:7.1f} MB/s  ({least:.1f} to {greatest:.1f})")
    plain = speeds["keystream, plain hashlib loop"]
    for name in ("keystream, all at once", "keystream, as a stream"):
        print(f"{name:30s} {speeds[name] / plain:7.2f} of the plain loop")


if __name__ == "__main__":
    main()
