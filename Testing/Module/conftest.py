"""The module in the host that stands in for Slicer (``Testing/Host``)."""

import os
import sys
import time
from pathlib import Path

import pytest
from clinic import DIAGNOSIS, PASSWORD
from identities import quick_identity_file

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "MedWatermark" / "MedWatermark.py"
HOST = REPOSITORY / "Testing" / "Host"

if "COVERAGE_PROCESS_CONFIG" in os.environ:  # see Testing/Host/measured.py
    import coverage

    os.environ["COVERAGE_PLACE"] = str(Path(coverage.__file__).parents[1])


@pytest.fixture(scope="session")
def host():
    """The running host, as a module."""
    try:
        import PySide6.QtWidgets  # noqa: F401
        import slicer_core  # noqa: F401
    except ImportError as missing:
        # No wheel for this platform, or Qt lacks a system library (Debian: libegl1 libgl1
        # libxkbcommon0 libfontconfig1 libglib2.0-0 libdbus-1-3).
        pytest.skip(f"the host that stands in for Slicer does not start: {missing}")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # Kernels that were compiled once stay beside their sources: the host's cache goes with it.
    os.environ.setdefault("NUMBA_CACHE_DIR", "")
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
def phantom(module):
    """Scans to work with, as the self-test makes them."""
    import MedWatermarkModule.phantom

    return MedWatermarkModule.phantom


@pytest.fixture
def quick_identities(phantom, monkeypatch):
    """Have the self-test's parties hold age files that open at once, not after seconds."""
    monkeypatch.setattr(phantom, "writeIdentity", quick_identity_file)


@pytest.fixture
def logic(module):
    return sys.modules["MedWatermark"].MedWatermarkLogic()


@pytest.fixture(scope="session")
def key_file(tmp_path_factory):
    """The key file of someone who signs, under `PASSWORD`."""
    from MedWatermarkLib.account import create_key_file

    path = tmp_path_factory.mktemp("keys") / "doctor.json"
    create_key_file(path, PASSWORD, iterations=2)
    return path


@pytest.fixture
def record(tmp_path):
    """Where a restoration record goes."""
    return tmp_path / "head.restoration"


@pytest.fixture
def mark(logic, key_file, record):
    """``mark(scan)``: the marked node."""

    def mark_scan(scan, diagnosis=DIAGNOSIS, **options):
        return logic.embed(scan, diagnosis, key_file, PASSWORD, record, **options).wait().node

    return mark_scan


@pytest.fixture
def finish(host, panel):
    """``finish()``: wait until what the panel has started is done."""
    import qt

    def wait_until_done():
        assert panel.isRunning()
        loop = qt.QEventLoop()
        end = time.monotonic() + 300

        def look():
            if not panel.isRunning() or time.monotonic() > end:
                loop.quit()

        timer = qt.QTimer()
        timer.timeout.connect(look)
        timer.start(20)
        loop.exec_()
        timer.stop()
        assert not panel.isRunning()

    return wait_until_done


@pytest.fixture
def click(host):
    """``click(button)``, in an event loop as a person's click is: Slicer's dialogs need one."""
    import qt

    def click_in_event_loop(button):
        loop = qt.QEventLoop()
        unanswered = []

        def once():
            button.click()
            loop.quit()

        def give_up():
            dialog = qt.QApplication.activeModalWidget()
            unanswered.append(getattr(dialog, "text", dialog))
            dialog.reject()

        timer = qt.QTimer()
        timer.timeout.connect(give_up)
        timer.start(30_000)
        qt.QTimer.singleShot(0, once)
        loop.exec_()
        assert not unanswered, "a dialog opened that the test does not know of"

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
