"""Run any command of the library with Slicer's Python, such as making a key, without a window.

    Slicer --no-main-window --python-script command.py -- keygen doctor.json

What follows -- is what `medwatermark` takes, and the exit code is its own (see Docs). What it asks,
it asks in the terminal.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from MedWatermarkModule import headless

headless.run(jsonLines="--json" in sys.argv)
