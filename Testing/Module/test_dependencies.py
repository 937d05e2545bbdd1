"""The packages of the library, in a host that has only those that Slicer brings."""

import shutil
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import fresh_slicer
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
MODULE = REPOSITORY / "MedWatermark"
REQUIREMENTS = MODULE / "Resources" / "requirements.txt"


@pytest.fixture(scope="module")
def packages(host, tmp_path_factory):
    """The folder of what a fresh Slicer has."""
    folder = tmp_path_factory.mktemp("packages")
    fresh_slicer.link_packages(folder)
    return folder


@pytest.fixture
def wheels(tmp_path):
    """The folder where pip finds wheels; it asks no server."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def run(packages, wheels, tmp_path):
    """``run(script, requirements)``: the module with these requirements in a fresh Slicer."""
    installed = tmp_path / "installed"
    installed.mkdir()

    def run_with(script, requirements, shown=None):
        module = tmp_path / "MedWatermark"
        shutil.copytree(MODULE, module, ignore=shutil.ignore_patterns("__pycache__"))
        (module / "Resources" / "requirements.txt").write_text("\n".join(requirements) + "\n")
        return fresh_slicer.run(
            LOADED.format(module=module / "MedWatermark.py") + script,
            f"{installed}:{shown or packages}",
            PIP_TARGET=str(installed),
            PIP_NO_INDEX="1",
            PIP_FIND_LINKS=str(wheels),
            PIP_CONFIG_FILE="/dev/null",
        )

    run_with.installed = installed
    return run_with


LOADED = """
module = application.load_module(r"{module}")
panel = module.widgetRepresentation()
panel.enter()

import qt
from MedWatermarkModule import dependencies

def ensure(answer):
    "What ensure() raised when its question was answered so, and the question."
    asked = []
    def reply():
        box = qt.QApplication.activeModalWidget()
        asked.append(box.text + box.detailedText)
        box.button(getattr(qt.QMessageBox, answer)).click()
    def call():
        qt.QTimer.singleShot(0, reply)
        try:
            panel.self().logic.installDependencies()
            asked.append(None)
        except Exception as error:
            asked.append(error)
        finally:
            slicer.app.quit()
    qt.QTimer.singleShot(0, call)
    slicer.app.exec_()
    return asked
"""


def write_wheel(folder, name, number, needs=()):
    """Write a wheel of a package that holds its version."""
    information = f"{name}-{number}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}"]
    metadata += [f"Requires-Dist: {each}" for each in needs]
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", f"__version__ = {number!r}\n")
        wheel.writestr(f"{information}/METADATA", "\n".join(metadata) + "\n")
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{information}/WHEEL", tags)
        wheel.writestr(f"{information}/RECORD", "")


def test_the_module_loads_on_a_fresh_slicer_and_says_what_it_needs(run):
    run(
        """
import importlib.util
assert not importlib.util.find_spec("cbor2") and not importlib.util.find_spec("numba")
assert panel.self().ui.embedButton.toolTip == "Choose a volume."
question, error = ensure("Cancel")
for package in ("cbor2", "numba", "web3"):
    assert package in question and package in str(error), (question, error)
assert type(error).__name__ == "MissingPackagesError"
""",
        REQUIREMENTS.read_text().splitlines(),
    )
    assert not list(run.installed.iterdir())


def test_in_testing_mode_nothing_is_asked_and_nothing_installed(run, wheels):
    write_wheel(wheels, "cbor2", "5.0")
    run(
        """
slicer.app.set_testing(True)
try:
    dependencies.ensure()
    raise SystemExit("nothing was said")
except dependencies.MissingPackagesError as error:
    assert "cbor2" in str(error)
""",
        ["cbor2"],
    )
    assert not list(run.installed.iterdir())


@pytest.mark.parametrize("slicer_has_packaging", [True, False], ids=["5.12", "5.10"])
def test_accepted_packages_are_installed_and_kernels_are_kept_in_slicers_cache(
    run, wheels, slicer_has_packaging
):
    write_wheel(wheels, "cbor2", "5.0")
    before = "" if slicer_has_packaging else BEFORE_PACKAGING
    run(
        before
        + """
question, error = ensure("Ok")
assert error is None, error
import cbor2, os
assert cbor2.__version__ == "5.0"
assert os.environ["NUMBA_CACHE_DIR"].startswith(slicer.app.cachePath)
assert dependencies.missingPackages() == []
dependencies.ensure()  # asks nothing any more
""",
        ["cbor2"],
    )


# Slicer 5.10 has slicer.util.pip_install alone, without arguments of its own.
BEFORE_PACKAGING = """
from slicer.packaging import pip_install
slicer.util.pip_install = lambda arguments: pip_install(arguments)
sys.modules["slicer.packaging"] = None
"""


@pytest.mark.parametrize("slicer_has_packaging", [True, False], ids=["5.12", "5.10"])
def test_a_package_that_wants_another_numpy_is_not_installed(run, wheels, slicer_has_packaging):
    write_wheel(wheels, "cbor2", "5.0", needs=["numpy>=99"])
    write_wheel(wheels, "numpy", "99.0")
    before = "" if slicer_has_packaging else BEFORE_PACKAGING
    run(
        before
        + f"""
question, error = ensure("Ok")
assert type(error).__name__ == "CalledProcessError", error
import importlib.metadata
assert importlib.metadata.version("numpy") == {version("numpy")!r}
""",
        ["cbor2"],
    )
    assert not list(run.installed.iterdir())


@pytest.mark.parametrize("slicer", ["5.10", "5.12"])
def test_an_old_pydicom_is_replaced_and_a_restart_asked_for_once(
    run, wheels, packages, tmp_path, slicer
):
    slicer_510 = tmp_path / "packages"
    slicer_510.mkdir()
    for each in packages.iterdir():
        if each.name.startswith("pydicom-"):
            (slicer_510 / "pydicom-2.4.4.dist-info").mkdir()
            metadata = "Metadata-Version: 2.1\nName: pydicom\nVersion: 2.4.4\n"
            (slicer_510 / "pydicom-2.4.4.dist-info" / "METADATA").write_text(metadata)
        else:
            (slicer_510 / each.name).symlink_to(each.resolve())
    write_wheel(wheels, "cbor2", "5.0")
    write_wheel(wheels, "pydicom", "3.9")
    run(
        (BEFORE_PACKAGING if slicer == "5.10" else "")
        + """
question, error = ensure("Ok")
assert "pydicom>=3" in question
assert "Restart Slicer" in str(error), error
import importlib.metadata
assert importlib.metadata.version("pydicom") == "3.9"
""",
        ["cbor2"],
        shown=slicer_510,
    )


def test_slicer_installs_what_the_package_depends_on_and_it_does_not_bring():
    lines = REQUIREMENTS.read_text().splitlines()
    named = {line for line in lines if not line.startswith("#")}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    brought = {canonicalize_name(name) for name in fresh_slicer.BROUGHT}
    needed = {
        dependency
        for dependency in project["dependencies"]
        if canonicalize_name(Requirement(dependency).name) not in brought
    }
    assert named == needed
