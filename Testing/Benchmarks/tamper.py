"""How well tampering is found: exactly with the registered tiles, and by the mark alone.

Run from the root of the project:

    python Testing/Benchmarks/tamper.py [exact | mark | alarms | speed]

`exact`: alterations of every kind, against the tiles. `mark`: 50 placements of each alteration of
32x32 voxels of ct-head-ge, after JPEG 2000 8:1 and other attacks, as the mean Dice coefficient of
the voxels that were altered and those of the blocks named, over the whole volume. `alarms`: blocks
named in scans that were attacked but not altered. `speed`: in units of a plain DCT of the volume.
Without an argument: all four.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.fft
from scans import SERIES, claim_of, scan
from scipy import ndimage

from MedWatermarkLib.restoration import Restoration
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.tamper import ALTERED, compare_tiles, map_from_mark
from MedWatermarkLib.tiles import TILE, tile_leaves
from MedWatermarkLib.volume import Volume

sys.path.append(str(Path(__file__).parents[1]))
from attacks import jpeg, jpeg2000, noisy, windowed

LESION, SIDE, PLACEMENTS, TURNS = 20, 32, 50, 7

Place = tuple[int, int, int]
Attack = Callable[[np.ndarray], np.ndarray]


def marked(name: str) -> tuple[Volume, np.ndarray]:
    """Return a marked scan in rescaled units, and which of its blocks are marked."""
    volume = scan(name)
    embedded = embed_message(volume, claim_of(volume))
    blocks = Restoration.from_bytes(embedded.restoration).change.mask
    return volume.with_voxels(embedded.voxels).as_rescaled(), blocks


def on_voxels(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    grown = blocks.repeat(8, axis=1).repeat(8, axis=2)
    return np.pad(grown, [(0, n - m) for n, m in zip(shape, grown.shape, strict=True)])


# Exact, with the leaves.


def exact() -> None:
    for name in SERIES:
        volume = scan(name)
        leaves = tile_leaves(volume)
        wrong = 0
        cases = list(exact_cases(volume))
        for label, altered in cases:
            truth = altered.voxels != volume.voxels
            found = compare_tiles(altered, leaves)
            right = np.array_equal(found.altered, tiles_of(truth))
            right &= bool(found.geometry_altered) == (label == "geometry flipped")
            wrong += not right
            print(f"{name}: {label}: {found.altered.sum()} tiles, {'right' if right else 'WRONG'}")
        print(f"{name}: {len(cases) - wrong} of {len(cases)} exactly right")


def tiles_of(truth: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(0, n, TILE) for n in truth.shape[1:])
    return np.logical_or.reduceat(np.logical_or.reduceat(truth, rows, axis=1), columns, axis=2)


def exact_cases(volume: Volume) -> Iterator[tuple[str, Volume]]:
    rng = np.random.default_rng(5)
    depth, height, width = volume.voxels.shape
    for label in ("copied", "removed", "moved"):
        voxels = volume.voxels.copy()
        for z in np.sort(rng.choice(depth, LESION, replace=False)):
            y, x, to_y, to_x = rng.integers(0, np.array([height, width] * 2) - LESION)
            here = np.s_[z, y : y + LESION, x : x + LESION]
            there = np.s_[z, to_y : to_y + LESION, to_x : to_x + LESION]
            lesion = voxels[here].copy()
            if label != "copied":
                voxels[here] = int(np.median(lesion))
            if label != "removed":
                voxels[there] = lesion
        yield f"lesion {label} in {LESION} slices", volume.with_voxels(voxels)
    voxels = volume.voxels.copy()
    voxels[depth // 2, height // 2, width // 2] += 1
    yield "+1 in one voxel", volume.with_voxels(voxels)
    voxels = volume.voxels.copy()
    voxels[depth // 2, TILE : 2 * TILE, TILE : 2 * TILE] += 1
    yield "+1 in one tile", volume.with_voxels(voxels)
    voxels = volume.voxels.copy()
    voxels[[depth // 3, depth // 2]] = voxels[[depth // 2, depth // 3]]
    yield "two slices swapped", volume.with_voxels(voxels)
    direction = tuple(np.array(volume.direction) * ([-1, 1, 1] * 3))
    yield "geometry flipped", dataclasses.replace(volume, direction=direction)


# From the mark.


def copied(voxels: np.ndarray, here: Place, there: Place, rng: np.random.Generator) -> np.ndarray:
    """Tissue from elsewhere in the patient."""
    return square(voxels, there)


def from_next(
    voxels: np.ndarray, here: Place, there: Place, rng: np.random.Generator
) -> np.ndarray:
    """The same place of the next slice, as one would hide a small finding."""
    z = here[0] + 1 if here[0] + 1 < len(voxels) else here[0] - 1
    return square(voxels, (z, *here[1:]))


def removed(voxels: np.ndarray, here: Place, there: Place, rng: np.random.Generator) -> np.ndarray:
    """A blurred version of what was there, under noise of its own."""
    smooth = ndimage.gaussian_filter(voxels[here[0]].astype(np.float64), 4)[None]
    return np.rint(square(smooth, (0, *here[1:])) + rng.normal(0, 5, (SIDE, SIDE)))


def filled(voxels: np.ndarray, here: Place, there: Place, rng: np.random.Generator) -> np.ndarray:
    """One grey value."""
    return np.full((SIDE, SIDE), np.rint(square(voxels, here).mean()))


ALTERATIONS = {"copied": copied, "next slice": from_next, "removed": removed, "filled": filled}


def square(voxels: np.ndarray, place: Place) -> np.ndarray:
    z, y, x = place
    return voxels[z, y : y + SIDE, x : x + SIDE]


def places(inside: np.ndarray, rng: np.random.Generator) -> Iterator[Place]:
    """Yield squares that lie wholly within marked blocks, at any voxel."""
    while True:
        z, y, x = rng.integers(0, np.array(inside.shape) - (0, SIDE - 1, SIDE - 1))
        if square(inside, (z, y, x)).all():
            yield int(z), int(y), int(x)


def attacks(volume: Volume) -> dict[str, Attack]:
    ct = volume.modality == "CT"
    window = (40.0, 400.0) if ct else (140.0, 280.0)
    noise = 5.0 if ct else 1.5
    return {
        "none": lambda v: v,
        "JPEG 2000 8:1": lambda v: jpeg2000(v, 8),
        "JPEG 2000 15:1": lambda v: jpeg2000(v, 15),
        f"noise {noise:g}": lambda v: noisy(v, noise),
        "windowed PNG": lambda v: windowed(v, *window),
        "windowed JPEG 90": lambda v: jpeg(v, *window, 90),
        "windowed JPEG 75": lambda v: jpeg(v, *window, 75),
        "blur 0.5": lambda v: np.rint(ndimage.gaussian_filter(v * 1.0, (0, 0.5, 0.5))).astype("i2"),
        "median 3": lambda v: ndimage.median_filter(v, (1, 3, 3)),
        "gain 1.07, offset 20": lambda v: np.rint(v * 1.07 + 20).astype("i2"),
        "resized to 1.25 and back": resized,
        "cut by 43 and 21": lambda v: np.ascontiguousarray(v[:, 43:, 21:]),
    }


def resized(voxels: np.ndarray) -> np.ndarray:
    layers = []
    for layer in voxels.astype(np.float32):
        finer = ndimage.zoom(layer, 1.25, grid_mode=True, mode="nearest")
        share = np.array(layer.shape) / finer.shape
        layers.append(ndimage.zoom(finer, share, grid_mode=True, mode="nearest"))
    return np.rint(np.stack(layers)).astype(np.int16)


def arrived(volume: Volume, voxels: np.ndarray) -> Volume:
    """Return a copy as its receiver reads it: a windowed one has lost what made it a CT."""
    modality = volume.modality if voxels.dtype != np.uint8 else ""
    return Volume(voxels, modality=modality)


def mark() -> None:
    volume, blocks = marked("ct-head-ge")
    inside = on_voxels(blocks, volume.voxels.shape)
    for name in ("JPEG 2000 8:1", "none", "noise 5", "windowed JPEG 75", "JPEG 2000 15:1"):
        attack = attacks(volume)[name]
        base = attack(volume.voxels)
        means = []
        for kind in ALTERATIONS:
            dice = [d for d, _ in trials(volume, base, attack, inside, kind)]
            means.append(statistics.mean(dice))
            print(
                f"ct-head-ge, {kind}, {name}: mean Dice {means[-1]:.3f}, least {min(dice):.3f}, "
                f"missed {sum(d == 0 for d in dice)} of {len(dice)}",
                flush=True,
            )
        print(f"ct-head-ge, {name}: mean Dice of all kinds {statistics.mean(means):.3f}")


def trials(
    volume: Volume, base: np.ndarray, attack: Attack, inside: np.ndarray, kind: str
) -> Iterator[tuple[float, int]]:
    """Yield Dice and the number of blocks named outside of the slice that was altered."""
    rng = np.random.default_rng(1)
    spots = places(inside, rng)
    for _ in range(PLACEMENTS):
        here, there = next(spots), next(spots)
        z, y, x = here
        voxels = volume.voxels.copy()
        voxels[z, y : y + SIDE, x : x + SIDE] = ALTERATIONS[kind](volume.voxels, here, there, rng)
        copy = base.copy()
        copy[z : z + 1] = attack(voxels[z : z + 1])
        found = map_from_mark(arrived(volume, copy))
        named = found.volume().voxels == ALTERED
        truth = np.zeros(named.shape, bool)
        truth[z, y : y + SIDE, x : x + SIDE] = True
        others = int(found.altered.sum() - found.altered[z].sum())
        yield 2 * float((named & truth).sum()) / float(named.sum() + truth.sum()), others


def alarms() -> None:
    for name in SERIES:
        volume, blocks = marked(name)
        for label, attack in attacks(volume).items():
            try:
                found = map_from_mark(arrived(volume, attack(volume.voxels)))
            except ValueError as error:
                print(f"{name}, {label}: {error}")
                continue
            told = int(found.told.sum())
            share = ""
            if found.told.shape == blocks.shape:
                share = f", {(found.told & ~blocks).sum()} of them never marked"
            print(
                f"{name}, {label}: {found.altered.sum()} of {told} blocks named{share}; "
                f"marked {blocks.sum()}; {' '.join(found.findings[1:])}",
                flush=True,
            )


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def speed() -> None:
    volume, _ = marked("ct-head-philips")
    leaves = tile_leaves(volume)
    blocks = np.random.default_rng(0).normal(0, 100, (volume.voxels.size // 64, 8, 8))
    blocks = blocks.astype(np.float32)

    def transform() -> None:
        there = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho", workers=2)
        scipy.fft.idctn(there, axes=(1, 2), norm="ortho", workers=2)

    actions: dict[str, Callable[[], object]] = {
        "dctn + idctn of all blocks": transform,
        "tile leaves and root": lambda: tile_leaves(volume).root,
        "compare with the leaves": lambda: compare_tiles(volume, leaves),
        "map from the mark": lambda: map_from_mark(volume),
    }
    turns: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(TURNS):
        for name, action in actions.items():
            turns[name].append(seconds(action))
    unit = statistics.median(turns["dctn + idctn of all blocks"])
    print(f"{volume.voxels.shape} {volume.voxels.dtype}; leaves of {len(leaves.to_bytes())} bytes")
    for name, times in turns.items():
        median = statistics.median(times)
        print(f"{name:28s} {median / unit:6.2f} of the transform  ({median:.3f} s)")


if __name__ == "__main__":
    parts = {"exact": exact, "mark": mark, "alarms": alarms, "speed": speed}
    for part in sys.argv[1:] or parts:
        parts[part]()
