"""What the mark changes in a scan, in the figures that readers and researchers go by.

Run from the root of the project, with the extra `bench` installed:

    python Testing/Benchmarks/fidelity.py --output DIR [--series NAME] [--strength robust]

For each series: RMSE in the patient, greatest change, changed voxels outside the patient (found by
a threshold and the greatest part, not by the blocks of the mark), PSNR of the scan's range and of
its 8-bit view, SSIM, how the mean of 10x10 regions moves, and how radiomics features of regions of
the patient move, family by family, as MIRP computes them after the definitions of the Image
Biomarker Standardisation Initiative. As a measure of these, white noise of the same RMSE in the
patient moves the same features of the same regions. DIR gets `fidelity.json` and `fidelity.md`.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scans import SERIES, claim_of, scan
from scipy import ndimage

from MedWatermarkLib.attacks import SOFT_TISSUE, display, display_window
from MedWatermarkLib.quality import compare
from MedWatermarkLib.scan import embed_message
from MedWatermarkLib.strength import PRESETS
from MedWatermarkLib.volume import Volume

# In HU: all above is patient or couch.
_TISSUE = -400
_CLOSED = 3
_SIDE = 10
# Regions for radiomics: discs of this radius in voxels, on so many slices.
_RADIUS, _SLICES = 14, 3
_FAMILIES = {
    "stat": "first order",
    "ih": "histogram",
    "cm": "GLCM",
    "rlm": "GLRLM",
    "szm": "GLSZM",
    "ngt": "NGTDM",
    "ngl": "NGLDM",
}
# Below this concordance a feature is commonly held not to be reproducible.
_REPRODUCIBLE = 0.9


def patient(values: np.ndarray, modality: str) -> np.ndarray:
    """Return the voxels of the patient, slice by slice filled.

    On other than a CT it is what is brighter than the corners of slices.
    """
    corners = values[:, :: values.shape[1] - 1, :: values.shape[2] - 1]
    floor = _TISSUE if modality == "CT" else corners.mean() + 5 * corners.std()
    parts, count = ndimage.label(values > floor)
    sizes = ndimage.sum_labels(np.ones_like(parts), parts, range(1, count + 1))
    greatest = parts == 1 + int(np.argmax(sizes))
    # What lies at the edge of a slice is not to be eroded from beyond it.
    padded = np.pad(greatest, ((0, 0), (_CLOSED, _CLOSED), (_CLOSED, _CLOSED)))
    closed = [ndimage.binary_closing(layer, iterations=_CLOSED) for layer in padded]
    filled = np.stack([ndimage.binary_fill_holes(layer) for layer in closed])
    return filled[:, _CLOSED:-_CLOSED, _CLOSED:-_CLOSED] | greatest


def shifts_of_means(change: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return how far the mean of each 10x10 region that lies in the patient moves."""
    rows, columns = (n // _SIDE * _SIDE for n in change.shape[1:])
    shape = (len(change), rows // _SIDE, _SIDE, columns // _SIDE, _SIDE)
    whole = inside[:, :rows, :columns].reshape(shape).all(axis=(2, 4))
    return change[:, :rows, :columns].reshape(shape).mean(axis=(2, 4))[whole]


def regions(inside: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """Return corners of boxes around discs that lie in the patient, where chance puts them."""
    side = 2 * _RADIUS + 1
    reach = (_SLICES // 2, _RADIUS, _RADIUS)
    middle = ndimage.minimum_filter(inside, (_SLICES, side, side), mode="constant")
    middles = np.argwhere(middle)
    chosen = np.random.default_rng(1).choice(len(middles), min(count, len(middles)), replace=False)
    return [tuple(middles[n] - reach) for n in chosen]


def features(values: np.ndarray, corner: tuple[int, int, int], modality: str) -> dict[str, float]:
    """Return the radiomics features of a region."""
    import mirp

    side = 2 * _RADIUS + 1
    z, y, x = corner
    box = values[z : z + _SLICES, y : y + side, x : x + side]
    disc = np.hypot(*np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]) <= _RADIUS
    levels: dict[str, Any] = (
        {
            "base_discretisation_method": "fixed_bin_size",
            "base_discretisation_bin_width": 25.0,
            "resegmentation_intensity_range": [-1000.0, 3000.0],
        }
        if modality == "CT"
        else {
            "base_discretisation_method": "fixed_bin_number",
            "base_discretisation_n_bins": 32,
        }
    )
    (table,) = mirp.extract_features(
        image=box.astype(np.float32),
        mask=np.broadcast_to(disc, box.shape).astype(np.uint8),
        image_modality="ct" if modality == "CT" else "mr",
        by_slice=True,
        base_feature_families=["stats", "ih", "glcm", "glrlm", "glszm", "ngtdm", "ngldm"],
        **levels,
    )
    row = table.iloc[0]
    return {
        name: float(row[name])
        for name in table.columns
        if name.rsplit("_", 1)[0].split("_")[0] in _FAMILIES and np.isreal(row[name])
    }


def concordance(before: np.ndarray, after: np.ndarray) -> float:
    """Return the concordance correlation coefficient (L. I. Lin, Biometrics 45(1), 1989)."""
    spread = before.var() + after.var() + (before.mean() - after.mean()) ** 2
    covariance = ((before - before.mean()) * (after - after.mean())).mean()
    return float(2 * covariance / spread) if spread > 0 else 1.0


def radiomics(
    before: np.ndarray, copies: dict[str, np.ndarray], corners: list[Any], modality: str
) -> list[dict[str, Any]]:
    """Return how the features of each family move in each copy, over all regions."""
    original = [features(before, corner, modality) for corner in corners]
    rows = []
    for copy, values in copies.items():
        there = [features(values, corner, modality) for corner in corners]
        moved: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        for name in original[0]:
            a = np.array([one[name] for one in original])
            b = np.array([one[name] for one in there])
            known = np.isfinite(a) & np.isfinite(b)
            if known.sum() < 3:
                continue
            a, b = a[known], b[known]
            share = float(np.median(np.abs(b - a) / np.maximum(np.abs(a), 1e-9)))
            moved[name.split("_")[0]].append((name, share, concordance(a, b)))
        for family, found in moved.items():
            agree = np.array([one[2] for one in found])
            rows.append(
                {
                    "copy": copy,
                    "family": _FAMILIES[family],
                    "features": len(found),
                    "median_change": float(np.median([one[1] for one in found])),
                    "median_concordance": float(np.median(agree)),
                    "least_concordance": float(agree.min()),
                    "least": found[int(agree.argmin())][0],
                    "below": [one[0] for one in found if one[2] < _REPRODUCIBLE],
                }
            )
    return rows


def view(volume: Volume) -> np.ndarray:
    """Return a scan as a viewer shows it, in 8 bits."""
    window = SOFT_TISSUE if volume.modality == "CT" else display_window(volume)
    return display(volume.rescaled(), window)


def measure(name: str, strength: Any, rois: int) -> dict[str, Any]:
    """Mark a series and compare."""
    volume = scan(name)
    embedded = embed_message(volume, claim_of(volume), strength=strength)
    marked = volume.with_voxels(embedded.voxels)
    before, after = volume.rescaled(), marked.rescaled()
    change, inside = after - before, patient(before, volume.modality)
    whole, shown = compare(before, after), compare(view(volume), view(marked), data_range=255)
    means = shifts_of_means(change, inside)
    noise = np.random.default_rng(2).normal(0, np.sqrt((change[inside] ** 2).mean()), change.shape)
    copies = {"mark": after, "white noise": np.where(inside, np.rint(before + noise), before)}
    return {
        "series": name,
        "modality": volume.modality,
        "shape": volume.voxels.shape,
        "rmse_where_marked": embedded.rmse * float(np.median(volume.slope)),
        "rmse_in_patient": float(np.sqrt((change[inside] ** 2).mean())),
        "greatest_change": float(np.abs(change).max()),
        "changed_outside": int(np.count_nonzero(change[~inside])),
        "psnr_of_range": whole.psnr,
        "psnr_of_view": shown.psnr,
        "ssim": whole.ssim,
        "ssim_of_view": shown.ssim,
        "regions": len(means),
        "mean_shift_deviation": float(means.std()),
        "mean_shift_greatest": float(np.abs(means).max()),
        "record_share": len(embedded.restoration) / volume.voxels.nbytes,
        "radiomics_regions": rois,
        "radiomics": radiomics(before, copies, regions(inside, rois), volume.modality),
    }


_FIGURES = {
    "rmse_where_marked": ("RMSE where marked", "{:.2f}"),
    "rmse_in_patient": ("RMSE in the patient", "{:.2f}"),
    "greatest_change": ("greatest change", "{:g}"),
    "changed_outside": ("changed voxels outside the patient", "{}"),
    "psnr_of_range": ("PSNR of the range, dB", "{:.1f}"),
    "psnr_of_view": ("PSNR of the 8-bit view, dB", "{:.1f}"),
    "ssim": ("SSIM of the range", "{:.5f}"),
    "ssim_of_view": ("SSIM of the 8-bit view", "{:.4f}"),
    "mean_shift_deviation": ("mean of a 10x10 region moves by (SD)", "{:.2f}"),
    "mean_shift_greatest": ("mean of a 10x10 region moves by (most)", "{:.2f}"),
    "record_share": ("restoration record, of the raw size", "{:.2%}"),
}


def tables(measured: list[dict[str, Any]]) -> str:
    """Return what was measured, as Markdown."""
    names = [f"{one['series']} ({one['modality']})" for one in measured]
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for figure, (label, form) in _FIGURES.items():
        cells = [form.format(one[figure]) for one in measured]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    for name, one in zip(names, measured, strict=True):
        lines += [
            "",
            f"Radiomics, {name}, {one['radiomics_regions']} regions:",
            "",
            "| family | features | median change | median concordance | least | below 0.9 | below "
            "0.9 with white noise |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        noisy = {row["family"]: row for row in one["radiomics"] if row["copy"] != "mark"}
        for row in one["radiomics"]:
            if row["copy"] == "mark":
                lines.append(
                    f"| {row['family']} | {row['features']} | {row['median_change']:.2%} | "
                    f"{row['median_concordance']:.4f} | {row['least_concordance']:.3f} | "
                    f"{len(row['below'])} | {len(noisy[row['family']]['below'])} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--series", action="append", choices=SERIES)
    parser.add_argument("--strength", default="diagnostic", choices=PRESETS)
    parser.add_argument("--rois", type=int, default=40, help="regions for radiomics")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    measured = [measure(name, given.strength, given.rois) for name in given.series or SERIES]
    (given.output / "fidelity.json").write_text(json.dumps(measured, indent=1))
    (given.output / "fidelity.md").write_text(tables(measured))
    print(tables(measured))


if __name__ == "__main__":
    main()
