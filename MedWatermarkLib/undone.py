"""What became of a marked volume before it was read: what a reader had to undo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Undone:
    """What a reader undid.

    Attributes
    ----------
    gain, offset : float
        The voxels are about ``gain * v + offset`` of the marked ones, where a display window did
        not cut them off.
    scale : float
        How much larger the slices are than the marked ones.
    mirrored : bool
        Whether they were mirrored, left and right.
    angle : float
        By how many degrees they were then turned, counter-clockwise as they are shown.
    origin : (float, float)
        Voxel (y, x) of the marked slices at which they begin.
    slices : tuple of tuple of int
        For each slice the marked ones that it shows: more than one if it is a mean, none if it
        was not recognised.
    """

    gain: float
    offset: float
    scale: float
    mirrored: bool
    angle: float
    origin: tuple[float, float]
    slices: tuple[tuple[int, ...], ...]
