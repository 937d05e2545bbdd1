"""What the projections of a block say, and how far they are moved.

A layout is chosen for a volume by how much it has to hold (`capacity`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedWatermarkLib.dct import AREA
from MedWatermarkLib.sites import PHASES, PLAIN, ROLE_SHARE, TAG, Sites

#: Steps of bold projections are these parts of an octave apart, whatever the layout.
STEPS_PER_OCTAVE = 64
# By how many of these parts a bold step is below that of a mark that moves one projection alone, in
# all blocks.
_BELOW = {0: -21, 1: -10, 3: 0, 5: 7, 8: 13}

# Blocks that a slice has to have to say the tag with bold projections alone.
_FEW = 600
# Standard deviations of chance above which they are seen to say it with fine ones.
_SEEN = 4.0

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """How projections are shared out.

    Attributes
    ----------
    fine : int
        Fine projections of each block: the fewer, the more robust is each.
    """

    fine: int

    @property
    def width(self) -> int:
        """Projections of a block: the bold one, then the fine ones."""
        return 1 + self.fine

    def steps(self, strength: float) -> FloatArray:
        """Return the lattice steps.

        A projection moves by up to half a step, evenly spread, so by a variance of step²/12; the
        patterns are orthonormal and a block has 64 voxels.

        Parameters
        ----------
        strength : float
            RMSE, in units of the voxels.

        Returns
        -------
        (4, width) float64 array, by role; 0 where a block has no such projection.
        """
        bold = 2.0 ** (-_BELOW[self.fine] / STEPS_PER_OCTAVE)
        left = 1 - (1 - ROLE_SHARE[PLAIN]) * bold**2
        steps = np.full((4, self.width), bold)
        steps[PLAIN, 0] = 0
        if self.fine:
            steps[:, 1:] = np.sqrt(left / self.fine)
        return np.asarray(strength * np.sqrt(12 * AREA) * steps)

    def places(
        self,
        where: Sites,
        word: int,
        by: npt.ArrayLike,
        bx: npt.ArrayLike,
        phases: npt.ArrayLike,
        length: int,
        few: npt.ArrayLike,
    ) -> IntArray:
        """Return what place in the layout of a code word each projection of blocks has.

        Parameters
        ----------
        where : Sites
        word : TAG or MESSAGE
        by, bx : (n,) arrays
            Row and column of the blocks on the canonical plane.
        phases : int or (n,) array
            Phase of each block's slice; each phase starts a sixteenth further on.
        length : int
            Bits of the code word.
        few : bool or (n,) bool array
            Whether each block's slice is one of few blocks. There the fine projections of the tag's
            blocks say the tag, elsewhere the message as those of all other blocks do.

        Returns
        -------
        (n, width) int64 array, -1 where a projection says something else.
        """
        roles, ranks = where.roles(by, bx), where.ranks(by, bx)
        start = np.broadcast_to(np.asarray(phases, np.int64) * length // PHASES, roles.shape)
        found = np.full((len(roles), self.width), -1, np.int64)
        of_tag = (roles == TAG) & few
        chosen = of_tag if word == TAG else ~of_tag
        if word == TAG:
            bold, fine = start + ranks, start + length // 2 + ranks * self.fine
        else:
            bold, fine = start - 1 - ranks, start + where.ranks_of_all(by, bx) * self.fine
        # Bold ones begin elsewhere, or run back, so that a slice's fine ones say what they do not.
        found[roles == word, 0] = bold[roles == word] % length
        found[chosen, 1:] = (fine[chosen, None] + np.arange(self.fine)) % length
        return found


def few_blocks(counts: IntArray, factor: float = 1.0) -> npt.NDArray[np.bool_]:
    """Return which slices have so few blocks that these have to say the tag with more projections.

    Parameters
    ----------
    counts : (z,) int64 array
        Blocks within the patient.
    factor : float
        By what a reader, who may count others than the writer did, moves the limit.
    """
    return np.asarray(counts < factor * _FEW)


def says_the_tag(waves: FloatArray, slices: IntArray, depth: int) -> npt.NDArray[np.bool_]:
    """Return in which slices fine projections of the tag's blocks are seen to say the tag.

    Parameters
    ----------
    waves : (n, fine) array
        How well they agree with it: the sine of each, times its sign.
    slices : (n,) int64 array
    depth : int

    Returns
    -------
    (z,) bool array
    """
    sums = np.bincount(slices, waves.sum(axis=1), depth)
    counts = np.bincount(slices, minlength=depth) * waves.shape[1]
    return np.asarray(sums > _SEEN * np.sqrt(counts / 2))


#: The layouts, in the order of the tag's number for them; each holds more than the one before.
LAYOUTS = tuple(Layout(fine) for fine in (0, 1, 3, 5, 8))
#: Those that a reader of the tag tries: bold projections alone first, which are the same in all.
TAG_LAYOUTS = (LAYOUTS[0], *sorted(LAYOUTS[1:], key=lambda layout: abs(layout.fine - 3)))
