"""A copy that was both cut and turned or scaled reads, and so does a picture of a viewer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attacks import scaled, turned, windowed
from phantoms import head
from PIL import Image, ImageDraw

from MedWatermarkLib.tag import message_id
from MedWatermarkLib.watermark import embed, extract

MESSAGE = b"MW:29 BYTES FOR SMALL SLICES."


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    return embed(head(8, 320, 288).astype(np.int16), MESSAGE).voxels


def cut(voxels: np.ndarray) -> np.ndarray:
    return voxels[:, 37:300, 21:280]


def screenshot(layer: np.ndarray, factor: float) -> np.ndarray:
    """Show a slice as a viewer does: windowed, at another size, on black, under annotations."""
    grey = windowed(scaled(layer[np.newaxis], factor)[0], 40, 120)
    height, width = grey.shape
    shot = Image.new("L", (width + 331, height + 90))
    shot.paste(Image.fromarray(grey), (213, 37))
    draw = ImageDraw.Draw(shot)
    draw.rectangle((211, 35, 214 + width, 38 + height), outline=120)
    for y, text in ((8, "ANON 001"), (48, "Se: 3  Im: 14/28"), (height + 55, "W 120 L 40")):
        draw.text((225, y), text, 230)
    y, x = 37 + height // 2, 213 + width // 2
    draw.line((x - 40, y + 25, x + 35, y - 20), fill=255, width=2)
    draw.text((x + 38, y - 34), "23.4 mm", 255)
    draw.line((213, y + 60, 213 + width, y + 60), fill=180)
    return np.asarray(shot)[np.newaxis]


@pytest.mark.parametrize(
    ("attack", "angle", "scale", "mirrored"),
    [
        (lambda v: turned(cut(v), 5), 5, 1, False),
        (lambda v: turned(cut(v)[..., ::-1], -31), -31, 1, True),
        (lambda v: scaled(cut(v), 0.8), 0, 0.8, False),
        (lambda v: scaled(cut(v)[:, ::-1], 1.37), 180, 1.37, True),
        (lambda v: cut(turned(v, 17)), 17, 1, False),
        (lambda v: scaled(cut(turned(v, 5)), 0.8), 5, 0.8, False),
    ],
    ids=["turned", "mirrored, turned", "smaller", "upside down, larger", "cut last", "all three"],
)
def test_a_volume_that_was_cut_as_well_reads_and_says_what_was_undone(
    marked: np.ndarray,
    attack: Callable[[np.ndarray], np.ndarray],
    angle: float,
    scale: float,
    mirrored: bool,
) -> None:
    extracted = extract(attack(marked))
    assert extracted.message == MESSAGE
    assert extracted.undone is not None
    assert abs((extracted.undone.angle - angle + 180) % 360 - 180) < 0.1
    assert extracted.undone.scale == pytest.approx(scale, rel=0.005)
    assert extracted.undone.mirrored == mirrored


@pytest.mark.parametrize(("factor", "flips"), [(1.37, False), (0.8, True)])
def test_a_screenshot_of_a_slice_gives_its_tag(factor: float, flips: bool) -> None:
    layer = embed(head(1, 512, 512).astype(np.int16), MESSAGE, copy=7).voxels
    extracted = extract(screenshot(layer[0, ::-1] if flips else layer[0], factor))
    assert extracted.tag is not None
    assert (extracted.tag.message_id, extracted.tag.copy) == (message_id(MESSAGE), 7)
    assert extracted.undone is not None
    assert extracted.undone.scale == pytest.approx(factor, rel=0.005)
    assert extracted.undone.mirrored == flips
