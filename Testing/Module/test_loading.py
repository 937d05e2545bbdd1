"""The module before its packages are there, and where it finds its library."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "MedWatermark" / "MedWatermark.py"
HOST = REPOSITORY / "Testing" / "Host"

# Slicer's SuperBuild (External_python-*.cmake) installs these.
BROUGHT_BY_SLICER = {"numpy", "pillow", "pydicom", "scipy", "simpleitk"}

START = f"""
import sys
sys.path.insert(0, {str(HOST)!r})
import application
application.start()
import slicer
"""


def run(script, **environment):
    """Run a script in a process of its own, outside of the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        cwd=HOST,
        env={"QT_QPA_PLATFORM": "offscreen", "PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_module_loads_without_the_packages_of_its_library(host):
    requirements = (REPOSITORY / "MedWatermark" / "Resources" / "requirements.txt").read_text()
    assert "cbor2" in requirements
    run(f"""
for name in ("base45", "cbor2", "eth_account", "numba", "pyzbar", "qrcode", "skimage", "zxingcpp"):
    sys.modules[name] = None  # import raises ModuleNotFoundError
module = application.load_module({str(MODULE_FILE)!r})
panel = module.widgetRepresentation()
panel.enter()
assert panel.self().ui.embedButton.toolTip == "Choose a volume."

import qt
from importlib.metadata import MetadataPathFinder

MetadataPathFinder.find_distributions = lambda context: ()  # as if nothing were installed
asked = []
def decline():
    box = qt.QApplication.activeModalWidget()
    asked.append(box.text)
    box.reject()
def install():
    qt.QTimer.singleShot(0, decline)
    try:
        panel.self().logic.installDependencies()
    except RuntimeError:
        asked.append("declined")
    finally:
        slicer.app.quit()
qt.QTimer.singleShot(0, install)
slicer.app.exec_()
assert "cbor2" in asked[0]
assert asked[1] == "declined"
""")


@pytest.mark.parametrize("importable", [True, False])
def test_the_checkout_is_put_on_the_path_only_if_the_library_is_not_importable(host, importable):
    blocked = "" if importable else 'sys.modules["MedWatermarkLib"] = None'
    found = run(
        f"""
{blocked}
before = sys.path.count({str(REPOSITORY)!r})
application.load_module({str(MODULE_FILE)!r})
print(sys.path.count({str(REPOSITORY)!r}) - before)
""",
        PYTHONPATH=str(REPOSITORY),
    )
    assert int(found) == (0 if importable else 1)


def test_slicer_installs_what_the_package_depends_on_and_it_does_not_bring():
    lines = (REPOSITORY / "MedWatermark" / "Resources" / "requirements.txt").read_text()
    named = {line for line in lines.splitlines() if not line.startswith("#")}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {
        dependency
        for dependency in project["dependencies"]
        if canonicalize_name(Requirement(dependency).name) not in BROUGHT_BY_SLICER
    }
    assert named == needed


def test_the_module_is_described_and_names_the_paper(module):
    assert module.title == "MedWatermark"
    for text in (module.helpText, module.acknowledgementText):
        assert "10.1049/cje.2020.07.003" in text
    assert not module.icon.isNull()


def test_the_modules_folder_is_no_package():
    assert not (MODULE_FILE.parent / "__init__.py").exists()
