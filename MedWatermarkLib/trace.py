"""For whom a copy that leaked was made.

Each recipient's copy has a number of its own in the tag of every slice. `trace` names a copy by
either of two kinds of evidence, and states a bound on the probability that a copy is named which
had no part in the suspect.

**Read.** A tag that was decoded, of all slices together or of one alone, has passed a check of 32
bits. A word that is not there passes it with a chance of 2**-32, and says one of K numbers with one
of K * 2**-24. With D words held against the check the bound is ``D * 2**-32 * min(1, K * 2**-24)``,
and where two slices say the number, each by itself, ``(D * 2**-32)**2 * min(1, K * 2**-24)``.

**Shown.** Of copies that were averaged, or of what is too weak to be decoded, the tag's code word
is known for each number that was issued, since copies of one volume differ in nothing else. Let x
be what the suspect says of each bit of the code word, more than 0 for a 1 (`Extracted.evidence`),
at those n bits in which any two copies differ, and s_c the word of copy c in -1 and 1. What a
suspect shows of several copies is about a weighted sum of their words: x = sum a_c s_c + e. The
share a_c of each of the copies that agree best with x is estimated by least squares, which is a
linear form u . x with u . s_c = 1 and u . s_d = 0 for each other copy d, so that what the words of
two copies have in common counts for neither. If copy c has no part in the suspect (a_c = 0), then
u . x = u . e. Signs of e are as good as coins: bits of the code lie in blocks that the key has
chosen, are scrambled and are modulated on patterns whose signs are the key's. So by Hoeffding's
inequality (W. Hoeffding, Journal of the American Statistical Association 58(301), 1963, 13-30)

    P(u . x > t |x u|) <= exp(-t**2 / 2),

|x u| being the root of the sum of squares of x_i u_i, which is at least that of e_i u_i up to what
the copies themselves add to it. With N tests made (copies, slices, and what else
the tag may say, each for itself) the bound is ``N * exp(-t**2 / 2)``.

A number that is not in the list and was decoded counts as one of 2**24.

What the bounds do not cover: copies that were issued but are not in the list, and are too weak to
be decoded (as a guard nobody is named while a number that differs in up to three bits and was not
issued agrees better); and someone who holds the key of the mark and writes another's number into a
scan on purpose. Where recipients hold the key of their copy, give each copy a key of its own, and
trace with each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedWatermarkLib import qr
from MedWatermarkLib.blocks import WatermarkError
from MedWatermarkLib.copy_words import CopyWords
from MedWatermarkLib.decoding import TagEvidence
from MedWatermarkLib.extracted import Extracted
from MedWatermarkLib.layout import LAYOUTS
from MedWatermarkLib.sites import PILOT
from MedWatermarkLib.strength import rung_of
from MedWatermarkLib.tag import COPY_BITS, GREATEST_COPY, RUNGS_TOLD, Tag, message_id
from MedWatermarkLib.watermark import extract

#: A copy is named only if the bound on the probability of naming any wrongly is below this.
GREATEST_CHANCE = 1e-6

# Mean product of two copies' shares, over the product of their means, above which they were
# averaged: 1 if they were, 0 if each slice is of one of them.
_AVERAGED = 0.5
# Rungs of the ladder of strengths by which a tag that does not read may be seen beside its own.
_BESIDE = (0, -1, 1)


@dataclass(frozen=True)
class NamedCopy:
    """A copy that a suspect was made from.

    Attributes
    ----------
    copy : int
    slices : tuple of int
        The slices of the suspect, from 0, that show it alone.
    issued : bool or None
        Whether it is in the list of those that were issued; None without a list.
    read : bool
        Whether its tag was decoded; else it is shown by its correlation.
    share : float
        How much of the tag's signal is its, about: 1 for all of it, 0.5 of two averaged copies.
    chance : float
        Bound on the probability that it is named wrongly.
    """

    copy: int
    slices: tuple[int, ...]
    issued: bool | None
    read: bool
    share: float
    chance: float


@dataclass(frozen=True, eq=False)
class Trace:
    """For whom a suspect was made.

    Attributes
    ----------
    copies : tuple of NamedCopy
        Those named, the surest first.
    mixture : str or None
        How several were put together: "averaged", or "slices" if slices were taken from one or
        the other; None if at most one is named.
    chance : float
        Bound on the probability that any of them is named wrongly.
    extracted : Extracted
        What was read.
    """

    copies: tuple[NamedCopy, ...]
    mixture: str | None
    chance: float
    extracted: Extracted

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        names = " and ".join(
            str(one.copy) if one.issued is not False else f"{one.copy} (not in the list)"
            for one in self.copies
        )
        if not self.copies:
            if self.extracted.tag is None and not self.extracted.evidence:
                return "No mark was found with this key, so no copy is named."
            return (
                "A mark may be there, but which copy it is of was not shown. With the claim that "
                "it carries, copies are named too that were averaged or are too faint to read."
            )
        if self.mixture is None:
            return f"The suspect was made from copy {names}."
        if self.mixture == "slices":
            return f"Slices of the copies {names} were put together."
        return f"The copies {names} were averaged."


def trace(
    voxels: npt.ArrayLike,
    *,
    key: bytes = b"",
    copies: Iterable[int] | None = None,
    message: bytes | None = None,
    reference: npt.ArrayLike | None = None,
    hounsfield: tuple[float, float] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Read from a copy that leaked for whom it was made.

    Parameters
    ----------
    voxels : (z, y, x) array
        The suspect: a volume, some of its slices, or a picture of one.
    key : bytes
        The mark's key.
    copies : iterable of int, optional
        The numbers of all copies that were issued. With them and the message, copies are named
        that do not read: averaged ones, and those of which too little is left.
    message : bytes, optional
        What was hidden, which is the same in all copies.
    reference, hounsfield, progress
        As for `watermark.extract`; with the original at hand far more can be traced.

    Returns
    -------
    Trace

    Raises
    ------
    WatermarkError
        If an array is not a volume of numbers, or a number is none of a copy.
    """
    issued = None if copies is None else sorted(set(copies))
    if issued is not None and not all(0 <= number <= GREATEST_COPY for number in issued):
        raise WatermarkError(f"A copy number lies between 0 and {GREATEST_COPY}.")
    extracted = extract(
        voxels, key=key, reference=reference, hounsfield=hounsfield, progress=progress
    )
    found = _read(extracted, issued)
    for one in _shown(extracted, issued, set(found), message):
        other = found.get(one.copy)
        found[one.copy] = one if other is None else _together(other, one)
    limit = GREATEST_CHANCE / max(len(found), 1)
    named = sorted(
        (one for one in found.values() if one.chance < limit),
        key=lambda one: (one.chance, one.copy),
    )
    chance = sum(one.chance for one in named)
    return Trace(tuple(named), _mixture(named, extracted, message), chance, extracted)


def _read(extracted: Extracted, issued: list[int] | None) -> dict[int, NamedCopy]:
    """Return the copies whose tags were decoded."""
    said = [reading.copy for reading in extracted.slices]
    numbers = {number for number in said if number is not None}
    if extracted.tag is not None:
        numbers.add(extracted.tag.copy)
    found = {}
    for number in numbers:
        listed = None if issued is None else number in issued
        slices = tuple(z for z, other in enumerate(said) if other == number)
        chance = min(1.0, extracted.checked * 2.0**-32) ** (1 if len(slices) < 2 else 2)
        if issued is not None and listed:
            chance *= min(1.0, len(issued) * 2.0**-COPY_BITS)
        found[number] = NamedCopy(number, slices, listed, True, 1.0, chance)
    return found


def _shown(
    extracted: Extracted, issued: list[int] | None, read: set[int], message: bytes | None
) -> list[NamedCopy]:
    """Return the copies that the evidence shows, in all slices together or in one alone."""
    numbers = sorted(read.union(issued or ()))
    if not numbers:
        return []
    listed = set(issued or ())
    # What was not listed could have been any number.
    ways = {n: float(len(listed)) if n in listed else 2.0**COPY_BITS for n in numbers}
    guesses = [
        (one.sums, tag) for one in extracted.evidence for tag in _announced(extracted, one, message)
    ]
    tests = len(guesses) * (len(extracted.slices) + 1)
    limit = GREATEST_CHANCE / len(numbers)
    best: dict[int, NamedCopy] = {}
    for sums, tag in guesses:
        words = CopyWords(tag, numbers)
        views = [(None, sums.sum(axis=0)), *enumerate(sums)]
        for z, x in views:
            for copy, share, bound in words.shown(x):
                chance = min(1.0, tests * ways[copy] * bound)
                if chance < limit and words.leads(copy, x):
                    kept = None if issued is None else copy in listed
                    one = best.get(copy, NamedCopy(copy, (), kept, False, share, chance))
                    slices = one.slices if z is None else (*one.slices, z)
                    best[copy] = replace(one, slices=slices, chance=min(one.chance, chance))
    return list(best.values())


def _announced(extracted: Extracted, seen: TagEvidence, message: bytes | None) -> list[Tag]:
    """Return what the tags of all copies may be but for the number: as read, or as known."""
    if extracted.tag is not None:
        return [extracted.tag]
    if message is not None:
        codewords = len(qr.data_codewords(message))
        forms = [
            (density, spared, (number + beside) % RUNGS_TOLD)
            for density, number in enumerate(_rungs(seen.step))
            for spared in (False, True)
            for beside in _BESIDE
        ]
        return [Tag(message_id(message), 0, codewords, *form) for form in forms]
    return []


def _rungs(step: float) -> list[int]:
    """Return the rung of the ladder of strengths on which each layout has such a step of pilots."""
    return [rung_of(step / layout.steps(1.0)[PILOT, 0]) for layout in LAYOUTS]


def _together(one: NamedCopy, other: NamedCopy) -> NamedCopy:
    slices = tuple(sorted({*one.slices, *other.slices}))
    chance = min(one.chance, other.chance)
    return replace(other, slices=slices, read=one.read or other.read, chance=chance)


def _mixture(named: list[NamedCopy], extracted: Extracted, message: bytes | None) -> str | None:
    """Return how several copies were put together.

    Of averaged copies every slice has a share of each, and so has the product of two shares; where
    slices were taken from one or the other the product is 0 in each.
    """
    if len(named) < 2:
        return None
    numbers = [one.copy for one in named]
    shares = [
        np.array([CopyWords(tag, numbers).shares(layer) for layer in seen.sums])
        for seen in extracted.evidence
        for tag in _announced(extracted, seen, message)
    ]
    best = max(shares, key=lambda one: float(one.sum()))
    products = best.T @ best * len(best)
    sums = np.maximum(best.sum(axis=0), 1e-12)
    alike = (products / np.outer(sums, sums))[np.triu_indices(len(named), 1)]
    return "averaged" if alike.max() > _AVERAGED else "slices"
