"""What the mark costs a scan, what it survives, and that it never reads what is not there.

Run from the root of the project:

    python Testing/Benchmarks/mark.py [scans | attacks | turns | trials]

`scans`: every scan untouched. `attacks`: light attacks on ct-head-ge. `turns`: the same
turned, mirrored and scaled. `trials`: unmarked scans and wrong keys. Without an argument: all.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scans import SERIES, SLICES, claim_of, scan

from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.watermark import (
    Extracted,
    MessageDoesNotFitError,
    extract,
    restore,
)

sys.path.append(str(Path(__file__).parents[1]))
from attacks import jpeg, jpeg2000, noisy, scaled, turned

ROOMY, TAGGED = 1200, 300
TRIALS = 560


def tells(extracted: Extracted, message: bytes) -> str:
    tag = extracted.tag is not None and extracted.tag.message_id == message_id(message)
    text = "right" if extracted.message == message else "none"
    assert extracted.message in (None, message), "a wrong message"
    return f"message {text:5s} tag {'right' if tag else 'none'}"


def alone(voxels: np.ndarray, chosen: np.ndarray, message: bytes) -> tuple[int, int]:
    """Count the slices that read by themselves, each given alone: message, tag."""
    read = [extract(voxels[z : z + 1]) for z in np.flatnonzero(chosen)]
    tags = [r.tag is not None and r.tag.message_id == message_id(message) for r in read]
    return sum(r.message == message for r in read), sum(tags)


def scans() -> None:
    for name in (*SERIES, *SLICES):
        volume = scan(name)
        message = bytes(range(32)) if name.endswith("small.dcm") else claim_of(volume)
        try:
            embedded = embed_message(volume, message)
        except MessageDoesNotFitError as error:
            print(f"{name}: {error}")
            continue
        exact = np.array_equal(restore(embedded.voxels, embedded.restoration), volume.voxels)
        slope = float(np.median(volume.slope))
        roomy, tagged = embedded.blocks >= ROOMY, embedded.blocks >= TAGGED
        print(f"{name}: {volume.voxels.shape} {volume.voxels.dtype} {volume.modality}")
        print(
            f"  RMSE in marked blocks {embedded.rmse * slope:.2f}, greatest change "
            f"{embedded.greatest_change * slope:g}, record "
            f"{len(embedded.restoration) / volume.voxels.nbytes:.3%}, restored exactly: {exact}"
        )
        print(f"  volume: {tells(extract(embedded.voxels), message)}")
        messages, _ = alone(embedded.voxels, roomy, message)
        _, tags = alone(embedded.voxels, tagged, message)
        print(
            f"  alone: message from {messages} of {roomy.sum()} roomy slices (>= {ROOMY} blocks), "
            f"tag from {tags} of {tagged.sum()} with >= {TAGGED} blocks"
        )


ATTACKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda v: v,
    "noise 5 HU": lambda v: noisy(v, 5),
    "JPEG 75, window 35/100": lambda v: jpeg(v, 35, 100, 75),
    "JPEG 75, window 40/80": lambda v: jpeg(v, 40, 80, 75),
    "JPEG 75, window 40/400": lambda v: jpeg(v, 40, 400, 75),
    "JPEG 2000 8:1": lambda v: jpeg2000(v, 8),
    "crop to 427x398 at (40, 56)": lambda v: v[:, 40:467, 56:454],
    "crop to 445x480 at (37, 21)": lambda v: v[:, 37:482, 21:501],
}

TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda v: v[..., ::-1],
    "turned by 5 degrees": lambda v: turned(v, 5),
    "turned by 17 degrees, cut": lambda v: turned(v, 17, grows=False),
    "scaled to 0.75": lambda v: scaled(v, 0.75),
    "turned by 5 degrees, scaled to 0.8": lambda v: scaled(turned(v, 5), 0.8),
    "turned by 5 degrees, noise 5 HU": lambda v: noisy(turned(v, 5), 5),
    "turned by 5 degrees, JPEG 75 of 40/400": lambda v: jpeg(turned(v, 5), 40, 400, 75),
    "scaled to 0.8, noise 5 HU": lambda v: noisy(scaled(v, 0.8), 5),
    "scaled to 0.8, JPEG 75 of 40/400": lambda v: jpeg(scaled(v, 0.8), 40, 400, 75),
    "crop, then turned by 5 degrees": lambda v: turned(v[:, 37:482, 21:501], 5),
    "crop, then scaled to 0.8": lambda v: scaled(v[:, 37:482, 21:501], 0.8),
}


def attacks() -> None:
    endure(ATTACKS, 1)


def turns() -> None:
    endure(TURNS, 8)


def endure(attacks: dict[str, Callable[[np.ndarray], np.ndarray]], every: int) -> None:
    """Print what reads after each attack: of the volume, and of every so manieth roomy slice."""
    volume = scan("ct-head-ge")
    message = claim_of(volume)
    embedded = embed_message(volume, message)
    roomy = np.zeros(len(embedded.blocks), bool)
    roomy[np.flatnonzero(embedded.blocks >= ROOMY)[::every]] = True
    for name, attack in attacks.items():
        copy = np.ascontiguousarray(attack(embedded.voxels))
        messages, tags = alone(copy, roomy, message)
        print(
            f"{name:40s} volume: {tells(extract(copy), message)}; alone, of {roomy.sum()} roomy: "
            f"tag {tags / roomy.sum():.0%}, message {messages / roomy.sum():.0%}"
        )


def trials() -> None:
    volumes = {name: scan(name) for name in (*SERIES, *SLICES)}
    carriers = {}
    for name, volume in volumes.items():
        message = bytes(range(32)) if name.endswith("small.dcm") else claim_of(volume)
        try:
            carriers[name] = embed_message(volume, message, key=b"the right key").voxels
        except MessageDoesNotFitError:
            carriers[name] = volume.voxels
    rng = np.random.default_rng(5)
    false = 0
    names = itertools.cycle(volumes)
    for trial in range(TRIALS):
        name = next(names)
        voxels = (carriers if trial % 2 else {n: v.voxels for n, v in volumes.items()})[name]
        count = int(rng.choice([1, 1, 1, 3, 8]))
        start = int(rng.integers(0, max(1, len(voxels) - count)))
        read = extract(voxels[start : start + count], key=b"%d" % trial)
        false += read.message is not None or read.tag is not None
    print(f"{false} false readings in {TRIALS} trials, half unmarked and half of a wrong key")


def main() -> None:
    parts = {"scans": scans, "attacks": attacks, "turns": turns, "trials": trials}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
