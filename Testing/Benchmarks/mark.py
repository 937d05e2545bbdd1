"""What the mark costs a scan, what it survives, and that it never reads what is not there.

Run from the root of the project:

    python Testing/Benchmarks/mark.py [scans | mr | trials]

`scans`: every scan untouched. `mr`: what a volume of MR gives after five attacks. `trials`:
unmarked scans, wrong keys, and marks that were attacked twice. Without an argument: all. What
attacks leave of a CT is told by `robustness.py`.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
from families import ATTACKS, cropped, jpeg, jpeg2000, noisy, turned
from scans import SERIES, SLICES, claim_of, scan

from MedWatermarkLib.attacks import display_window
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.tag import message_id
from MedWatermarkLib.watermark import (
    Extracted,
    MessageDoesNotFitError,
    extract,
    restore,
)

ROOMY, TAGGED = 1200, 300
TRIALS = 2000
KEYS = (b"the right key", b"another key", b"a third one")


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


def mr() -> None:
    volume = scan("mr-head-t1")
    message, window = claim_of(volume), display_window(volume)
    span = int(volume.voxels.max()) - int(volume.voxels.min())
    attacks: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
        "noise 1 % of the range": lambda v, seed: noisy(v, span / 100, seed),
        "JPEG 75": lambda v, seed: jpeg(v, *window, 75),
        "JPEG 2000 8:1": lambda v, seed: jpeg2000(v, 8),
        "crop 25 %": lambda v, seed: cropped(v, 25),
        "rotation 5°": lambda v, seed: turned(v, 5),
    }
    for number, key in enumerate(KEYS):
        embedded = embed_message(volume, message, key=key)
        print(f"key {number + 1}: RMSE {embedded.rmse:.2f} where marked")
        for label, attack in attacks.items():
            copy = np.ascontiguousarray(attack(embedded.voxels.astype(np.int16), number))
            print(f"  {label:24s} volume: {tells(extract(copy, key=key), message)}", flush=True)


def trials() -> None:
    """Read what holds no mark, marks of another key, and marks that were attacked until they break.

    Parts of scans as people hand them on: one slice or a few, often cut.
    """
    volumes = {name: scan(name) for name in (*SERIES, *SLICES)}
    messages, carriers = {}, {}
    for name, volume in volumes.items():
        messages[name] = bytes(range(32)) if name.endswith("small.dcm") else claim_of(volume)
        try:
            carriers[name] = embed_message(volume, messages[name], key=KEYS[0]).voxels
        except MessageDoesNotFitError:
            carriers[name] = volume.voxels
    rng = np.random.default_rng(5)
    heavy = [one for one in ATTACKS if not one.whole and one.label != "none"]
    counts: Counter[str] = Counter()
    wrong = 0
    for trial, name in zip(range(TRIALS), itertools.cycle(volumes), strict=False):
        kind = ("unmarked", "of another key", "attacked")[trial // len(volumes) % 3]
        voxels = volumes[name].voxels if kind == "unmarked" else carriers[name]
        part = _part(voxels, rng)
        if kind == "attacked":
            for one in rng.choice(len(heavy), 2, replace=False):
                part = heavy[one](part.astype(np.int16), trial)
        read = extract(part, key=KEYS[0] if kind == "attacked" else b"%d" % trial)
        counts[kind] += 1
        if kind == "attacked":
            identity = message_id(messages[name])
            wrong += read.message not in (None, messages[name])
            wrong += read.tag is not None and read.tag.message_id != identity
        else:
            wrong += read.message is not None or read.tag is not None
        if trial % 100 == 99:
            print(f"{wrong} wrong readings in {trial + 1} trials: {dict(counts)}", flush=True)


def _part(voxels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take one slice or a few, nearly always cut to a window."""
    count = int(rng.choice([1, 1, 1, 3]))
    start = int(rng.integers(0, max(1, len(voxels) - count)))
    height, width = voxels.shape[1:]
    if rng.random() < 0.95:
        side = int(rng.integers(100, 220))
        height, width = min(height, side), min(width, side)
    top, left = (int(rng.integers(0, n - m + 1)) for n, m in
                 ((voxels.shape[1], height), (voxels.shape[2], width)))  # fmt: skip
    part = voxels[start : start + count, top : top + height, left : left + width]
    return np.ascontiguousarray(part)


def main() -> None:
    parts = {"scans": scans, "mr": mr, "trials": trials}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
