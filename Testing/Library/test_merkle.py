"""A path proves its leaf at its index, and proves nothing else."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from MedWatermarkLib.merkle import (
    MISSING,
    MerkleError,
    MerkleTree,
    depth,
    holds,
    leaf_hash,
    node_hash,
    tree_of_chunks,
)

VECTORS = Path(__file__).parents[2] / "contracts" / "test" / "vectors.json"

contents = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def tree_of(data: list[bytes]) -> MerkleTree:
    return MerkleTree(leaf_hash(index, part) for index, part in enumerate(data))


def altered(data: bytes, place: int, change: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


@pytest.mark.parametrize(
    "vector",
    json.loads(VECTORS.read_text())["merkle"],
    ids=lambda vector: f"{len(vector['data'])} leaves",
)
def test_the_tree_is_that_of_the_vectors(vector: dict) -> None:
    leaves = [leaf_hash(index, unhex(data)) for index, data in enumerate(vector["data"])]
    assert leaves == [unhex(leaf) for leaf in vector["leaves"]]
    tree = MerkleTree(leaves)
    assert tree.root == unhex(vector["root"])
    paths = [tuple(unhex(node) for node in path) for path in vector["paths"]]
    assert [tree.path(index) for index in range(tree.count)] == paths
    assert all(
        holds(tree.root, tree.count, index, leaf, path)
        for index, (leaf, path) in enumerate(zip(leaves, paths, strict=True))
    )


def test_the_tree_of_three_leaves_is_that_of_the_page_on_formats() -> None:
    tree = tree_of([b"a", b"b", b"c"])
    assert [leaf.tobytes().hex() for leaf in tree.leaves] == [
        "77a56596481d6e223f4b82b9dc1402b0a004f19cbf4fbe02da4ba7fb7ce657af",
        "c2603e20db4a933b8f13a4146907caa2c4cd6fe260b26030726366ba36567fca",
        "084ffb00e59a659141ec857dcabd674d86953d4989bbe7c6fc3e3c41616d1bca",
    ]
    assert tree.root.hex() == "ce1fba2c708641819cca714f9835f4070ba5a5043ac22703038c74bff6c44e4a"
    above = "c5423fbcc259aae8c6f0dceea9fdbcd9971f6158e4550e066f34794f49043794"
    assert tree.path(2) == (MISSING, bytes.fromhex(above))


@settings(deadline=None)
@given(contents)
def test_each_path_holds_at_its_index_and_nowhere_else(data: list[bytes]) -> None:
    tree = tree_of(data)
    for index, part in enumerate(data):
        leaf, path = leaf_hash(index, part), tree.path(index)
        assert len(path) == depth(tree.count)
        places = range(-1, 2 ** depth(tree.count) + 2)
        found = [at for at in places if holds(tree.root, tree.count, at, leaf, path)]
        assert found == [index]


@settings(deadline=None)
@given(contents, st.data())
def test_a_byte_altered_anywhere_breaks_a_path(data: list[bytes], draw: st.DataObject) -> None:
    tree = tree_of(data)
    index = draw.draw(st.integers(0, tree.count - 1))
    place, change = draw.draw(st.integers(0, 1 << 16)), draw.draw(st.integers(1, 255))
    leaf, path = leaf_hash(index, data[index]), tree.path(index)
    assert not holds(altered(tree.root, place, change), tree.count, index, leaf, path)
    assert not holds(tree.root, tree.count, index, altered(leaf, place, change), path)
    for level in range(len(path)):
        other = [*path[:level], altered(path[level], place, change), *path[level + 1 :]]
        assert not holds(tree.root, tree.count, index, leaf, other)


@settings(deadline=None)
@given(contents, st.data())
def test_a_byte_altered_in_any_leaf_gives_another_root(
    data: list[bytes], draw: st.DataObject
) -> None:
    index = draw.draw(st.integers(0, len(data) - 1))
    assume(data[index])
    place, change = draw.draw(st.integers(0, 1 << 16)), draw.draw(st.integers(1, 255))
    other = [*data[:index], altered(data[index], place, change), *data[index + 1 :]]
    assert tree_of(other).root != tree_of(data).root


@settings(deadline=None)
@given(contents)
def test_another_order_or_a_leaf_more_gives_another_root(data: list[bytes]) -> None:
    root = tree_of(data).root
    assert tree_of([*data, b""]).root != root
    assert (tree_of(data[::-1]).root == root) == (data == data[::-1])


def test_a_path_shortened_or_lengthened_does_not_hold() -> None:
    data = [b"a", b"b", b"c", b"d", b"e"]
    tree = tree_of(data)
    leaf, path = leaf_hash(0, b"a"), tree.path(0)
    above = node_hash(leaf, path[0])
    # An inner node in place of a leaf reaches the root over a path that is too short.
    assert node_hash(node_hash(above, path[1]), path[2]) == tree.root
    assert not holds(tree.root, 5, 0, above, path[1:])
    assert not holds(tree.root, 5, 0, leaf, [*path, MISSING])
    assert not holds(tree.root, 5, 0, leaf, [])


def test_a_missing_leaf_is_not_in_the_tree() -> None:
    tree = tree_of([b"a", b"b", b"c"])
    path = [leaf_hash(2, b"c"), tree.path(2)[1]]
    assert holds(tree.root, 4, 3, MISSING, path)  # The reason why the count is part of a proof.
    assert not holds(tree.root, 3, 3, MISSING, path)


def test_nothing_is_in_a_tree_without_leaves() -> None:
    assert not holds(MISSING, 0, 0, MISSING, ())


def test_data_that_spell_a_node_do_not_make_one() -> None:
    left, right = leaf_hash(0, b"a"), leaf_hash(1, b"b")
    assert leaf_hash(0, left + right) != node_hash(left, right)


@settings(deadline=None)
@given(contents)
def test_a_tree_of_an_array_is_that_of_its_rows(data: list[bytes]) -> None:
    tree = tree_of(data)
    array = np.stack([np.frombuffer(leaf_hash(i, part), np.uint8) for i, part in enumerate(data)])
    again = MerkleTree(array)
    assert np.array_equal(tree.leaves, array)
    array[:] = 0  # A tree keeps its own leaves.
    assert (again.root, again.count) == (tree.root, len(data))
    with pytest.raises(ValueError, match="read-only"):
        again.leaves[0, 0] = 1


@pytest.mark.parametrize("count", [1, 2, 3, 1024, 1025, 2047, 2048, 2049, 5000])
def test_a_wide_tree_is_that_of_its_halves(count: int) -> None:
    leaves = [leaf_hash(index, b"") for index in range(count)]
    level = leaves + [MISSING] * (2 ** depth(count) - count)
    while len(level) > 1:
        level = [node_hash(*level[i : i + 2]) for i in range(0, len(level), 2)]
    tree = MerkleTree(leaves)
    assert tree.root == level[0]
    assert holds(tree.root, count, count - 1, leaves[-1], tree.path(count - 1))


@pytest.mark.parametrize(
    ("count", "levels"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (2**20, 20), (2**20 + 1, 21)]
)
def test_a_tree_is_as_deep_as_its_leaves_need(count: int, levels: int) -> None:
    assert depth(count) == levels


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=5000), st.sampled_from([1, 7, 32, 1024, 4096]))
def test_the_tree_of_a_file_is_that_of_its_chunks_the_last_filled_up(
    data: bytes, size: int
) -> None:
    chunks = [data[start : start + size].ljust(size, b"\0") for start in range(0, len(data), size)]
    tree = tree_of_chunks(io.BytesIO(data), size)
    assert (tree.root, tree.count) == (tree_of(chunks).root, len(chunks))


@pytest.mark.parametrize("size", [1000, 1024, 3 << 20])
def test_the_tree_of_a_long_file_is_that_of_its_chunks(size: int) -> None:
    data = np.random.default_rng(3).bytes((5 << 20) + 100)
    chunks = [data[start : start + size].ljust(size, b"\0") for start in range(0, len(data), size)]
    assert tree_of_chunks(io.BytesIO(data), size).root == tree_of(chunks).root


class Trickle(io.BytesIO):
    """A source that never gives more than 700 bytes at once, as sockets do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 700))


def test_a_source_that_gives_little_at_a_time_makes_the_same_tree() -> None:
    data = bytes(range(256)) * 20
    assert tree_of_chunks(Trickle(data)).root == tree_of_chunks(io.BytesIO(data)).root


def test_progress_ends_at_one_and_never_falls() -> None:
    shares: list[float] = []
    tree_of_chunks(io.BytesIO(bytes((5 << 18) + 3)), progress=shares.append)
    assert len(shares) == 6
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_long_file_needs_little_memory_beyond_its_leaves(tmp_path: Path) -> None:
    file = tmp_path / "zeros"
    with file.open("wb") as target:
        target.truncate(64 << 20)
    tracemalloc.start()
    try:
        with file.open("rb") as source:
            tree = tree_of_chunks(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The tree itself is as much again as its leaves.
    assert peak - 3 * tree.leaves.nbytes < 8 << 20


def test_a_tree_without_leaves_is_refused() -> None:
    for make in (
        lambda: MerkleTree([]),
        lambda: MerkleTree(np.empty((0, 32), np.uint8)),
        lambda: tree_of_chunks(io.BytesIO()),
        lambda: depth(0),
    ):
        with pytest.raises(MerkleError, match="at least one leaf"):
            make()


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_hash_of_another_length_is_refused(length: int) -> None:
    wrong, good = bytes(length), bytes(32)
    for use in (
        lambda: MerkleTree([good, wrong]),
        lambda: MerkleTree([wrong, bytes(64 - length)]),  # Not even if the sum is right.
        lambda: node_hash(good, wrong),
        lambda: node_hash(wrong, good),
        lambda: holds(wrong, 2, 0, good, [good]),
        lambda: holds(good, 2, 0, wrong, [good]),
        lambda: holds(good, 2, 0, good, [wrong]),
    ):
        with pytest.raises(MerkleError, match="has 32 bytes"):
            use()


@pytest.mark.parametrize(
    "leaves",
    [np.zeros(32, np.uint8), np.zeros((2, 31), np.uint8), np.zeros((2, 32), np.int64)],
)
def test_an_array_that_is_no_hashes_is_refused(leaves: np.ndarray) -> None:
    with pytest.raises(MerkleError, match="32 bytes"):
        MerkleTree(leaves)


@pytest.mark.parametrize("index", [-1, 3, 4])
def test_there_is_no_path_to_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(MerkleError, match="no leaf"):
        tree_of([b"a", b"b", b"c"]).path(index)


@pytest.mark.parametrize("index", [-1, 2**64])
def test_an_index_that_does_not_go_into_8_bytes_is_refused(index: int) -> None:
    with pytest.raises(MerkleError, match=r"2\^64 - 1"):
        leaf_hash(index, b"")


@pytest.mark.parametrize("size", [0, -1])
def test_chunks_of_nothing_are_refused(size: int) -> None:
    with pytest.raises(MerkleError, match="at least one byte"):
        tree_of_chunks(io.BytesIO(b"abc"), size)
