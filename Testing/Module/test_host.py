"""The host against what a running Slicer said of its classes."""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE_FILE = REPOSITORY / "MedWatermark" / "MedWatermark.py"
API = REPOSITORY.parent / "shared" / "slicer-host" / "api.json"


@pytest.fixture(scope="module")
def api(host):
    if not API.is_file():
        pytest.skip(f"what a real Slicer says of its classes is not at {API}")
    return json.loads(API.read_text())


def names_after(*prefix):
    """What the module takes from such a name: ("slicer", "util") gives its functions."""
    names = set()
    for node in ast.walk(ast.parse(MODULE_FILE.read_text())):
        chain = []
        while isinstance(node, ast.Attribute):
            chain.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            chain.insert(0, node.id)
            if tuple(chain[: len(prefix)]) == prefix and len(chain) > len(prefix):
                names.add(chain[len(prefix)])
    return names


def test_functions_that_the_module_takes_from_slicer_util_exist_there(api):
    classes = {"VTKObservationMixin", "WaitCursor"}
    assert names_after("slicer", "util") - classes <= set(api["slicer.util"])


def test_functions_that_the_module_takes_from_slicer_packaging_exist_there(api):
    assert names_after("slicer", "packaging") <= set(api["slicer.packaging"])


@pytest.mark.parametrize("widget", ["QInputDialog", "QPixmap", "QImage"])
def test_enumerators_and_functions_of_qt_classes_exist_there(api, widget):
    assert names_after("qt", widget) <= set(api["widgets"][widget]["python"])


def test_the_hosts_own_widgets_have_nothing_that_slicers_lack(host, api):
    import ctk
    import mrml_widgets
    import qt

    for place in (ctk, mrml_widgets):
        for name, widget in inspect.getmembers(place, inspect.isclass):
            if not name.startswith(("ctk", "qMRML")):
                continue
            known = api["widgets"][name]
            slots = {slot.partition("(")[0] for slot in known["slots"]}
            own = {
                each
                for each, value in vars(widget).items()
                if not each.startswith("_") and not isinstance(value, qt._Property)
            }
            # Qt calls these; a script does not.
            own -= {"staticMetaObject", "paintEvent", "sizeHint", "minimumSizeHint"}
            assert own <= slots | set(known["python"]) | set(known["properties"]), name


def test_properties_in_slicer_are_attributes_in_the_host(host, api):
    import qt

    for name in ("QLabel", "QPushButton", "QPlainTextEdit", "QLineEdit", "QCheckBox"):
        widget = getattr(qt, name)()
        for attribute in api["widgets"][name]["properties"]:
            assert not callable(getattr(widget, attribute)), f"{name}.{attribute}"


def test_methods_in_slicer_are_calls_in_the_host(host):
    import qt
    import slicer

    assert callable(slicer.qMRMLNodeComboBox().currentNode)
    assert callable(qt.QPlainTextEdit().toPlainText)
    assert callable(qt.QInputDialog().textValue)


def test_the_base_classes_have_only_methods_that_slicers_have(host, api):
    base = importlib.import_module("slicer.ScriptedLoadableModule")
    for name in base.__all__:
        own = {each for each in vars(getattr(base, name)) if not each.startswith("__")}
        own = {each for each in own if callable(getattr(getattr(base, name), each))}
        assert own <= set(api["ScriptedLoadableModule"][name]), name
