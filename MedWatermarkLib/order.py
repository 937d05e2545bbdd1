"""In which order slices arrived: each says the number that it had, modulo 16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.sites import PHASES

# Steps on to the next slice, from 1, that are taken for a gap where hardly a slice follows on.
_GAP = 4
# Agreement with a phase, and by how much it has to be better than with any other, in standard
# deviations, that chance reaches in less than one of a million slices.
_SURE, _CLEAR = 7.0, 4.0


@dataclass(frozen=True)
class Order:
    """How slices follow one another that were not left as they were marked.

    What is told is told modulo 16: that sixteen slices are missing does not show.

    Attributes
    ----------
    start : int
        Number, modulo 16, that the first slice had.
    backwards : bool
        Whether they count down.
    breaks : tuple of int
        Slices, from 0, that do not follow the one before: others are missing there, or were moved.
    shuffled : bool
        Whether most do not, and gaps would not explain it.
    """

    start: int
    backwards: bool
    breaks: tuple[int, ...]
    shuffled: bool

    @classmethod
    def of(cls, phases: Sequence[int | None]) -> Order | None:
        """Return the order of slices, or None if they are as they were marked.

        Parameters
        ----------
        phases : sequence of int or None
            Number, modulo 16, that each slice had; None where it is not known.
        """
        known = np.array([z for z, phase in enumerate(phases) if phase is not None], np.int64)
        if not len(known):
            return None
        turns = np.array([phases[z] for z in known], np.int64)
        gaps = {way: (way * np.diff(turns) - np.diff(known)) % PHASES for way in (1, -1)}
        way = min(gaps, key=lambda one: (np.count_nonzero(gaps[one]), int(gaps[one].sum())))
        broken = gaps[way] != 0
        shuffled = 2 * broken.sum() > len(broken) and bool((gaps[way] >= _GAP).any())
        start = int((turns[0] - way * known[0]) % PHASES)
        if way > 0 and start == 0 and not broken.any():
            return None
        return cls(start, way < 0, tuple(known[1:][broken].tolist()), shuffled)

    def __str__(self) -> str:
        if self.shuffled:
            return "put in another order"
        parts = []
        if self.backwards:
            parts.append("put in reversed order")
        elif self.start:
            first, *others = range(self.start + 1, self.start + 3 * PHASES, PHASES)
            parts.append(f"begun at slice {first} (or {', '.join(map(str, others))}, …)")
        if self.breaks:
            places = ", ".join(str(z + 1) for z in self.breaks)
            parts.append(f"changed in its slices, some missing or moved before {places}")
        return "; ".join(parts)


def shown_phases(scores: npt.NDArray[np.float64]) -> list[int | None]:
    """Return the phase that each slice shows, None where it is not sure.

    Parameters
    ----------
    scores : (z, 16) array
        How well each slice agrees with each phase, in standard deviations of chance.
    """
    best = scores.argmax(axis=1)
    ordered = np.sort(scores, axis=1)
    sure = (ordered[:, -1] > _SURE) & (ordered[:, -1] - ordered[:, -2] > _CLEAR)
    return [int(phase) if yes else None for phase, yes in zip(best, sure, strict=True)]
