"""An owner who cheats, to show and to test that it does not pay."""

from __future__ import annotations

from pathlib import Path

from MedWatermarkLib.chunks import CHUNK_SIZE
from MedWatermarkLib.merkle import MerkleTree, tree_of_chunks
from MedWatermarkLib.owner import Owner
from MedWatermarkLib.progress import Progress

# Anywhere but in the first chunk, which a recipient could look at most easily.
_PLACE = 2 * CHUNK_SIZE + 7


class Cheat(Owner):
    """An owner of whose chunks one is not the promised one; all else is.

    Nobody can tell before the key is there: what was stored has the root that the terms say.
    """

    def _encrypt(self, key: bytes, place: Path, progress: Progress | None) -> MerkleTree:
        super()._encrypt(key, place, progress)
        with place.open("r+b") as file:
            file.seek(_PLACE)
            byte = file.read(1)[0]
            file.seek(_PLACE)
            file.write(bytes([byte ^ 1]))
            file.seek(0)
            return tree_of_chunks(file)
