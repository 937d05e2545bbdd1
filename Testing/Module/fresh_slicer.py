"""The Python packages of a Slicer that was just installed, in a folder of their own."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

# Slicer's SuperBuild (External_python-*.cmake) installs these; slicer-core, vtk and PySide6 stand
# for what it builds.
BROUGHT = ("numpy", "pillow", "pydicom", "requests", "scipy", "SimpleITK", "packaging", "pip")
BUILT = ("slicer-core", "PySide6-Essentials")

HOST = Path(__file__).parents[1] / "Host"
START = f"""
import sys
sys.path.insert(0, {str(HOST)!r})
import measured
import application
application.start()
import slicer
"""


def link_packages(folder):
    """Link into a folder what a fresh Slicer has of the packages that are installed here."""
    waiting, linked = [*BROUGHT, *BUILT], set()
    while waiting:
        package = distribution(waiting.pop())
        if package.name in linked:
            continue
        linked.add(package.name)
        for top in {file.parts[0] for file in package.files} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(package.locate_file(top))
        waiting += [
            needed.name
            for needed in map(Requirement, package.requires or ())
            if needed.marker is None or needed.marker.evaluate({"extra": ""})
        ]


def run(script, packages, **environment):
    """Run a script in a host that has only the packages of a folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", START + script],
        cwd=HOST,
        env={
            "QT_QPA_PLATFORM": "offscreen",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(packages),
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            **environment,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
