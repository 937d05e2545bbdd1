"""A bit that was flipped on the way from hand to hand is found, wherever it was."""

from __future__ import annotations

from pathlib import Path

from bit_flips import ACCEPTED, LOCATED, REFUSED, Sold, flip_many


def test_no_flipped_bit_is_accepted_anywhere(tmp_path: Path) -> None:
    found = flip_many(Sold(tmp_path), 110, seed=5)
    assert {name for name, counts in found.items() if counts[ACCEPTED]} == set()
    located = {name for name, counts in found.items() if counts[LOCATED]}
    # The rest, which is of no use in part, is refused.
    assert located == {"chunks of the sale, after it", "voxels, in a package that is sound"}
    assert all(counts[REFUSED] == 10 for name, counts in found.items() if name not in located)
