"""Pictures that a child process drew, for labels of the panel."""

import tempfile
from pathlib import Path

import qt

# Of a QR code drawn with 8 pixels a module: this many fit into a narrow panel.
GREATEST_WIDTH = 270
MODULE = 8


def pixmapOfPNG(png: bytes):
    """The picture of a QR code, scaled by whole pixels a module so that a phone can scan it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "qr.png"
        path.write_bytes(png)
        pixmap = qt.QPixmap(str(path))
    modules = pixmap.width() // MODULE
    return pixmap.scaledToWidth(modules * max(1, GREATEST_WIDTH // modules))
