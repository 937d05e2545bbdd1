"""The tables and pictures of `robustness.py`, from its measurements."""

from __future__ import annotations

import json
import re
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
# Of this mark; and of each peer, with the mark of its strength.
_COLOURS = ("#1f5fa8", "#2f8f4e", "#c23b22", "#d9820f")


def as_strong_as(peer: str) -> str:
    """Return what the mark is called that changes the view as little as a peer."""
    return f"{OURS} as {peer}"


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
    readings = sum(line["trials"] for line in measured if "wrong" in line)
    rows = [
        {"subject": s, "attack": a, "scope": scope, "what": what, **count.facts()}
        for (s, a, scope, what), count in counts.items()
    ]
    facts = {**facts, "wrong": wrong, "readings": readings, "forgiven_errors": FORGIVEN}
    (folder / "robustness.json").write_text(json.dumps({"facts": facts, "rows": rows}, indent=1))
    peers = sorted({line["subject"] for line in measured if "errors" in line})
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
    """Return what is lost of the mark and of each peer, attack by attack.

    Beside each peer stands the mark that changes the view as little.
    """
    names = [OURS, *(name for peer in peers for name in (peer, as_strong_as(peer)))]
    heads = [f"{name} ({sum(views[name]) / len(views[name]):.1f} dB)" for name in names]
    lines = [
        "| attack | " + " | ".join(heads) + " | |",
        "| --- |" + " --- |" * (len(names) + 1),
    ]
    for attack in attacks:
        default = counts.get((OURS, attack.label, SLICE, TAG), Count())
        cells, pairs = [_lost(default)], []
        for peer in peers:
            forgiven = counts.get((peer, attack.label, SLICE, "forgiven"), Count())
            if not forgiven.trials or not default.trials:
                break
            exact, rate = counts[peer, attack.label, SLICE, "exact"], rates[peer, attack.label]
            ours = counts.get((as_strong_as(peer), attack.label, SLICE, TAG), Count())
            cells += [f"{_lost(forgiven)} ({_lost(exact)}, BER {rate:.1%})", _lost(ours)]
            best = max(count.share for count in (default, ours) if count.trials)
            pairs.append((best, forgiven.share))
        else:
            lines.append(f"| {attack.label} | {' | '.join(cells)} | {verdict(pairs)} |")
    return "\n".join(lines)


def verdict(pairs: Iterable[tuple[float, float]]) -> str:
    """Say how the shares that read compare, (mark, peer), with the peer that compares best."""
    least = min(mark - peer for mark, peer in pairs)
    if abs(least) < 1e-9:
        return "as many lost"
    return "fewer lost" if least > 0 else "**more lost**"


def _lost(count: Count) -> str:
    return f"{1 - count.share:.0%}" if count.trials else "-"


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
        own, *others = _COLOURS
        wanted = [
            ("tag, slice alone", OURS, SLICE, TAG, own, False),
            ("message, volume", OURS, VOLUME, MESSAGE, own, True),
        ]
        for peer, colour in zip(peers, others, strict=False):
            wanted.append((peer, peer, SLICE, "forgiven", colour, True))
            wanted.append((f"tag, as {peer}", as_strong_as(peer), SLICE, TAG, colour, False))
        found = []
        for name, who, scope, what, colour, pale in wanted:
            row = [counts.get((who, a.label, scope, what), Count()) for a in some]
            if any(count.trials for count in row):
                found.append(Series(name, row, colour, pale))
        if found and family != "none":
            picture = folder / f"{re.sub('[^A-Za-z0-9]+', '-', family).strip('-')}.png"
            _draw(picture, family, some, found)


@dataclass(frozen=True)
class Series:
    """What is drawn of one subject, against the strength of the attacks of a family.

    Attributes
    ----------
    name : str
    row : list of Count
    colour : str
    pale : bool
        Whether it stands behind the other one of its colour.
    """

    name: str
    row: list[Count]
    colour: str
    pale: bool


def _draw(picture: Path, family: str, attacks: list[Attack], found: list[Series]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    numeric = len(attacks) > 2 and all(not isinstance(a.level, str) for a in attacks)
    flat = family == PAIRS
    figure, axes = plt.subplots(figsize=(6.4, 4.2) if flat else (6.4, 3.6), layout="constrained")
    for i, one in enumerate(found):
        shares = [count.share for count in one.row]
        lower, upper = zip(*(count.reaches() for count in one.row), strict=True)
        style = {"color": one.colour, "label": one.name, "alpha": 0.45 if one.pale else 1}
        # Beside each other, since many are alike.
        beside = (i - (len(found) - 1) / 2) / len(found)
        if flat:
            axes.barh([a.label for a in attacks], shares, **style)
            continue
        places = [n + (0.5 if numeric else 0.8) * beside for n in range(len(attacks))]
        if numeric:
            axes.errorbar(
                places, shares, [lower, upper], marker="D" if one.pale else "o", ms=5, lw=1.2,
                ls="--" if one.pale else "-", capsize=2, elinewidth=0.8, **style,
            )  # fmt: skip
        else:
            axes.bar(places, shares, 0.8 / len(found), yerr=[lower, upper], capsize=2, **style)
    if flat:
        axes.set(xlim=(0, 1.05), xlabel="share that reads")
    else:
        axes.set(ylim=(-0.03, 1.05), ylabel="share that reads", xlabel=family)
        axes.set_xticks(range(len(attacks)), [str(a.level) for a in attacks])
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(picture, dpi=90)
    plt.close(figure)
    _shrink(picture)


def _shrink(picture: Path) -> None:
    from PIL import Image

    Image.open(picture).convert("RGB").quantize(96).save(picture, optimize=True)
