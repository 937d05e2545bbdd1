"""Images that say, or look as if, someone's identity was drawn into their pixels.

No header can be cleaned of what the pixels say. Such images are not passed on unless a person has
looked at them (PS3.15 E.3.1; the list follows what PS3.3 C.8.6 and the modalities themselves do).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID
from scipy import ndimage

from MedWatermarkLib.dicom_pixels import is_encapsulated, pixel_words, stored_values

_CAPTURED = "1.2.840.10008.5.1.4.1.1.7"
# Their consoles draw the name into the picture, or a camera may show the face.
_DRAWN_MODALITIES = {
    "US": "ultrasound",
    "IVUS": "ultrasound",
    "BDUS": "ultrasound",
    "OT": "of no modality (OT)",
    "SC": "a secondary capture",
    "XC": "a photograph",
    "GM": "a photograph",
    "ES": "endoscopy",
    "DOC": "a document",
    "HC": "a hard copy",
    "RG": "a digitised film",
}
_SCREENS = ("SCREEN", "CAPTURE", "SNAPSHOT", "DOSE_INFO", "PROT", "REPORT", "PALETTE")

# Letters of a burnt-in line are at least so many, of about one height, on one line.
_LEAST_LETTERS = 7
_LETTER_HEIGHTS = (5, 40)
# How far from full black or white, of the range between, the edges of smoothed letters are let.
_SMOOTHED = 0.3
# Greatest share of a slice that letters fill; more is bone, or a clipped image.
_GREATEST_SHARE = 0.03


class BurnedInIdentityError(ValueError):
    """Images whose pixels may name the patient, and nobody has looked at them."""

    def __init__(self, name: str, reasons: Iterable[str]) -> None:
        super().__init__(
            f"{name} may show the patient's identity in its pixels: {'; '.join(reasons)}. Look at "
            "every image, and only if none names anyone say so (--pixels-checked)."
        )


def header_reasons(instance: Dataset) -> list[str]:
    """Say why, by its header, an image may have an identity burnt in.

    Parameters
    ----------
    instance : pydicom.Dataset

    Returns
    -------
    list of str
        Empty if nothing speaks for it; never with a value that could name someone.
    """
    reasons = []
    burned_in = str(instance.get("BurnedInAnnotation") or "").strip().upper()
    if burned_in == "YES":
        reasons.append("its Burned In Annotation says YES")
    sop_class = str(instance.get("SOPClassUID") or "")
    if sop_class == _CAPTURED or sop_class.startswith(_CAPTURED + "."):
        reasons.append(f"it is a {UID(sop_class).name}")
    if kind := _DRAWN_MODALITIES.get(str(instance.get("Modality") or "").strip()):
        reasons.append(f"it is {kind}")
    if instance.get("ConversionType"):
        reasons.append("it was converted or captured (Conversion Type)")
    image_type = str(instance.get("ImageType") or "").upper()
    if any(word in image_type for word in _SCREENS):
        reasons.append("its Image Type speaks of a screen or a report")
    samples = instance.get("SamplesPerPixel") or 1
    photometric = str(instance.get("PhotometricInterpretation") or "MONOCHROME2")
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        reasons.append("it is in colour, as screenshots are")
    return reasons


def clear_unused_bits(instance: Dataset, name: str) -> bool:
    """Clear what lies in the bits of the pixels that store no value: old overlays do.

    Parameters
    ----------
    instance : pydicom.Dataset
        Changed in place, if its pixel data are not compressed.
    name : str
        What to call it in an error.

    Returns
    -------
    bool
        Whether there was, and still is, something in these bits: nothing is done to compressed
        pixel data.
    """
    if "PixelData" not in instance or (instance.get("SamplesPerPixel") or 1) != 1:
        return False
    if int(instance.get("BitsStored") or 0) == int(instance.get("BitsAllocated") or 0):
        return False
    words = pixel_words(instance, name)
    values = stored_values(words, instance)
    if np.array_equal(values, words):
        return False
    if is_encapsulated(instance):
        return True
    little = instance.original_encoding[1] is not False
    data = values.astype(values.dtype.newbyteorder("<" if little else ">")).tobytes()
    element = instance["PixelData"]
    element.value = data + b"\0" * (len(data) % 2)
    return False


def looks_lettered(pixels: npt.NDArray[Any]) -> bool:
    """Tell whether a slice looks as if letters were drawn into it.

    Letters are drawn in white or black, or nearly so where they are smoothed: many small parts of
    one height, on one line.

    Parameters
    ----------
    pixels : (y, x) array
        Stored or rescaled values.
    """
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if finite.size == 0 or finite.min() == finite.max():
        return False
    low, high = float(finite.min()), float(finite.max())
    margin = _SMOOTHED * (high - low)
    return any(_is_lettering(drawn) for drawn in (pixels >= high - margin, pixels <= low + margin))


def _is_lettering(drawn: npt.NDArray[np.bool_]) -> bool:
    if not 0 < drawn.mean() <= _GREATEST_SHARE:
        return False
    parts, _ = ndimage.label(drawn, np.ones((3, 3)))
    boxes = ndimage.find_objects(parts)
    low, high = _LETTER_HEIGHTS
    letters = [
        (rows.stop, rows.stop - rows.start)
        for rows, columns in filter(None, boxes)
        if low <= rows.stop - rows.start <= high
        and 1 <= columns.stop - columns.start <= 1.5 * (rows.stop - rows.start)
    ]
    return any(
        sum(abs(base - b) <= 1 and abs(height - h) <= 1 for b, h in letters) >= _LEAST_LETTERS
        for base, height in set(letters)
    )
