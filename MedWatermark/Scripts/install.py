"""Install the Python packages that MedWatermark needs into Slicer's Python, without a window.

    Slicer --no-main-window --python-script install.py

Nothing is asked: who runs this wants them. Packages that Slicer brings stay as they are.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from MedWatermarkModule import headless

headless.install()
