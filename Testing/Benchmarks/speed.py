"""How fast embed, extract and restore are, in units of a plain DCT of the same volume.

Run from the root of the project:

    python Testing/Benchmarks/speed.py [--full]

The unit is `scipy.fft.dctn` and `idctn` over all 8x8 blocks of the volume, float32, contiguous
(n, 8, 8), two workers; every figure is a ratio of medians of turns taken in one run, so that the
machine's speed and its other work fall out. `--full` takes a made-up volume whose body fills its
slices, the worst case, in place of the real series.
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


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


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
    turns: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(TURNS):
        for name, action in actions.items():
            turns[name].append(seconds(action))
    unit = statistics.median(turns["dctn + idctn of all blocks"])
    print(f"{voxels.shape} {voxels.dtype}, {int(embedded.blocks.sum())} blocks marked")
    for name, times in turns.items():
        median = statistics.median(times)
        print(f"{name:28s} {median / unit:6.2f} of the transform  ({median:.3f} s)")


if __name__ == "__main__":
    main()
