"""The module in the host that stands in for Slicer (``Testing/Host``)."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "MedWatermark" / "MedWatermark.py"
HOST = REPOSITORY / "Testing" / "Host"


@pytest.fixture(scope="session")
def host():
    """The running host, as a module."""
    for package in ("slicer_core", "PySide6"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} has no wheel for this platform")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.path.insert(0, str(HOST))
    import application

    application.start()
    return application


@pytest.fixture(scope="session")
def module(host):
    """The module as ``slicer.modules.medwatermark`` has it."""
    return host.load_module(MODULE_FILE)


@pytest.fixture
def slot_errors(monkeypatch):
    """Exceptions that slots and observers raised: Qt and VTK print and forget them."""
    errors = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: errors.append(error))
    return errors


@pytest.fixture
def panel(host, module, slot_errors):
    """The module's panel, entered, with an empty scene."""
    import slicer

    slicer.mrmlScene.Clear()
    representation = module.widgetRepresentation()
    representation.enter()
    yield representation.self()
    representation.exit()
    slicer.mrmlScene.Clear()
    assert slot_errors == []


@pytest.fixture
def self_test(module):
    """The module's self-test, for the scan and the account that it makes."""
    test = sys.modules["MedWatermark"].MedWatermarkTest()
    test.setUp()
    yield test
    test.doCleanups()


@pytest.fixture
def click(host):
    """``click(button)``, in an event loop as a person's click is: Slicer's dialogs need one."""
    import qt

    def click_in_event_loop(button):
        loop = qt.QEventLoop()

        def once():
            button.click()
            loop.quit()

        qt.QTimer.singleShot(0, once)
        loop.exec_()

    return click_in_event_loop


@pytest.fixture
def answer(host):
    """``answer(reply)``: call ``reply(dialog)`` for the dialog that opens next."""
    import qt

    timers = []

    def wait_for_dialog(reply):
        timer = qt.QTimer()
        timers.append(timer)

        def look():
            dialog = qt.QApplication.activeModalWidget()
            if dialog is not None:
                timer.stop()
                reply(dialog)

        timer.timeout.connect(look)
        timer.start(10)

    yield wait_for_dialog
    still_waiting = [timer for timer in timers if timer.active]
    for timer in still_waiting:
        timer.stop()
    assert not still_waiting, "a dialog that was to be answered did not open"
