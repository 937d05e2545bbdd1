"""What can be wrong with the files of a scan, in words for the person who chose them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class ImageReadError(ValueError):
    """A file or folder does not hold a scan that can be read."""


class ImageWriteError(ValueError):
    """A scan cannot be written as asked; nothing was written."""


class ImageReadWarning(UserWarning):
    """A scan was read, but something of it was left out or assumed."""


def reason_of(error: BaseException | None) -> str | None:
    """Return what the system said, if the error goes back to it; others only add to its words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def understanding(path: object) -> Iterator[None]:
    """Turn whatever a damaged header makes pydicom raise into an `ImageReadError`.

    pydicom decodes a value when it is first asked for, and raises what it stumbles on. Its words
    are not passed on: they quote the value, which may name the patient.
    """
    try:
        yield
    except (ImageReadError, ImageWriteError, OSError):
        raise
    except Exception as error:
        raise ImageReadError(
            f"The header of {path} cannot be understood ({type(error).__name__}); the file seems "
            "damaged."
        ) from error
