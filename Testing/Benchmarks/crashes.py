"""What becomes of intents whose process is killed between journal, sending and receipt.

Run from the root of the project:

    python Testing/Benchmarks/crashes.py [kills] [seed]

Twenty kills by default: at random times, as the journal's file changes, as a transaction comes to
the pool of a real node (anvil, which makes blocks at random times), and as it gets into a block.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "Ledger"))
from kills import STEPS, kill_at

KILLS = 20


def main() -> int:
    """Kill, print what came of it, and return 0 if each intent was executed once."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    steps = [STEPS[number % len(STEPS)] for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        killing = kill_at(steps, Path(folder), seed)
    table = Table("what", "count", title=f"{count} kills, seed {seed}")
    for standing, times in sorted(killing.kills.items()):
        table.add_row(f"killed: {standing}", str(times))
    table.add_row("intents", str(killing.intents))
    table.add_row("executed", str(len(killing.notes)))
    table.add_row("executed twice", str(killing.twice))
    table.add_row("lost", str(killing.lost))
    table.add_row("nonces used", str(killing.nonces))
    Console().print(table)
    return 0 if (killing.twice, killing.lost) == (0, 0) else 1


if __name__ == "__main__":
    sys.exit(main())
