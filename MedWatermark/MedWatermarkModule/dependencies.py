"""The Python packages that MedWatermark needs and Slicer does not bring, installed at first use.

Nothing here is imported from those packages, so that the module loads without them.
"""

import importlib
import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import slicer
from packaging.requirements import Requirement
from slicer.i18n import tr as _

REQUIREMENTS = Path(__file__).resolve().parent.parent / "Resources" / "requirements.txt"

# Slicer's own modules are built on these: an installation leaves them as they are, ...
BROUGHT_BY_SLICER = ("numpy", "pillow", "pydicom", "requests", "scipy", "SimpleITK", "vtk")
# ... but for one that is too old in Slicer 5.10 (2.4.4), whose modules run with the newer one too.
LEAST_OF_SLICERS = ("pydicom>=3",)


class MissingPackagesError(RuntimeError):
    """Packages that MedWatermark needs are not there, and were not installed."""


def missingPackages() -> list[str]:
    """The requirements that the installed packages do not meet, as pip takes them."""
    needed = [*_requirements(), *map(Requirement, LEAST_OF_SLICERS)]
    return [str(each) for each in needed if not _isMet(each)]


def ensure(requester: str = "MedWatermark") -> None:
    """
    Have what the library needs: where packages are missing, ask, and install them.

    :param requester: who asks, for the dialog.
    :raises MissingPackagesError: if the user declines, or in testing mode, where nothing is asked.
    :raises subprocess.CalledProcessError: if the installation fails.
    """
    missing = missingPackages()
    if missing and not slicer.app.testingEnabled():
        question = _(
            "{requester} needs {count} Python packages that Slicer does not bring. Download and "
            "install them into Slicer's Python now?"
        ).format(requester=requester, count=len(missing))
        if slicer.util.confirmOkCancelDisplay(question, detailedText="\n".join(missing)):
            install(requester)
    require(requester)


def require(requester: str = "MedWatermark") -> None:
    """
    Check that what the library needs is there; ask nothing and install nothing.

    :raises MissingPackagesError: if packages are missing, or were replaced since Slicer started.
    """
    if missing := missingPackages():
        raise MissingPackagesError(
            _(
                "{requester} needs Python packages that are not installed: {packages}. Try again "
                "and accept the installation, or run {script}."
            ).format(
                requester=requester,
                packages=", ".join(missing),
                script="MedWatermark/Scripts/install.py",
            )
        )
    if _isOutdatedInMemory("pydicom"):
        raise MissingPackagesError(
            _("Packages were brought up to date. Restart Slicer to use {requester}.").format(
                requester=requester
            )
        )
    _chooseKernelCache()


def install(requester: str = "MedWatermark") -> None:
    """
    Install the packages that are missing, without asking; those that Slicer brings stay.

    :raises subprocess.CalledProcessError: if the installation fails.
    """
    missing = missingPackages()
    with tempfile.TemporaryDirectory(prefix="MedWatermark-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{pin}\n" for pin in _pins()), encoding="utf-8")
        try:
            from slicer.packaging import pip_ensure
        except ModuleNotFoundError:  # Slicer 5.10
            slicer.util.pip_install([*missing, "-c", str(constraints)])
        else:
            pip_ensure(
                missing,
                constraints=constraints,
                prompt_install=False,
                # Without a window nobody would answer; with one, ``require`` says it.
                prompt_restart=False,
                requester=requester,
            )
    importlib.invalidate_caches()


def _requirements() -> list[Requirement]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def _isMet(needed: Requirement) -> bool:
    try:
        return needed.specifier.contains(version(needed.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _isOutdatedInMemory(name: str) -> bool:
    loaded = sys.modules.get(name)
    return loaded is not None and loaded.__version__ != version(name)


def _pins() -> list[str]:
    """What Slicer brings and pip knows of, each with the version that is to stay."""
    replaced = {
        Requirement(each).name for each in LEAST_OF_SLICERS if not _isMet(Requirement(each))
    }
    pins = []
    for name in BROUGHT_BY_SLICER:
        try:
            pins += [f"{name}=={version(name)}"] if name not in replaced else []
        except PackageNotFoundError:  # Slicer builds some without pip.
            continue
    return pins


def _chooseKernelCache() -> None:
    """Let Numba keep its compiled kernels in Slicer's cache, which Slicer has seen to be writable.

    Beside their sources, where it keeps them else, an installed extension is often read-only.
    """
    os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(slicer.app.cachePath, "MedWatermark"))
