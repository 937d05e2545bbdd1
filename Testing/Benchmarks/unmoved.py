"""What the mark survives where nothing is turned, scaled or cut: all roomy slices, read plainly.

Run from the root of the project:

    python Testing/Benchmarks/unmoved.py [--robust] [KEYS [ATTACK ...]]

The quick part of `robustness.py`: on ct-head-ge, with the claim that `scans` makes and so many keys
of the mark (two), after each attack that leaves voxels where they are, how many roomy slices give
the tag and the message alone, how many times eight slices give the message, and how many volumes
tag and message. Reading does not look for what was moved, which takes most of the time in vain.
`--robust` takes the stronger mark.
"""

from __future__ import annotations

import sys

import numpy as np
from bars import EIGHT, MESSAGE, SLICE, TAG, VOLUME
from families import ATTACKS
from robustness import KEYS, ROOMY, SERIES, TOGETHER, read
from scans import claim_of, scan

from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.strength import Strength
from MedWatermarkLib.tag import message_id


def main() -> None:
    arguments = [one for one in sys.argv[1:] if one != "--robust"]
    strength: Strength = "robust" if "--robust" in sys.argv else "diagnostic"
    volume = scan(SERIES)
    message = claim_of(volume)
    marked = [
        (key, embed_message(volume, message, key=key, strength=strength))
        for key in KEYS[: int(arguments[0]) if arguments else 2]
    ]
    chosen = [a for a in ATTACKS if not (a.bends or a.moves)]
    if arguments[1:]:
        chosen = [a for a in chosen if a.label in arguments[1:]]
    head = (f"{TAG}, {SLICE}", f"{MESSAGE}, {SLICE}", f"{MESSAGE}, {EIGHT}", f"both, {VOLUME}")
    print(f"| attack | {' | '.join(head)} |")
    print("| --- | --- | --- | --- | --- |")
    for attack in chosen:
        alone: list[Extracted] = []
        eights: list[Extracted] = []
        volumes: list[Extracted] = []
        for seed, (key, embedded) in enumerate(marked):
            copy = attack(embedded.voxels, seed)
            whole = len(copy) == len(embedded.voxels)
            roomy = np.flatnonzero(embedded.blocks >= ROOMY) if whole else []
            starts = range(0, len(copy) - TOGETHER + 1, TOGETHER) if whole else []
            volumes.append(read(copy, key, attack))
            eights += [read(copy[z : z + TOGETHER], key, attack) for z in starts]
            alone += [read(copy[z : z + 1], key, attack) for z in roomy]
        for one in (*alone, *eights, *volumes):
            assert one.message in (None, message)
            assert one.tag is None or one.tag.message_id == message_id(message)
        cells = [
            f"{sum(one.tag is not None for one in alone)} of {len(alone)}",
            f"{sum(one.message is not None for one in alone)} of {len(alone)}",
            f"{sum(one.message is not None for one in eights)} of {len(eights)}",
            f"{sum(one.tag is not None for one in volumes)}, "
            f"{sum(one.message is not None for one in volumes)} of {len(volumes)}",
        ]
        print(f"| {attack.label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
