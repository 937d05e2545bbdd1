"""What the mark survives, and what the peers survive, attack by attack.

Run from the root of the project, with the extra `bench` installed:

    python Testing/Benchmarks/robustness.py --output DIR [--quick] [--slices N] [--keys N]

On ct-head-ge, with the claim that `scans` makes, at the default strength, with three keys of the
mark, each with a seed of its own for what is random and slices of its own: the tag and the message
of roomy slices alone, of eight slices, and of the volume. The peers carry the first 128 of the
tag's 144 bits in the same slices, and beside each stands the strongest mark of this project that
changes the view no more than that peer does; turned and scaled copies are asked of the default
strength only, since their search takes longest. Attacks on slices without a bar get a third of the
slices, and only copies that were cut, turned or scaled are searched for that, since it takes
longest to read nothing. DIR gets `measurements.jsonl`, a line for each measurement, by which a run
that was stopped goes on where it was; and, of all that is measured by then, `robustness.json`,
`robustness.md` and a picture for each family. `--report` only makes these anew.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bars import EIGHT, SLICE, VOLUME, bars
from families import ATTACKS, WINDOW, Attack, windowed
from robustness_report import OURS, as_strong_as, write_report
from scans import claim_of, scan

from MedWatermarkLib.blocks import working_copy
from MedWatermarkLib.detector import detect
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.quality import compare
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.sites import sites
from MedWatermarkLib.strength import Strength
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.watermark import Embedded

SERIES = "ct-head-ge"
ROOMY, TOGETHER = 1200, 8
KEYS = (b"the first key", b"another key", b"a third one")
QUICK = ("none", "noise 5 HU", "JPEG 75", "JPEG 2000 15:1", "crop 25 %", "rotation 5°")


def read(voxels: np.ndarray, key: bytes, attack: Attack) -> Extracted:
    """Read a copy, but leave out what reading tries last, unless the attack calls for it.

    To look for a cut, and for how a copy may have been turned or scaled, takes most of the time
    where nothing reads, and finds nothing where there was none.
    """
    left_out = set() if attack.bends else {"turns"}
    if not attack.bends and not attack.moves:
        left_out.add("cuts")
    return detect(working_copy(voxels), sites(key), lambda share: None, left_out)


def every(attack: Attack) -> int:
    """Return of how many of the slices one is looked at."""
    has_bar = any(bar.scope == SLICE and bar.attack == attack.label for bar in bars())
    return 1 if has_bar else 3


@dataclass(frozen=True, eq=False)
class Carrier:
    """What carries a mark, and what it says.

    Attributes
    ----------
    subject : str
        Whose mark.
    number : int
        Of the key, and of the copy; also the seed.
    """

    subject: str
    number: int


@dataclass(frozen=True, eq=False)
class Marked(Carrier):
    """The scan with the mark of this project."""

    voxels: np.ndarray
    message: bytes
    chosen: np.ndarray

    def measure(self, attack: Attack, scope: str) -> dict[str, Any]:
        copy = attack(self.voxels, self.number)
        if scope == SLICE:
            parts = [copy[z : z + 1] for z in self.chosen[:: every(attack)]]
        elif scope == EIGHT:
            starts = range(0, len(copy) - TOGETHER + 1, TOGETHER)
            parts = [copy[start : start + TOGETHER] for start in starts]
        else:
            parts = [copy]
        seen = [read(part, KEYS[self.number], attack) for part in parts]
        wrong = [one for one in seen if not self._is_right(one)]
        return {
            "trials": len(seen),
            "tag": sum(one.tag is not None for one in seen),
            "message": sum(one.message is not None for one in seen),
            "wrong": len(wrong),
        }

    def _is_right(self, one: Extracted) -> bool:
        tag = one.tag
        return one.message in (None, self.message) and (
            tag is None or (tag.message_id == message_id(self.message) and tag.copy == self.number)
        )


@dataclass(frozen=True, eq=False)
class Pictured(Carrier):
    """The slices as pictures with the mark of a peer."""

    peer: Any
    pictures: np.ndarray
    bits: np.ndarray

    def measure(self, attack: Attack, scope: str) -> dict[str, Any]:
        from peers import attacked

        size = self.pictures.shape[1:3]
        copies = attacked(self.pictures[:: every(attack)], attack, self.number)
        errors = [self.peer.errors(copy, self.bits, self.number, size) for copy in copies]
        return {"trials": len(errors), "errors": errors}


def carriers(slices: int, keys: int, with_peers: bool) -> tuple[list[Carrier], dict[str, Any]]:
    """Mark the scan with each key, and the pictures with each peer; return facts of them too."""
    volume = scan(SERIES)
    message = claim_of(volume)
    made: list[Carrier] = []
    facts: dict[str, Any] = {"series": SERIES, "message_bytes": len(message), "psnr_of_view": {}}
    views: dict[str, list[float]] = facts["psnr_of_view"]
    for number, key in enumerate(KEYS[:keys]):

        def marked(strength: Strength, number: int = number, key: bytes = key) -> Embedded:
            return embed_message(volume, message, key=key, copy=number, strength=strength)

        embedded = marked("diagnostic")
        roomy = np.flatnonzero(embedded.blocks >= ROOMY)
        own = roomy[number::keys]
        chosen = own[np.unique(np.linspace(0, len(own) - 1, slices).round().astype(int))]
        before = volume.voxels[chosen]
        facts.setdefault("slices", []).append(chosen.tolist())
        facts["roomy_slices"] = len(roomy)
        facts["keys"] = keys
        ours = {OURS: embedded}
        if with_peers:
            from peers import coloured, peers, psnr, shown

            bits = np.unpackbits(np.frombuffer(embedded.tag.to_bytes()[:16], np.uint8))
            pictures = coloured(shown(before))
            for peer in peers():
                written = np.stack([peer.write(one, bits, number) for one in pictures])
                made.append(Pictured(peer.name, number, peer, written, bits))
                quality = psnr(pictures, written)
                views.setdefault(peer.name, []).append(quality)
                ours[as_strong_as(peer.name)] = strongest(marked, before, chosen, quality)
        for subject, one in ours.items():
            voxels = one.voxels.astype(np.int16)
            made.append(Marked(subject, number, voxels, message, chosen))
            views.setdefault(subject, []).append(view_psnr(before, voxels[chosen]))
    return made, facts


def strongest(
    marked: Callable[[Strength], Embedded], before: np.ndarray, chosen: np.ndarray, least: float
) -> Embedded:
    """Return the strongest mark that leaves the view of the chosen slices at least a PSNR."""
    one = marked("diagnostic")
    strength = one.strength * 10 ** ((view_psnr(before, one.voxels[chosen]) - least) / 20)
    while view_psnr(before, (one := marked(strength)).voxels[chosen]) < least:
        strength *= 0.98
    return one


def view_psnr(before: np.ndarray, after: np.ndarray) -> float:
    """Return the PSNR of the 8-bit view, in dB."""
    return compare(windowed(before, *WINDOW), windowed(after, *WINDOW), data_range=255).psnr


def measurements(
    made: list[Carrier], attacks: list[Attack]
) -> Iterator[tuple[Carrier, Attack, str]]:
    """Return what there is to measure: with one key everything, then with the next."""
    in_eight = {bar.attack for bar in bars() if bar.scope == EIGHT}
    for carrier in sorted(made, key=lambda one: one.number):
        stronger = isinstance(carrier, Marked) and carrier.subject != OURS
        for attack in attacks:
            if not attack.whole and not (stronger and attack.bends):
                yield carrier, attack, SLICE
            if carrier.subject == OURS:
                yield carrier, attack, VOLUME
                if attack.label in in_eight:
                    yield carrier, attack, EIGHT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="a few attacks, slices and one key")
    parser.add_argument("--slices", type=int, default=8, help="roomy slices for each key")
    parser.add_argument("--keys", type=int, default=len(KEYS), help="of the mark")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--family", action="append", help="of these families alone")
    parser.add_argument("--bent", choices=("only", "not"), help="turned and scaled copies")
    parser.add_argument("--report", action="store_true", help="measure nothing more")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    lines = given.output / "measurements.jsonl"
    facts_file = given.output / "facts.json"
    if not given.report:
        if given.quick:
            given.slices, given.keys = 3, 1
        attacks = [
            one
            for one in ATTACKS
            if (not given.quick or one.label in QUICK)
            and (given.family is None or one.family in given.family)
            and (given.bent is None or one.bends == (given.bent == "only"))
        ]
        made, facts = carriers(given.slices, given.keys, not given.no_peers)
        facts_file.write_text(json.dumps(facts, indent=1))
        measure(made, attacks, lines)
    done = [json.loads(line) for line in lines.read_text().splitlines()]
    write_report(given.output, done, json.loads(facts_file.read_text()), ATTACKS)


def measure(made: list[Carrier], attacks: list[Attack], lines: Path) -> None:
    """Measure what was not measured, and add a line for each."""
    before = lines.read_text().splitlines() if lines.exists() else []
    names = ("subject", "key", "attack", "scope")
    done = {tuple(json.loads(line)[name] for name in names) for line in before}
    with lines.open("a") as file:
        for carrier, attack, scope in measurements(made, attacks):
            name = (carrier.subject, carrier.number, attack.label, scope)
            if name in done:
                continue
            begin = time.perf_counter()
            found = carrier.measure(attack, scope)
            found["seconds"] = round(time.perf_counter() - begin, 1)
            line = dict(zip(names, name, strict=True)) | found
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line, flush=True)


if __name__ == "__main__":
    main()
