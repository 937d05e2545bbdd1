"""Draws the icon's PNG pictures from its SVG: ``python Testing/icon.py``."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "MedWatermark" / "Resources" / "Icons" / "MedWatermark.svg"
# The first is the module's in Slicer's menus, the second the extension's in the catalog.
PICTURES = (SOURCE.with_suffix(".png"), REPOSITORY / "MedWatermark.png")
SIZE = 128  # pixels, as the extensions catalog wants it


def draw() -> QImage:
    """Draw the icon; a Qt application has to be there."""
    picture = QImage(SIZE, SIZE, QImage.Format.Format_ARGB32)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    QSvgRenderer(str(SOURCE)).render(painter)
    painter.end()
    return picture


if __name__ == "__main__":
    application = QGuiApplication([])
    for path in PICTURES:
        draw().save(str(path))
