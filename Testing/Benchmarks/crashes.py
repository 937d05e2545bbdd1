"""What becomes of intents and of exchanges whose processes are killed.

Run from the root of the project:

    python Testing/Benchmarks/crashes.py intents [kills] [seed]
    python Testing/Benchmarks/crashes.py exchanges [every]

`intents`: twenty kills by default, between journal, sending and receipt: at random times, as the
journal's file changes, as a transaction comes to the pool of a real node (anvil, which makes blocks
at random times), and as it gets into a block.

`exchanges`: each turn of either side in each story (`Testing/Ledger/stories.py`) is killed before
the first thing that leaves a trace, in a new exchange before the second, and so on to the last; or
before every tenth, by default. Each time the turn is begun again and the exchange goes on to its
end, where balances, transactions sent, the ledger, the package and what is left on the disk are
compared with what they must be. In full that takes about an hour.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "Ledger"))
from chains import Chain, open_chain
from kills import STEPS, kill_at
from parties import Party, run
from stories import STORIES, WAIT, Story, tell

KILLS, EVERY = 20, 10


def kill_intents(count: int, seed: int) -> int:
    """Kill, print what came of it, and return 0 if each intent was executed once."""
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


def kill_exchanges(every: int) -> int:
    """Kill each turn at every so many traces, print what came of it, and return 0 if all is well.

    Turns that another story has begun with are not killed again.
    """
    wrong, killed = 0, 0
    seen: set[object] = set()
    print("| story | turn | killed | ended otherwise |\n| --- | --- | --- | --- |")
    with open_chain("anvil") as chain:
        for name, story in STORIES.items():
            for number, act in enumerate(story.turns):
                way = (story.kind if number > 1 else None, story.turns[: number + 1])
                if act == WAIT or way in seen:
                    continue
                seen.add(way)
                times, failures = _kill_turn(chain, story, number, every)
                killed, wrong = killed + times, wrong + len(failures)
                print(f"| {name} | {number + 1}: {act} | {times} | {len(failures)} |", flush=True)
                for failure in failures:
                    print(failure, file=sys.stderr)
    print(f"\n{killed} kills, {wrong} ended otherwise")
    return 0 if wrong == 0 else 1


def _kill_turn(chain: Chain, story: Story, number: int, every: int) -> tuple[int, list[str]]:
    """Kill one turn before each trace, in a new exchange each time, until it has no more."""
    failures: list[str] = []
    fuse = times = 1
    while True:
        was_killed = False

        def take(side: Party, act: str, turn: int, fuse: int = fuse) -> None:
            nonlocal was_killed
            if turn == number:
                was_killed = run(side, act, fuse)
            if turn != number or was_killed:
                run(side, act, None)

        with tempfile.TemporaryDirectory() as folder:
            try:
                tell(story, chain, Path(folder) / "deal", take)
            except AssertionError as error:
                failures.append(f"killed at trace {fuse}: {error}")
        if not was_killed:
            return times - 1, failures
        fuse, times = fuse + every, times + 1


def main() -> int:
    """Kill what the command line names."""
    what, *numbers = sys.argv[1:] or ["intents"]
    if what == "exchanges":
        return kill_exchanges(int(numbers[0]) if numbers else EVERY)
    kills, seed = [*map(int, numbers), *(KILLS, 1)[len(numbers) :]]
    return kill_intents(kills, seed)


if __name__ == "__main__":
    sys.exit(main())
