"""Pictures of a slice: what someone exported, put on a slide or sent on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from MedWatermarkLib.image_errors import ImageReadError
from MedWatermarkLib.volume import Volume

#: Suffixes of files that are read as pictures.
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def read_picture(path: Path) -> Volume:
    """Read a picture of one slice.

    Parameters
    ----------
    path : pathlib.Path
        PNG or JPEG, grey, or colour whose channels are equal; transparency is dropped.

    Returns
    -------
    Volume
        One slice of grey values, without place or unit.

    Raises
    ------
    ImageReadError
        If it cannot be read, or is in colour.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("L", "I", "I;16", "I;16B"):
                return Volume(np.asarray(image)[np.newaxis])
            channels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's own words name no cause that a user could mend.
        raise ImageReadError(f"{path} is no picture that can be read, or it is damaged.") from error
    if (channels != channels[..., :1]).any():
        raise ImageReadError(
            f"{path} is in colour; a picture of a slice is grey, without annotations in colour."
        )
    return Volume(np.ascontiguousarray(channels[np.newaxis, ..., 0]))
