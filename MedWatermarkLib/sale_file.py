"""What is sold: the chunks of a sealed package under a cipher whose key comes later.

The recipient holds this file, and the leaves of the package's tree, before it pays; with the key it
finds every chunk that is not as promised, which it can then show to the contract.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from MedWatermarkLib.chunks import CHUNK_SIZE, pieces
from MedWatermarkLib.keystream import cipher, cipher_file
from MedWatermarkLib.merkle import HASH_SIZE, MerkleTree, leaf_hashes, tree_of_chunks
from MedWatermarkLib.output import check_new, new_files
from MedWatermarkLib.progress import Progress, part


class SaleFileError(ValueError):
    """A file of a sale that is not what its terms say."""


class WrongChunkError(SaleFileError):
    """A chunk that the revealed key does not turn into the promised one.

    Attributes
    ----------
    index : int
        Its number, from 0: what a complaint is about.
    """

    def __init__(self, index: int) -> None:
        super().__init__(
            f"Chunk {index:,} is not the promised one: complain before the window closes."
        )
        self.index = index


def chunk_count(size: int) -> int:
    """Return how many chunks a sealed package of so many bytes has."""
    return -(-size // CHUNK_SIZE)


def leaves_tree(leaves: bytes, root: bytes, size: int) -> MerkleTree:
    """Return the tree of a package from its published leaves.

    Parameters
    ----------
    leaves : bytes
        32 for each chunk (`MerkleTree.leaves`), from anybody.
    root : bytes
        The package root.
    size : int
        The length of the sealed package, in bytes.

    Raises
    ------
    SaleFileError
        If they are not the leaves under that root.
    """
    if not leaves or len(leaves) != HASH_SIZE * chunk_count(size):
        raise SaleFileError("The published leaves are not as many as the package has chunks.")
    tree = MerkleTree(np.frombuffer(leaves, np.uint8).reshape(-1, HASH_SIZE))
    if tree.root != root:
        raise SaleFileError("The published leaves are not those of the registered package.")
    return tree


def write_sale_file(
    sealed: str | os.PathLike[str],
    place: str | os.PathLike[str],
    key: bytes,
    progress: Progress | None = None,
) -> MerkleTree:
    """Put a sealed package under the cipher of one sale.

    Parameters
    ----------
    sealed : path
        The sealed package.
    place : path
        A new file.
    key : bytes
        The key of the sale (`keystream.new_key`).
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    MerkleTree
        Over the ciphered chunks; its root stands in the terms.

    Raises
    ------
    OutputError
        If the place is taken or cannot be written to.
    """
    place = Path(place)
    check_new(place)
    with (
        new_files(place) as [staged],
        Path(sealed).open("rb") as source,
        staged.open("w+b") as target,
    ):
        cipher_file(key, source, target, part(progress, 0.0, 0.8))
        target.seek(0)
        return tree_of_chunks(target, progress=part(progress, 0.8, 1.0))


def check_sale_file(
    file: str | os.PathLike[str], size: int, root: bytes, progress: Progress | None = None
) -> MerkleTree:
    """Check a downloaded file of a sale against its terms, before they are accepted.

    Parameters
    ----------
    file : path
        From anybody.
    size : int
        The length of the sealed package, in bytes, as the terms say.
    root : bytes
        The cipher root of the terms.
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Returns
    -------
    MerkleTree
        Over its chunks: what a complaint's path is taken from.

    Raises
    ------
    SaleFileError
        If the file is another.
    """
    with Path(file).open("rb") as source:
        if size < 1 or os.fstat(source.fileno()).st_size != chunk_count(size) * CHUNK_SIZE:
            raise SaleFileError("The file of the sale has not the size that its terms say.")
        tree = tree_of_chunks(source, progress=progress)
    if tree.root != root:
        raise SaleFileError("The file of the sale is not the one that its terms name.")
    return tree


def decipher_sale_file(
    file: str | os.PathLike[str],
    place: str | os.PathLike[str],
    key: bytes,
    size: int,
    package: MerkleTree,
    progress: Progress | None = None,
) -> None:
    """Take the cipher off, and check every chunk.

    Parameters
    ----------
    file : path
        The file of the sale, as `check_sale_file` checked it.
    place : path
        A new file, for the sealed package.
    key : bytes
        The revealed key.
    size : int
        The length of the sealed package, in bytes.
    package : MerkleTree
        Of the sealed package (`leaves_tree`).
    progress : callable, optional
        Called with the share that is done, from 0 to 1.

    Raises
    ------
    WrongChunkError
        At the first chunk that is not the promised one; nothing is written.
    SaleFileError
        If the file has not as many chunks as the package.
    OutputError
        If the place is taken or cannot be written to.
    """
    place = Path(place)
    check_new(place)
    if package.count != chunk_count(size):
        raise SaleFileError("The package has not as many chunks as the terms of the sale say.")
    with Path(file).open("rb") as source, new_files(place) as [staged], staged.open("wb") as target:
        if os.fstat(source.fileno()).st_size != package.count * CHUNK_SIZE:
            raise SaleFileError("The file of the sale has not the size that its terms say.")
        index = 0
        for piece in pieces(source, CHUNK_SIZE, progress):
            plain = cipher(key, index, piece)
            found = np.frombuffer(leaf_hashes(index, plain, CHUNK_SIZE), np.uint8)
            found = found.reshape(-1, HASH_SIZE)
            wrong = (found != package.leaves[index : index + len(found)]).any(axis=1)
            if wrong.any():
                raise WrongChunkError(index + int(wrong.argmax()))
            index += len(found)
            target.write(plain)
        target.truncate(size)
