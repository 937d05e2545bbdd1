"""The bars that the mark has to reach, by attack: what share has to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from families import ATTACKS, PAIRS

#: What is read: each of the roomy slices alone, eight slices together, the volume.
SLICE, EIGHT, VOLUME = "slice", "eight slices", "volume"
TAG, MESSAGE = "tag", "message"


@dataclass(frozen=True)
class Bar:
    """A share that has to read after an attack."""

    scope: str
    what: str
    attack: str
    least: float

    def told(self, read: int, trials: int) -> str:
        """Say whether it was reached, in a line of a table."""
        if not trials:
            return f"| {self.what}, {self.scope} | {self.attack} | {self.least:.0%} | not run | |"
        verdict = "reached" if read >= self.least * trials - 1e-9 else "**missed**"
        return (
            f"| {self.what}, {self.scope} | {self.attack} | {self.least:.0%} | "
            f"{read / trials:.0%} ({read} of {trials}) | {verdict} |"
        )


def _bars(scope: str, what: str, shares: Mapping[str, float]) -> list[Bar]:
    return [Bar(scope, what, attack, least) for attack, least in shares.items()]


_ALWAYS = (
    "none", "JPEG 2000 8:1", "JPEG-LS near 3", "gain 0.9", "gain 1.1", "offset -100 HU",
    "offset 50 HU", "salt and pepper 1 %", "crop 25 %", "shift 3", "shift 21",
    "mirrored left to right", "mirrored upside down", "mirrored both", "rotation 90°",
    "rotation 1°", "rotation 5°", "rotation 17°", "PNG, window 40/400",
)  # fmt: skip
_MESSAGE_ALONE = (
    "none", "JPEG 2000 8:1", "gain 0.9", "gain 1.1", "offset -100 HU", "offset 50 HU",
    "crop 25 %", "shift 3", "shift 21", "mirrored left to right", "mirrored upside down",
    "mirrored both",
)  # fmt: skip
_VOLUME = (
    *_ALWAYS, "JPEG 90", "JPEG 75", "JPEG 50", "noise 5 HU", "noise 10 HU", "median 3", "blur 0.5",
    "blur 1", "sharpen 1", "JPEG 2000 15:1", "JPEG 2000 25:1", "equalisation, 1",
    "rescale 0.75 and back", "rescale 1.25 and back", "one slice of 10", "mean of 3 slices",
    "slices shuffled",
)  # fmt: skip


def bars() -> list[Bar]:
    """Return all bars."""
    pairs = [attack.label for attack in ATTACKS if attack.family == PAIRS]
    return [
        *_bars(SLICE, TAG, dict.fromkeys(_ALWAYS, 1.0)),
        *_bars(SLICE, TAG, {
            "JPEG 90": 0.98, "JPEG 75": 0.95, "JPEG 50": 0.4, "noise 5 HU": 0.95,
            "noise 10 HU": 0.2, "JPEG 2000 15:1": 0.65, "JPEG-LS near 5": 0.98, "median 3": 0.85,
            "blur 1": 0.5, "equalisation, 1": 0.75, "rescale 0.75": 0.85, "screenshot 1": 0.8,
        }),
        *_bars(SLICE, MESSAGE, dict.fromkeys(_MESSAGE_ALONE, 1.0)),
        *_bars(SLICE, MESSAGE, {"PNG, window 40/400": 0.9}),
        *_bars(EIGHT, MESSAGE, dict.fromkeys(
            ("noise 5 HU", "JPEG 75", "JPEG 2000 15:1", "median 3"), 0.9)),
        *_bars(VOLUME, MESSAGE, dict.fromkeys((*_VOLUME, *pairs), 1.0)),
    ]  # fmt: skip
