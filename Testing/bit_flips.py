"""One bit flipped in what one side of an exchange hands to the other, and what comes of it.

Each part is shown to the check that is its own. Under the hashes that name them in a store all
flips would be found before; the note alone rests on its hash.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from eth_account import Account

from MedWatermarkLib.chunks import CHUNK_SIZE
from MedWatermarkLib.claim import Claim, ClaimError, sign
from MedWatermarkLib.deidentified import Request, deidentify
from MedWatermarkLib.exchange import OfferError
from MedWatermarkLib.imageio import read_volume
from MedWatermarkLib.keystream import new_key
from MedWatermarkLib.manifest import TILES
from MedWatermarkLib.merkle import tree_of_chunks
from MedWatermarkLib.offer import Note, new_salt
from MedWatermarkLib.package import new_mark_key, read_package
from MedWatermarkLib.package_errors import PackageError
from MedWatermarkLib.sale_file import (
    SaleFileError,
    WrongChunkError,
    check_sale_file,
    decipher_sale_file,
    leaves_tree,
    write_sale_file,
)
from MedWatermarkLib.sealed_package import read_sealed_package, write_sealed_package
from MedWatermarkLib.sealing import Identity, SealError, make_envelope, open_envelope, unseal
from MedWatermarkLib.store import Store, name_of
from MedWatermarkLib.store_errors import DamagedDownloadError
from MedWatermarkLib.tamper import compare_tiles
from MedWatermarkLib.tiles import TILE, TileLeaves, TileLeavesError
from MedWatermarkLib.volume import image_hash

REFUSED, LOCATED, ACCEPTED = "refused", "located", "accepted"

_REFUSALS = (
    PackageError,
    SealError,
    SaleFileError,
    OfferError,
    DamagedDownloadError,
    TileLeavesError,
    ClaimError,
)
# The manifest is the first member, behind a header of a block.
_MANIFEST_START = 512


@dataclass(frozen=True)
class Part:
    """Something that goes from hand to hand.

    Attributes
    ----------
    content : bytes
        As it was made.
    check : callable
        Given the content with a flipped bit, and which byte that is in: raises, or tells whether
        it was located.
    first, last : int
        Where bits are flipped, in bytes.
    """

    content: bytes
    check: Callable[[bytes, int], bool]
    first: int = 0
    last: int | None = None


class Sold:
    """A real scan of one slice, from pydicom's wheel, with all that is made of it for a sale.

    Parameters
    ----------
    folder : pathlib.Path
        Empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "store").mkdir()
        (folder / "received").touch()
        self._out = folder / "out"
        self._content, self._reader, self._key = Identity.generate(), Identity.generate(), new_key()
        self.parts = self._make()

    def flip(self, name: str, chance: random.Random) -> str:
        """Flip a bit of a part, and return what came of it."""
        part = self.parts[name]
        end = len(part.content) if part.last is None else part.last
        byte, bit = chance.randrange(part.first, end), chance.randrange(8)
        content = bytearray(part.content)
        content[byte] ^= 1 << bit
        before = sorted(self._folder.rglob("*"))
        try:
            found = LOCATED if part.check(bytes(content), byte) else ACCEPTED
        except _REFUSALS:
            found = REFUSED
        # Nothing is left of what was refused.
        is_clean = found is ACCEPTED or sorted(self._folder.rglob("*")) == before
        assert is_clean, f"something is left of a flip in byte {byte} of the {name}"
        return found

    def _make(self) -> dict[str, Part]:
        folder, content = self._folder, self._content
        source = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
        request = Request(pixels_checked=True)
        deidentify(source, folder / "scan", request, None, lambda share: None)
        self._volume = read_volume(folder / "scan")
        digest = image_hash(self._volume).digest
        claim = sign(digest, "Left frontal meningioma.", Account.from_key(b"\x07" * 32))
        sealed = folder / "sealed"
        self._sealed = write_sealed_package(
            folder / "scan", claim, sealed, content, mark_key=new_mark_key()
        )
        self._sale = write_sale_file(sealed, folder / "sale", self._key)
        package = folder / "package"
        with sealed.open("rb") as closed, package.open("wb") as opened:
            unseal(closed, opened, content)
        manifest_end = _MANIFEST_START + len(self._sealed.manifest.to_bytes())
        tiles = read_package(package, folder / "read").leaves
        self._tiles, self._claim = tiles, claim
        envelope = make_envelope(content, self._reader.recipient)
        leaves = self._sealed.tree.leaves.tobytes()
        (folder / "leaves").write_bytes(leaves)
        note = Note(name_of(folder / "sale"), envelope, name_of(folder / "leaves"), new_salt())
        self._note_name = note.digest.hex()
        whole = package.read_bytes()
        return {
            "package": Part(whole, self._unpack),
            "manifest": Part(whole, self._unpack, _MANIFEST_START, manifest_end),
            "sealed package": Part(sealed.read_bytes(), self._open),
            "chunks of the sale, before paying": Part((folder / "sale").read_bytes(), self._check),
            "chunks of the sale, after it": Part((folder / "sale").read_bytes(), self._decipher),
            "leaves of the package": Part(leaves, self._read_leaves),
            "envelope": Part(envelope, self._open_envelope),
            "note": Part(note.to_bytes(), self._fetch),
            f"tile leaves ({TILES})": Part(tiles.to_bytes(), self._read_tiles),
            "claim": Part(claim.to_text().encode(), self._read_claim),
            "voxels, in a package that is sound": Part(
                self._volume.voxels.tobytes(), self._find_tile
            ),
        }

    def _write(self, content: bytes) -> Path:
        path = self._folder / "received"
        path.write_bytes(content)
        return path

    def _unpack(self, content: bytes, byte: int) -> bool:
        read_package(self._write(content), self._out)
        return False

    def _open(self, content: bytes, byte: int) -> bool:
        with self._write(content).open("rb") as file:
            received = tree_of_chunks(file).leaves
        (differing,) = (received != self._sealed.tree.leaves).any(axis=1).nonzero()
        assert differing.tolist() == [byte // CHUNK_SIZE]
        read_sealed_package(self._folder / "received", self._content, self._out)
        return False

    def _check(self, content: bytes, byte: int) -> bool:
        check_sale_file(self._write(content), self._sealed.size, self._sale.root)
        return False

    def _decipher(self, content: bytes, byte: int) -> bool:
        size, tree = self._sealed.size, self._sealed.tree
        try:
            decipher_sale_file(self._write(content), self._out, self._key, size, tree)
        except WrongChunkError as wrong:
            return wrong.index == byte // CHUNK_SIZE
        return False

    def _read_leaves(self, content: bytes, byte: int) -> bool:
        leaves_tree(content, self._sealed.tree.root, self._sealed.size)
        return False

    def _open_envelope(self, content: bytes, byte: int) -> bool:
        open_envelope(content, self._reader, self._content.commitment)
        return False

    def _fetch(self, content: bytes, byte: int) -> bool:
        place = self._folder / "store" / self._note_name
        place.write_bytes(content)
        try:
            Store(self._folder / "store").get(self._note_name, self._out)
        finally:
            place.unlink()
        return False

    def _read_tiles(self, content: bytes, byte: int) -> bool:
        # Its check sum is for accidents; the root is what the registry holds.
        if TileLeaves.from_bytes(content).root != self._tiles.root:
            raise TileLeavesError
        return False

    def _read_claim(self, content: bytes, byte: int) -> bool:
        Claim.from_text(content.decode("latin-1"))
        return False

    def _find_tile(self, content: bytes, byte: int) -> bool:
        voxels = self._volume.voxels
        flipped = np.frombuffer(content, voxels.dtype).reshape(voxels.shape)
        voxel = np.unravel_index(byte // voxels.itemsize, voxels.shape)
        found = compare_tiles(self._volume.with_voxels(flipped), self._tiles).altered
        tile = voxel[0], voxel[1] // TILE, voxel[2] // TILE
        return bool(found[tile]) and np.count_nonzero(found) == 1


def flip_many(sold: Sold, count: int, seed: int) -> dict[str, Counter[str]]:
    """Flip bits in all parts, as many in each, and count what came of them.

    Parameters
    ----------
    sold : Sold
    count : int
        How many flips in all.
    seed : int
        Of which bits.
    """
    chance, names = random.Random(seed), list(sold.parts)
    found: dict[str, Counter[str]] = {name: Counter() for name in names}
    for number in range(count):
        name = names[number % len(names)]
        found[name][sold.flip(name, chance)] += 1
    return found
