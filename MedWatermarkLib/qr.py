"""QR codes: from bytes to codewords and modules, and back, also from a picture.

The watermark carries a QR code's *data codewords* and the code's picture follows from
them, so nothing in it may be free: error correction level L, mask pattern 0, the least
version that fits and the segments that take the fewest bits. Terms and section numbers are
those of ISO/IEC 18004:2015.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import qrcode
import zxingcpp
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from qrcode import base, util
from qrcode.constants import ERROR_CORRECT_L

MASK_PATTERN = 0
# Digits, the densest characters, that version 40 holds.
_GREATEST_DIGITS = 7089
GREATEST_VERSION = 40

_ALPHABETS = {
    util.MODE_NUMBER: frozenset(b"0123456789"),
    util.MODE_ALPHA_NUM: frozenset(util.ALPHA_NUM),
    util.MODE_8BIT_BYTE: frozenset(range(256)),
}
# Sixths of a bit that a character takes: 10 bits for 3 digits, 11 for 2 alphanumerics, 8 a byte.
_SIXTHS = {util.MODE_NUMBER: 20, util.MODE_ALPHA_NUM: 33, util.MODE_8BIT_BYTE: 48}

# Not in pyzbar's list: "don't convert binary data to text", zbar.h since 0.23.1. Older ones,
# such as the 0.10 in pyzbar's wheels for Windows, answer that they do not know it.
_ZBAR_CFG_BINARY = 4
# Modes of PIL with more than 8 bits, which `convert("L")` would clip.
_DEEP_GREY = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


class QRError(ValueError):
    """What was given is not a QR code, or cannot become one."""


class MessageTooLongError(QRError):
    """A message that no QR code can hold.

    Attributes
    ----------
    greatest : int
        The greatest length, in bytes, of a message made of such characters.
    """

    def __init__(self, length: int, greatest: int) -> None:
        super().__init__(
            f"The message has {length} bytes, and a QR code holds at most {greatest} of this kind."
        )
        self.greatest = greatest


@dataclass(frozen=True, eq=False)
class QRCode:
    """A QR code's symbol.

    Attributes
    ----------
    version : int
        1 to 40; the symbol has ``17 + 4 * version`` modules a side.
    modules : numpy.ndarray
        (n, n) bool, row by row from the top left, True where dark; without the quiet zone.
    """

    version: int
    modules: NDArray[np.bool_]


def encode(message: bytes) -> QRCode:
    """Make the QR code of a message: level L, mask pattern 0, least version that fits.

    Parameters
    ----------
    message : bytes
        At least one byte.

    Raises
    ------
    MessageTooLongError
        If not even version 40 holds it.
    QRError
        If the message is empty.
    """
    codewords = data_codewords(message)
    version = version_for(len(codewords))
    bits = np.unpackbits(np.frombuffer(codewords, np.uint8))
    return QRCode(version, module_values(version, bits) > 0.5)


def data_codewords(message: bytes) -> bytes:
    """Encode a message as data codewords, without the pad codewords (7.4.9 and 7.4.10).

    They hold the segments, the terminator and the zero bits that fill the last codeword.
    The pad codewords that follow in the symbol are always 0xEC, 0x11, 0xEC, ... and are left
    to `module_values`.

    Raises
    ------
    MessageTooLongError
        If not even version 40 holds the message.
    QRError
        If the message is empty.
    """
    if not message:
        raise QRError("There is no message to make a QR code of.")
    if len(message) > _GREATEST_DIGITS:
        raise MessageTooLongError(len(message), _greatest_length(message[:_GREATEST_DIGITS]))
    for last in (9, 26, GREATEST_VERSION):  # The character count is wider from 10 and from 27 on.
        buffer = util.BitBuffer()
        for segment in _segments(message, last):
            buffer.put(segment.mode, 4)
            buffer.put(len(segment), util.length_in_bits(segment.mode, last))
            segment.write(buffer)
        if len(buffer) <= 8 * capacity(last):
            room = capacity(version_for(-(-len(buffer) // 8)))
            # Where the symbol is full, the terminator is cut short.
            return bytes(buffer.buffer).ljust(min(-(-(len(buffer) + 4) // 8), room), b"\0")
    raise MessageTooLongError(len(message), _greatest_length(message))


def from_data_codewords(codewords: bytes) -> bytes:
    """Read the message from data codewords, with or without their pad codewords.

    Parameters
    ----------
    codewords : bytes
        As `data_codewords` gives them; what follows the terminator is ignored. Their number
        tells the version, and so the width of the character counts.

    Raises
    ------
    QRError
        If they are none, too many, end within a segment, hold a mode that is not numeric,
        alphanumeric or byte, or a group of characters that no encoder writes.
    """
    version = version_for(len(codewords))
    bits = "".join(f"{codeword:08b}" for codeword in codewords)
    position = 0

    def take(count: int) -> int:
        nonlocal position
        if position + count > len(bits):
            raise QRError("The QR code's data end in the middle of a segment.")
        position += count
        return int(bits[position - count : position], 2)

    message = bytearray()
    while len(bits) - position >= 4 and (mode := take(4)) != 0:
        if mode not in _ALPHABETS:
            raise QRError(f"The QR code has a segment of mode {mode}, which is not used here.")
        length = take(util.length_in_bits(mode, version))
        while length > 0:
            group = min(length, {util.MODE_NUMBER: 3, util.MODE_ALPHA_NUM: 2}.get(mode, 1))
            message += _characters(mode, group, take)
            length -= group
    if not message:
        raise QRError("The QR code holds no message.")
    return bytes(message)


def capacity(version: int) -> int:
    """Count the data codewords of a version at error correction level L (table 7)."""
    return int(util.BIT_LIMIT_TABLE[ERROR_CORRECT_L][version]) // 8


def version_for(count: int) -> int:
    """Find the least version that has room for so many data codewords.

    A message's data codewords, with or without pad codewords, lead to the version they were
    made for, since `data_codewords` takes the least that fits.

    Raises
    ------
    QRError
        If there are none, or more than version 40 holds.
    """
    if not 1 <= count <= capacity(GREATEST_VERSION):
        raise QRError(
            f"A QR code has 1 to {capacity(GREATEST_VERSION)} data codewords, not {count}."
        )
    return next(v for v in range(1, GREATEST_VERSION + 1) if capacity(v) >= count)


def module_values(version: int, bits: ArrayLike) -> NDArray[np.float64]:
    """Show how dark each module is, as far as the data codewords are known.

    Function patterns, format and version information and pad codewords are certain. Modules
    of the data codewords are as given, under the mask. Those of error correction follow from
    the data where every bit is certain, and are 0.5 elsewhere.

    Parameters
    ----------
    version : int
        1 to 40.
    bits : array_like
        The probability of 1, in [0, 1], of each bit of the data codewords without their pads,
        most significant bit first; whole codewords, at most as many as the version has.

    Returns
    -------
    numpy.ndarray
        (n, n) float64 in [0, 1], n = 17 + 4 * version; 0 light, 1 dark.

    Raises
    ------
    QRError
        If there is no such version, or `bits` are not such probabilities.
    """
    given = np.asarray(bits, np.float64)
    if not 1 <= version <= GREATEST_VERSION:
        raise QRError(f"There is no QR code of version {version}.")
    if given.ndim != 1 or given.size % 8 or given.size > 8 * capacity(version):
        raise QRError(
            f"A QR code of version {version} takes whole data codewords, "
            f"at most {capacity(version)} of them."
        )
    if not np.all((given >= 0) & (given <= 1)):
        raise QRError("A module's probability lies between 0 and 1.")
    pads = np.resize(
        np.array([util.PAD0, util.PAD1], np.uint8), capacity(version) - given.size // 8
    )
    data = np.concatenate([given, np.unpackbits(pads)]).reshape(-1, 8)
    symbol = _symbol(version)
    values = np.full((len(symbol.places) // 8, 8), 0.5)
    values[symbol.data] = data
    if np.all((given == 0) | (given == 1)):
        corrections = _error_correction(version, np.packbits(data.astype(bool)))
        values[symbol.correction] = np.unpackbits(corrections).reshape(-1, 8)
    modules = symbol.blank.astype(np.float64)
    modules.flat[symbol.places] = np.abs(modules.flat[symbol.places] - values.ravel())
    return modules


def picture(modules: ArrayLike, scale: int = 8, border: int = 4) -> Image.Image:
    """Draw modules, light and dark or anything between, as a grey picture.

    Parameters
    ----------
    modules : array_like
        (n, n) bool, or float in [0, 1]; 1 is dark.
    scale : int
        Pixels a module.
    border : int
        Modules of quiet zone; the standard asks for 4 (5.3.8).

    Returns
    -------
    PIL.Image.Image
        Of mode "L", ``(n + 2 * border) * scale`` pixels a side.
    """
    grey = np.round(255 * (1 - np.asarray(modules, np.float64))).astype(np.uint8)
    framed = np.pad(grey, border, constant_values=255)
    return Image.fromarray(np.kron(framed, np.ones((scale, scale), np.uint8)))


def decode(image: Image.Image | NDArray[Any]) -> bytes | None:
    """Read a QR code from a picture, by ZBar, and by ZXing where ZBar is missing or fails.

    Parameters
    ----------
    image : PIL.Image.Image or numpy.ndarray
        A picture or photograph of one QR code, dark on light; an array is (rows, columns) of
        any real dtype, or (rows, columns, 3) uint8 RGB.

    Returns
    -------
    bytes or None
        The message as it was encoded, whatever its bytes; None if no QR code is found.
    """
    grey = _grey(image)
    for read in (_read_by_zbar, _read_by_zxing):
        if (message := read(grey)) is not None:
            return message
    return None


def _grey(image: Image.Image | NDArray[Any]) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image) and image.mode not in _DEEP_GREY:
        return np.array(image.convert("L"))
    pixels = np.asarray(image)
    if pixels.dtype == np.uint8:
        return np.array(Image.fromarray(pixels).convert("L"))
    stretched = pixels - pixels.min().astype(np.float64)
    return np.asarray(np.round(255 / (stretched.max() or 1) * stretched), np.uint8)


def _read_by_zbar(grey: NDArray[np.uint8]) -> bytes | None:
    """Read by pyzbar's binding, with the bytes left as they are.

    `pyzbar.decode` guesses a character set and recodes the message, and cannot be told not to.
    """
    if (zbar := _zbar()) is None:
        return None
    scanner, image = zbar.zbar_image_scanner_create(), zbar.zbar_image_create()
    try:
        configure = zbar.zbar_image_scanner_set_config
        configure(scanner, zbar.ZBarSymbol.NONE, zbar.ZBarConfig.CFG_ENABLE, 0)
        configure(scanner, zbar.ZBarSymbol.QRCODE, zbar.ZBarConfig.CFG_ENABLE, 1)
        if configure(scanner, zbar.ZBarSymbol.QRCODE, _ZBAR_CFG_BINARY, 1) != 0:
            return None
        pixels = ctypes.create_string_buffer(grey.tobytes(), grey.size)
        zbar.zbar_image_set_format(image, int.from_bytes(b"Y800", "little"))
        zbar.zbar_image_set_size(image, grey.shape[1], grey.shape[0])
        zbar.zbar_image_set_data(image, ctypes.cast(pixels, ctypes.c_void_p), grey.size, None)
        if zbar.zbar_scan_image(scanner, image) < 1:
            return None
        symbol = zbar.zbar_image_first_symbol(image)
        return ctypes.string_at(
            zbar.zbar_symbol_get_data(symbol), zbar.zbar_symbol_get_data_length(symbol)
        )
    finally:
        zbar.zbar_image_destroy(image)
        zbar.zbar_image_scanner_destroy(scanner)


@lru_cache
def _zbar() -> ModuleType | None:
    """Load the binding of ZBar; None where the shared library is not on this machine."""
    try:
        return importlib.import_module("pyzbar.wrapper")
    except (ImportError, OSError):  # ImportError from pyzbar, OSError from a library that fails.
        return None


def _read_by_zxing(grey: NDArray[np.uint8]) -> bytes | None:
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.barcode_formats_from_str("QRCode"))
    return next((bytes(barcode.bytes) for barcode in found), None)


@dataclass(frozen=True, eq=False)
class _Symbol:
    """How a version's codewords lie in its modules."""

    blank: NDArray[np.bool_]  # (n, n), the symbol whose codewords are all zero, masked
    places: NDArray[np.intp]  # flat index of the module of each bit of the codeword sequence
    data: NDArray[np.intp]  # place in the sequence of each data codeword
    correction: NDArray[np.intp]  # and of each error correction codeword, block by block


@lru_cache
def _symbol(version: int) -> _Symbol:
    blocks = base.rs_blocks(version, ERROR_CORRECT_L)
    data_counts = [block.data_count for block in blocks]
    correction_counts = [block.total_count - block.data_count for block in blocks]
    blank, full = (_drawn(version, [byte] * _total(version)) for byte in (0x00, 0xFF))
    # Two columns at a time from the right, up and down in turn, past the timing pattern (7.7.3).
    n = len(blank)
    rows, walk = np.arange(n), []
    for turn, right in enumerate([*range(n - 1, 6, -2), 5, 3, 1]):
        upward = rows if turn % 2 else rows[::-1]
        walk.append((upward[:, None] * n + np.array([right, right - 1])).ravel())
    path = np.concatenate(walk)
    return _Symbol(
        blank=blank,
        places=path[(blank != full).flat[path]],
        data=_interleaved(data_counts),
        correction=sum(data_counts) + _interleaved(correction_counts),
    )


def _drawn(version: int, codewords: list[int]) -> NDArray[np.bool_]:
    code = qrcode.QRCode(version, ERROR_CORRECT_L, mask_pattern=MASK_PATTERN)
    code.data_cache = codewords
    code.makeImpl(False, MASK_PATTERN)
    return np.array(code.modules, dtype=bool)


def _total(version: int) -> int:
    return sum(block.total_count for block in base.rs_blocks(version, ERROR_CORRECT_L))


def _interleaved(counts: list[int]) -> NDArray[np.intp]:
    """Find each codeword's place where blocks are taken a codeword at a time (7.6)."""
    block = np.repeat(np.arange(len(counts)), counts)
    within = np.concatenate([np.arange(count) for count in counts])
    return np.argsort(np.lexsort((block, within)))


def _error_correction(version: int, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Compute the Reed-Solomon codewords of each block, block by block (7.5.2).

    The `qrcode` package's own division fails on a block of zeros.
    """
    corrections: list[int] = []
    codewords = data.tolist()
    for block in base.rs_blocks(version, ERROR_CORRECT_L):
        part, codewords = codewords[: block.data_count], codewords[block.data_count :]
        generator = _generator(block.total_count - block.data_count)
        remainder = [*part, *[0] * (len(generator) - 1)]
        for i in range(len(part)):
            if remainder[i]:
                factor = base.glog(remainder[i])
                for j, coefficient in enumerate(generator):
                    remainder[i + j] ^= base.gexp(factor + coefficient)
        corrections += remainder[len(part) :]
    return np.array(corrections, np.uint8)


@lru_cache
def _generator(degree: int) -> list[int]:
    """Logarithms of the coefficients of (x - 1)(x - a)...(x - a^(degree - 1)) (annex A)."""
    polynomial = base.Polynomial([1], 0)
    for i in range(degree):
        polynomial = polynomial * base.Polynomial([1, base.gexp(i)], 0)
    return [base.glog(coefficient) for coefficient in polynomial]


def _segments(message: bytes, version: int) -> list[util.QRData]:
    """Split a message so that it takes the fewest bits in this version (annex J)."""
    header = {mode: 6 * (4 + util.length_in_bits(mode, version)) for mode in _ALPHABETS}
    # For each mode that the last character may be in: bits so far, in sixths, and the segments'
    # modes and starts, the last one first.
    best: dict[int, tuple[int, _Path]] = {}
    for i, character in enumerate(message):
        cost, path = min(best.values(), key=_whole_bits, default=(0, None))
        cost = _whole_bits((cost, path))
        following = {}
        for mode, alphabet in _ALPHABETS.items():
            if character in alphabet:
                begun = (cost + header[mode], (mode, i, path))
                kept = best.get(mode, begun)
                spent, chosen = kept if kept[0] <= begun[0] else begun
                following[mode] = (spent + _SIXTHS[mode], chosen)
        best = following
    segments = []
    _, path = min(best.values(), key=_whole_bits)
    end = len(message)
    while path is not None:
        mode, start, path = path
        segments.append(util.QRData(message[start:end], mode, check_data=False))
        end = start
    return segments[::-1]


_Path = tuple[int, int, "_Path | None"] | None


def _whole_bits(candidate: tuple[int, _Path]) -> int:
    return -(-candidate[0] // 6) * 6


def _characters(mode: int, group: int, take: Callable[[int], int]) -> bytes:
    """Read one group of characters of a segment (7.4.3 to 7.4.5)."""
    if mode == util.MODE_8BIT_BYTE:
        return bytes([take(8)])
    if mode == util.MODE_NUMBER:
        digits = f"{take(util.NUMBER_LENGTH[group]):0{group}d}"
        if len(digits) == group:
            return digits.encode()
    else:
        first, second = divmod(take(11 if group == 2 else 6), 45)
        if first < (45 if group == 2 else 1):
            return bytes(util.ALPHA_NUM[value] for value in (first, second)[-group:])
    raise QRError("The QR code holds a group of characters that stands for nothing.")


def _greatest_length(message: bytes) -> int:
    """Count the characters that version 40 holds of the kind that this message is made of."""
    mode = util.optimal_mode(message)
    room = 8 * capacity(GREATEST_VERSION) - 4 - util.length_in_bits(mode, GREATEST_VERSION)
    return int(room * 6 // _SIXTHS[mode])
