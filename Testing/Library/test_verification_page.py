"""The page that is filed with the case: whole in itself, safe, and of the right slices."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account
from phantoms import head
from PIL import Image

from MedWatermarkLib.overlay import ALTERED_COLOUR, choose_slices, draw_slices
from MedWatermarkLib.scan import MarkedScan, mark_scan
from MedWatermarkLib.tamper import TamperMap, compare_tiles
from MedWatermarkLib.tiles import tile_leaves
from MedWatermarkLib.verification_page import verification_page
from MedWatermarkLib.verify import verify
from MedWatermarkLib.volume import Volume

HOSTILE = (
    "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> {{ 7*7 }} </td></html> &amp; ü肺"
)
ACCOUNT = Account.from_key(b"\x07" * 32)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


class Page(HTMLParser):
    """What a browser would see in a page: its elements and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements[-1:] != [("style", {})]:
            self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def marked() -> MarkedScan:
    volume = Volume(
        head(4, 320, 320).astype(np.int16),
        spacing=(0.6, 0.6, 4.0),
        modality="CT",
        identity={"PatientName": "Grünwald^Ada", "PatientID": "PID-4711"},
    )
    return mark_scan(volume, HOSTILE, ACCOUNT)


@pytest.fixture(scope="module")
def picture(marked: MarkedScan) -> Volume:
    """A slice as a picture has it: without place or unit."""
    grey = np.clip(marked.volume.voxels[:1] + 60, 0, 255).astype(np.uint8)
    return Volume(grey)


@pytest.fixture(scope="module")
def altered(marked: MarkedScan) -> Volume:
    voxels = marked.volume.voxels.copy()
    voxels[2, 100, 100] += 1
    return marked.volume.with_voxels(voxels)


@pytest.fixture(scope="module")
def html(marked: MarkedScan, altered: Volume) -> str:
    return verification_page(verify(altered, leaves=tile_leaves(marked.volume)))


def test_a_hostile_diagnosis_is_text_and_nothing_else(html: str) -> None:
    page = Page(html)
    assert HOSTILE in page.text
    assert not page.all("script")
    assert not any(name.startswith("on") for _, one in page.elements for name in one)
    assert "onerror=alert(2)>" not in html


def test_the_page_loads_nothing_and_runs_nothing(html: str) -> None:
    page = Page(html)
    sources = [one["src"] for one in page.all("img")]
    assert sources
    assert all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert not page.all("link")
    assert not page.all("a")
    assert not page.all("iframe")
    policy = next(one for one in page.all("meta") if one.get("http-equiv"))
    assert (policy["content"] or "").startswith("default-src 'none'")
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_page_names_no_patient(html: str) -> None:
    assert "Grünwald" not in html
    assert "PID-4711" not in html


def test_the_page_says_what_failed_and_where(html: str) -> None:
    text = " ".join(Page(html).text.split())
    assert "Do not rely on this scan and its claim." in text
    assert "4 Voxels ✗ failed" in text
    assert "1 Mark ✓ passed" in text
    assert "3 Signer – not checked" in text
    assert "Slice 3: altered" in text
    assert text.index("Slice 3: altered") < text.index("Slice 1 ")


def test_the_page_of_a_claim_alone_does_not_say_that_it_belongs(marked: MarkedScan) -> None:
    text = " ".join(Page(verification_page(verify(marked.volume))).text.split())
    assert "A claim was read. That it belongs to these voxels was not shown" in text
    assert "R A Slice 1 R A Slice 2" in text
    assert "belongs to this scan" not in text


def test_the_page_of_a_scan_without_a_mark_is_whole(altered: Volume) -> None:
    plain = Volume(np.full((1, 40, 50), np.nan, np.float32))
    page = Page(verification_page(verify(plain)))
    assert "no claim was read" in page.text
    assert len(page.all("img")) == 1


def tile_map(volume: Volume, cells: dict[int, int]) -> TamperMap:
    """A map in which so many tiles of these slices are altered."""
    found = compare_tiles(volume, tile_leaves(volume))
    changed = np.zeros_like(found.altered)
    for z, count in cells.items():
        changed[z].flat[:count] = True
    return replace(found, altered=changed)


def test_slices_altered_most_come_first_and_a_dozen_is_the_most() -> None:
    volume = Volume(np.zeros((40, 128, 128), np.int16))
    assert choose_slices(40, tile_map(volume, {7: 1, 30: 3})) == [7, 30, 3, 10, 16, 23]
    chosen = choose_slices(40, tile_map(volume, dict.fromkeys(range(5, 35), 1)))
    assert chosen == list(range(5, 17))
    chosen = choose_slices(40, tile_map(volume, {**dict.fromkeys(range(5, 35), 1), 34: 2}))
    assert chosen == [*range(5, 16), 34]
    assert choose_slices(2, None) == [0, 1]


def test_altered_tiles_are_outlined_where_they_are() -> None:
    volume = Volume(np.zeros((1, 128, 192), np.int16))
    (drawn,) = draw_slices(volume, [0], tile_map(volume, {0: 1}))
    pixels = np.asarray(drawn.picture)
    outline = np.argwhere((pixels == ALTERED_COLOUR).all(axis=-1))
    height, width = pixels.shape[:2]
    assert drawn.altered
    assert outline.min(axis=0).tolist() == [0, 0]
    assert np.allclose(outline.max(axis=0) + 1, [height / 2, width / 3], atol=1)


@pytest.mark.parametrize(
    ("direction", "corner", "edges"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0), ("R", "A")),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), (1, 1), ("R", "A")),
        # Sagittal: columns towards the back, rows towards the feet.
        ((0, 0, 1, 1, 0, 0, 0, -1, 0), (0, 0), ("A", "S")),
        # Coronal, rows towards the head.
        ((1, 0, 0, 0, 0, 1, 0, 1, 0), (1, 0), ("R", "S")),
    ],
)
def test_slices_lie_as_one_looks_at_them(
    direction: tuple[int, ...], corner: tuple[int, int], edges: tuple[str, str]
) -> None:
    voxels = np.zeros((1, 100, 100), np.int16)
    row, column = corner
    voxels[0, 80 * row : 80 * row + 20, 80 * column : 80 * column + 20] = 100
    (drawn,) = draw_slices(Volume(voxels, (2, 2, 2), direction=direction), [0], None)
    assert (drawn.left, drawn.top) == edges
    assert np.asarray(drawn.picture)[:60, :60].mean() > 200


def test_of_a_picture_no_one_says_where_left_and_right_are(picture: Volume) -> None:
    (drawn,) = draw_slices(picture, [0], None)
    assert (drawn.left, drawn.top) == ("", "")
    html = verification_page(verify(picture))
    assert 'class="left"' not in html
    assert " mm<" not in html


def test_millimetres_are_as_long_across_as_down() -> None:
    volume = Volume(np.zeros((1, 100, 50), np.int16), spacing=(1.0, 2.0, 3.0))
    (drawn,) = draw_slices(volume, [0], None)
    assert drawn.picture.size == (112, 448)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")
def test_chromium_shows_the_page_and_the_diagnosis_as_text(html: str, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(html, "utf-8")
    chromium = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
    ]
    seen = run_chromium([*chromium, "--dump-dom", page.as_uri()])
    assert HOSTILE in Page(seen.stdout).text
    # Blocked or missing resources, and errors of scripts, are told on the console.
    assert "CONSOLE" not in seen.stderr, seen.stderr
    run_chromium([*chromium, "--window-size=1000,1500", f"--screenshot={picture}", page.as_uri()])
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (1500, 1000, 3)
    assert (pixels == ALTERED_COLOUR).all(axis=-1).sum() > 100
    assert (pixels > 240).all(axis=-1).mean() > 0.3


def run_chromium(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=True
    )
