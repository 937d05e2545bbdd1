"""How fast embed, extract and restore are, in units of a plain DCT of the same volume.

Run from the root of the project:

    python Testing/Benchmarks/speed.py [--full] [--search] [--peers]

The unit is `scipy.fft.dctn` and `idctn` over all 8x8 blocks of the volume, float32, contiguous
(n, 8, 8), two workers; every figure is a ratio of medians of turns taken in one run, so that the
machine's speed and its other work fall out. The same of the processor's time, of all cores, which
other work on the machine hardly touches. `--full` takes a made-up volume whose body fills its
slices, the worst case, in place of the real series. `--peers`, with the extra `bench` installed,
embeds 128 bits by each peer into the 8-bit view of three slices, as if into all. `--search` tells
how long it takes to find that nothing is there, however the volume may have been cut, turned or
scaled.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.fft
from scans import claim_of, scan, volume_like

from MedWatermarkLib.volume import Volume
from MedWatermarkLib.watermark import embed, extract, restore

TURNS = 7


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return how long an action takes, on the clock and of the processor's time."""
    start, busy = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - busy


def main() -> None:
    full = "--full" in sys.argv[1:]
    volume = Volume(volume_like((140, 512, 512))) if full else scan("ct-head-philips")
    voxels, message = volume.voxels, claim_of(volume)
    blocks = np.random.default_rng(0).normal(0, 100, (voxels.size // 64, 8, 8)).astype(np.float32)

    def transform() -> None:
        there = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho", workers=2)
        scipy.fft.idctn(there, axes=(1, 2), norm="ortho", workers=2)

    embedded = embed(voxels, message)
    assert extract(embedded.voxels).message == message
    assert np.array_equal(restore(embedded.voxels, embedded.restoration), voxels)
    actions: dict[str, Callable[[], object]] = {
        "dctn + idctn of all blocks": transform,
        "embed": lambda: embed(voxels, message),
        "extract": lambda: extract(embedded.voxels),
        "restore": lambda: restore(embedded.voxels, embedded.restoration),
        "np.copy": lambda: voxels.copy(),
    }
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    for _ in range(TURNS):
        for name, action in actions.items():
            turns[name].append(seconds(action))
    unit, busy = medians(turns["dctn + idctn of all blocks"])
    print(f"{voxels.shape} {voxels.dtype}, {int(embedded.blocks.sum())} blocks marked")
    for name, times in turns.items():
        clock, processor = medians(times)
        print(
            f"{name:28s} {clock / unit:6.2f} of the transform  ({clock:.3f} s), of the processor's "
            f"time {processor / busy:.2f}"
        )
    if "--search" in sys.argv[1:]:
        clock, processor = seconds(lambda: extract(voxels))
        print(f"nothing found in {clock:.0f} s, {processor:.0f} s of the processor's time")
    if "--peers" in sys.argv[1:]:
        tell_peers(voxels, *medians(turns["embed"]))


def medians(times: list[tuple[float, float]]) -> tuple[float, float]:
    clock, processor = zip(*times, strict=True)
    return statistics.median(clock), statistics.median(processor)


def tell_peers(voxels: np.ndarray, clock: float, processor: float) -> None:
    from peers import BITS, coloured, peers, shown

    middle = len(voxels) // 2
    pictures = coloured(shown(voxels[middle : middle + 3]))
    bits = np.random.default_rng(0).integers(0, 2, BITS).astype(np.uint8)
    for peer in peers():
        times = [seconds(lambda p=p, peer=peer: peer.write(p, bits, 1)) for p in pictures]
        theirs, busy = (len(voxels) * one for one in medians(times))
        print(
            f"{peer.name:28s} {theirs / clock:6.1f} times as long as embed, of the processor's "
            f"time {busy / processor:.1f}"
        )


if __name__ == "__main__":
    main()
