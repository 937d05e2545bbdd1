"""The picture of the demonstration: original, marked, their difference, and the code as read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from MedWatermarkLib import qr
from MedWatermarkLib.attacks import display
from MedWatermarkLib.claim import Claim
from MedWatermarkLib.distortion import Distortion

FloatArray = npt.NDArray[np.float64]

# In pixels: four square panels in a row.
_WIDTH, _HEIGHT = 1600, 616
_MARGIN, _GAP, _PANEL, _TOP = 40, 16, 368, 116
_BACKGROUND, _INK, _FAINT = (13, 17, 23), (240, 246, 252), (145, 152, 161)
# Of the side of the patient, left free around it.
_AIR = 0.06


@dataclass(frozen=True, eq=False)
class Panels:
    """What the picture shows.

    Attributes
    ----------
    original, marked : (y, x) float64 arrays
        A slice in rescaled units.
    modules : (n, n) array or None
        The QR code as it was read.
    window : (float, float)
        Center and width in which the slices are shown.
    spacing : (float, float)
        Along x and y, in mm.
    """

    original: FloatArray
    marked: FloatArray
    modules: npt.NDArray[np.float64] | None
    window: tuple[float, float]
    spacing: tuple[float, float]


def draw_figure(
    panels: Panels, change: Distortion, claim: Claim, modality: str, last: str
) -> Image.Image:
    """Draw the picture.

    Parameters
    ----------
    panels : Panels
    change : Distortion
    claim : Claim
    modality : str
    last : str
        What to say in the end.

    Returns
    -------
    PIL.Image.Image
        Of mode "RGB", 1600 pixels wide.
    """
    unit = " HU" if modality == "CT" else ""
    difference = np.nan_to_num(panels.marked - panels.original)
    greatest = float(np.abs(difference).max()) or 1.0
    place = _patient(difference, panels.spacing)
    center, width = panels.window
    gain = width / (2 * greatest)
    captions = [
        ("Original", f"window {center:g} / {width:g}{unit}"),
        ("Marked", f"RMSE {change.rmse:.2f}{unit}, PSNR {change.psnr:.1f} dB"),
        ("Difference", f"at most {greatest:g}{unit}, enlarged {gain:.0f} times"),
        ("Read from the marked scan", "the claim's QR code, module by module"),
    ]
    pictures = [
        _square(display(panels.original, panels.window), place),
        _square(display(panels.marked, panels.window), place),
        _square(display(difference, (0.0, 2 * greatest)), place),
        _code(panels.modules),
    ]
    canvas = Image.new("RGB", (_WIDTH, _HEIGHT), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, 30), "A scan that carries its claim", _INK, _font(32))
    said = f"“{claim.diagnosis}”   signed by {claim.signer[:8]}…{claim.signer[-4:]}"
    draw.text((_MARGIN, 72), said, _FAINT, _font(20))
    for index, (picture, (title, caption)) in enumerate(zip(pictures, captions, strict=True)):
        left = _MARGIN + index * (_PANEL + _GAP)
        canvas.paste(picture, (left, _TOP))
        draw.text((left, _TOP + _PANEL + 14), title, _INK, _font(23))
        draw.text((left, _TOP + _PANEL + 44), caption, _FAINT, _font(18))
    draw.text((_MARGIN, _TOP + _PANEL + 88), last, _FAINT, _font(18))
    return canvas


def _patient(
    difference: FloatArray, spacing: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a square, in mm a side, around what was marked."""
    rows, columns = np.flatnonzero(difference.any(axis=1)), np.flatnonzero(difference.any(axis=0))
    if not rows.size:
        rows, columns = np.arange(difference.shape[0]), np.arange(difference.shape[1])
    height = (rows[-1] + 1 - rows[0]) * spacing[1]
    width = (columns[-1] + 1 - columns[0]) * spacing[0]
    half = max(height, width) * (0.5 + _AIR)
    x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    dx, dy = half / spacing[0], half / spacing[1]
    return x - dx, y - dy, x + dx, y + dy


def _square(grey: npt.NDArray[np.uint8], place: tuple[float, float, float, float]) -> Image.Image:
    left, top, right, bottom = (round(edge) for edge in place)
    # What lies outside the slice is as its darkest corner, or the unchanged grey of a difference.
    beyond = int(grey[0, 0])
    framed = Image.new("L", (max(right - left, 1), max(bottom - top, 1)), beyond)
    framed.paste(Image.fromarray(grey), (-left, -top))
    return framed.resize((_PANEL, _PANEL), Image.Resampling.LANCZOS)


def _code(modules: npt.NDArray[np.float64] | None) -> Image.Image:
    panel = Image.new("L", (_PANEL, _PANEL), 255)
    if modules is not None:
        scale = max(_PANEL // (len(modules) + 8), 1)
        code = qr.picture(modules, scale=scale)
        offset = (_PANEL - code.width) // 2
        panel.paste(code, (offset, offset))
    return panel


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
