"""``python screenshots.py``: pictures of the running panel for ``Docs/``, light and dark.

Works the panel as the self-test does, 320 pixels wide: at the normal scale, and in a process of its
own at twice that. Needs fonts (Debian: fonts-dejavu-core).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "Docs" / "panel"
WIDTH = 320
SECTIONS = ("sign", "connection", "verify", "share", "receive")


def main():
    for scale in (1, 2):
        environment = {**os.environ, "QT_SCALE_FACTOR": str(scale), "QT_QPA_PLATFORM": "offscreen"}
        environment.setdefault("NUMBA_CACHE_DIR", "")
        subprocess.run([sys.executable, __file__, str(scale)], env=environment, check=True)


def take(scale):
    sys.path.insert(0, str(REPOSITORY / "Testing" / "Host"))
    import application

    app = application.start()
    app.setStyle("Fusion")
    module = application.load_module(REPOSITORY / "MedWatermark" / "MedWatermark.py")
    test = sys.modules["MedWatermark"].MedWatermarkTest()
    test.setUp()
    representation = module.widgetRepresentation()
    representation.setFixedWidth(WIDTH)
    representation.show()
    panel = test.panel()
    work(test, panel)
    DOCS.mkdir(exist_ok=True)
    for theme, palette in (("light", light()), ("dark", dark())):
        app.setPalette(palette)
        for section in SECTIONS:
            fold(panel, section)
            for _ in range(5):  # Each pass can change what the next has to fit.
                app.processEvents()
                representation.resize(WIDTH, representation.layout().totalHeightForWidth(WIDTH))
            save(representation, panel, DOCS / f"{section}-{theme}-{100 * scale}.png")
    test.doCleanups()


def work(test, panel):
    """Bring each section to where there is something to see."""
    import slicer

    choices = panel.parameters
    choices.inputVolume = test.scanFromDICOM()
    choices.keyFile = str(test.keyFile)
    choices.restorationFile = str(test.record)
    choices.diagnosis = "Acute infarct, left MCA territory; no haemorrhage."
    test.click(panel, panel.ui.embedButton)
    marked = choices.receivedVolume
    parties = test.parties()
    test.become(panel, parties["hospital"])
    test.click(panel, panel.ui.practiceButton)
    choices.sharedVolume = marked
    test.click(panel, panel.ui.previewButton)
    choices.recipientKey = parties["clinic"]["key"]
    choices.recipient = parties["clinic"]["address"]
    choices.price, choices.bond = "0.5", "0.1"
    test.click(panel, panel.ui.shareButton)
    test.become(panel, parties["clinic"])
    test.click(panel, panel.ui.offersButton)
    test.become(panel, parties["hospital"])
    altered = slicer.util.arrayFromVolume(marked)
    altered[3, 96:152, 88:144] = 60
    slicer.util.arrayFromVolumeModified(marked)
    choices.receivedVolume = marked
    test.click(panel, panel.ui.verifyButton)


def fold(panel, shown):
    panel.ui.deidentificationGroupBox.collapsed = False
    for section in SECTIONS:
        getattr(panel.ui, f"{section}CollapsibleButton").collapsed = section != shown


def save(representation, panel, path):
    """Save what can be seen, down to the last section, in few colours: it is text on one ground."""
    from PIL import Image
    from PySide6.QtCore import QPoint, QRect

    last = getattr(panel.ui, f"{SECTIONS[-1]}CollapsibleButton")
    bottom = last.mapTo(representation, QPoint(0, last.height)).y() + 12
    representation.grab(QRect(0, 0, WIDTH, bottom)).save(str(path))
    Image.open(path).quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def light():
    from PySide6.QtGui import QColor, QPalette

    return QPalette(QColor("#efefef"))


def dark():
    """As Slicer's dark style has it."""
    from PySide6.QtGui import QColor, QPalette

    palette = QPalette(QColor("#3c3c3c"))
    palette.setColor(QPalette.ColorRole.Base, QColor("#2a2a2a"))
    palette.setColor(QPalette.ColorRole.Text, QColor("#f0f0f0"))
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#f0f0f0"))
    palette.setColor(QPalette.ColorRole.ButtonText, QColor("#f0f0f0"))
    return palette


if __name__ == "__main__":
    if sys.argv[1:]:
        take(int(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as state:
            os.environ["XDG_STATE_HOME"] = state
            main()
