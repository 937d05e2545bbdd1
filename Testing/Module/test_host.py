"""The host against what a running Slicer said of its classes."""

import importlib
import inspect
import json

import pytest


@pytest.fixture(scope="module")
def names(host):
    """The module that knows what is used."""
    return importlib.import_module("names")


@pytest.fixture(scope="module")
def said(names):
    """What a running Slicer has: its names."""
    return json.loads(names.KEPT.read_text())


def exists(said, name):
    """Whether Slicer has what a dotted name leads to."""
    import slicer

    root, *rest = name.split(".")
    if root in ("qt", "ctk"):
        kind, *member = rest
        known = said["names"].get(kind, []) + said["properties"].get(kind, [])
        return kind in said["names"] and all(each in known for each in member)
    namespace = ".".join([root, rest[0]])
    if namespace in said:
        return rest[1] in said[namespace]
    if namespace == "slicer.ScriptedLoadableModule":
        return rest[1] in said["ScriptedLoadableModule"]
    # The rest is slicer-core's, Slicer's own MRML; or a file of the host that names its source.
    try:
        place = importlib.import_module(namespace)
    except ModuleNotFoundError:
        place = getattr(slicer, rest[0], None)
    for each in rest[1:]:
        place = getattr(place, each, None)
    return place is not None


# Slicer has these, but they were not read off the running one.
CLASSES_OF_UTIL = {"slicer.util.VTKObservationMixin", "slicer.util.WaitCursor"}
VALUES_OF_QT = ("qt.QColor", "qt.QHeaderView.", "qt.Qt.", "qt.QTableWidgetItem")


def test_the_list_names_what_the_module_uses_and_nothing_else(names):
    _text, mark, listed = names.README.read_text().partition(names.MARK)
    assert mark
    assert listed.strip() == names.listed(), "run python Testing/Host/names.py"


def test_everything_that_the_module_uses_exists_in_slicer(names, said, module):
    missing = {
        name
        for name in names.uses() - CLASSES_OF_UTIL
        if not name.startswith(VALUES_OF_QT) and not exists(said, name)
    }
    assert not missing


def inherited(kind):
    """What a widget's class has from Qt's classes above it, which were not read off themselves."""
    import ctk
    import qt
    import slicer

    place = next(each for each in (qt, ctk, slicer) if hasattr(each, kind))
    above = [
        each for each in getattr(place, kind).__mro__ if each.__module__.startswith("PySide6.")
    ]
    return {name for each in above if each.__name__ != kind for name in vars(each)} | {
        above[0].staticMetaObject.property(i).name()
        for i in range(above[0].staticMetaObject.propertyOffset())
    }


def test_what_the_module_does_with_its_widgets_their_classes_in_slicer_can(names, said):
    used = names.widget_uses()
    assert used
    for kind, name in used:
        own = {*said["names"][kind], *said["properties"][kind]}
        assert name in own | inherited(kind), f"{kind}.{name}"


def test_a_name_that_slicer_lacks_is_found(said, host):
    assert exists(said, "slicer.util.loadUI")
    assert exists(said, "slicer.vtkMRMLScalarVolumeNode")
    for name in ("slicer.util.loadUi", "slicer.app.cachePaths", "qt.QLabel.setTexts", "ctk.ctkX"):
        assert not exists(said, name)
    for name in ("slicer.vtkMRMLScalarVolumeNodes", "slicer.mrmlScene.AddNewNodeByClasses"):
        assert not exists(said, name)


def test_the_hosts_own_widgets_have_nothing_that_slicers_lack(host, said):
    import ctk
    import mrml_widgets
    import qt

    for place in (ctk, mrml_widgets):
        for name, widget in inspect.getmembers(place, inspect.isclass):
            if not name.startswith(("ctk", "qMRML")):
                continue
            own = {
                each
                for each, value in vars(widget).items()
                if not each.startswith("_") and not isinstance(value, qt._Property)
            }
            # Qt calls these; a script does not.
            own -= {"staticMetaObject", "paintEvent", "showEvent", "sizeHint", "minimumSizeHint"}
            assert own <= {*said["names"][name], *said["properties"][name]}, name


def test_properties_in_slicer_are_attributes_in_the_host(host, said):
    import qt

    for name in ("QLabel", "QPushButton", "QPlainTextEdit", "QLineEdit", "QCheckBox"):
        widget = getattr(qt, name)()
        for attribute in said["properties"][name]:
            assert not callable(getattr(widget, attribute)), f"{name}.{attribute}"


def test_methods_in_slicer_are_calls_in_the_host(host):
    import qt
    import slicer

    assert callable(slicer.qMRMLNodeComboBox().currentNode)
    assert callable(qt.QPlainTextEdit().toPlainText)
    assert callable(qt.QInputDialog().textValue)


def test_the_base_classes_have_only_methods_that_slicers_have(host, said):
    base = importlib.import_module("slicer.ScriptedLoadableModule")
    for name in base.__all__:
        own = {each for each in vars(getattr(base, name)) if not each.startswith("__")}
        own = {each for each in own if callable(getattr(getattr(base, name), each))}
        assert own <= set(said["ScriptedLoadableModule"][name]), name
