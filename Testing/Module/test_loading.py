"""Where the module finds its library, and what it says of itself."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "MedWatermark" / "MedWatermark.py"
HOST = REPOSITORY / "Testing" / "Host"

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
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_the_module_is_described_and_names_the_paper(module):
    assert module.title == "MedWatermark"
    for text in (module.helpText, module.acknowledgementText):
        assert "10.1049/cje.2020.07.003" in text
    assert not module.icon.isNull()


def test_the_modules_folder_is_no_package():
    assert not (MODULE_FILE.parent / "__init__.py").exists()
