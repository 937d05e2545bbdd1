"""The peers: watermarks for 8-bit pictures, as `blind-watermark` and `invisible-watermark` make.

They take no 16 bits, so they get the scan as a viewer shows it. All is in their favour: their
pictures may have colours, into which they write by default, though the marks of
`invisible-watermark` are gone once a picture is saved as grey; these leave some levels free at
either end, as video does, so that nothing is cut off at black; and compression gets as many bits
for each colour as it gets for grey.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from families import WINDOW, Attack
from PIL import Image

Picture = np.ndarray
Bits = np.ndarray

BITS = 128
_FREE = 16
_LEVELS = 255 - 2 * _FREE


@dataclass(frozen=True)
class Peer:
    """A watermark of 128 bits.

    Attributes
    ----------
    name : str
    write : callable
        From a (y, x, 3) uint8 picture, bits and a key to a marked picture.
    read : callable
        From a picture and a key to bits.
    """

    name: str
    write: Callable[[Picture, Bits, int], Picture]
    read: Callable[[Picture, int], Bits]

    def errors(self, picture: Picture, bits: Bits, key: int, size: tuple[int, ...]) -> int:
        """Count the bits that are read wrongly.

        A picture of another size is also read at the size it had, and the better reading counts.
        """
        pictures = [picture]
        if picture.shape[:2] != size:
            pictures.append(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR))
        return min(self._errors(one, bits, key) for one in pictures)

    def _errors(self, picture: Picture, bits: Bits, key: int) -> int:
        try:
            read = np.asarray(self.read(np.ascontiguousarray(picture), key)).astype(bool)
        except (RuntimeError, ValueError, AssertionError, IndexError, cv2.error):
            return BITS // 2  # It takes no picture of this size.
        return int((read != bits.astype(bool)).sum())


def shown(voxels: np.ndarray) -> np.ndarray:
    """Return CT numbers as grey levels of the peers' pictures, (z, y, x)."""
    share = (voxels - (WINDOW[0] - WINDOW[1] / 2)) / WINDOW[1]
    return np.rint(_FREE + _LEVELS * np.clip(share, 0, 1)).astype(np.uint8)


def coloured(grey: np.ndarray) -> np.ndarray:
    """Return grey pictures with three colours, (z, y, x, 3)."""
    return np.stack([grey] * 3, axis=-1)


def psnr(before: np.ndarray, after: np.ndarray) -> float:
    """Return the PSNR of pictures over all colours, in dB of the levels that they use."""
    error = np.mean((before.astype(float) - after) ** 2)
    return float(20 * np.log10(_LEVELS) - 10 * np.log10(error))


def attacked(pictures: np.ndarray, attack: Attack, seed: int) -> np.ndarray:
    """Do to pictures what an attack does to a scan: to each colour, but for compression."""
    if attack.family in _IN_COLOUR and isinstance(attack.level, int):
        compress = _IN_COLOUR[attack.family](attack.level)
        return np.stack([_compressed(one, **compress) for one in pictures])
    colours = [_attacked(pictures[..., c], attack, 3 * seed + c) for c in range(3)]
    return np.stack(colours, axis=-1)


def _compressed(picture: Picture, **options: object) -> Picture:
    file = io.BytesIO()
    Image.fromarray(picture[..., ::-1]).save(file, **options)
    return np.asarray(Image.open(file))[..., ::-1]


_IN_COLOUR: dict[str, Callable[[int], dict[str, object]]] = {
    "JPEG quality": lambda quality: {"format": "JPEG", "quality": quality},
    "JPEG 2000, ratio": lambda ratio: {
        "format": "JPEG2000",
        "irreversible": True,
        "mct": 1,
        "quality_mode": "rates",
        "quality_layers": [ratio],
    },
}


def _attacked(levels: np.ndarray, attack: Attack, seed: int) -> np.ndarray:
    """Attack levels: where a scan would be shown in the same window first, they are that already.

    Else they are laid on the CT numbers of the window, and shown in it again.
    """
    if attack.window == WINDOW:
        return attack.change(levels, seed)
    numbers = (levels.astype(float) - _FREE) / _LEVELS * WINDOW[1] + WINDOW[0] - WINDOW[1] / 2
    copy = attack(np.rint(numbers).astype(np.int16), seed)
    if attack.window is not None:
        return copy
    share = (copy - (WINDOW[0] - WINDOW[1] / 2)) / WINDOW[1]
    return np.clip(np.rint(_FREE + _LEVELS * share), 0, 255).astype(np.uint8)


def peers() -> list[Peer]:
    """Return the peers, which have to be installed (the extra `bench`)."""
    # It wants to be the first to say how processes start.
    multiprocessing.set_start_method(None, force=True)
    with contextlib.redirect_stdout(io.StringIO()):
        import blind_watermark
        import imwatermark

        blind_watermark.bw_notes.close()

    def invisible(method: str) -> Peer:
        def write(picture: Picture, bits: Bits, key: int) -> Picture:
            encoder = imwatermark.WatermarkEncoder()
            encoder.set_watermark("bits", bits.tolist())
            return encoder.encode(picture, method)

        def read(picture: Picture, key: int) -> Bits:
            return imwatermark.WatermarkDecoder("bits", BITS).decode(picture, method)

        return Peer(f"invisible-watermark {method}", write, read)

    def write(picture: Picture, bits: Bits, key: int) -> Picture:
        mark = blind_watermark.WaterMark(password_wm=key, password_img=key, processes=1)
        mark.read_img(img=picture)
        mark.read_wm(bits.astype(bool), mode="bit")
        return np.clip(np.rint(mark.embed()), 0, 255).astype(np.uint8)

    def read(picture: Picture, key: int) -> Bits:
        mark = blind_watermark.WaterMark(password_wm=key, password_img=key, processes=1)
        return mark.extract(embed_img=picture, wm_shape=BITS, mode="bit")

    return [
        invisible("dwtDct"),
        invisible("dwtDctSvd"),
        Peer("blind-watermark", write, read),
    ]
