"""The tables and pictures of `robustness.py`, from its measurements."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bars import MESSAGE, SLICE, TAG, VOLUME, bars
from families import PAIRS, Attack
from scipy.stats import binomtest

#: A peer's bits count as read if no more than this share is wrong, as if an ideal code of rate
#: one half stood behind them (of a channel that turns a tenth over it could bear no more).
FORGIVEN = 0.1
BITS = 128
OURS = "MedWatermark"
#: The same at the strength `robust`.
STRONGER = "MedWatermark, robust"
_COLOURS = ("#1f5fa8", "#58a55c", "#7fb2e5", "#c23b22", "#e08a1e", "#7a7a7a")
_MARKERS = "osDv^X"
_SAFE = str.maketrans(dict.fromkeys(" ,%/.°", "-"))


@dataclass
class Count:
    """How many of how many read."""

    read: int = 0
    trials: int = 0

    @property
    def share(self) -> float:
        return self.read / self.trials if self.trials else float("nan")

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval after Wilson."""
        if not self.trials:
            return float("nan"), float("nan")
        found = binomtest(self.read, self.trials).proportion_ci(0.95, "wilson")
        return float(found.low), float(found.high)

    def reaches(self) -> tuple[float, float]:
        """Return how far the interval reaches below and above the share."""
        low, high = self.interval()
        return max(0.0, self.share - low), max(0.0, high - self.share)

    def told(self) -> str:
        if not self.trials:
            return "-"
        low, high = self.interval()
        return f"{self.share:.0%} ({low:.0%}-{high:.0%})"

    def facts(self) -> dict[str, Any]:
        return {"read": self.read, "trials": self.trials, "wilson95": self.interval()}


Counts = dict[tuple[str, str, str, str], Count]


def counted(measured: Iterable[dict[str, Any]]) -> Counts:
    """Add up measurements, by subject, attack, scope and what is read."""
    counts: Counts = defaultdict(Count)
    for line in measured:
        place = line["subject"], line["attack"], line["scope"]
        if "errors" in line:
            read = {
                "exact": sum(n == 0 for n in line["errors"]),
                "forgiven": sum(n <= FORGIVEN * BITS for n in line["errors"]),
            }
        else:
            read = {TAG: line[TAG], MESSAGE: line[MESSAGE]}
        for what, number in read.items():
            count = counts[*place, what]
            count.read += number
            count.trials += line["trials"]
    return counts


def error_rates(measured: Iterable[dict[str, Any]]) -> dict[tuple[str, str], float]:
    """Return the share of a peer's bits that is wrong, by peer and attack."""
    errors: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in measured:
        if "errors" in line:
            errors[line["subject"], line["attack"]] += line["errors"]
    return {place: sum(some) / len(some) / BITS for place, some in errors.items()}


def write_report(
    folder: Path, measured: list[dict[str, Any]], facts: dict[str, Any], attacks: list[Attack]
) -> None:
    """Write JSON, tables and pictures of what was measured."""
    counts, rates = counted(measured), error_rates(measured)
    wrong = sum(line.get("wrong", 0) for line in measured)
    readings = sum(line["trials"] for line in measured if line["subject"] in (OURS, STRONGER))
    rows = [
        {"subject": s, "attack": a, "scope": scope, "what": what, **count.facts()}
        for (s, a, scope, what), count in counts.items()
    ]
    facts = {**facts, "wrong": wrong, "readings": readings, "forgiven_errors": FORGIVEN}
    (folder / "robustness.json").write_text(json.dumps({"facts": facts, "rows": rows}, indent=1))
    peers = sorted({line["subject"] for line in measured} - {OURS, STRONGER})
    parts = [
        f"{facts['series']}: {sum(map(len, facts['slices']))} of {facts['roomy_slices']} roomy "
        f"slices, {facts['keys']} keys of the mark, each with its own seed and slices; share that "
        f"reads, and its 95 % interval (Wilson). Wrong tags or messages: {wrong} in {readings} "
        "readings.",
        own_table(counts, attacks),
        peer_table(counts, rates, attacks, peers, facts["psnr_of_view"]) if peers else "",
        bar_table(counts),
    ]
    (folder / "robustness.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    draw_families(folder, counts, attacks, peers)
    print(bar_table(counts))


def own_table(counts: Counts, attacks: list[Attack]) -> str:
    """Return what reads of the mark, attack by attack."""
    lines = [
        "| attack | tag, slice alone | message, slice alone | tag, volume | message, volume |",
        "| --- | --- | --- | --- | --- |",
    ]
    for attack in attacks:
        places = [(s, w) for s in (SLICE, VOLUME) for w in (TAG, MESSAGE)]
        some = [counts.get((OURS, attack.label, *place), Count()) for place in places]
        if any(count.trials for count in some):
            told = [
                count.told() if scope == SLICE else _of(count)
                for count, (scope, _) in zip(some, places, strict=True)
            ]
            lines.append(f"| {attack.label} | {' | '.join(told)} |")
    return "\n".join(lines)


def _of(count: Count) -> str:
    return f"{count.read} of {count.trials}" if count.trials else "-"


def peer_table(
    counts: Counts,
    rates: dict[tuple[str, str], float],
    attacks: list[Attack],
    peers: list[str],
    views: dict[str, list[float]],
) -> str:
    """Return what is lost of the mark and of each peer, attack by attack."""
    quality = {name: sum(some) / len(some) for name, some in views.items()}
    own = [name for name in (OURS, STRONGER) if name in quality]
    names = [f"{name} ({quality[name]:.1f} dB)" for name in (*own, *peers)]
    lines = [
        "| attack | " + " | ".join(names) + " | |",
        "| --- |" + " --- |" * (len(names) + 1),
    ]
    for attack in attacks:
        ours = [counts.get((name, attack.label, SLICE, TAG), Count()) for name in own]
        forgiven = [counts.get((p, attack.label, SLICE, "forgiven"), Count()) for p in peers]
        if not any(c.trials for c in ours) or not any(c.trials for c in forgiven):
            continue
        cells = [f"{1 - count.share:.0%}" if count.trials else "-" for count in ours]
        for peer, count in zip(peers, forgiven, strict=True):
            if not count.trials:
                cells.append("-")
                continue
            exact = counts[peer, attack.label, SLICE, "exact"]
            rate = rates[peer, attack.label]
            cells.append(f"{1 - count.share:.0%} ({1 - exact.share:.0%}, BER {rate:.1%})")
        lines.append(f"| {attack.label} | {' | '.join(cells)} | {verdict(ours, forgiven)} |")
    return "\n".join(lines)


def verdict(ours: list[Count], peers: list[Count]) -> str:
    """Say how what is lost of the mark compares with the peer that loses least."""
    own, best = (max(count.share for count in some if count.trials) for some in (ours, peers))
    if own > best + 1e-9:
        return "fewer lost"
    return "as many lost" if own > best - 1e-9 else "**more lost**"


def bar_table(counts: Counts) -> str:
    """Return each bar with the figure reached."""
    lines = ["| what | attack | bar | reached | |", "| --- | --- | --- | --- | --- |"]
    for bar in bars():
        count = counts.get((OURS, bar.attack, bar.scope, bar.what), Count())
        lines.append(bar.told(count.read, count.trials))
    return "\n".join(lines)


def draw_families(folder: Path, counts: Counts, attacks: list[Attack], peers: list[str]) -> None:
    """Draw what reads against the strength of the attack, a picture for each family."""
    families: dict[str, list[Attack]] = defaultdict(list)
    for attack in attacks:
        families[attack.family].append(attack)
    for family, some in families.items():
        series = [
            ("tag, slice alone", OURS, SLICE, TAG),
            ("the same, robust", STRONGER, SLICE, TAG),
            ("message, volume", OURS, VOLUME, MESSAGE),
            *((peer, peer, SLICE, "forgiven") for peer in peers),
        ]
        found = [
            (name, [counts.get((who, a.label, scope, what), Count()) for a in some])
            for name, who, scope, what in series
        ]
        found = [(name, row) for name, row in found if any(count.trials for count in row)]
        if found and family != "none":
            picture = folder / f"{family.translate(_SAFE).replace('--', '-').strip('-')}.png"
            _draw(picture, family, some, found)


def _draw(
    picture: Path, family: str, attacks: list[Attack], found: list[tuple[str, list[Count]]]
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    numeric = len(attacks) > 2 and all(not isinstance(a.level, str) for a in attacks)
    flat = family == PAIRS
    figure, axes = plt.subplots(figsize=(6, 4.2) if flat else (6, 3.3), layout="constrained")
    for i, (name, row) in enumerate(found):
        shares = [count.share for count in row]
        errors = [count.reaches() for count in row]
        errors = [list(some) for some in zip(*errors, strict=True)]
        colour = _COLOURS[i % len(_COLOURS)]
        beside = (i - (len(found) - 1) / 2) / len(found)
        if numeric:
            # Beside each other, since many are alike.
            places = [n + 0.4 * beside for n in range(len(attacks))]
            axes.errorbar(
                places, shares, errors, marker=_MARKERS[i], ms=5, lw=1.2, capsize=2, elinewidth=0.8,
                color=colour, label=name,
            )  # fmt: skip
        elif flat:
            axes.barh([a.label for a in attacks], shares, color=colour, label=name)
        else:
            width = 0.8 / len(found)
            places = [n + 0.8 * beside for n in range(len(attacks))]
            axes.bar(places, shares, width, yerr=errors, capsize=2, color=colour, label=name)
    if flat:
        axes.set(xlim=(0, 1.05), xlabel="share that reads")
    else:
        axes.set(ylim=(-0.03, 1.05), ylabel="share that reads", xlabel=family)
    if not flat:
        axes.set_xticks(range(len(attacks)), [str(a.level) for a in attacks])
    figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(picture, dpi=90)
    plt.close(figure)
    _shrink(picture)


def _shrink(picture: Path) -> None:
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(96).save(picture, optimize=True)
