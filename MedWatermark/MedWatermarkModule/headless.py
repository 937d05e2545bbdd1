"""What the scripts do that Slicer is started with: ``Slicer --no-main-window --python-script``."""

import json
import subprocess
import sys

import slicer

from MedWatermarkModule import child, dependencies

FAILED = 1  # as the command line has it


def run(*command: str, jsonLines: bool = True) -> None:
    """
    Run a command of the library with what followed ``--``, and end Slicer with its exit code.

    The command runs in a process of Slicer's Python, whose standard input and output are those of
    Slicer: Slicer's own interpreter has none that a password could come through.

    :param command: its first words.
    :param jsonLines: whether it tells progress and result as JSON lines.
    """
    code = FAILED
    try:
        dependencies.require()
        words = [*command, *sys.argv[1:]]
        options = ["--json"] if jsonLines and "--json" not in words else []
        code = subprocess.run(
            [child.python(), "-m", "MedWatermarkLib", *words, *options],
            env=child.environment(),
            check=False,
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
