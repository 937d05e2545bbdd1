"""Write vectors.json, to which MerklePath.sol, Keystream.sol and their Python twins are held.

Run from anywhere, with nothing but Python:

    python contracts/test/vectors.py

It shares no code with either twin: hashlib and the words of `Docs/formats.md` are all it has, and
it computes everything in the plainest way. What others keep in the file under keys of their own
stays there. Bytes are written as hexadecimal digits after 0x, as forge reads them, and
chunk numbers as decimal digits in a string, since JSON's numbers end at 2^53 for many readers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VECTORS = Path(__file__).with_name("vectors.json")

# Lengths of the data in the leaves, tree by tree: of a chunk, of tiles, nothing at all.
TREES = [
    [3],
    [0],
    [1024],
    [5, 7],
    [1024, 1024],
    [32, 33, 65],
    [1024] * 3,
    [9] * 4,
    [55, 56, 64, 119, 120],
    [16] * 7,
    [8] * 8,
    [1024] * 13,
    [2] * 16,
    [4] * 17,
]
# The sale's key and the number of the chunk.
STREAMS = [
    (bytes(32), 0),
    (bytes(32), 1),
    (bytes(range(32)), 0),
    (bytes(range(32)), 2**32 + 7),
    (bytes([0xFF]) * 32, 2**64 - 1),
]


def sha256(data: bytes) -> bytes:
    """SHA-256 of FIPS 180-4."""
    return hashlib.sha256(data).digest()


def some_bytes(label: str, length: int) -> bytes:
    """Bytes without order that anyone can make again."""
    return hashlib.shake_256(label.encode()).digest(length)


def written(data: bytes) -> str:
    """Hexadecimal digits after 0x."""
    return "0x" + data.hex()


def merkle(number: int, lengths: list[int]) -> dict[str, object]:
    """One tree: its data, leaves, root, and the path of every leaf from the leaf up."""
    data = [some_bytes(f"tree {number} leaf {i}", length) for i, length in enumerate(lengths)]
    leaves = [sha256(b"\x00" + i.to_bytes(8, "big") + part) for i, part in enumerate(data)]
    width = 1
    while width < len(leaves):
        width *= 2
    level = leaves + [bytes(32)] * (width - len(leaves))
    levels = [level]
    while len(level) > 1:
        level = [sha256(b"\x01" + level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        levels.append(level)
    paths = []
    for i in range(len(leaves)):
        path = []
        for level in levels[:-1]:
            path.append(level[i - 1] if i % 2 else level[i + 1])
            i //= 2
        paths.append(path)
    return {
        "data": [written(part) for part in data],
        "leaves": [written(leaf) for leaf in leaves],
        "root": written(levels[-1][0]),
        "paths": [[written(node) for node in path] for path in paths],
    }


def keystream(number: int, key: bytes, index: int) -> dict[str, str]:
    """One chunk with its cipher and without."""
    plain = some_bytes(f"chunk {number}", 1024)
    stream = b"".join(
        sha256(key + index.to_bytes(8, "big") + block.to_bytes(8, "big")) for block in range(32)
    )
    cipher = bytes(a ^ b for a, b in zip(plain, stream, strict=True))
    return {
        "key": written(key),
        "index": str(index),
        "plain": written(plain),
        "cipher": written(cipher),
    }


def main() -> None:
    """Write the two lists and leave the rest of the file as it is."""
    others = json.loads(VECTORS.read_text()) if VECTORS.exists() else {}
    vectors = others | {
        "merkle": [merkle(*tree) for tree in enumerate(TREES)],
        "keystream": [keystream(i, *stream) for i, stream in enumerate(STREAMS)],
    }
    VECTORS.write_text(json.dumps(vectors, indent=2) + "\n")


if __name__ == "__main__":
    main()
