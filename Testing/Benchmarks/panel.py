"""How long the Slicer panel holds the event loop while it marks, verifies and shares a real scan.

``python Testing/Benchmarks/panel.py [FOLDER]``: a DICOM series, by default ``ct-head-philips``, on
the stand-in host. A timer that is due every 5 ms tells how late it was; reading and writing the
voxels of nodes is told apart, since that has to be done on the main thread.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SCAN = REPOSITORY.parent / "shared" / "data" / "ct-head-philips"
DUE_MS = 5


class Watch:
    """Measures the longest time between two turns of the event loop, less the time for voxels."""

    def __init__(self):
        import qt

        self.last, self.voxels, self.longest, self.longest_voxels = time.perf_counter(), 0.0, 0, 0
        self.timer = qt.QTimer()
        self.timer.timeout.connect(self.turn)
        self.timer.start(DUE_MS)

    def turn(self):
        now = time.perf_counter()
        self.longest = max(self.longest, now - self.last - self.voxels - DUE_MS / 1e3)
        self.longest_voxels = max(self.longest_voxels, self.voxels)
        self.last, self.voxels = now, 0.0

    def told(self):
        self.timer.stop()
        return {
            "longest_ms": round(1e3 * self.longest),
            "voxels_ms": round(1e3 * self.longest_voxels),
        }

    def timed(self, function):
        def run(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.voxels += time.perf_counter() - start

        return run


def main(folder):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("NUMBA_CACHE_DIR", "")
    sys.path.insert(0, str(REPOSITORY / "Testing" / "Host"))
    import application

    application.start()
    application.load_module(REPOSITORY / "MedWatermark" / "MedWatermark.py")
    test = sys.modules["MedWatermark"].MedWatermarkTest()
    test.setUp()
    panel = test.panel()
    choices = panel.parameters
    choices.inputVolume = load(folder)
    choices.diagnosis = "Acute infarct, left MCA territory; no haemorrhage."
    choices.keyFile, choices.restorationFile = str(test.keyFile), str(test.record)
    results = {"embed": watched(test, panel, panel.ui.embedButton)}
    results["verify"] = watched(test, panel, panel.ui.verifyButton)
    parties = test.parties()
    test.become(panel, parties["hospital"])
    test.click(panel, panel.ui.practiceButton)
    choices.pixelsChecked = True
    test.click(panel, panel.ui.previewButton)
    choices.recipientKey = parties["clinic"]["key"]
    results["share"] = watched(test, panel, panel.ui.shareButton)
    test.doCleanups()
    print(json.dumps({"scan": folder.name, **results}, indent=2))


def load(folder):
    import SimpleITK
    import sitkUtils
    import slicer

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    node = sitkUtils.PushVolumeToSlicer(reader.Execute(), name="Scan")
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(units)
    return node


def watched(test, panel, button):
    """Click, wait in Qt's own event loop as Slicer does, and tell how it was held."""
    import qt
    from MedWatermarkModule import exchange_logic, logic

    assert button.enabled, button.toolTip
    watch = Watch()
    with contextlib.ExitStack() as stack:
        for module, name in (
            (logic, "writeNode"),
            (logic, "fillNode"),
            (logic, "_labels"),
            (exchange_logic, "writeNode"),
        ):
            plain = getattr(module, name)
            setattr(module, name, watch.timed(plain))
            stack.callback(setattr, module, name, plain)
        loop = qt.QEventLoop()
        qt.QTimer.singleShot(0, button.click)
        start = time.perf_counter()

        def look():
            if time.perf_counter() - start > 0.5 and not panel.isRunning():
                loop.quit()

        looking = qt.QTimer()
        looking.timeout.connect(look)
        looking.start(50)
        loop.exec_()
        looking.stop()
    return {"seconds": round(time.perf_counter() - start, 1), **watch.told()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        main(Path(sys.argv[1]) if sys.argv[1:] else SCAN)
