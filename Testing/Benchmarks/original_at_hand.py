"""What is read, and who is named, with the original at hand.

Run from the root of the project:

    python Testing/Benchmarks/original_at_hand.py [SERIES] [PART]

SERIES is ct-head-ge by default; of the attacks those run whose name holds PART, or those on copies
with `leaks`. Each line is one attack on the whole series or on one slice, with three keys of the
mark, one after the other: what reads, what was undone, and how long it took.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scans import claim_of, scan
from scipy import ndimage

from MedWatermarkLib.scan import embed_message, hounsfield
from MedWatermarkLib.trace import trace
from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import extract

sys.path.append(str(Path(__file__).parents[1]))
from attacks import jpeg, jpeg2000, noisy, windowed

KEYS = (b"the first key", b"another key", b"a third one")
COPY = 1234
ISSUED = range(1200, 1300)
ORDER = Image.Resampling.BICUBIC

Attack = Callable[[np.ndarray], np.ndarray]


def picture(
    voxels: np.ndarray,
    angle: float,
    scale: float,
    window: tuple[float, float] = (40, 400),
    *,
    crop: int = 0,
    border: int = 0,
) -> np.ndarray:
    """Put a slice from the middle on a slide: turned, of another size, framed, as JPEG 75."""
    image = Image.fromarray(windowed(voxels[2 * len(voxels) // 5][np.newaxis], *window)[0])
    image = image.rotate(angle, ORDER, expand=True)
    image = image.resize((round(image.width * scale), round(image.height * scale)), ORDER)
    pixels = np.pad(np.asarray(image)[crop : -crop or None, crop : -crop or None], border)
    pixels[: border // 2] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))[np.newaxis]


def turned(voxels: np.ndarray, angle: float) -> np.ndarray:
    return ndimage.rotate(voxels.astype(np.float32), angle, (2, 1), reshape=False, order=1)


ATTACKS: dict[str, Attack] = {
    "noise 20 HU": lambda v: noisy(v, 20),
    "noise 40 HU": lambda v: noisy(v, 40),
    "JPEG 30, window 40/400": lambda v: jpeg(v, 40, 400, 30),
    "JPEG 30, window 40/80": lambda v: jpeg(v, 40, 80, 30),
    "JPEG 2000 25:1": lambda v: jpeg2000(v, 25),
    "blur 1.5 voxels": lambda v: ndimage.gaussian_filter(v.astype(np.float32), (0, 1.5, 1.5)),
    "rotation 5°": lambda v: turned(v, 5),
    "rescale 0.5, kept at that size": lambda v: ndimage.zoom(
        v.astype(np.float32), (1, 0.5, 0.5), order=1
    ),
    "mean of two slices": lambda v: (v[:-1:2].astype(np.float32) + v[1::2]) / 2,
    "picture, 7°, 0.8 times": lambda v: picture(v, 7, 0.8),
    "picture, 7°, 1.3 times": lambda v: picture(v, 7, 1.3),
    "picture, -7°, 1.1 times, cut": lambda v: picture(v, -7, 1.1, crop=60),
    "picture, 7°, 1.3 times, framed": lambda v: picture(v, 7, 1.3, border=50),
    "picture, 7°, 0.8 times, window 40/80": lambda v: picture(v, 7, 0.8, (40, 80)),
}


def main() -> None:
    name, part = (*sys.argv[1:], *("ct-head-ge", "")[len(sys.argv) - 1 :])[:2]
    volume = scan(name)
    message, numbers = claim_of(volume), hounsfield(volume)
    copies = [
        embed_message(volume, message, key=key, copy=COPY).voxels.astype(np.int16) for key in KEYS
    ]
    print(f"{name}, {len(volume.voxels)} slices, a claim of {len(message)} characters")
    for label, attack in ATTACKS.items():
        if part not in label:
            continue
        seen, undone = [], None
        begin = time.perf_counter()
        for key, marked in zip(KEYS, copies, strict=True):
            suspect = np.ascontiguousarray(attack(marked))
            read = extract(suspect, key=key, reference=volume.voxels, hounsfield=numbers)
            assert read.message in (None, message), "a wrong message"
            assert read.tag is None or read.tag.copy == COPY, "a wrong tag"
            seen.append("message" if read.message else "tag" if read.tag else "nothing")
            undone = read.undone
        took = (time.perf_counter() - begin) / len(KEYS)
        assert undone is not None
        print(
            f"{label:38s} {', '.join(seen):28s} angle {undone.angle:6.2f} scale "
            f"{undone.scale:.3f} gain {undone.gain:.2f}  {took:.0f} s",
            flush=True,
        )
    if part in "leaks":
        leaks(volume)


def leaks(volume: Volume) -> None:
    """Name copies that were averaged, cut together, or not issued at all."""
    key, message, original = KEYS[0], claim_of(volume), volume.voxels
    one, two, three = (
        embed_message(volume, message, key=key, copy=n).voxels.astype(np.float32)
        for n in (1234, 1235, 1290)
    )
    mixed = one.copy()
    mixed[1::2] = two[1::2]
    for label, suspect, issued, guilty in (
        ("two copies averaged, blind", (one + two) / 2, ISSUED, {1234, 1235}),
        ("two copies averaged, noise 20 HU", noisy((one + two) / 2, 20), ISSUED, {1234, 1235}),
        ("two copies averaged, JPEG 30", jpeg((one + two) / 2, 40, 400, 30), ISSUED, {1234, 1235}),
        ("three averaged", (one + two + three) / 3, ISSUED, {1234, 1235, 1290}),
        ("slices of two in turn", mixed, ISSUED, {1234, 1235}),
        ("noise 40 HU", noisy(one, 40), ISSUED, {1234}),
        ("not in the list, noise 40 HU", noisy(one, 40), range(5000, 6000), {1234}),
    ):
        reference = None if "blind" in label else original
        found = trace(
            suspect, key=key, copies=issued, message=message, reference=reference,
            hounsfield=hounsfield(volume),
        )  # fmt: skip
        names = {copy.copy for copy in found.copies}
        assert names <= guilty, "somebody was named who had no part in it"
        print(f"{label:38s} {found.sentence} Wrongly with a chance below {found.chance:.0e}.")


if __name__ == "__main__":
    main()
