r"""Make the five checks on a scan that was received, without a window.

    Slicer --no-main-window --python-script verify.py \
        -- marked/ --ledger ledger.toml --html report.html

What follows -- is what `medwatermark verify` takes, and the exit code is its own (see Docs).
Progress and result are JSON lines on standard output.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from MedWatermarkModule import headless

headless.run("verify")
