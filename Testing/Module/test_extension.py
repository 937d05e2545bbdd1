"""The extension as Slicer's build makes it: configured, built, installed and loaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fresh_slicer
import pytest

REPOSITORY = Path(__file__).parents[2]
CMAKE = REPOSITORY / "Testing" / "CMake"
PROGRAMS = Path(sys.executable).parent
MODULES = Path("lib/Slicer-5.10/qt-scripted-modules")


def run(*words, folder=None, **environment):
    """Run a program of this environment; returns what it printed."""
    done = subprocess.run(
        [PROGRAMS / words[0], *map(str, words[1:])],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of_repository():
    """The files of the extension: what Python keeps beside its sources is none."""
    places = [REPOSITORY / name for name in ("MedWatermark", "MedWatermarkLib")]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    names = ("CMakeLists.txt", "LICENSE.txt", "README.md")
    return [REPOSITORY / name for name in names] + [
        path for path in files if "__pycache__" not in path.parts
    ]


def relative(path):
    return path.relative_to(REPOSITORY)


def built(source, build, prefix):
    """Build and install, as often as one likes; returns the files that were installed."""
    run("cmake", "--build", build)
    shutil.rmtree(prefix, ignore_errors=True)
    run("cmake", "--install", build, "--prefix", prefix)
    return {path.relative_to(prefix) for path in prefix.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def extension(host, tmp_path_factory):
    """Its copied source, build and installed folders."""
    folder = tmp_path_factory.mktemp("extension")
    source, build, prefix = (folder / name for name in ("source", "build", "installed"))
    for path in map(relative, files_of_repository()):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, source / path)
    run(
        "cmake",
        *("-S", source, "-B", build, "-G", "Ninja"),
        f"-DSlicer_DIR={CMAKE}",
        f"-DSlicer_PYTHON={sys.executable}",
        f"-DCMAKE_MAKE_PROGRAM={PROGRAMS / 'ninja'}",
        f"-DCMAKE_TOOLCHAIN_FILE={CMAKE / 'no-compiler.cmake'}",
    )
    built(source, build, prefix)
    return source, build, prefix


def test_every_file_that_the_module_needs_is_installed(extension):
    _source, _build, prefix = extension
    installed = {path.relative_to(prefix) for path in prefix.rglob("*") if path.is_file()}
    expected = {Path("share/Slicer-5.10/MedWatermark.s4ext")}
    for path in map(relative, files_of_repository()):
        if path.name == "CMakeLists.txt":
            continue
        if path.parts[0] == "MedWatermarkLib":
            expected.add(MODULES / path)
        elif path.parts[:2] != ("MedWatermark", "Testing") and path.parts[0] == "MedWatermark":
            expected.add(MODULES / path.relative_to("MedWatermark"))
    assert installed == expected
    for name in ("MedWatermarkLib/abi/FairExchange.json", "MedWatermarkModule/dependencies.py"):
        assert MODULES / name in installed


def test_a_file_that_is_added_later_is_installed_without_configuring_anew(extension, tmp_path):
    source, build, _prefix = extension
    added = ("MedWatermark/MedWatermarkModule/added.py", "MedWatermarkLib/schema/added.json")
    for name in added:
        (source / name).write_text("{}\n")
    installed = built(source, build, tmp_path / "installed")
    assert MODULES / "MedWatermarkModule/added.py" in installed
    assert MODULES / "MedWatermarkLib/schema/added.json" in installed
    for name in added:
        (source / name).unlink()
    shutil.rmtree(build / MODULES)
    run("cmake", "--build", build)


def test_the_installed_module_loads_and_finds_its_library_beside_it(extension, tmp_path):
    _source, _build, prefix = extension
    fresh_slicer.link_packages(tmp_path)
    fresh_slicer.run(
        f"""
module = application.load_module({str(prefix / MODULES / "MedWatermark.py")!r})
module.widgetRepresentation().enter()
assert not module.icon.isNull()
import MedWatermarkLib
assert MedWatermarkLib.__file__.startswith({str(prefix)!r}), MedWatermarkLib.__file__
""",
        tmp_path,
    )


def test_ctest_runs_the_generic_and_the_packages_test(extension):
    _source, build, _prefix = extension
    listed = run("ctest", "-N", folder=build)
    for name in ("nomainwindow_qSlicerMedWatermarkModuleGenericTest", "MedWatermarkPackagesTest"):
        assert f"py_{name}" in listed
        run("ctest", "-R", name, "--output-on-failure", folder=build)
    assert "py_MedWatermark\n" in listed


def test_ctest_passes_on_a_slicer_without_the_packages(extension, tmp_path):
    _source, build, _prefix = extension
    fresh_slicer.link_packages(tmp_path)
    run("cmake", "-DSlicer_PYTHON_FLAGS=-S", build)
    told = run(
        "ctest",
        "-R",
        "Generic|Packages|MedWatermark$",
        "-V",
        folder=build,
        PYTHONPATH=str(tmp_path),
    )
    assert "Missing: aiohttp, base45" in told


def test_the_description_is_what_the_extensions_index_asks_for(extension):
    _source, build, _prefix = extension
    lines = (build / "MedWatermark.s4ext").read_text().splitlines()
    description = dict(line.split(" ", 1) for line in lines)
    assert description["depends"] == "NA"
    assert description["category"] == "Informatics"
    assert 1 <= description["description"].count(". ") + 1 <= 2
