"""What the scripts do that Slicer is started with: ``Slicer --no-main-window --python-script``."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import slicer

from MedWatermarkModule import dependencies

FAILED = 1  # as the command line has it


def run(*command: str) -> None:
    """
    Run a command of the library with what followed ``--``, and end Slicer with its exit code.

    The command runs in a process of Slicer's Python, whose standard input and output are those of
    Slicer: Slicer's own interpreter has none that a password could come through.
    """
    code = FAILED
    try:
        dependencies.require()
        words = [*command, *sys.argv[1:]]
        options = [] if "--json" in words else ["--json"]
        code = subprocess.run(
            [_python(), "-m", "MedWatermarkLib", *words, *options], env=_environment(), check=False
        ).returncode
    except Exception as error:
        _say(error)
    finally:  # Without it Slicer would stay, and wait for a window that nobody sees.
        slicer.util.exit(code)


def install() -> None:
    """Install the packages that are missing, and end Slicer: with 0 if all are there."""
    code = FAILED
    try:
        if dependencies.missingPackages():
            dependencies.install()
        code = FAILED if dependencies.missingPackages() else 0
    except Exception as error:
        _say(error)
    finally:
        slicer.util.exit(code)


def _say(error: Exception) -> None:
    """Tell of an error as the command line does with ``--json``."""
    print(json.dumps({"event": "error", "kind": type(error).__name__, "message": str(error)}))


def _python() -> str:
    """Slicer's own Python, as ``slicer.util.executePythonModule`` finds it."""
    return shutil.which("PythonSlicer") or "PythonSlicer"


def _environment() -> dict[str, str]:
    """Slicer's environment, with the library: beside the module, or in a checkout one folder up."""
    place = Path(__file__).resolve().parents[1]
    if not (place / "MedWatermarkLib").is_dir():
        place = place.parent
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}
