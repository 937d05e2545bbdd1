"""Draws the pictures of the samples in Slicer's Sample Data: ``python Testing/thumbnails.py``."""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).parents[1]
ICONS = REPOSITORY / "MedWatermark" / "Resources" / "Icons"
SIZE = (260, 280)  # pixels, as Slicer's template asks for

sys.path.insert(0, str(REPOSITORY / "Testing" / "Host"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def draw(picture_name, outlined=False):
    """Draw a slice of the CT sample in a window of brain; where altered, `outlined`."""
    import slicer
    from MedWatermarkModule import phantom, sample_data

    slices, rows, columns = sample_data.ALTERED
    pixels = slicer.util.arrayFromVolume(phantom.ct())[slices].astype(float)
    if outlined:
        pixels[rows, columns] = 60
    gray = np.clip((pixels - 0) / 80 * 255, 0, 255).astype(np.uint8)
    picture = Image.new("RGB", SIZE)
    picture.paste(Image.fromarray(gray).convert("RGB"), (2, 12))
    if outlined:
        box = (columns.start, rows.start + 10, columns.stop + 3, rows.stop + 13)
        ImageDraw.Draw(picture).rectangle(box, outline=(245, 166, 35), width=3)
    picture.save(ICONS / picture_name, optimize=True)


if __name__ == "__main__":
    import application

    application.start()
    application.load_module(REPOSITORY / "MedWatermark" / "MedWatermark.py")
    draw("HeadCT.png")
    draw("HeadCTAltered.png", outlined=True)
