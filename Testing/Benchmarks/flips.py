"""What comes of one flipped bit in anything that goes from an owner to a recipient.

Run from the root of the project:

    python Testing/Benchmarks/flips.py [flips] [seed]

500 flips by default, as many in each part, of a real scan that pydicom's wheel brings. *Refused* is
an error of the kind that the check names, with nothing left on the disk; *located* is that and the
chunk, or tile, that was flipped, and no other.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from bit_flips import ACCEPTED, LOCATED, REFUSED, Sold, flip_many

FLIPS = 500


def main() -> int:
    """Flip, print a table in Markdown, and return 0 if nothing was accepted."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FLIPS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        found = flip_many(Sold(Path(folder)), count, seed)
    outcomes = (REFUSED, LOCATED, ACCEPTED)
    print(f"{count} flips, seed {seed}\n")
    print(f"| | {' | '.join(outcomes)} |\n| --- | --- | --- | --- |")
    for name, counts in found.items():
        print(f"| {name} | {' | '.join(str(counts[each]) for each in outcomes)} |")
    totals = [sum(counts[each] for counts in found.values()) for each in outcomes]
    print(f"| **all** | {' | '.join(map(str, totals))} |")
    return 0 if totals[-1] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
