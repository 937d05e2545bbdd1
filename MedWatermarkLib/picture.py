"""Pictures of a slice: what someone exported, put on a slide or sent on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from MedWatermarkLib.image_errors import ImageReadError
from MedWatermarkLib.volume import Volume

#: Suffixes of files that are read as pictures.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

# By how much channels differ where a picture counts as coloured, and how much of it may be.
_GREY, _COLOURED = 24, 0.25


def read_picture(path: Path) -> Volume:
    """Read a picture of one slice.

    Parameters
    ----------
    path : pathlib.Path
        PNG or JPEG, grey, or in colour with a grey slice in it: annotations may be coloured, and
        JPEG strays a little from grey. Transparency is dropped.

    Returns
    -------
    Volume
        One slice of grey values, without place or unit.

    Raises
    ------
    ImageReadError
        If it cannot be read, or is in colour as a whole.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("L", "I", "I;16", "I;16B"):
                return Volume(np.asarray(image)[np.newaxis])
            channels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's own words name no cause that a user could mend.
        raise ImageReadError(f"{path} is no picture that can be read, or it is damaged.") from error
    apart = channels.max(axis=2).astype(int) - channels.min(axis=2)
    if (apart > _GREY).mean() > _COLOURED:
        raise ImageReadError(
            f"{path} is in colour; a picture of a slice is grey, but for its annotations."
        )
    # Of grey the middle channel is as good as any; where it is coloured, something covers it.
    return Volume(np.ascontiguousarray(np.median(channels, axis=2)[np.newaxis].astype(np.uint8)))
