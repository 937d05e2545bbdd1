r"""Sign a diagnosis and hide it in a scan, without a window.

    Slicer --no-main-window --python-script embed.py \
        -- scan/ marked/ --key-file doctor.json --diagnosis-file report.txt

What follows -- is what `medwatermark embed` takes, and the exit code is its own (see Docs).
Progress and result are JSON lines on standard output.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from MedWatermarkModule import headless

headless.run("embed")
