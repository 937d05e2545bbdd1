"""Progress: told as the share that is done, from 0 to 1."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]


def part(progress: Progress | None, start: float, stop: float) -> Progress | None:
    """Make of a progress one for a part of the work.

    Parameters
    ----------
    progress : callable or None
        Of the whole.
    start, stop : float
        Which part of it, as shares of the whole.
    """
    if progress is None:
        return None
    return lambda share: progress(start + share * (stop - start))
