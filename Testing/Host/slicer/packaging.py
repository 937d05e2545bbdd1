"""Packages that a module needs; mirrors Slicer's ``Base/Python/slicer/packaging.py``."""

import importlib
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

import slicer
from packaging.requirements import Requirement


def load_requirements(path):
    lines = (line.strip() for line in Path(path).read_text().splitlines())
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def pip_check(req):
    """Whether all the requirements are installed, those of their extras included."""
    if isinstance(req, list):
        return all(pip_check(each) for each in req)
    req = Requirement(str(req))
    if req.marker and not req.marker.evaluate():
        return True
    try:
        if version(req.name) not in req.specifier:
            return False
    except PackageNotFoundError:
        return False
    return all(
        pip_check(str(needed).partition(";")[0])
        for extra in req.extras
        for needed in map(Requirement, requires(req.name) or ())
        if needed.marker and needed.marker.evaluate({"extra": extra})
    )


def pip_ensure(
    requirements,
    constraints=None,
    prompt_install=True,
    requester=None,
    skip_in_testing=True,
    prompt_restart=True,
    **ignored,
):
    """Install what is missing, after asking; ask for a restart if packages in use were replaced."""
    missing = [str(req) for req in requirements if not pip_check(req)]
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    if prompt_install and not slicer.util.confirmOkCancelDisplay(
        f"{requester} needs these Python packages: {', '.join(missing)}. Install them?"
    ):
        raise RuntimeError("User declined package installation")
    before = _versions_in_use()
    pip_install(missing, constraints)
    importlib.invalidate_caches()
    if prompt_restart and _versions_in_use() != before:
        slicer.util.confirmYesNoDisplay("Updated packages are in use. Restart now?")


def _versions_in_use():
    return {each.name: each.version for each in distributions() if each.name in sys.modules}


def pip_install(requirements, constraints=None, **ignored):
    """Runs pip as this Python runs, with or without the folder of its own packages."""
    arguments = requirements.split() if isinstance(requirements, str) else [*requirements]
    arguments += ["-c", str(constraints)] if constraints else []
    flags = ["-S"] if sys.flags.no_site else []
    subprocess.run([sys.executable, *flags, "-m", "pip", "install", *arguments], check=True)
