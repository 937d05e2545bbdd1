"""What copies of one volume differ in: the code words of their tags, held against a suspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.modulation import tag_word
from MedWatermarkLib.tag import COPY_BITS, Tag

# Copies whose shares are estimated together: those that agree best.
_TOGETHER = 8
# Numbers that differ in up to three bits, whose words may agree in up to seven bits of ten.
_NEAR = [sum(1 << b for b in bits) for n in (1, 2, 3) for bits in combinations(range(COPY_BITS), n)]


FloatArray = npt.NDArray[np.float64]


class CopyWords:
    """The code words of some copies' tags, at the bits in which any two copies differ.

    Parameters
    ----------
    tag : Tag
        That of any copy: what they share is taken from it.
    numbers : sequence of int
        The copies.
    """

    def __init__(self, tag: Tag, numbers: Sequence[int]) -> None:
        plain = tag_word(replace(tag, copy=0))
        # The code and the check are linear: what a bit of the number changes is the same always.
        bits = np.array([tag_word(replace(tag, copy=1 << b)) ^ plain for b in range(COPY_BITS)])
        self._differ = np.flatnonzero(bits.any(axis=0))
        self._bits = bits[:, self._differ].astype(np.float32)
        self._plain = 2.0 * plain[self._differ] - 1
        self._numbers = list(numbers)
        self._signs = self._words(numbers)
        self._near = self._words(_NEAR) * self._plain

    def shown(self, evidence: npt.NDArray[Any]) -> list[tuple[int, float, float]]:
        """Return copy, share and Hoeffding's bound of the copies that agree best.

        Parameters
        ----------
        evidence : (n,) array
            What a suspect says of each bit of a tag's whole code word, more than 0 for a 1.

        Returns
        -------
        list of (copy, share, bound)
            The share is about that of the evidence's strength which is the copy's; the bound is
            that on the probability of so great a share by chance, of this one copy.
        """
        x = evidence[self._differ].astype(np.float64)
        if not x.any():
            return []
        likely = np.argsort(-(self._signs @ x), kind="stable")[:_TOGETHER]
        signs = self._signs[likely] * (x != 0)
        forms = np.linalg.pinv(signs.T, rcond=1e-6)
        shares = forms @ x
        deviations = shares / np.maximum(np.linalg.norm(forms * x, axis=1), 1e-12)
        # Of copies that are alike wherever anything is seen, nothing tells one from the other.
        told_apart = np.einsum("cn,cn->c", forms, signs) > 1 - 1e-6
        bounds = np.where(told_apart, np.exp(-(np.maximum(deviations, 0) ** 2) / 2), 1.0)
        # Where copies that were averaged differ, they say nothing together.
        loud = np.abs(x)[np.abs(x) >= np.median(np.abs(x))].mean()
        parts = np.clip(shares / loud, 0, 1)
        return [
            (self._numbers[i], float(part), float(bound))
            for i, part, bound in zip(likely, parts, bounds, strict=True)
        ]

    def shares(self, evidence: npt.NDArray[Any]) -> FloatArray:
        """Return how much of the evidence is each copy's, by least squares, in its own units."""
        x = evidence[self._differ].astype(np.float64)
        return np.asarray(np.linalg.pinv((self._signs * (x != 0)).T, rcond=1e-6) @ x)

    def leads(self, copy: int, evidence: npt.NDArray[Any]) -> bool:
        """Return whether no number that was not issued, and has a similar word, agrees better."""
        x = evidence[self._differ].astype(np.float64)
        own = self._words([copy])[0] * x
        rivals = self._near @ own
        others = set(self._numbers)
        return all(copy ^ _NEAR[i] in others for i in np.flatnonzero(rivals > own.sum()))

    def _words(self, numbers: Sequence[int]) -> FloatArray:
        chosen = (np.array(numbers, np.int64)[:, None] >> np.arange(COPY_BITS) & 1) == 1
        changed = chosen.astype(np.float32) @ self._bits % 2
        return np.asarray((1 - 2 * changed) * self._plain, np.float64)
