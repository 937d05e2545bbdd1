"""Whether a mark gains by being stronger where texture hides it, at the same RMSE.

Run from the root of the project:

    python Testing/Benchmarks/local_strength.py [SERIES]

Six slices are marked at five strengths. After each attack the bits of information that a symbol of
the tag still carries are measured from how far symbols strayed, in the even half of the blocks and
in the textured one by itself, as if the reader knew without error which is which. Of two strengths
whose mean square is that of 1.5 HU everywhere, one is then given to either half.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import scipy.fft
from families import ATTACKS, WINDOW, Attack
from scans import scan

from MedWatermarkLib.blocks import Blocks, working_copy
from MedWatermarkLib.dct import BLOCK
from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.sites import TAG, sites
from MedWatermarkLib.strength import GREATEST_DEFAULT, rung_below, step

SLICES, WIDTH, BINS = 6, 2, 64
# Strengths of the even half in parts of that everywhere; the textured half gets what is left.
SHARES = (0.7, 0.85, 1.0, np.sqrt(2 - 0.85**2), np.sqrt(2 - 0.7**2))
LABELS = (
    "noise 5 HU", "noise 10 HU", "JPEG 75", "JPEG 50", "JPEG 2000 15:1", "median 3", "blur 1",
)  # fmt: skip


def texture(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the energy of marked blocks in the frequencies that the mark leaves alone."""
    ny, nx = mask.shape[1:]
    tiles = voxels[:, : ny * BLOCK, : nx * BLOCK].reshape(len(mask), ny, BLOCK, nx, BLOCK)
    blocks = tiles.transpose(0, 1, 3, 2, 4)[mask].astype(np.float32)
    coefficients = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho")
    fine = np.add.outer(np.arange(BLOCK), np.arange(BLOCK)) >= BLOCK // 2
    return (coefficients**2)[:, fine].mean(axis=1)


def information(errors: np.ndarray) -> float:
    """Return the bits that a symbol carries whose errors, in steps, are spread like these."""
    counts, _ = np.histogram(errors - np.rint(errors), BINS, (-0.5, 0.5))
    smooth = (np.roll(counts, 1) + 2 * counts + np.roll(counts, -1)) / 4 + 0.5
    likely = (smooth + smooth[::-1]) / (2 * smooth.sum())
    other = np.roll(likely, BINS // 2)
    return float((likely * (1 - np.log2(1 + other / likely))).sum())


def main() -> None:
    volume = scan(sys.argv[1] if len(sys.argv) > 1 else "ct-head-ge")
    depth = len(volume.voxels)
    some = np.linspace(depth // 4, 3 * depth // 4, SLICES).astype(int)
    volume = replace(
        volume,
        voxels=np.ascontiguousarray(volume.voxels[some]),
        slope=volume.slope[some],
        intercept=volume.intercept[some],
    )
    attacks = [one for one in ATTACKS if one.label in LABELS]
    carried: dict[tuple[int, str], list[float]] = {}
    for i, share in enumerate(SHARES):
        for attack, errors, textured in strayed(volume, share * GREATEST_DEFAULT, attacks):
            halves = [information(errors[chosen].ravel()) for chosen in (~textured, textured)]
            carried[i, attack.label] = halves
    heads = [f"{a:.2f} and {b:.2f}" for a, b in zip(SHARES, SHARES[::-1], strict=True)]
    print(f"| attack | {' | '.join(heads)} |\n| --- |" + " --- |" * len(heads))
    for attack in attacks:
        means = [
            (carried[i, attack.label][0] + carried[len(SHARES) - 1 - i, attack.label][1]) / 2
            for i in range(len(SHARES))
        ]
        print(f"| {attack.label} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


def strayed(volume, strength: float, attacks: list[Attack]):
    """Yield for each attack how far symbols strayed, in steps, and which blocks have texture."""
    embedded = embed_message(volume, bytes(100), strength=strength)
    mask = Restoration.from_bytes(embedded.restoration).change.mask
    energy = texture(volume.voxels, mask)
    rows = sites(b"").patterns[:WIDTH]
    marked = embedded.voxels.astype(np.int16)
    before = Blocks(working_copy(marked)).project(rows, *np.nonzero(mask))
    size = step(rung_below(strength), TAG, WIDTH)
    for attack in attacks:
        gain = 1.0 if attack.window is None else 255 / WINDOW[1]
        copy = attack(marked, 1).astype(np.float32)
        after = Blocks(copy).project(rows, *np.nonzero(mask)) / gain
        yield attack, (after - before) / size, energy > np.median(energy)


if __name__ == "__main__":
    main()
