"""The parts of the Slicer module MedWatermark, one noun in each file."""

import importlib.util
import sys
from pathlib import Path

# Installed, the library lies beside this package; in a checkout, one folder up.
if importlib.util.find_spec("MedWatermarkLib") is None:
    sys.path.append(str(Path(__file__).resolve().parents[2]))
