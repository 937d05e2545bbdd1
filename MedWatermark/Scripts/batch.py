r"""Mark, verify or restore many scans in one run, without a window.

    Slicer --no-main-window --python-script batch.py \
        -- embed archive/ run/ --key-file doctor.json --diagnosis "Screening CT." --workers 0

What follows -- is what `medwatermark batch` takes, and the exit code is its own (see Docs).
Progress and result are JSON lines on standard output; RUN/results.jsonl has a line for each scan.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from MedWatermarkModule import headless

headless.run("batch")
