"""Stored values of one DICOM instance: out of its pixel data, and back into it.

PS3.5 section 8.1.1: of the Bits Allocated of a pixel, the lower Bits Stored hold its value, in
two's complement where Pixel Representation is 1. What the bits above hold is not defined, and
old files keep an overlay there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from MedWatermarkLib.image_errors import ImageReadError

_FLOAT_PIXELS = ("FloatPixelData", "DoubleFloatPixelData")


def transfer_syntax(instance: Dataset) -> UID:
    """Return the transfer syntax of a data set that was read, also where no file meta says it."""
    named = getattr(instance, "file_meta", Dataset()).get("TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = instance.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def is_encapsulated(instance: Dataset) -> bool:
    """Tell whether the pixel data are compressed (a deflated data set's are not)."""
    return bool(transfer_syntax(instance).is_encapsulated)


def pixel_words(instance: Dataset, name: str) -> npt.NDArray[Any]:
    """Decode the pixel data as they stand, unused bits included.

    Parameters
    ----------
    instance : pydicom.Dataset
        A monochrome image.
    name : str
        What to call it in an error.

    Returns
    -------
    numpy.ndarray
        ``(frames, rows, columns)``: words of Bits Allocated in native byte order, signed as Pixel
        Representation says, or float32 or float64.

    Raises
    ------
    ImageReadError
        If the image is not monochrome, has a number of bits that no scan has, or is damaged.
    """
    check_is_monochrome(instance, name)
    if not any(keyword in instance for keyword in _FLOAT_PIXELS):
        if "PixelData" not in instance:
            raise ImageReadError(f"{name} holds no pixel data; it seems to be cut short.")
        _check_bits(instance, name)
    try:
        words = _decode(instance)
    except Exception as error:  # decoders raise what they like
        raise ImageReadError(
            f"The pixel data of {name} cannot be decoded, the file seems damaged or cut short: "
            f"{' '.join(str(error).split())}"
        ) from error
    shape = (-1, int(instance.Rows), int(instance.Columns))
    return np.asarray(words, words.dtype.newbyteorder("=")).reshape(shape)


def stored_values(words: npt.NDArray[Any], instance: Dataset) -> npt.NDArray[Any]:
    """Return the values that words hold: the bits above Bits Stored masked or sign-extended."""
    if words.dtype.kind == "f":
        return words
    unused = words.dtype.itemsize * 8 - int(instance.BitsStored)
    if unused == 0:
        return words
    # Shifting a signed integer to the right repeats its sign.
    values: npt.NDArray[Any] = np.right_shift(np.left_shift(words, unused), unused)
    return values


def words_with_values(
    values: npt.NDArray[Any], words: npt.NDArray[Any], instance: Dataset
) -> npt.NDArray[Any]:
    """Return words that hold other values and whose unused bits are as they were.

    Parameters
    ----------
    values : numpy.ndarray
        Stored values within the valid range, of the shape of `words`.
    words : numpy.ndarray
        What `pixel_words` gave for the instance.
    instance : pydicom.Dataset
        The instance.

    Returns
    -------
    numpy.ndarray
        Words, of the shape and dtype of `words`.
    """
    written = values.astype(words.dtype)
    if words.dtype.kind == "f" or np.array_equal(stored_values(words, instance), words):
        # The unused bits were sign extension or zero, and stay so.
        return written
    unsigned = np.dtype(f"u{words.dtype.itemsize}")
    in_use = unsigned.type((1 << int(instance.BitsStored)) - 1)
    kept = words.view(unsigned) & ~in_use
    combined: npt.NDArray[Any] = kept | (written.view(unsigned) & in_use)
    return combined.view(words.dtype)


def valid_range(instance: Dataset, words: npt.NDArray[Any]) -> tuple[int, int] | None:
    """Return the least and greatest stored value that an instance can hold; None for floats."""
    if words.dtype.kind == "f":
        return None
    bits = int(instance.BitsStored)
    if words.dtype.kind == "u":
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def padding_range(instance: Dataset, words: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Return the inclusive range of padding values (PS3.3 C.7.5.1.1.2), in stored units, or None.

    Both attributes are written as US or SS, and often as the wrong one of the two or with bits
    above Bits Stored, so their bits are read as those of a pixel are.
    """
    if words.dtype.kind == "f":
        padding = [
            instance.get(keyword)
            for prefix in ("Float", "DoubleFloat")
            for keyword in (f"{prefix}PixelPaddingValue", f"{prefix}PixelPaddingRangeLimit")
        ]
    else:
        padding = [
            instance.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        ]
    limits = [
        float(limit) if words.dtype.kind == "f" else _as_stored(int(limit), words, instance)
        for limit in padding
        if isinstance(limit, int | float)
    ]
    return (min(limits), max(limits)) if limits else None


def check_is_monochrome(instance: Dataset, name: str) -> None:
    """Raise `ImageReadError` if an image is in colour: a scan has one number for a voxel."""
    photometric = instance.get("PhotometricInterpretation", "MONOCHROME2")
    samples = instance.get("SamplesPerPixel") or 1
    if samples != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageReadError(
            f"{name} is a colour image ({photometric}); a scan has one grey value for each voxel."
        )


def _decode(instance: Dataset) -> npt.NDArray[Any]:
    syntax = transfer_syntax(instance)
    plugin = ""
    if is_encapsulated(instance):
        # Decoders of lossy JPEG differ by a grey value or so, and with them the hash: always the
        # same ones, whatever else is installed.
        plugin = "pydicom" if syntax == RLELossless else "pylibjpeg"
    # The words are wanted with their unused bits: writing keeps those.
    options: Any = {"correct_unused_bits": False}
    words, _ = get_decoder(syntax).as_array(instance, raw=True, decoding_plugin=plugin, **options)
    return words


def _check_bits(instance: Dataset, name: str) -> None:
    bits = [instance.get(keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit")]
    allocated, stored, high = bits
    if allocated not in (8, 16, 32) or not stored or not 1 < stored <= allocated:
        raise ImageReadError(
            f"{name} stores {stored} of {allocated} bits for a pixel; a scan has 8, 16 or 32 bits."
        )
    if allocated == 32 and transfer_syntax(instance) == ExplicitVRBigEndian:
        raise ImageReadError(
            f"{name} has 32-bit pixels in the retired big-endian syntax, in which programs "
            "disagree about the order of their bytes; convert it first."
        )
    if high is not None and high != stored - 1:
        # Against PS3.5 section 8.1.1, and nothing readers agree on.
        raise ImageReadError(
            f"The values of {name} end at bit {high} instead of {stored - 1}; such images are not "
            "supported."
        )


def _as_stored(number: int, words: npt.NDArray[Any], instance: Dataset) -> int:
    bits = int(instance.BitsStored)
    value = number & ((1 << bits) - 1)
    return value - (1 << bits) if words.dtype.kind == "i" and value >> (bits - 1) else value
