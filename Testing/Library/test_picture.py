"""Pictures of a slice are read as grey values, with their annotations in any colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from MedWatermarkLib.picture import read_picture

GREY = np.random.default_rng(4).integers(0, 256, (48, 64)).astype(np.uint8)


def test_a_grey_picture_in_three_channels_keeps_its_values(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("RGB").save(tmp_path / "slice.png")
    voxels = read_picture(tmp_path / "slice.png").voxels
    assert voxels.dtype == np.uint8
    assert np.array_equal(voxels, GREY[np.newaxis])


def test_annotations_may_be_coloured_and_change_nothing_beside_them(tmp_path: Path) -> None:
    shot = Image.fromarray(GREY).convert("RGB")
    ImageDraw.Draw(shot).rectangle((10, 10, 29, 19), fill=(255, 255, 0))
    shot.save(tmp_path / "shot.png")
    differs = read_picture(tmp_path / "shot.png").voxels[0] != GREY
    differs[10:20, 10:30] = False
    assert not differs.any()
