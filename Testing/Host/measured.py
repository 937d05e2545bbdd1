"""Measures coverage in a process that was started with ``-S``: nothing else starts it there."""

import os
import sys

_place = os.environ.get("COVERAGE_PLACE")  # set by Testing/Module/conftest.py
if _place and "COVERAGE_PROCESS_CONFIG" in os.environ and "coverage" not in sys.modules:
    sys.path.insert(0, _place)
    import coverage

    sys.path.remove(_place)
    coverage.process_startup()
