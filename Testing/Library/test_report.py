"""A command that is cancelled ends, wherever the signal finds it."""

from __future__ import annotations

import subprocess
import sys

# The signal comes while a callback runs whose exceptions Python ignores.
LOST = """
import os, signal, weakref
from MedWatermarkLib.report import JsonReport, cancel, reporting

class Thing: ...

signal.signal(signal.SIGTERM, cancel)
with reporting(True) as report:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    report.step("Working", 0.0, 1.0)
    del thing
    report.step("Working on", 0.5, 1.0)
    report.result({"ended": "as if nothing had been said"})
"""


def test_a_signal_that_is_lost_in_a_callback_is_heeded_at_the_next_step() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LOST], capture_output=True, text=True, check=False, timeout=120
    )
    assert "Cancelled" in run.stdout
    assert "as if nothing" not in run.stdout
